// What the tests of reading share: one object in a memory store, behind a store that fails on demand and one that keeps the bill.

import { expect } from "vitest";
import { CachedReads } from "../../../src/read/cachedReads.js";
import type { ReadOptions } from "../../../src/read/options.js";
import type { ObjectVersion, ReadHandle } from "../../../src/read/types.js";
import { bodyOf } from "../../../src/store/body.js";
import { MemoryStore } from "../../../src/store/memory/memoryStore.js";
import type { ByteRange, GetOptions, ObjectStore, ObjectStream } from "../../../src/store/objectStore.js";
import { ByteBudget } from "../../../src/util/byteBudget.js";
import type { Clock } from "../../../src/util/clock.js";
import { systemClock } from "../../../src/util/clock.js";
import { silentLogger } from "../../../src/util/log.js";
import { CountingStore } from "../../stores/countingStore.js";
import { FaultyStore } from "../../stores/faultyStore.js";

export const KiB = 1024;
export const MiB = 1024 * KiB;
export const KEY = "folder/object";

/** Remembers which ranges were asked for. */
export class RangeRecorder extends CountingStore {
  readonly ranges: (ByteRange & { readonly ifMatch: string | undefined })[] = [];

  override get(key: string, range?: ByteRange, options?: GetOptions): Promise<ObjectStream> {
    this.ranges.push({ start: range?.start ?? 0, length: range?.length ?? -1, ifMatch: options?.ifMatch });
    return super.get(key, range, options);
  }
}

/** Bytes that differ from place to place, so that a slice from elsewhere is noticed. */
export function pattern(size: number, seed = 1): Buffer {
  const words = new Uint32Array(Math.ceil(size / 4));
  for (let i = 0, x = seed >>> 0; i < words.length; i++) {
    x = (Math.imul(x, 1_664_525) + 1_013_904_223) >>> 0;
    words[i] = x;
  }
  return Buffer.from(words.buffer, 0, size);
}

export interface RigOptions {
  readonly size: number;
  readonly budget?: number;
  readonly options?: Partial<ReadOptions>;
  readonly chunkSize?: number;
  readonly clock?: Clock;
  /** A store between the memory store and the faults. */
  readonly wrap?: (store: ObjectStore) => ObjectStore;
}

export interface Rig {
  readonly bytes: Buffer;
  readonly version: ObjectVersion;
  readonly memory: MemoryStore;
  readonly faults: FaultyStore;
  readonly store: RangeRecorder;
  readonly budget: ByteBudget;
  readonly reads: CachedReads;
  open(): ReadHandle;
  /** Reads, and compares with the object. */
  check(handle: ReadHandle, offset: number, length: number): Promise<void>;
  /** Closes, and sees every counter at zero. */
  end(): Promise<void>;
}

export async function rig(wanted: RigOptions): Promise<Rig> {
  const memory = new MemoryStore({ chunkSize: wanted.chunkSize });
  const bytes = pattern(wanted.size);
  const { etag } = await memory.put(KEY, bodyOf(bytes));
  const faults = new FaultyStore(wanted.wrap?.(memory) ?? memory);
  const store = new RangeRecorder(faults);
  const budget = new ByteBudget(wanted.budget ?? 256 * MiB);
  const reads = new CachedReads({ store, budget, logger: silentLogger, clock: wanted.clock ?? systemClock, options: wanted.options });
  const version: ObjectVersion = { key: KEY, etag, size: wanted.size };
  return {
    bytes, version, memory, faults, store, budget, reads,
    open: () => reads.open(version),
    check: async (handle, offset, length) => {
      const got = Buffer.concat(await handle.read(offset, length));
      expect(got.equals(bytes.subarray(offset, offset + length)), `bytes ${offset}+${length}`).toBe(true);
    },
    end: async () => {
      await reads.close();
      expect(reads.gauges()).toEqual({ handles: 0, running: 0, aheadRunning: 0, cachedBytes: 0, aheadBytes: 0, versions: 0, hungry: 0 });
      expect({ used: budget.used, waiting: budget.waiting }).toEqual({ used: 0, waiting: 0 });
      expect({ streams: store.openStreams, calls: store.running }).toEqual({ streams: 0, calls: 0 });
    },
  };
}

/** Reads a whole object in steps, one after the other. */
export async function scan(it: Rig, handle: ReadHandle, step: number, from = 0, to = it.version.size): Promise<void> {
  for (let at = from; at < to; at += step) await it.check(handle, at, Math.min(step, to - at));
}

/** Until nothing is on its way any more. */
export async function quiet(it: Rig): Promise<void> {
  while (it.reads.gauges()["running"] !== 0) await new Promise<void>(setImmediate);
}
