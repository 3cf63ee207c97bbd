// Parts in memory on their way to the store: never other bytes than the file's, never more than the pool, and no needless reading.

import { open } from "node:fs/promises";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Body } from "../../../src/store/objectStore.js";
import { ByteBudget } from "../../../src/util/byteBudget.js";
import { MemoryPool } from "../../../src/write/memoryBytes.js";
import { PartMemory } from "../../../src/write/partMemory.js";
import { PartSizes } from "../../../src/write/partSizes.js";
import { MIB, pattern, request, setup } from "./helpers.js";

const LIMITS = { minSize: 1, maxSize: 64, maxParts: 50, maxObjectSize: 3200, equalSizes: true };

function parts(limit = 1000): { readonly parts: PartMemory; readonly budget: ByteBudget; readonly pool: MemoryPool; readonly grid: PartSizes } {
  const budget = new ByteBudget(limit);
  const pool = new MemoryPool(budget, limit);
  const memory = new PartMemory(pool);
  const grid = PartSizes.of(LIMITS, 16);
  memory.follow(grid);
  return { parts: memory, budget, pool, grid };
}

async function readAll(pieces: AsyncIterable<Buffer>): Promise<Buffer> {
  const all: Buffer[] = [];
  for await (const piece of pieces) all.push(Buffer.from(piece));
  return Buffer.concat(all);
}

describe("parts in memory", () => {
  it("are kept as they are written in sequence, across their bounds", () => {
    const { parts: memory } = parts();
    const bytes = pattern(64, 1);
    for (let at = 0; at < 60; at += 10) memory.write(at, bytes.subarray(at, at + 10));
    expect(memory.view(0, 16)).toEqual(bytes.subarray(0, 16));
    expect(memory.view(32, 16)).toEqual(bytes.subarray(32, 48));
    expect(memory.view(48, 16)).toBeUndefined();
    expect(memory.view(48, 12)).toEqual(bytes.subarray(48, 60));
  });

  it("are gone when a byte of them is written again, and when the file is cut", () => {
    const { parts: memory, budget } = parts();
    memory.write(0, pattern(48, 1));
    memory.write(20, Buffer.from([7]));
    expect(memory.view(16, 16)).toBeUndefined();
    expect(memory.view(0, 16)).toBeDefined();
    memory.drop(47, 100);
    expect(memory.view(32, 16)).toBeUndefined();
    memory.free();
    expect(budget.used).toBe(0);
  });

  it("take no more than the pool has, and begin again when there is room", () => {
    const { parts: memory, budget } = parts(40);
    memory.write(0, pattern(64, 1));
    expect(budget.used).toBe(32);
    expect(memory.view(32, 16)).toBeUndefined();
    memory.done(0, true);
    memory.write(64, pattern(16, 2));
    expect(memory.view(64, 16)).toEqual(pattern(16, 2));
    expect(budget.used).toBe(32);
  });

  it("are the file's bytes after any writes, cuts and sendings", () => {
    const step = fc.oneof(
      { weight: 4, arbitrary: fc.record({ op: fc.constant("append" as const), length: fc.integer({ min: 1, max: 40 }) }) },
      { weight: 1, arbitrary: fc.record({ op: fc.constant("write" as const), at: fc.nat(300), length: fc.integer({ min: 1, max: 40 }) }) },
      { weight: 1, arbitrary: fc.record({ op: fc.constant("cut" as const), at: fc.nat(300) }) },
      { weight: 1, arbitrary: fc.record({ op: fc.constant("load" as const), part: fc.nat(12) }) },
      { weight: 1, arbitrary: fc.record({ op: fc.constant("done" as const), part: fc.nat(12), sent: fc.boolean() }) },
    );
    return fc.assert(fc.asyncProperty(fc.array(step, { maxLength: 60 }), fc.integer({ min: 20, max: 120 }), async (steps, limit) => {
      const { parts: memory, budget, grid } = parts(limit);
      const file = Buffer.alloc(4096);
      let size = 0;
      let seed = 0;
      const write = (at: number, length: number): void => {
        const data = pattern(length, seed++);
        memory.write(at, data);
        data.copy(file, at);
        size = Math.max(size, at + length);
      };
      for (const one of steps) {
        if (one.op === "append" && size < 700) write(size, one.length);
        else if (one.op === "write") write(one.at, one.length);
        else if (one.op === "cut" && one.at < size) { memory.drop(one.at, size); file.fill(0, one.at); size = one.at; }
        else if (one.op === "done") memory.done(one.part * 16, one.sent);
        else if (one.op === "load" && memory.view(one.part * 16, 16) === undefined && (one.part + 1) * 16 <= size) {
          const read = (into: Buffer, at: number): Promise<unknown> => Promise.resolve(file.copy(into, 0, at));
          const otherwise = async function* (): AsyncGenerator<Buffer> { yield file.subarray(one.part * 16, one.part * 16 + 16); };
          expect(await readAll(memory.load(one.part * 16, 16, 5, read, otherwise))).toEqual(file.subarray(one.part * 16, one.part * 16 + 16));
        }
        for (let n = 1; n <= 50; n++) {
          const at = grid.offset(n);
          for (const length of [16, size - at]) {
            const seen = length > 0 && length <= 16 ? memory.view(at, length) : undefined;
            if (seen !== undefined) expect(seen).toEqual(file.subarray(at, at + length));
          }
        }
        expect(budget.used).toBeLessThanOrEqual(limit);
      }
      memory.free();
      expect(budget.used).toBe(0);
    }), { numRuns: 300 });
  });

  it("that were left before their end give their memory back", async () => {
    const { parts: memory, budget } = parts();
    const begun = memory.load(0, 16, 8, () => Promise.resolve(), async function* () { yield Buffer.alloc(16); });
    await begun.next();
    expect(budget.used).toBe(16);
    await begun.return(undefined);
    expect(budget.used).toBe(0);
  });
});

describe("a file that is streamed", () => {
  /** A staging file that counts what is read from it, and a store that reads each part twice, as one does for a checksum. */
  async function counted(...[options, memoryOptions]: Parameters<typeof setup>) {
    let read = 0;
    const openFile = (async (...args: Parameters<typeof open>) => {
      const file = await open(...args);
      return new Proxy(file, {
        get: (target, name) => {
          const value = Reflect.get(target, name, target) as unknown;
          if (typeof value !== "function") return value;
          return async (...given: unknown[]) => {
            const result = await (value as (...all: unknown[]) => Promise<unknown>).apply(target, given);
            if (name === "read") read += (result as { bytesRead: number }).bytesRead;
            return result;
          };
        },
      });
    }) as typeof open;
    const at = await setup(options, memoryOptions, { openFile });
    at.faults.before = async (call, args) => {
      if (call !== "putPart") return;
      for await (const piece of (args[3] as Body).open()) expect(piece.length).toBeGreaterThan(0);
    };
    return { ...at, read: () => read };
  }

  it("is not read back from the disk but for its beginning", async () => {
    const { writes, bytes, read, budget } = await counted({ partSize: MIB, streamThreshold: 2 * MIB, memoryFile: 0, partMemory: 16 * MIB });
    const file = await writes.stage(request("k"));
    const all = pattern(12 * MIB + 1000, 3);
    for (let at = 0; at < all.length; at += 300_000) await file.write(at, all.subarray(at, at + 300_000));
    await file.close();
    expect((await bytes("k")).equals(all)).toBe(true);
    expect(read()).toBeLessThanOrEqual(4 * MIB);
    expect(read()).toBeGreaterThan(0);
    expect(budget.used).toBe(0);
  });

  it("is read as often as its parts are, where there is no memory for them", async () => {
    const { writes, bytes, read, budget } = await counted({ partSize: MIB, streamThreshold: 2 * MIB, memoryFile: 0, partMemory: 0 });
    const file = await writes.stage(request("k"));
    const all = pattern(4 * MIB, 3);
    for (let at = 0; at < all.length; at += MIB) await file.write(at, all.subarray(at, at + MIB));
    await file.close();
    expect((await bytes("k")).equals(all)).toBe(true);
    expect(read()).toBe(8 * MIB);
    expect(budget.used).toBe(0);
  });

  it("that changes one byte reads the base's bytes of a part at once, and once", async () => {
    for (const offset of [20 * MIB, 100]) {
      const { writes, bytes, base } = await counted({ partSize: 8 * MIB },
        { capabilities: { upload: { minSize: 5 * MIB, maxSize: 64 * MIB, maxParts: 1000, maxObjectSize: 1024 * MIB, equalSizes: false }, copyPart: { minSize: 5 * MIB } } });
      const old = pattern(40 * MIB, 1);
      const asked: [number, number][] = [];
      const { etag, size } = await base("k", old);
      const file = await writes.stage(request("k", { dirty: false, base: { etag, size, read: (at, length) => {
        asked.push([at, length]);
        return Promise.resolve([old.subarray(at, at + length)]);
      } } }));
      await file.write(offset, Buffer.from([old[offset] as number ^ 255]));
      await file.close();
      old[offset] = old[offset] as number ^ 255;
      expect((await bytes("k")).equals(old)).toBe(true);
      expect(asked.length).toBeLessThanOrEqual(2);
      expect(asked.reduce((sum, [, length]) => sum + length, 0)).toBe(5 * MIB - 1);
    }
  });
});
