// Bad days of the server while it is mounted: the right errno, the right bytes or none, and nothing acknowledged is lost.

import { readFileSync } from "node:fs";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { Fault } from "../backends/fakeS3/server.js";
import { answer, BadDays, digestOf, isComplete, isGet, isPut, MIB, page, patternDigest, until, type Hand, type Mount } from "./badDays.js";
import { pattern } from "./fixtures/pattern.mjs";
import { whyNoMount } from "./harness.js";

const why = whyNoMount();
if (why !== undefined) console.log(`test/mount/badDaysServer: ${why}`);

const SIZE = 12 * MIB + 77;

describe.skipIf(why !== undefined)("a server with a bad day", () => {
  let days: BadDays;
  let mount: Mount;
  let hand: Hand;
  beforeAll(async () => {
    days = await BadDays.start();
    mount = await days.mount();
    hand = days.hand();
  });
  afterEach(() => { days.well(); });
  afterAll(() => days.dispose());

  /** The object's bytes are those of the pattern, and nothing else came into being. */
  function sound(key: string, size: number, seed: number): void {
    expect(digestOf(days.bucket.objects.get(key)?.data ?? Buffer.alloc(0))).toBe(patternDigest(size, seed));
    expect([...days.bucket.objects.keys()].filter((each) => each.startsWith(key))).toEqual([key]);
    expect(days.bucket.uploads.size).toBe(0);
  }
  const made = (key: string): number => days.fake.seen.filter(isPut(key)).length;

  describe("writing", () => {
    it.each<[string, Fault, number]>([
      ["asks to slow down for a while", answer(503, "SlowDown"), 2],
      ["fails inside for a while", answer(500, "InternalError"), 2],
      ["is a web page for a moment", page(502), 1],
      ["resets the connection", { kind: "reset" }, 1],
      ["takes the object and never answers", { kind: "stall" }, 1],
      ["writes the object, and its answer is lost", { kind: "lost" }, 1],
      ["got wrong bytes, as the checksum shows", answer(400, "BadDigest"), 1],
    ])("a server that %s: close succeeds, and the object is there once", async (_, fault, times) => {
      const name = `put${fault.kind}${"status" in fault ? fault.status : ""}`;
      const left = days.fault(fault, isPut(name), times);
      expect(await hand.outcome("saveBig", mount.path(name), 100_000, 5)).toBe("ok");
      expect(left()).toBe(0);
      sound(name, 100_000, 5);
      // What was lost was done: it is found out, not done again.
      expect(made(name)).toBe(fault.kind === "lost" ? 1 : times + 1);
    });

    it("a byte that changes on the way is noticed by the signed checksum, and sent again", async () => {
      let spoilt = 0;
      days.fake.fault = (seen) => {
        if (isPut("spoilt")(seen) && spoilt++ === 0) seen.body[50_000] = ~(seen.body[50_000] as number);
        return undefined;
      };
      expect(await hand.outcome("saveBig", mount.path("spoilt"), 100_000, 6)).toBe("ok");
      expect(spoilt).toBe(2);
      sound("spoilt", 100_000, 6);
    });

    it("a connection that is reset in the middle of a PUT, and of a part", async () => {
      const cut: string[] = [];
      days.fake.cut = ({ method, url }) => {
        const which = url.startsWith("/photos/cut-put") ? "put" : /^\/photos\/cut-parts\?.*partNumber=2/.test(url) ? "part" : undefined;
        if (method !== "PUT" || which === undefined || cut.includes(which)) return undefined;
        cut.push(which);
        return 200_000;
      };
      expect(await hand.outcome("saveBig", mount.path("cut-put"), MIB, 7)).toBe("ok");
      expect(await hand.outcome("saveBig", mount.path("cut-parts"), SIZE, 8)).toBe("ok");
      expect(cut).toEqual(["put", "part"]);
      sound("cut-put", MIB, 7);
      sound("cut-parts", SIZE, 8);
    });

    it.each<[string, Fault, number]>([
      ["whose 200 says that it failed", { kind: "answer", status: 200, body: "<?xml version=\"1.0\"?>\n<Error><Code>InternalError</Code><Message>m</Message></Error>" }, 1],
      ["that is a web page", page(200), 1],
      ["that was done, and its answer is lost", { kind: "lost" }, 1],
      ["that is answered with 503 for a while", answer(503, "SlowDown"), 2],
    ])("a completion %s: close succeeds, and the object is there once", async (what, fault, times) => {
      const name = `complete ${what}`.replaceAll(/\W+/g, "-");
      const left = days.fault(fault, isComplete(name), times);
      expect(await hand.outcome("saveBig", mount.path(name), SIZE, 9)).toBe("ok");
      expect(left()).toBe(0);
      sound(name, SIZE, 9);
    });

    it("503 for good: EIO at close, bytes kept and named; an fsync after it is well saves them", async () => {
      days.fake.fault = (seen) => (isPut("later")(seen) ? answer(503, "SlowDown") : undefined);
      const fd = await hand.do<number>("open", mount.path("later"), "w");
      await hand.do("write", fd, "kept for later");
      expect(await hand.outcome("fsync", fd)).toBe("EIO");
      expect((await mount.kept("later")).toString()).toBe("kept for later");
      expect(await hand.outcome("write", fd, "more")).toBe("EIO");
      days.well();
      expect(await hand.outcome("fsync", fd)).toBe("ok");
      expect(await hand.outcome("close", fd)).toBe("ok");
      expect(days.text("later")).toBe("kept for later");
      expect((await mount.status()).pending).toEqual([]);
    });

    it("503 for good until the last handle has gone: the bytes outlive the mount, and the next one names them", async () => {
      const own = await days.mount(["--retries", "1"]);
      days.fake.fault = (seen) => (isPut("left")(seen) ? answer(503, "SlowDown") : undefined);
      expect(await hand.outcome("save", own.path("left"), "kept for good")).toBe("close EIO");
      await until("the writer's handle is gone", async () => (await own.status()).pending[0]?.state === "failed");
      expect((await own.kept("left")).toString()).toBe("kept for good");
      const { file, error } = (await own.status()).pending[0] as { file: string; error?: string };
      expect(error).toMatch(/^s3:\/\/photos\/left: the service asks to slow down/);
      // There is no object, and so there is no such name any more.
      expect(await hand.outcome("size", own.path("left"))).toBe("ENOENT");
      const end = await days.box.objmount("unmount", own.directory);
      expect(end.code).toBe(40);
      expect(end.err).toContain(`"left" is kept in ${file}`);
      expect(await own.daemon.exited).toBe(40);
      days.well();
      const next = await days.mount([], {}, own.directory);
      expect(next.log).toMatch(new RegExp(`an earlier daemon left bytes.*${file}`));
      expect(readFileSync(file, "utf8")).toBe("kept for good");
      expect(await next.stop()).toBe(0);
      expect(readFileSync(file, "utf8")).toBe("kept for good");
    });

    it("permission withdrawn in the middle: EACCES, bytes kept, and saved once it is given back", async () => {
      const fd = await hand.do<number>("open", mount.path("withdrawn"), "w");
      await hand.do("write", fd, "permitted once");
      days.fake.options = { readOnly: true };
      expect(await hand.outcome("fsync", fd)).toBe("EACCES");
      expect((await mount.kept("withdrawn")).toString()).toBe("permitted once");
      days.well();
      expect(await hand.outcome("fsync", fd)).toBe("ok");
      expect(await hand.outcome("close", fd)).toBe("ok");
      expect(days.text("withdrawn")).toBe("permitted once");
      days.fake.options = { readOnly: true };
      expect(await hand.outcome("save", mount.path("withdrawn"), "forbidden")).toBe("close EACCES");
      expect((await mount.kept("withdrawn")).toString()).toBe("forbidden");
      expect(days.text("withdrawn")).toBe("permitted once");
      expect(await hand.outcome("load", mount.path("withdrawn"))).toBe("ok");
      expect(await hand.outcome("unlink", mount.path("withdrawn"))).toBe("EACCES");
      expect(await hand.outcome("mkdir", mount.path("forbidden"))).toBe("EACCES");
      days.well();
      expect(days.text("withdrawn")).toBe("permitted once");
    });
  });

  describe("reading", () => {
    beforeAll(() => {
      for (const [i, name] of ["g0", "g1", "g2", "g3", "g4", "g5", "g6", "g7", "g8"].entries()) days.others(name, pattern(SIZE, 20 + i));
    });

    it.each<[string, string, Fault, number]>([
      ["a body that ends in the middle", "g0", { kind: "short" }, 3],
      ["a body that stalls in the middle", "g1", { kind: "stall-body" }, 2],
      ["a reset instead of an answer", "g2", { kind: "reset" }, 2],
      ["503 for a while", "g3", answer(503, "SlowDown"), 2],
      ["a web page that says 200", "g4", page(200), 2],
      ["a web page that says 404", "g5", page(404), 2],
    ])("%s: the reader gets all its bytes, and notices nothing", async (_, name, fault, times) => {
      const left = days.fault(fault, isGet(name), times);
      expect(await hand.do("digest", mount.path(name))).toBe(patternDigest(SIZE, 20 + Number(name.slice(1))));
      expect(left()).toBe(0);
    });

    it.each<[string, string, number]>([["fewer bytes than were asked for, and says so", "g6", -100_000], ["more bytes than were asked for, and says so", "g7", 100_000]])(
      "an answer that has %s: the reader gets all its bytes, and no others", async (_, name, more) => {
        const data = days.bucket.objects.get(name)?.data as Buffer;
        let told = 0;
        days.fake.fault = (seen) => {
          const range = /^bytes=(\d+)-(\d+)$/.exec(seen.headers.range ?? "");
          if (!isGet(name)(seen) || range === null || told >= 2) return undefined;
          told += 1;
          const [start, end] = [Number(range[1]), Math.min(data.length, Math.max(Number(range[1]) + 1, Number(range[2]) + 1 + more))];
          return { kind: "answer", status: 206, headers: { etag: `"${days.bucket.objects.get(name)?.etag as string}"`, "content-range": `bytes ${start}-${end - 1}/${data.length}` }, body: data.subarray(start, end) };
        };
        expect(await hand.do("digest", mount.path(name))).toBe(patternDigest(SIZE, 20 + Number(name.slice(1))));
        expect(told).toBe(2);
      });

    it.each<[string, Fault]>([
      ["503", answer(503, "SlowDown")], ["500", answer(500, "InternalError")], ["a web page that says 200", page(200)], ["a web page that says 404", page(404)],
      ["a web page that says 502", page(502)], ["a server that does not speak HTTP", { kind: "not-http" }],
    ])("%s for good is EIO, never ENOENT, and never an empty directory", async (_, fault) => {
      days.others("deep/er/file", "below");
      days.fake.fault = () => fault;
      for (const [call, ...args] of [["list", mount.directory], ["size", mount.path("g8")], ["load", mount.path("g8")], ["size", mount.path("never-was")], ["list", mount.path("deep/er")]] as const) {
        expect([call, ...args, await hand.outcome(call, ...args)]).toEqual([call, ...args, "EIO"]);
      }
      days.well();
      expect(await hand.do("load", mount.path("deep/er/file"))).toBe("below");
      expect(await hand.do<string[]>("list", mount.directory)).toContain("g8");
    });

    it("permission to read withdrawn is EACCES, never ENOENT", async () => {
      days.fake.fault = () => answer(403, "AccessDenied");
      for (const [call, ...args] of [["list", mount.directory], ["size", mount.path("g8")], ["size", mount.path("never-was")]] as const) {
        expect([call, await hand.outcome(call, ...args)]).toEqual([call, "EACCES"]);
      }
    });
  });
});
