// Bad days of the store: what a reader sees, and what it never sees.

import { describe, expect, it as test } from "vitest";
import type { ObjectStream } from "../../../src/store/objectStore.js";
import type { ByteRange, GetOptions, ObjectStore } from "../../../src/store/objectStore.js";
import { StoreWrapper } from "../../../src/store/wrapper.js";
import { KiB, MiB, quiet, rig, scan } from "./rig.js";

/** Answers that are well-formed, and not what was asked. */
class LyingStore extends StoreWrapper {
  readonly #lie: (stream: ObjectStream) => Partial<ObjectStream>;

  constructor(inner: ObjectStore, lie: (stream: ObjectStream) => Partial<ObjectStream>) {
    super(inner);
    this.#lie = lie;
  }

  override async get(key: string, range?: ByteRange, options?: GetOptions): Promise<ObjectStream> {
    const stream = await super.get(key, range, options);
    return {
      info: stream.info, start: stream.start, length: stream.length, cancel: () => stream.cancel(),
      [Symbol.asyncIterator]: () => stream[Symbol.asyncIterator](), ...this.#lie(stream),
    };
  }
}

describe("answers that are not what was asked are never served", () => {
  const lies: readonly (readonly [string, string, (stream: ObjectStream) => Partial<ObjectStream>])[] = [
    ["another total size", "corrupt", (stream) => ({ info: { ...stream.info, size: stream.info.size + 1 } })],
    ["another version", "precondition", (stream) => ({ info: { ...stream.info, etag: "other" } })],
    ["another start", "corrupt", (stream) => ({ start: stream.start + 1 })],
    ["another length", "corrupt", (stream) => ({ length: stream.length - 1 })],
  ];
  for (const [name, kind, lie] of lies) {
    test(`${name}: ${kind}`, async () => {
      const it = await rig({ size: 8 * MiB, wrap: (store) => new LyingStore(store, lie) });
      await expect(it.open().read(4 * MiB, 4096)).rejects.toMatchObject({ kind });
      expect(it.store.ranges).toHaveLength(kind === "corrupt" ? 2 : 1);
      expect(it.reads.stats().cachedBytes).toBe(0);
      await it.end();
    });
  }

  test("a short body: unavailable, and the next read asks again", async () => {
    const it = await rig({ size: 8 * MiB });
    it.faults.fail({ call: "get", at: { received: 1000 }, fault: { kind: "short" } });
    const handle = it.open();
    await expect(handle.read(4 * MiB, 4096)).rejects.toMatchObject({ kind: "unavailable" });
    await it.check(handle, 4 * MiB, 4096);
    await it.end();
  });

  test("more bytes than asked: corrupt, and nothing of that answer is kept", async () => {
    const it = await rig({ size: 8 * MiB, chunkSize: 512 * KiB });
    it.faults.fail({ call: "get", at: { received: 3 * MiB }, fault: { kind: "extra" } });
    const handle = it.open();
    await expect(handle.read(4 * MiB, 3 * MiB)).resolves.toBeDefined();
    await quiet(it);
    expect(it.reads.stats().cachedBytes).toBe(0);
    await it.check(handle, 4 * MiB, 3 * MiB);
    await it.end();
  });

  test("a body that breaks off after whole blocks keeps those", async () => {
    const it = await rig({ size: 16 * MiB });
    it.faults.fail({ call: "get", at: { received: 2 * MiB + 1000 }, fault: { kind: "throw", error: "unavailable" } });
    const handle = it.open();
    await expect(handle.read(4 * MiB, 4 * MiB)).rejects.toMatchObject({ kind: "unavailable" });
    await it.check(handle, 4 * MiB, 2 * MiB);
    expect(it.store.ranges).toHaveLength(1);
    await it.check(handle, 4 * MiB, 4 * MiB);
    expect(it.store.ranges.at(-1)).toMatchObject({ start: 6 * MiB, length: 2 * MiB });
    await it.end();
  });
});

describe("failures", () => {
  test("pass to the reader with their kind, and are not cached", async () => {
    const it = await rig({ size: 8 * MiB });
    it.faults.fail({ call: "get", fault: { kind: "throw", error: "denied" } });
    const handle = it.open();
    await expect(handle.read(4 * MiB, 4096)).rejects.toMatchObject({ kind: "denied" });
    await it.check(handle, 4 * MiB, 4096);
    await it.end();
  });

  test("of a shared fetch fail all who wait for it, with one request", async () => {
    const it = await rig({ size: 8 * MiB });
    it.faults.fail({ call: "get", fault: { kind: "throw", error: "throttled" } });
    const handles = [it.open(), it.open(), it.open()];
    for (const one of await Promise.allSettled(handles.map((handle) => handle.read(4 * MiB, 4096)))) {
      expect(one).toMatchObject({ status: "rejected", reason: { kind: "throttled" } });
    }
    expect(it.store.ranges).toHaveLength(1);
    await it.end();
  });

  test("of what was fetched ahead fail no reader: it asks for itself", async () => {
    const it = await rig({ size: 64 * MiB });
    const handle = it.open();
    await scan(it, handle, 128 * KiB, 0, MiB);
    const broken = it.faults.fail({ call: "get", times: 3, at: { received: 100 * KiB }, fault: { kind: "throw", error: "unavailable" } });
    // The first three requests from here on are fetched ahead: the reader still has bytes of the first request.
    await it.check(handle, MiB, 64 * KiB);
    await scan(it, handle, 128 * KiB, MiB + 64 * KiB);
    expect(broken.hits).toBe(3);
    await it.end();
  });

  test("anything but a StoreError is one when it reaches the reader", async () => {
    const it = await rig({ size: 8 * MiB });
    it.faults.fail({ call: "get", fault: { kind: "throw", error: new TypeError("a bug") } });
    await expect(it.open().read(4 * MiB, 4096)).rejects.toMatchObject({ name: "StoreError", kind: "unexpected", message: expect.stringContaining("a bug") });
    await it.end();
  });

  test("a waiting reader is not served bytes of a fetch that failed meanwhile", async () => {
    // Two ranges: the first brings all its bytes and then turns out to be wrong while the reader still waits for the second.
    const it = await rig({ size: 32 * MiB, options: { rangeSize: 2 * MiB } });
    it.faults.fail({ call: "get", at: { received: 2 * MiB }, fault: { kind: "extra" } });
    const second = it.faults.fail({ call: "get", nth: 2, fault: { kind: "stall" } });
    const handle = it.open();
    const read = it.check(handle, 4 * MiB, 4 * MiB);
    await second.hit;
    while (it.reads.gauges()["running"] !== 1) await new Promise<void>(setImmediate);
    second.release();
    await read;
    expect(it.store.ranges.filter(({ start }) => start === 4 * MiB), "the wrong ones are asked for once more").toHaveLength(2);
    await it.end();
  });
});
