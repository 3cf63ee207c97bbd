import { describe, expect, it } from "vitest";
import { bodyOf } from "../../../src/store/body.js";
import { PIECE_OVERHEAD } from "../../../src/read/blockCache.js";
import { KEY, KiB, MiB, pattern, quiet, rig, scan } from "./rig.js";

describe("what is asked of the store", () => {
  it("nothing for an object of size zero, nor past the end", async () => {
    const it = await rig({ size: 0 });
    const handle = it.open();
    expect(await handle.read(0, 4096)).toEqual([]);
    expect(await handle.read(4096, 4096)).toEqual([]);
    expect(it.store.ranges).toEqual([]);
    await it.end();
  });

  it("cuts a read at the end, and answers nothing past it", async () => {
    const it = await rig({ size: 10_000 });
    const handle = it.open();
    expect(Buffer.concat(await handle.read(9000, 4096))).toEqual(it.bytes.subarray(9000));
    expect(await handle.read(10_000, 1)).toEqual([]);
    await it.end();
  });

  it("one request for a small object, whichever part is read first", async () => {
    const it = await rig({ size: MiB + 5 });
    const handle = it.open();
    await it.check(handle, 700_000, 100);
    await it.check(handle, 0, 4096);
    await it.check(handle, MiB, 5);
    expect(it.store.ranges).toEqual([{ start: 0, length: MiB + 5, ifMatch: it.version.etag }]);
    await it.end();
  });

  it("the first request of a reader at the beginning brings 1 MiB + 128 KiB", async () => {
    const it = await rig({ size: 64 * MiB });
    await it.check(it.open(), 0, 4096);
    expect(it.store.ranges).toEqual([{ start: 0, length: MiB + 128 * KiB, ifMatch: it.version.etag }]);
    await it.end();
  });

  it("random readers: just the pages they ask, and each only once", async () => {
    const it = await rig({ size: 256 * MiB / 4 });
    const handle = it.open();
    const places = [40 * MiB + 5000, 3 * MiB + 1, 61 * MiB, 20 * MiB + 4096, 9 * MiB + 123_456];
    for (const place of [...places, ...places]) await it.check(handle, place, 100);
    expect(it.store.ranges).toHaveLength(places.length);
    expect(it.store.received).toBe(places.length * 4 * KiB);
    expect(it.reads.stats()).toMatchObject({ hits: places.length, misses: places.length, fetchedBytes: places.length * 4 * KiB });
    await it.end();
  });

  it("gaps close to each other: one request, whose overlap is dropped", async () => {
    const it = await rig({ size: 64 * MiB });
    const handle = it.open();
    await it.check(handle, 8 * MiB + 64 * KiB, 4 * KiB);
    await it.check(handle, 8 * MiB + 256 * KiB, 4 * KiB);
    await it.check(handle, 8 * MiB, 512 * KiB);
    expect(it.store.ranges.slice(2)).toEqual([{ start: 8 * MiB, length: 512 * KiB, ifMatch: it.version.etag }]);
    expect(it.reads.stats().cachedBytes).toBe(512 * KiB);
    await it.end();
  });

  it("a large read: several ranges side by side", async () => {
    const it = await rig({ size: 64 * MiB });
    await it.check(it.open(), 1 * MiB, 30 * MiB);
    expect(it.store.ranges.map(({ length }) => length)).toEqual([8 * MiB, 8 * MiB, 8 * MiB, 6 * MiB]);
    expect(it.store.peakRunning).toBeGreaterThan(1);
    await it.end();
  });
});

describe("one fetch for all who want it", () => {
  it("concurrent readers of one place, through one handle or several", async () => {
    const it = await rig({ size: 64 * MiB });
    const handles = [it.open(), it.open(), it.open()];
    await Promise.all(handles.flatMap((handle) => [it.check(handle, 5 * MiB, 64 * KiB), it.check(handle, 5 * MiB + 4096, 8 * KiB)]));
    expect(it.store.ranges).toHaveLength(1);
    await it.end();
  });

  it("a reader is served from a range that is still arriving", async () => {
    const it = await rig({ size: 64 * MiB });
    const stalled = it.faults.fail({ call: "get", at: { received: 256 * KiB }, fault: { kind: "stall" } });
    const handle = it.open();
    await it.check(handle, 0, 128 * KiB);
    await it.check(handle, 128 * KiB, 128 * KiB);
    await stalled.hit;
    expect(it.store.openStreams).toBeGreaterThan(0);
    expect(it.reads.stats().cachedBytes).toBeLessThan(MiB);
    stalled.release();
    await it.check(handle, 256 * KiB, 128 * KiB);
    await it.end();
  });

  it("what was sent by the store is handed on as it came: no copies", async () => {
    const it = await rig({ size: 8 * MiB });
    const handle = it.open();
    await it.check(handle, 2 * MiB, 512 * KiB);
    const again = await handle.read(2 * MiB, 512 * KiB);
    expect(again.map((chunk) => chunk.length)).toEqual(Array.from({ length: 8 }, () => 64 * KiB));
    const once = await handle.read(2 * MiB, 512 * KiB);
    expect(once[3]?.buffer).toBe(again[3]?.buffer);
    await it.end();
  });
});

describe("aborting", () => {
  it("an aborted reader stops waiting, and the fetch goes on for the others", async () => {
    const it = await rig({ size: 64 * MiB });
    const stalled = it.faults.fail({ call: "get", fault: { kind: "stall" } });
    const gone = new AbortController();
    const handle = it.open();
    const first = handle.read(9 * MiB, 4096, gone.signal);
    const second = it.check(handle, 9 * MiB, 4096);
    await stalled.hit;
    gone.abort(new Error("interrupted"));
    await expect(first).rejects.toMatchObject({ kind: "aborted", cause: { message: "interrupted" } });
    stalled.release();
    await second;
    expect(it.store.ranges).toHaveLength(1);
    await it.end();
  });

  it("the last one who waits takes the fetch along", async () => {
    const it = await rig({ size: 64 * MiB });
    const stalled = it.faults.fail({ call: "get", fault: { kind: "stall" } });
    const gone = new AbortController();
    const handle = it.open();
    const read = handle.read(9 * MiB, 4096, gone.signal);
    await stalled.hit;
    gone.abort();
    await expect(read).rejects.toMatchObject({ kind: "aborted" });
    await quiet(it);
    expect(it.budget.used).toBe(0);
    await it.check(handle, 9 * MiB, 4096);
    expect(it.store.ranges).toHaveLength(2);
    await it.end();
  });

  it("a signal that fired before asks nothing", async () => {
    const it = await rig({ size: 64 * MiB });
    await expect(it.open().read(0, 10, AbortSignal.abort())).rejects.toMatchObject({ kind: "aborted" });
    expect(it.store.ranges).toEqual([]);
    await it.end();
  });

  it("a closed handle refuses, its pending reads end well, and close is idempotent", async () => {
    const it = await rig({ size: 64 * MiB });
    const handle = it.open();
    const pending = it.check(handle, 20 * MiB, 4096);
    handle.close();
    handle.close();
    await pending;
    await expect(handle.read(0, 1)).rejects.toMatchObject({ kind: "aborted" });
    expect(it.reads.stats().openHandles).toBe(0);
    await it.end();
  });

  it("closing the mount's reads cancels what is on its way, and every counter is back at zero", async () => {
    const it = await rig({ size: 64 * MiB });
    it.faults.fail({ call: "get", times: 1000, fault: { kind: "stall" } });
    const handle = it.open();
    const waiting = [0, 1, 2, 3].map((i) => handle.read(i * 128 * KiB, 128 * KiB));
    const ended = Promise.allSettled(waiting);
    await it.end();
    for (const one of await ended) expect(one).toMatchObject({ status: "rejected", reason: { kind: "aborted" } });
    expect(() => it.open()).toThrow("reading has ended");
  });
});

describe("memory", () => {
  it("cached blocks give way to whoever needs the budget", async () => {
    const it = await rig({ size: 32 * MiB, budget: 16 * MiB });
    const handle = it.open();
    await it.check(handle, 0, 12 * MiB);
    expect(it.budget.used).toBeGreaterThanOrEqual(12 * MiB);
    const lease = await it.budget.acquire(14 * MiB);
    expect(it.reads.stats().cachedBytes).toBeLessThanOrEqual(2 * MiB);
    lease.release();
    await it.check(handle, 0, 12 * MiB);
    await it.end();
  });

  it("never holds more than its budget, whatever is read, and says what it holds", async () => {
    const it = await rig({ size: 48 * MiB, budget: 12 * MiB });
    const handles = [it.open(), it.open(), it.open()];
    await Promise.all(handles.map((handle, i) => scan(it, handle, 256 * KiB, i * 4 * MiB)));
    await quiet(it);
    expect(it.budget.peak).toBeLessThanOrEqual(12 * MiB);
    const { cachedBytes } = it.reads.stats();
    expect(it.budget.used).toBeGreaterThan(cachedBytes);
    expect(it.budget.used).toBeLessThan(cachedBytes + 1000 * PIECE_OVERHEAD);
    await it.end();
  });

  it("a single read larger than the whole budget is answered", async () => {
    const it = await rig({ size: 4 * MiB, budget: MiB });
    await it.check(it.open(), 0, 4 * MiB);
    await it.end();
  });

  it("a scan does not push out what others come back to", async () => {
    const it = await rig({ size: 64 * MiB, budget: 16 * MiB });
    const random = it.open();
    const hot = [50 * MiB, 52 * MiB + 8192, 61 * MiB];
    for (const place of hot) await it.check(random, place, 4096);
    await scan(it, it.open(), 128 * KiB, 0, 40 * MiB);
    await quiet(it);
    const asked = it.store.ranges.length;
    for (const place of hot) await it.check(random, place, 4096);
    expect(it.store.ranges).toHaveLength(asked);
    await it.end();
  });

  it("forget drops what is cached of the key, and open handles go on", async () => {
    const it = await rig({ size: MiB });
    const handle = it.open();
    await it.check(handle, 0, MiB);
    it.reads.forget("another");
    expect(it.reads.stats().cachedBytes).toBe(MiB);
    it.reads.forget(KEY);
    expect(it.reads.stats().cachedBytes).toBe(0);
    expect(it.budget.used).toBe(0);
    await it.check(handle, 5, 100);
    expect(it.store.ranges).toHaveLength(2);
    await it.end();
  });

  it("blocks outlive their handle, for the next open of the same version", async () => {
    const it = await rig({ size: MiB });
    const first = it.open();
    await it.check(first, 0, MiB);
    first.close();
    await it.check(it.open(), 0, MiB);
    expect(it.store.ranges).toHaveLength(1);
    await it.end();
  });
});

describe("versions", () => {
  it("blocks of two versions are never mixed", async () => {
    const it = await rig({ size: 4 * MiB });
    const old = it.open();
    await it.check(old, 2 * MiB, 4096);
    const bytes = pattern(4 * MiB, 77);
    const { etag } = await it.memory.put(KEY, bodyOf(bytes));
    const fresh = it.reads.open({ key: KEY, etag, size: 4 * MiB });
    expect(Buffer.concat(await fresh.read(2 * MiB, 4096))).toEqual(bytes.subarray(2 * MiB, 2 * MiB + 4096));
    await it.check(old, 2 * MiB, 4096);
    await expect(old.read(3 * MiB, 4096)).rejects.toMatchObject({ kind: "precondition", key: KEY });
    expect(Buffer.concat(await fresh.read(3 * MiB, 10))).toEqual(bytes.subarray(3 * MiB, 3 * MiB + 10));
    await it.end();
  });

  it("an object that is gone is a version that is gone", async () => {
    const it = await rig({ size: 4 * MiB });
    await it.memory.delete(KEY);
    await expect(it.open().read(0, 4096)).rejects.toMatchObject({ kind: "precondition", cause: { kind: "not-found" } });
    await it.end();
  });

  it("nothing is fetched ahead of a version that the store no longer has", async () => {
    const it = await rig({ size: 64 * MiB });
    const handle = it.open();
    await scan(it, handle, 128 * KiB, 0, 4 * MiB);
    await quiet(it);
    await it.memory.put(KEY, bodyOf("new"));
    await expect((async () => { for (let at = 4 * MiB; ; at += MiB) await handle.read(at, MiB); })()).rejects.toMatchObject({ kind: "precondition" });
    await quiet(it);
    const asked = it.store.ranges.length;
    await expect(handle.read(60 * MiB, 4096)).rejects.toMatchObject({ kind: "precondition" });
    await expect(handle.read(60 * MiB + 4096, 4096)).rejects.toMatchObject({ kind: "precondition" });
    expect(it.store.ranges).toHaveLength(asked + 2);
    await it.end();
  });
});
