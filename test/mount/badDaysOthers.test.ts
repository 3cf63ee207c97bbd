// What others do to objects while they are open here: the old bytes or ESTALE, never a mix; a new open sees the new; and of two
// writers neither's bytes are lost.

import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { FakeBucket } from "../backends/fakeS3/bucket.js";
import { BadDays, digestOf, isGet, MIB, patternDigest, type Hand, type Mount } from "./badDays.js";
import { pattern } from "./fixtures/pattern.mjs";
import { whyNoMount } from "./harness.js";

const why = whyNoMount();
if (why !== undefined) console.log(`test/mount/badDaysOthers: ${why}`);

const SIZE = 48 * MIB;
const STEP = 64 * 1024;

describe.skipIf(why !== undefined)("somebody else", () => {
  let days: BadDays;
  let mount: Mount;
  let hand: Hand;
  beforeAll(async () => {
    days = await BadDays.start();
    mount = await days.mount(["--memory-limit", "16MiB", "--max-window", "1MiB"]);
    hand = days.hand();
  });
  afterEach(() => { days.well(); });
  afterAll(() => days.dispose());

  describe("changes what is open for reading", () => {
    const [before, after] = [pattern(SIZE, 1), pattern(SIZE, 2)];
    it.each<[string, string, () => void, string]>([
      ["replaces it", "replaced", () => days.others("replaced", after), patternDigest(SIZE, 2)],
      ["makes it shorter", "shorter", () => days.others("shorter", after.subarray(0, MIB)), digestOf(after.subarray(0, MIB))],
      ["makes it longer", "longer", () => days.others("longer", Buffer.concat([after, after])), digestOf(Buffer.concat([after, after]))],
      ["deletes it", "deleted", () => { days.bucket.objects.delete("deleted"); }, "ENOENT"],
    ])("and %s: old bytes or ESTALE, and a new open sees it", async (_, name, change, then) => {
      days.others(name, before);
      const fd = await hand.do<number>("open", mount.path(name), "r");
      expect(await hand.do("read", fd, STEP, 0)).toBe(before.toString("latin1", 0, STEP));
      change();
      const met = new Set<string>();
      for (let at = STEP; at < SIZE; at += 4 * MIB) {
        const outcome = await hand.outcome("readIs", fd, at, STEP, digestOf(before.subarray(at, at + STEP)));
        met.add(outcome);
      }
      for (const outcome of met) expect(["ok", "ESTALE"]).toContain(outcome);
      // The file is far larger than what could have been kept.
      expect(met).toContain("ESTALE");
      const anew = await hand.outcome("size", mount.path(name));
      if (then === "ENOENT") expect(anew).toBe("ENOENT");
      else expect(await hand.do("digest", mount.path(name))).toBe(then);
      await hand.do("close", fd);
    });

    it("and a writer here goes on with theirs: who reads the old one is not led into it", async () => {
      days.others("led", before);
      const fd = await hand.do<number>("open", mount.path("led"), "r");
      expect(await hand.do("read", fd, STEP, 0)).toBe(before.toString("latin1", 0, STEP));
      days.others("led", after);
      const writer = await hand.do<number>("open", mount.path("led"), "r+");
      await hand.do("write", writer, "x", 0);
      expect(await hand.outcome("readIs", fd, 24 * MIB, STEP, digestOf(before.subarray(24 * MIB, 24 * MIB + STEP)))).toBe("ESTALE");
      expect(await hand.outcome("close", writer)).toBe("ok");
      expect(await hand.outcome("readIs", fd, 40 * MIB, STEP, digestOf(before.subarray(40 * MIB, 40 * MIB + STEP)))).toBe("ESTALE");
      await hand.do("close", fd);
    });

    it("in the middle of one answer: what has arrived is never joined by bytes of the other", async () => {
      days.others("middle", before);
      let changed = false;
      days.fake.fault = (seen) => {
        if (changed || !isGet("middle")(seen)) return undefined;
        // The body breaks off, and when the rest is asked for the object is another one.
        changed = true;
        queueMicrotask(() => { days.others("middle", after); });
        return { kind: "short" };
      };
      const fd = await hand.do<number>("open", mount.path("middle"), "r");
      const outcome = await hand.outcome("readIs", fd, 0, MIB, digestOf(before.subarray(0, MIB)));
      expect(changed).toBe(true);
      expect(outcome).toBe("ESTALE");
      expect(await hand.do("digest", mount.path("middle"))).toBe(patternDigest(SIZE, 2));
      await hand.do("close", fd);
    });
  });

  describe("changes what is open for writing", () => {
    it("an object replaced: close fails with ESTALE, and both contents exist", async () => {
      days.others("book", "first edition");
      const fd = await hand.do<number>("open", mount.path("book"), "r+");
      await hand.do("write", fd, "our", 0);
      days.others("book", "their edition");
      expect(await hand.outcome("fsync", fd)).toBe("ESTALE");
      expect(await hand.outcome("fsync", fd)).toBe("ESTALE");
      await hand.outcome("close", fd);
      expect(days.text("book")).toBe("their edition");
      expect(await hand.do("load", mount.path("book"))).toBe("their edition");
      expect((await mount.kept("book")).subarray(0, 3).toString()).toBe("our");
    });

    it("a large object replaced while one byte of it changes", async () => {
      days.others("film", pattern(12 * MIB, 3));
      const fd = await hand.do<number>("open", mount.path("film"), "r+");
      await hand.do("write", fd, "x", 1000);
      days.others("film", pattern(12 * MIB, 4));
      expect(await hand.outcome("close", fd)).toBe("ESTALE");
      expect(digestOf(days.bucket.objects.get("film")?.data as Buffer)).toBe(patternDigest(12 * MIB, 4));
      expect(await hand.do("digest", mount.path("film"))).toBe(patternDigest(12 * MIB, 4));
      expect((await mount.kept("film")).toString("latin1", 1000, 1001)).toBe("x");
      expect(days.bucket.uploads.size).toBe(0);
    });

    it("an object deleted: it does not come back, and the bytes are kept", async () => {
      days.others("gone", "to be deleted");
      const fd = await hand.do<number>("open", mount.path("gone"), "r+");
      await hand.do("write", fd, "WE", 0);
      days.bucket.objects.delete("gone");
      expect(await hand.outcome("close", fd)).toBe("ESTALE");
      expect(days.text("gone")).toBeUndefined();
      expect((await mount.kept("gone")).subarray(0, 2).toString()).toBe("WE");
      expect(await hand.outcome("size", mount.path("gone"))).toBe("ENOENT");
    });

    it("a new file whose name they took meanwhile", async () => {
      const fd = await hand.do<number>("open", mount.path("same"), "w");
      await hand.do("write", fd, "ours");
      days.others("same", "theirs");
      expect(await hand.outcome("close", fd)).toBe("ESTALE");
      expect(days.text("same")).toBe("theirs");
      expect((await mount.kept("same")).toString()).toBe("ours");
      expect(await hand.do("load", mount.path("same"))).toBe("theirs");
    });

    it("with --on-conflict=copy: close succeeds, and ours stands beside theirs", async () => {
      const copying = await days.mount(["--on-conflict", "copy"]);
      days.others("letter", "dear ann");
      const fd = await hand.do<number>("open", copying.path("letter"), "r+");
      await hand.do("write", fd, "dear ben", 0);
      days.others("letter", "dear cid");
      expect(await hand.outcome("close", fd)).toBe("ok");
      const names = (await hand.do<string[]>("list", copying.directory)).filter((name) => name.startsWith("letter"));
      expect(names).toEqual(["letter", expect.stringMatching(/^letter \(conflict \S+ \d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\)$/)]);
      expect(await Promise.all(names.map((name) => hand.do("load", copying.path(name))))).toEqual(["dear cid", "dear ben"]);
      expect(names.map((name) => days.text(name))).toEqual(["dear cid", "dear ben"]);
      expect((await copying.status()).pending).toEqual([]);
      expect(await copying.stop()).toBe(0);
    });
  });

  it("deletes the bucket: an error everywhere, nowhere an empty directory or a missing file, and all is as before when it is back", async () => {
    const albums = new FakeBucket("us-east-1");
    days.fake.buckets.set("albums", albums);
    const own = await days.mount(["--retries", "1"], {}, undefined, "s3://albums");
    expect(await hand.outcome("save", own.path("one"), "1")).toBe("ok");
    const fd = await hand.do<number>("open", own.path("two"), "w");
    await hand.do("write", fd, "2");
    days.fake.buckets.delete("albums");
    for (const [call, ...args] of [
      ["list", own.directory], ["size", own.path("one")], ["load", own.path("one")], ["size", own.path("never-was")], ["mkdir", own.path("d")], ["create", own.path("three")],
      ["unlink", own.path("one")], ["rename", own.path("one"), own.path("uno")],
    ] as const) expect([call, ...args, (await hand.outcome(call, ...args)).replace(/^\w+ /, "")]).toEqual([call, ...args, "EIO"]);
    expect(await hand.outcome("fsync", fd)).toBe("EIO");
    expect((await own.kept("two")).toString()).toBe("2");
    expect(own.log).toMatch(/albums.*: there is no such bucket/);
    days.fake.buckets.set("albums", albums);
    expect(await hand.outcome("close", fd)).toBe("ok");
    expect((await hand.do<string[]>("list", own.directory)).sort()).toEqual(["one", "two"]);
    expect(await hand.do("load", own.path("two"))).toBe("2");
    expect(await own.stop()).toBe(0);
  });
});
