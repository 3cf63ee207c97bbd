// One request that tells what an object is now and brings its beginning, and the whole of an object for a reader at random.

import { describe, expect, it as test } from "vitest";
import { bodyOf } from "../../../src/store/body.js";
import { KEY, KiB, MiB, pattern, quiet, rig } from "./rig.js";

describe("a look at an object that is about to be read", () => {
  test("is one request, whose bytes the reader gets", async () => {
    const it = await rig({ size: 3 * MiB });
    const info = await it.reads.look(it.version);
    expect(info).toMatchObject({ key: KEY, etag: it.version.etag, size: it.version.size, metadata: {} });
    const handle = it.open();
    await it.check(handle, 0, MiB);
    expect(it.store.ranges).toEqual([{ start: 0, length: MiB + 128 * KiB, ifMatch: undefined }]);
    await it.end();
  });

  test("sees another version, and its bytes are never taken for the old one's", async () => {
    const it = await rig({ size: 200 * KiB });
    const fresh = pattern(100 * KiB, 2);
    const { etag } = await it.memory.put(KEY, bodyOf(fresh));
    expect(await it.reads.look(it.version)).toMatchObject({ etag, size: fresh.length });
    await quiet(it);
    await expect(it.open().read(0, 1000)).rejects.toMatchObject({ kind: "precondition" });
    const handle = it.reads.open({ key: KEY, etag, size: fresh.length });
    expect(Buffer.concat(await handle.read(0, fresh.length)).equals(fresh)).toBe(true);
    await it.end();
  });

  test("asks nothing where a HEAD is as good: the beginning is cached, the object was empty, or memory is short", async () => {
    const it = await rig({ size: 200 * KiB, budget: 4 * MiB });
    await it.check(it.open(), 0, 1000);
    const asked = it.store.ranges.length;
    expect(await it.reads.look(it.version)).toBeUndefined();
    expect(await it.reads.look({ ...it.version, size: 0 })).toBeUndefined();
    it.reads.forget(KEY);
    const lease = it.budget.tryAcquire(4 * MiB);
    expect(await it.reads.look(it.version)).toBeUndefined();
    lease?.release();
    expect(it.store.ranges.length).toBe(asked);
    await it.end();
  });

  test("of an object that is empty by now, or gone, holds nothing", async () => {
    const it = await rig({ size: 200 * KiB });
    await it.memory.put(KEY, bodyOf());
    expect(await it.reads.look(it.version)).toBeUndefined();
    await it.memory.delete(KEY);
    await expect(it.reads.look(it.version)).rejects.toMatchObject({ kind: "not-found" });
    await it.end();
  });

  test("that breaks off fails no reader", async () => {
    const it = await rig({ size: 900 * KiB });
    it.faults.fail({ call: "get", at: { received: 100 * KiB }, fault: { kind: "throw", error: "unavailable" } });
    await it.reads.look(it.version);
    await it.check(it.open(), 0, 900 * KiB);
    await it.end();
  });

  test("at once with a reader fetches every byte for the reader once more at most", async () => {
    const it = await rig({ size: 900 * KiB });
    const handle = it.open();
    const [info] = await Promise.all([it.reads.look(it.version), it.check(handle, 0, 900 * KiB)]);
    expect(info?.etag).toBe(it.version.etag);
    expect(it.store.ranges.length).toBeLessThanOrEqual(2);
    await it.end();
  });
});

test("what is cached is answered at once, and nothing else is", async () => {
  const it = await rig({ size: 200 * KiB });
  const handle = it.open();
  expect(handle.cached(0, 1000)).toBeUndefined();
  expect(it.store.ranges).toEqual([]);
  await it.check(handle, 0, 1000);
  await quiet(it);
  expect(Buffer.concat(handle.cached(5000, 100_000) ?? []).equals(it.bytes.subarray(5000, 105_000))).toBe(true);
  expect(it.reads.stats()).toMatchObject({ hits: 1, misses: 1 });
  handle.close();
  expect(handle.cached(0, 1000)).toBeUndefined();
  await it.end();
});

describe("a reader at random", () => {
  // Pages all over the object, never its first one, never two that touch.
  const places = (size: number, count: number): number[] => Array.from({ length: count }, (_, i) => (((i + 1) * 3571) % (size / 8192)) * 8192 + 4096);

  test("of an object that fits into memory gets all of it, after some requests, and then asks nothing", async () => {
    const it = await rig({ size: 32 * MiB });
    const handle = it.open();
    for (const place of places(32 * MiB, 7)) await it.check(handle, place, 4096);
    expect(it.store.ranges.every(({ length }) => length === 4096)).toBe(true);
    for (const place of places(32 * MiB, 12)) await it.check(handle, place, 4096);
    await quiet(it);
    const asked = it.store.ranges.length;
    for (const place of places(32 * MiB, 300)) await it.check(handle, place, 4096);
    expect(it.store.ranges.length).toBe(asked);
    await it.end();
  });

  test("of an object that does not fit asks for its pages alone", async () => {
    const it = await rig({ size: 32 * MiB, budget: 48 * MiB });
    const handle = it.open();
    for (const place of places(32 * MiB, 200)) await it.check(handle, place, 4096);
    expect(it.store.ranges.every(({ length }) => length === 4096)).toBe(true);
    await it.end();
  });

  test("who leaves cancels the rest of it", async () => {
    const it = await rig({ size: 64 * MiB });
    const handle = it.open();
    for (const place of places(64 * MiB, 9)) await it.check(handle, place, 4096);
    handle.close();
    await quiet(it);
    expect(it.reads.stats().fetchedBytes).toBeLessThan(64 * MiB);
    await it.end();
  });
});
