// The server is away for a while. "Unreachable" is never "not found", never an empty directory, never success; and when it is
// back everything goes on without a new mount.

import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { BadDays, digestOf, patternDigest, until, type Hand, type Mount } from "./badDays.js";
import { isMounted, whyNoMount } from "./harness.js";

const why = whyNoMount();

describe.skipIf(why !== undefined)("a server that is away", () => {
  let days: BadDays;
  let hand: Hand;
  beforeAll(async () => {
    days = await BadDays.start();
    hand = days.hand();
  });
  afterAll(() => days.dispose());

  /** Everything in the bucket, to see that nothing was lost. */
  const holds = (): string => [...days.bucket.objects].map(([key, { data }]) => `${key} ${digestOf(data)}`).sort().join("\n");

  type Call = readonly [call: string, ...names: string[]];
  const CALLS: readonly Call[] = [
    ["list", ""], ["list", "dir"], ["list", "never-was"],
    ["size", "file"], ["size", "dir"], ["size", "never-was"],
    ["load", "file"], ["load", "never-was"],
    ["mkdir", "new-dir"], ["mkdir", "dir"],
    ["unlink", "file"], ["unlink", "never-was"], ["rmdir", "dir"],
    ["rename", "file", "renamed"], ["rename", "dir", "renamed"], ["rename", "never-was", "renamed"],
    ["create", "exclusive"], ["create", "file"], ["save", "file"], ["save", "new-file"],
  ];
  async function fails(mount: Mount, by: Hand, [call, ...names]: Call): Promise<void> {
    const outcome = await by.outcome(call, ...names.map((name) => mount.path(name)), ...(call === "save" ? ["other"] : []));
    expect([call, ...names, outcome]).toEqual([call, ...names, expect.stringMatching(/^(?:open |close )?(?:EIO|ETIMEDOUT)$/)]);
  }

  async function alive(mount: Mount): Promise<void> {
    expect((await hand.do<string[]>("list", mount.directory)).sort()).toEqual(["dir", "file"]);
    expect(await hand.do("list", mount.path("dir"))).toEqual(["inside"]);
    expect(await hand.do("load", mount.path("file"))).toBe("file");
    expect(await hand.outcome("size", mount.path("never-was"))).toBe("ENOENT");
    expect(await hand.outcome("mkdir", mount.path("again"))).toBe("ok");
    expect(await hand.outcome("rename", mount.path("again"), mount.path("once-more"))).toBe("ok");
    expect(await hand.outcome("rmdir", mount.path("once-more"))).toBe("ok");
    expect(await hand.outcome("save", mount.path("anew"), "anew")).toBe("ok");
    expect(days.text("anew")).toBe("anew");
    expect(await hand.outcome("unlink", mount.path("anew"))).toBe("ok");
    expect((await mount.status()).pending).toEqual([]);
  }

  beforeAll(() => {
    days.others("file", "file");
    days.others("dir/inside", "inside");
  });

  it("a closed port: EIO for everything, and afterwards all is as it was", async () => {
    const mount = await days.mount(["--retries", "1"]);
    const before = holds();
    await days.fake.stop();
    for (const call of CALLS) await fails(mount, hand, call);
    // What is kept is that which was written and could not be saved.
    expect(mount.log).toContain("nothing listens at");
    await days.fake.resume();
    expect(holds()).toBe(before);
    expect(await hand.outcome("unlink", mount.path("exclusive"))).toBe("ENOENT");
    await until("the failed files are let go", async () => (await mount.status()).pending.every((each) => each.state === "failed"));
    expect((await hand.do<string[]>("list", mount.directory)).sort()).toEqual(["dir", "file"]);
    await mount.stop();
  });

  it("a server that says nothing: the same, after the timeout", async () => {
    const mount = await days.mount(["--retries", "0", "--read-timeout", "100ms"]);
    const before = holds();
    days.fake.fault = () => ({ kind: "stall" });
    // The last of each kind, by hands of their own: they would wait one after another.
    const some = [...new Map(CALLS.map((call) => [call[0], call])).values()];
    await Promise.all(some.map((call) => fails(mount, days.hand(), call)));
    expect(mount.log).toContain("did not answer in time");
    days.well();
    expect(holds()).toBe(before);
    await mount.stop();
  });

  it("what is cached runs out: a directory that was listed is EIO then, not empty, and comes back", async () => {
    const mount = await days.mount(["--retries", "1", "--list-ttl", "500ms", "--entry-timeout", "100ms", "--attr-timeout", "100ms"]);
    expect((await hand.do<string[]>("list", mount.directory)).sort()).toEqual(["dir", "file"]);
    await days.fake.stop();
    await until("the listing has run out", async () => {
      const [listed] = await Promise.allSettled([hand.do<string[]>("list", mount.directory)]);
      if (listed.status === "fulfilled") expect(listed.value.sort()).toEqual(["dir", "file"]);
      else expect(String(listed.reason)).toMatch(/ EIO$/);
      return listed.status === "rejected";
    });
    await days.fake.resume();
    await alive(mount);
    expect(await mount.stop()).toBe(0);
  });

  it("writing and reading go on over an outage that is shorter than the patience", async () => {
    const mount = await days.mount(["--retries", "20", "--retry-deadline", "30s"]);
    const saving = hand.outcome("saveBig", mount.path("bridge"), 12_000_000, 3);
    await until("it is under way", () => days.bucket.uploads.size > 0);
    await days.fake.stop();
    await until("it is asked again in vain", async () => ((await mount.status()).requests["putPart"]?.errors["unavailable"] ?? 0) + ((await mount.status()).requests["complete"]?.errors["unavailable"] ?? 0) > 0);
    await days.fake.resume();
    expect(await saving).toBe("ok");
    expect(digestOf(days.bucket.objects.get("bridge")?.data as Buffer)).toBe(patternDigest(12_000_000, 3));
    await days.fake.stop();
    const loading = hand.do("digest", mount.path("bridge"));
    await until("it is asked in vain", async () => Object.values((await mount.status()).requests).some(({ errors }) => (errors["unavailable"] ?? 0) > 0));
    await days.fake.resume();
    expect(await loading).toBe(patternDigest(12_000_000, 3));
    expect(await hand.outcome("unlink", mount.path("bridge"))).toBe("ok");
    expect(await mount.stop()).toBe(0);
    expect(days.bucket.uploads.size).toBe(0);
  });

  it("SIGTERM waits; a second signal says what is left, and goes; the bytes are there", async () => {
    const mount = await days.mount(["--retries", "50", "--retry-deadline", "5min"]);
    const fd = await hand.do<number>("open", mount.path("unsaved"), "w");
    await hand.do("write", fd, "not yet saved");
    await days.fake.stop();
    mount.daemon.child.kill("SIGTERM");
    await until("it tries to save", async () => ((await mount.status()).requests["put"]?.errors["unavailable"] ?? 0) > 0);
    expect(mount.daemon.child.exitCode).toBeNull();
    expect((await mount.status()).state).toBe("draining");
    expect(await mount.stop("SIGINT")).toBe(130);
    const said = mount.log.split("\n").filter((line) => line.startsWith("objmount: "));
    expect(said).toEqual([expect.stringMatching(/^objmount: "unsaved" is not in the store; its bytes are in \/\S+$/), "objmount: ended at once, with 1 unsaved file"]);
    expect(readFileSync(/its bytes are in (\S+)/.exec(said[0] as string)?.[1] as string, "utf8")).toBe("not yet saved");
    expect(isMounted(mount.directory)).toBe(false);
    await hand.outcome("close", fd);
    await days.fake.resume();
    const next = await days.mount([], {}, mount.directory);
    expect(next.log).toMatch(/an earlier daemon left bytes.*key=unsaved/);
    expect(await next.stop()).toBe(0);
  });

  it("SIGTERM during an outage that ends: everything is saved, and the exit code says so", async () => {
    const mount = await days.mount(["--retries", "50", "--retry-deadline", "5min"]);
    const fd = await hand.do<number>("open", mount.path("drained"), "w");
    await hand.do("write", fd, "saved at last");
    await days.fake.stop();
    mount.daemon.child.kill("SIGTERM");
    await until("it tries to save", async () => ((await mount.status()).requests["put"]?.errors["unavailable"] ?? 0) > 0);
    await days.fake.resume();
    expect(await mount.daemon.exited).toBe(0);
    expect(days.text("drained")).toBe("saved at last");
    expect(isMounted(mount.directory)).toBe(false);
    await hand.outcome("close", fd);
  });
});
