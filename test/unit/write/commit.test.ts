// How a commit goes to the store, and what happens when it does not.

import { readdir } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { StoreError } from "../../../src/store/errors.js";
import type { Capabilities } from "../../../src/store/objectStore.js";
import type { StageRequest } from "../../../src/write/types.js";
import { atEnd, latch, MIB, pattern, request, setup, text } from "./helpers.js";

/** Parts of 10 to 100 bytes. */
const SMALL: Partial<Capabilities> = {
  upload: { minSize: 10, maxSize: 100, maxParts: 1000, maxObjectSize: 20_000, equalSizes: false }, copyPart: { minSize: 10 },
};
const TINY = { partSize: 20, putThreshold: 20, streamThreshold: 40, worthCopying: 10, copySize: 100, uploadConcurrency: 3, memoryFile: 0 };

function fail(call: string, kind: StoreError["kind"] = "unavailable", times = Infinity): (called: string) => void {
  let left = times;
  return (called) => {
    if (called === call && left-- > 0) throw new StoreError(kind, `${call} failed`);
  };
}

describe("a small file", () => {
  it("goes by one put, without touching the staging directory", async () => {
    const { writes, calls, bytes, directory, budget } = await setup();
    const file = await writes.stage(request("k"));
    await file.write(0, pattern(16 * 1024));
    expect(budget.used).toBe(16 * 1024);
    await file.commit();
    await file.close();
    expect(calls).toEqual(["put"]);
    expect(await bytes("k")).toEqual(pattern(16 * 1024));
    expect(await readdir(directory)).toEqual(["lock.1"]);
    expect(budget.used).toBe(0);
  });

  it("is an object even when it is empty", async () => {
    const { writes, bytes } = await setup();
    const file = await writes.stage(request("empty"));
    await file.close();
    expect(await bytes("empty")).toHaveLength(0);
  });

  it("leaves the memory when it grows, and when there is none", async () => {
    const { writes, bytes, directory, budget } = await setup({ memoryFile: 1000, memoryTotal: 20_000 });
    const grows = await writes.stage(request("grows"));
    await grows.write(0, pattern(900));
    await grows.write(900, pattern(900, 2));
    expect(await readdir(directory)).toHaveLength(3);
    expect(budget.used).toBe(0);
    const held = budget.tryAcquire(budget.limit);
    const poor = await writes.stage(request("poor"));
    await poor.write(0, pattern(10));
    expect(await readdir(directory)).toHaveLength(5);
    held?.release();
    await Promise.all([grows.close(), poor.close()]);
    expect(await bytes("grows")).toEqual(Buffer.concat([pattern(900), pattern(900, 2)]));
    expect(await bytes("poor")).toEqual(pattern(10));
    expect(await readdir(directory)).toEqual(["lock.1"]);
  });

  it("takes the unchanged bytes of its base along", async () => {
    const { writes, bytes, base } = await setup();
    const file = await writes.stage(request("k", { base: await base("k", "hello world") }));
    await file.write(6, Buffer.from("W"));
    await file.commit();
    expect((await bytes("k")).toString()).toBe("hello World");
  });

  it("with a truncated base has zeros, not the base's bytes, where it grew again", async () => {
    const { writes, bytes, base } = await setup();
    const file = await writes.stage(request("k", { base: await base("k", "hello world") }));
    await file.truncate(3);
    await file.truncate(6);
    expect(await text(file.read(0, 100))).toBe("hel\0\0\0");
    expect([file.seek(0, "hole"), file.seek(3, "data"), file.seek(4, "hole"), file.seek(6, "hole")]).toEqual([3, undefined, 4, undefined]);
    await file.commit();
    expect((await bytes("k")).toString()).toBe("hel\0\0\0");
  });
});

describe("touch alone", () => {
  it("updates the metadata and sends no byte", async () => {
    const { writes, calls, memory, base } = await setup();
    const file = await writes.stage(request("k", { base: await base("k", "bytes"), describe: () => ({ metadata: { mode: "1" } }) }));
    file.touch();
    expect(file.state).toBe("dirty");
    await file.close();
    expect(calls).toEqual(["setMetadata"]);
    expect(await memory.head("k")).toMatchObject({ size: 5, metadata: { mode: "1" } });
  });

  it("copies the parts of an object that is too large for one copy", async () => {
    const { writes, calls, memory, base } = await setup(TINY, { capabilities: { ...SMALL, metadata: { maxBytes: 999, update: "copy" }, copy: { maxSize: 50 } } });
    const file = await writes.stage(request("k", { base: await base("k", pattern(250)), describe: () => ({ metadata: { mode: "1" } }) }));
    file.touch();
    await file.commit();
    expect(calls.filter((call) => call === "putPart" || call === "setMetadata")).toEqual([]);
    expect((await memory.head("k")).metadata).toEqual({ mode: "1" });
  });
});

describe("a large file", () => {
  it("streams full parts while it is written, and completes at commit", async () => {
    const { writes, calls, bytes, memory } = await setup(TINY, { capabilities: SMALL });
    const file = await writes.stage(request("k"));
    for (let at = 0; at < 100; at += 10) await file.write(at, pattern(100).subarray(at, at + 10));
    while (writes.stats().pending[0]?.uploaded !== 80) await new Promise(setImmediate);
    expect(calls.filter((call) => call === "putPart")).toHaveLength(4);
    const committed = await file.commit();
    expect(calls.filter((call) => call === "putPart")).toHaveLength(5);
    expect(calls.at(-1)).toBe("head");
    expect(committed.lastModified).toBe((await memory.head("k")).lastModified);
    expect(await bytes("k")).toEqual(pattern(100));
    expect(writes.stats()).toMatchObject({ uploadedBytes: 100, pendingBytes: 0 });
  });

  it("sends a part again whose bytes changed after it was sent, or while it is on its way", async () => {
    const { writes, faults, calls, bytes } = await setup(TINY, { capabilities: SMALL });
    const hold = latch();
    faults.before = async (call, args) => {
      // Part 3 hangs until it is called back.
      if (call === "putPart" && args[0] === 3) {
        const { signal } = args[4] as { signal: AbortSignal };
        await Promise.race([hold.wait, new Promise((_, reject) => { signal.addEventListener("abort", () => { reject(signal.reason as Error); }); })]);
      }
    };
    const file = await writes.stage(request("k"));
    const content = pattern(200);
    for (let at = 0; at < 200; at += 20) await file.write(at, content.subarray(at, at + 20));
    await file.write(5, Buffer.from("header"));
    await file.write(50, Buffer.from("while it is sent"));
    hold.open();
    content.write("header", 5);
    content.write("while it is sent", 50);
    await file.commit();
    expect(await bytes("k")).toEqual(content);
    expect(calls.filter((call) => call === "putPart")).toHaveLength(10 + 3);
  });

  it("is not written to while a part with those bytes is still being read", async () => {
    const { writes, faults, bytes } = await setup(TINY, { capabilities: SMALL });
    const begun = latch();
    const letGo = latch();
    faults.before = async (call, args) => {
      if (call !== "putPart" || args[0] !== 1) return;
      faults.before = () => undefined;
      begun.open();
      // A store that takes its time to notice that it was called back.
      await letGo.wait;
      throw new StoreError("aborted", "called back");
    };
    const file = await writes.stage(request("k"));
    await file.write(0, pattern(100));
    await begun.wait;
    let done = false;
    const write = file.write(3, Buffer.from("new")).then(() => { done = true; });
    for (let i = 0; i < 20; i++) await new Promise(setImmediate);
    expect(done).toBe(false);
    expect(await text(file.read(3, 3))).toBe(pattern(100).toString("latin1", 3, 6));
    letGo.open();
    await write;
    await file.close();
    expect((await bytes("k")).toString("latin1", 3, 6)).toBe("new");
  });

  it("cut at the end of a part that was sent: that part is sent again as the last", async () => {
    const { writes, bytes, faults } = await setup(TINY, { capabilities: SMALL });
    const sent: unknown[] = [];
    faults.before = (call, args) => { if (call === "putPart") sent.push([args[0], args[2]]); };
    const file = await writes.stage(request("k"));
    await file.write(0, pattern(100));
    while (writes.stats().pending[0]?.uploaded !== 80) await new Promise(setImmediate);
    await file.truncate(60);
    await file.close();
    expect(await bytes("k")).toEqual(pattern(100).subarray(0, 60));
    expect(sent.at(-1)).toEqual([3, true]);
  });

  it("makes a writer wait that is too far ahead, until the store has caught up or gives up", async () => {
    const { writes, faults } = await setup({ ...TINY, maxUnsent: 100 }, { capabilities: SMALL });
    const hold = latch();
    atEnd(async () => { hold.open(); });
    faults.before = async (call) => { if (call === "putPart") await hold.wait; };
    const file = await writes.stage(request("k"));
    for (let at = 0; at < 100; at += 20) await file.write(at, pattern(20));
    const abort = new AbortController();
    const interrupted = file.write(100, pattern(20), abort.signal);
    while (file.size < 120) await new Promise(setImmediate);
    let done = false;
    const ahead = file.write(120, pattern(20)).then(() => { done = true; });
    for (let i = 0; i < 20; i++) await new Promise(setImmediate);
    expect(done).toBe(false);
    abort.abort(new Error("EINTR"));
    // Its bytes are in place: told otherwise, the caller would write them once more, an appender behind the first ones.
    await interrupted;
    expect(done).toBe(false);
    hold.open();
    await ahead;
    await file.close();
  });

  it("takes appended bytes once, also when the appender was interrupted while it waited", async () => {
    const { writes, faults, bytes } = await setup({ ...TINY, maxUnsent: 100 }, { capabilities: SMALL });
    const hold = latch();
    atEnd(async () => { hold.open(); });
    faults.before = async (call) => { if (call === "putPart") await hold.wait; };
    const file = await writes.stage(request("k"));
    for (let at = 0; at < 100; at += 20) await file.append(pattern(120).subarray(at, at + 20));
    const abort = new AbortController();
    const interrupted = file.append(pattern(120).subarray(100), abort.signal);
    while (file.size < 120) await new Promise(setImmediate);
    abort.abort(new Error("EINTR"));
    expect(await interrupted).toBe(100);
    hold.open();
    await file.close();
    expect(await bytes("k")).toEqual(pattern(120));
  });

  it("is not streamed when it is written at random", async () => {
    const { writes, calls, bytes } = await setup(TINY, { capabilities: SMALL });
    const file = await writes.stage(request("k"));
    for (let at = 180; at >= 0; at -= 20) await file.write(at, pattern(200).subarray(at, at + 20));
    expect(calls).toEqual([]);
    await file.commit();
    expect(await bytes("k")).toEqual(pattern(200));
  });

  it("has its metadata repaired when it changed after the upload began", async () => {
    const { writes, memory, calls } = await setup(TINY, { capabilities: SMALL });
    let mode = "1";
    const asked: (boolean | undefined)[] = [];
    const describeNow: StageRequest["describe"] = (how) => { asked.push(how?.streamed); return { metadata: { mode } }; };
    const file = await writes.stage(request("k", { describe: describeNow }));
    await file.write(0, pattern(100));
    mode = "2";
    const committed = await file.commit();
    expect(calls.filter((call) => call === "setMetadata")).toHaveLength(1);
    expect((await memory.head("k")).metadata).toEqual({ mode: "2" });
    expect(committed).toMatchObject({ metadata: { mode: "2" }, etag: (await memory.head("k")).etag });
    expect(asked.slice(0, 2)).toEqual([true, true]);
  });

  it("with one changed byte moves less than 20 MiB of 256", async () => {
    const { writes, base, memory } = await setup({}, {
      capabilities: { upload: { minSize: 5 * MIB, maxSize: 5120 * MIB, maxParts: 10_000, maxObjectSize: 5 * 1024 * 1024 * MIB, equalSizes: false }, copyPart: { minSize: 5 * MIB } },
    });
    const file = await writes.stage(request("k", { base: await base("k", Buffer.alloc(256 * MIB, 7)) }));
    await file.write(100 * MIB, Buffer.from("x"));
    await file.commit();
    expect(writes.stats().uploadedBytes).toBe(5 * MIB);
    expect(writes.stats().uploadedBytes + writes.stats().copiedBytes).toBe(256 * MIB);
    expect((await memory.head("k")).size).toBe(256 * MIB);
    await file.write(200 * MIB, Buffer.from("y"));
    await file.commit();
    // The first change is in the base by now: the second commit sends its own bytes only.
    expect(writes.stats().uploadedBytes).toBe(10 * MIB);
    expect(await text(file.read(100 * MIB - 1, 3))).toBe("\x07x\x07");
  });

  it("appended to, or cut, copies what stays", async () => {
    const { writes, base, bytes } = await setup(TINY, { capabilities: SMALL });
    const file = await writes.stage(request("k", { base: await base("k", pattern(500)) }));
    await file.append(Buffer.from("tail"));
    await file.commit();
    expect(writes.stats()).toMatchObject({ uploadedBytes: 4, copiedBytes: 500 });
    await file.truncate(300);
    await file.commit();
    expect(writes.stats()).toMatchObject({ uploadedBytes: 4, copiedBytes: 800 });
    expect(await bytes("k")).toEqual(pattern(500).subarray(0, 300));
  });

  it.each([true, false])("starts over with longer parts when it outgrows the first ones (equal sizes: %s)", async (equalSizes) => {
    const { writes, bytes, calls } = await setup(TINY, { capabilities: { ...SMALL, upload: { minSize: 10, maxSize: 2000, maxParts: 10, maxObjectSize: 20_000, equalSizes } } });
    const file = await writes.stage(request("k"));
    for (let at = 0; at < 3000; at += 50) await file.write(at, pattern(3000).subarray(at, at + 50));
    await file.close();
    expect(await bytes("k")).toEqual(pattern(3000));
    expect(calls.includes("abort")).toBe(equalSizes);
  });

  it("is refused when the store cannot hold it, by the write", async () => {
    const { writes } = await setup(TINY, { capabilities: { ...SMALL, maxPutSize: 50 } });
    const file = await writes.stage(request("k"));
    await expect(file.write(20_000, Buffer.from("x"))).rejects.toMatchObject({ code: "EFBIG" });
    await expect(file.truncate(20_001)).rejects.toMatchObject({ code: "EFBIG" });
  });
});

describe("a failure", () => {
  it.each([["beginUpload"], ["putPart"], ["complete"]])("of %s loses nothing: the next commit goes on with the same upload", async (call) => {
    const { writes, faults, bytes, memory, calls } = await setup({ ...TINY, streamThreshold: 10_000 }, { capabilities: SMALL });
    const file = await writes.stage(request("k"));
    await file.write(0, pattern(200));
    faults.before = fail(call, "unavailable", 1);
    await expect(file.commit()).rejects.toThrow(`${call} failed`);
    expect(file.state).toBe("failed");
    await file.commit();
    expect(await bytes("k")).toEqual(pattern(200));
    expect(calls.filter((one) => one === "beginUpload")).toHaveLength(call === "beginUpload" ? calls.filter((one) => one === "beginUpload").length : 1);
    expect(calls.filter((one) => one === "putPart").length).toBeLessThanOrEqual(11);
    await file.close();
    expect([...memory.container.uploads.values()].every((one) => one.receipt !== undefined)).toBe(true);
  });

  it("with a write queued and a further commit asked for: what is committed is what can be read", async () => {
    const { writes, faults, bytes } = await setup({ ...TINY, streamThreshold: 9999 }, { capabilities: SMALL });
    const begun = latch();
    const hold = latch();
    faults.before = async (call) => {
      if (call !== "complete") return;
      faults.before = () => undefined;
      begun.open();
      await hold.wait;
      throw new StoreError("unavailable", "no answer");
    };
    const file = await writes.stage(request("k"));
    await file.write(0, pattern(100));
    const first = file.commit();
    await begun.wait;
    const queued = file.write(5, Buffer.from("queued")).catch(() => undefined);
    const further = file.commit();
    hold.open();
    await expect(first).rejects.toThrow("no answer");
    await Promise.all([queued, further]);
    expect(await bytes("k")).toEqual(Buffer.concat([...await file.read(0, 100)]));
  });

  it("of a streamed part is the commit's to mend", async () => {
    const { writes, faults, bytes } = await setup(TINY, { capabilities: SMALL });
    faults.before = fail("putPart", "unavailable", 1);
    const file = await writes.stage(request("k"));
    await file.write(0, pattern(200));
    await file.write(200, pattern(50));
    await file.close();
    expect(await bytes("k")).toEqual(Buffer.concat([pattern(200), pattern(50)]));
    expect(writes.stats()).toMatchObject({ failed: 0, pending: [] });
  });

  it("an upload that the store has forgotten is sent anew within the commit", async () => {
    const { writes, bytes, memory, calls } = await setup(TINY, { capabilities: SMALL });
    const file = await writes.stage(request("k"));
    await file.write(0, pattern(100));
    while (writes.stats().pending[0]?.uploaded !== 80) await new Promise(setImmediate);
    memory.container.uploads.clear();
    await file.commit();
    expect(await bytes("k")).toEqual(pattern(100));
    expect(calls.filter((call) => call === "beginUpload")).toHaveLength(2);
  });

  it("of the last try aborts the upload at close, keeps the bytes, and tells sync", async () => {
    const { writes, faults, memory } = await setup(TINY, { capabilities: SMALL });
    const file = await writes.stage(request("k"));
    await file.write(0, pattern(100));
    faults.before = fail("complete");
    await expect(writes.sync()).rejects.toThrow("complete failed");
    await file.close();
    expect(memory.container.uploads.size).toBe(0);
    expect(writes.stats().pending).toMatchObject([{ key: "k", size: 100, state: "failed", error: "complete failed" }]);
    await writes.sync();
  });

  it("to read the base is the commit's error", async () => {
    const { writes, base } = await setup();
    const good = await base("k", "0123456789");
    const file = await writes.stage(request("k", { base: { ...good, read: () => Promise.reject(new StoreError("denied", "not yours")) } }));
    await file.write(0, Buffer.from("x"));
    await expect(file.commit()).rejects.toMatchObject({ kind: "denied" });
  });
});

describe("a conflict", () => {
  const other = async (all: Awaited<ReturnType<typeof setup>>): Promise<void> => { await all.base("dir/k", "theirs"); };

  it("fails with precondition, and the bytes are kept", async () => {
    const all = await setup();
    const file = await all.writes.stage(request("dir/k", { base: await all.base("dir/k", "base") }));
    await file.write(0, Buffer.from("mine"));
    await other(all);
    await expect(file.commit()).rejects.toMatchObject({ kind: "precondition" });
    await file.close();
    expect((await all.bytes("dir/k")).toString()).toBe("theirs");
    expect(all.writes.stats().pending).toHaveLength(1);
  });

  it("with a new file is one too, and a removed object is one", async () => {
    const all = await setup();
    const created = await all.writes.stage(request("dir/k"));
    await other(all);
    await expect(created.commit()).rejects.toMatchObject({ kind: "precondition" });
    const changed = await all.writes.stage(request("gone", { base: await all.base("gone", "base") }));
    await changed.write(0, Buffer.from("mine"));
    await all.memory.delete("gone");
    await expect(changed.commit()).rejects.toMatchObject({ kind: "precondition" });
  });

  it.each([[0], [60]])("is answered by a copy beside it (%i bytes more)", async (more) => {
    const all = await setup({ ...TINY, onConflict: "copy" }, { capabilities: SMALL },
      { clock: { now: () => Date.UTC(2026, 0, 31, 12), monotonic: () => 0, random: () => 0, sleep: () => Promise.resolve() } });
    const file = await all.writes.stage(request("dir/k", { base: await all.base("dir/k", "base"), truncate: true }));
    const mine = Buffer.concat([Buffer.from("mine"), pattern(more)]);
    await file.write(0, mine);
    await other(all);
    const name = "dir/k (conflict testhost 2026-01-31T12-00-00)";
    await all.base(name, "taken");
    const committed = await file.commit();
    expect(committed.key).toBe(`${name.slice(0, -1)} 2)`);
    expect((await all.bytes("dir/k")).toString()).toBe("theirs");
    expect(await all.bytes(committed.key)).toEqual(mine);
    // What is written after it goes to the copy.
    await file.append(Buffer.from("!"));
    await file.close();
    expect((await all.bytes(committed.key)).length).toBe(mine.length + 1);
  });

  it.each([[0], [60]])("is answered by overwriting (%i bytes more)", async (more) => {
    const all = await setup({ ...TINY, onConflict: "overwrite" }, { capabilities: SMALL });
    const file = await all.writes.stage(request("dir/k"));
    const mine = Buffer.concat([Buffer.from("mine"), pattern(more)]);
    await file.write(0, mine);
    await other(all);
    await file.close();
    expect(await all.bytes("dir/k")).toEqual(mine);
  });

  it("with a service that says not-found to a condition on a removed object is one too", async () => {
    const all = await setup(TINY, { capabilities: SMALL });
    const file = await all.writes.stage(request("dir/k", { base: await all.base("dir/k", pattern(100)), truncate: true }));
    await file.write(0, pattern(100, 2));
    await all.memory.delete("dir/k");
    all.faults.before = fail("complete", "not-found");
    await expect(file.commit()).rejects.toMatchObject({ kind: "precondition" });
    expect(all.calls.filter((call) => call === "beginUpload")).toHaveLength(1);
  });

  it("never makes a mix of two versions, not even by overwriting", async () => {
    const all = await setup({ ...TINY, onConflict: "overwrite" }, { capabilities: SMALL });
    const file = await all.writes.stage(request("dir/k", { base: await all.base("dir/k", pattern(200)) }));
    // No unchanged byte is sent: only the copies could bring the other version in.
    await file.append(Buffer.from("mine"));
    await all.base("dir/k", pattern(200, 9));
    await expect(file.commit()).rejects.toMatchObject({ kind: "precondition" });
    expect(await all.bytes("dir/k")).toEqual(pattern(200, 9));
  });

  it("that took away the unchanged bytes cannot be answered by a copy", async () => {
    const all = await setup({ onConflict: "copy" });
    const file = await all.writes.stage(request("dir/k", { base: await all.base("dir/k", "0123456789") }));
    await file.write(0, Buffer.from("mine"));
    await other(all);
    await expect(file.commit()).rejects.toMatchObject({ kind: "precondition" });
    expect((await all.memory.list({ prefix: "" })).objects.map(({ key }) => key)).toEqual(["dir/k"]);
  });
});
