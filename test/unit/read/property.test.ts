// Whatever is read, by whomever, in whatever order, aborted or not, over a store that fails now and then: the bytes are the
// object's, and every counter is back at zero.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { ReadHandle } from "../../../src/read/types.js";
import { isStoreError } from "../../../src/store/errors.js";
import { KiB, rig } from "./rig.js";

const SIZE = 700 * KiB + 17;
const OPTIONS = {
  blockSize: 32 * KiB, firstRequest: 36 * KiB, wholeFile: 36 * KiB, maxWindow: 256 * KiB, inFlight: 150 * KiB, rangeSize: 64 * KiB, mergeGap: 8 * KiB, handleRanges: 3, mountRanges: 5,
};

const offset = fc.oneof(fc.integer({ min: 0, max: SIZE + 10 }), fc.integer({ min: 0, max: 170 }).map((page) => page * 4096));
const step = fc.oneof(
  { weight: 5, arbitrary: fc.record({ kind: fc.constant("read" as const), handle: fc.nat(3), offset, length: fc.integer({ min: 1, max: 80 * KiB }), abort: fc.constant(false) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("read" as const), handle: fc.nat(3), offset, length: fc.integer({ min: 1, max: 80 * KiB }), abort: fc.constant(true) }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("scan" as const), handle: fc.nat(3), offset, length: fc.integer({ min: 16 * KiB, max: 300 * KiB }) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("reopen" as const), handle: fc.nat(3) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("forget" as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("settle" as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("pressure" as const), bytes: fc.integer({ min: 1, max: 300 * KiB }) }) },
);

async function play(steps: readonly (typeof step extends fc.Arbitrary<infer T> ? T : never)[], budget: number, chunkSize: number, faults: readonly number[]): Promise<void> {
  const it = await rig({ size: SIZE, budget, chunkSize, options: OPTIONS });
  for (const nth of faults) it.faults.fail({ call: "get", nth, at: { received: nth * 5000 }, fault: { kind: "throw", error: "unavailable" } });
  const handles: ReadHandle[] = Array.from({ length: 4 }, () => it.open());
  let running: Promise<void>[] = [];
  const read = async (handle: ReadHandle, at: number, length: number, signal?: AbortSignal): Promise<void> => {
    try {
      const got = Buffer.concat(await handle.read(at, length, signal));
      expect(got.equals(it.bytes.subarray(at, at + length)), `${at}+${length}`).toBe(true);
    } catch (error) {
      if (!isStoreError(error, "aborted", "unavailable")) throw error;
      if (error.kind === "unavailable") expect(faults.length).toBeGreaterThan(0);
    }
  };
  const scan = async (handle: ReadHandle, from: number, length: number): Promise<void> => {
    for (let at = from; at < from + length; at += 16 * KiB) await read(handle, at, 16 * KiB);
  };
  for (const one of steps) {
    if (one.kind === "read") {
      const controller = new AbortController();
      running.push(read(handles[one.handle]!, one.offset, one.length, controller.signal));
      if (one.abort) setImmediate(() => controller.abort());
    } else if (one.kind === "scan") {
      running.push(scan(handles[one.handle]!, one.offset, one.length));
    } else if (one.kind === "reopen") {
      handles[one.handle]!.close();
      handles[one.handle] = it.open();
    } else if (one.kind === "forget") {
      it.reads.forget(it.version.key);
    } else if (one.kind === "settle") {
      await Promise.all(running);
      running = [];
    } else {
      const lease = await it.budget.acquire(one.bytes);
      lease.release();
    }
    expect(it.budget.used === 0 || it.budget.used <= Math.max(budget, 400 * KiB)).toBe(true);
  }
  await Promise.all(running);
  await it.end();
}

describe("any sequence of reads", () => {
  test("returns the object's bytes, and leaves nothing behind", async () => {
    await fc.assert(fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 25 }),
      fc.constantFrom(64 * KiB, 200 * KiB, 4096 * KiB), fc.constantFrom(1000, 5000, 16 * KiB, 64 * KiB), fc.array(fc.integer({ min: 1, max: 12 }), { maxLength: 3 }),
      play), { numRuns: 200, timeout: 20_000 });
  });
});
