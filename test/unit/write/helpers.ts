// What the tests of src/write share: a memory store with faults by call, a staging directory that goes away, a description.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach } from "vitest";
import type { ObjectStore, Upload } from "../../../src/store/objectStore.js";
import { MemoryStore } from "../../../src/store/memory/memoryStore.js";
import { ByteBudget } from "../../../src/util/byteBudget.js";
import { systemClock } from "../../../src/util/clock.js";
import { silentLogger } from "../../../src/util/log.js";
import { openFromStore } from "../../../src/write/context.js";
import type { WriteOptions } from "../../../src/write/options.js";
import { StagedWrites, type StagedWritesParts } from "../../../src/write/stagedWrites.js";
import type { BaseVersion, StageRequest } from "../../../src/write/types.js";

export const MIB = 1024 * 1024;
const ends: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

export function atEnd(end: () => Promise<void>): void {
  ends.push(end);
}

export async function temporaryDirectory(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "objmount-write-"));
  atEnd(() => rm(path, { recursive: true, force: true }));
  return path;
}

/** Called with the method's name and its arguments before the call; what it throws, the call rejects with. `after`: the answer is lost. */
export interface Faults {
  before?(call: string, args: readonly unknown[]): Promise<void> | void;
  after?(call: string, args: readonly unknown[]): Promise<void> | void;
}

/** A store (or upload) whose calls pass `faults`, and that counts them. */
export function withFaults<T extends object>(target: T, faults: Faults, calls: string[]): T {
  return new Proxy(target, {
    get(object, name) {
      const value = Reflect.get(object, name, object) as unknown;
      if (typeof value !== "function") return value;
      return async (...args: unknown[]) => {
        const call = String(name);
        calls.push(call);
        await faults.before?.(call, args);
        const result = await (value as (...given: unknown[]) => Promise<unknown>).apply(object, args);
        await faults.after?.(call, args);
        return call === "beginUpload" || call === "resumeUpload" ? withFaults(result as Upload, faults, calls) : result;
      };
    },
  });
}

/** A promise and its settling, to hold a call until the test says so. */
export function latch(): { readonly wait: Promise<void>; readonly open: () => void } {
  let open = (): void => undefined;
  const wait = new Promise<void>((resolve) => { open = resolve; });
  return { wait, open };
}

export interface Setup {
  readonly memory: MemoryStore;
  readonly store: ObjectStore;
  readonly writes: StagedWrites;
  readonly directory: string;
  readonly budget: ByteBudget;
  readonly faults: Faults;
  /** Names of the calls so far. */
  readonly calls: string[];
  readonly bytes: (key: string) => Promise<Buffer>;
  /** Puts an object and answers it as a base. */
  readonly base: (key: string, bytes: Buffer | string) => Promise<BaseVersion>;
}

export async function setup(options: WriteOptions = {}, memoryOptions: ConstructorParameters<typeof MemoryStore>[0] = {},
  parts: Partial<StagedWritesParts> = {}): Promise<Setup> {
  const memory = new MemoryStore(memoryOptions);
  const faults: Faults = {};
  const calls: string[] = [];
  const store = withFaults<ObjectStore>(memory, faults, calls);
  const directory = parts.directory ?? join(await temporaryDirectory(), "staging");
  const budget = new ByteBudget(64 * MIB);
  const writes = new StagedWrites({ store, directory, budget, logger: silentLogger, clock: systemClock, options: { hostName: "testhost", ...options }, ...parts });
  atEnd(async () => {
    delete faults.before;
    delete faults.after;
    await writes.close();
  });
  return {
    memory, store, writes, directory, budget, faults, calls,
    bytes: async (key) => {
      const pieces: Buffer[] = [];
      for await (const piece of await memory.get(key)) pieces.push(piece);
      return Buffer.concat(pieces);
    },
    base: async (key, bytes) => {
      const buffer = Buffer.from(bytes);
      const { etag } = await memory.put(key, { length: buffer.length, open: () => [buffer] });
      return openFromStore(memory)({ key, etag, size: buffer.length });
    },
  };
}

export function request(key: string, more: Partial<StageRequest> = {}): StageRequest {
  return { key, dirty: more.base === undefined || more.truncate === true, describe: () => ({ metadata: { mode: "33188" } }), ...more };
}

export async function text(pieces: Promise<readonly Buffer[]>): Promise<string> {
  return Buffer.concat([...await pieces]).toString("latin1");
}

/** Bytes that differ from place to place. */
export function pattern(length: number, seed = 1): Buffer {
  const out = Buffer.allocUnsafe(length);
  let state = seed >>> 0 || 1;
  for (let i = 0; i < length; i++) {
    state ^= state << 13; state ^= state >>> 17; state ^= state << 5;
    out[i] = state & 0xff;
  }
  return out;
}
