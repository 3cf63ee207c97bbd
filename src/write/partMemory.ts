// The parts of one staged file that are about to be sent, in memory: what a sequential writer writes is kept part by part
// beside its way to the disk, and a part that has to come from the disk is read once, although it is read twice (for its
// checksum, then for the wire), and so are the base's bytes in it. Everything here is elsewhere too: what does not fit is read from there.

import type { MemoryPool } from "./memoryBytes.js";
import type { PartSizes } from "./partSizes.js";

/** Blocks kept for the parts to come: fresh pages cost as much as the copy into them. */
const SPARES = 2;

interface Block { readonly bytes: Buffer; release(): void }
interface Held { readonly offset: number; readonly length: number; readonly block: Block; filled: number }

export class PartMemory {
  readonly #pool: MemoryPool;
  readonly #parts = new Map<number, Held>();
  #grid: PartSizes | undefined;
  #filling: Held | undefined;
  #spares: Block[] = [];

  constructor(pool: MemoryPool) {
    this.#pool = pool;
  }

  /** From now on what is written in sequence is kept, by this grid; undefined: only what is here stays. */
  follow(grid: PartSizes | undefined): void {
    this.#grid = grid;
  }

  /** Before `data` goes to the disk. What it overwrites is here no longer. */
  write(offset: number, data: Buffer): void {
    this.drop(offset, offset + data.length);
    if (this.#grid === undefined) return;
    for (let at = offset; at < offset + data.length;) {
      const part = this.#fillingAt(at, offset + data.length);
      if (part === undefined) return;
      const from = part.offset + part.filled;
      const copied = data.copy(part.block.bytes, part.filled, from - offset, from - offset + part.length - part.filled);
      part.filled += copied;
      at = from + copied;
      if (part.filled === part.length) this.#filling = undefined;
    }
  }

  /** The bytes [start, end) change. Nobody is sending any of them. */
  drop(start: number, end: number): void {
    for (const part of this.#parts.values()) {
      if (part.offset < end && start < part.offset + part.filled) this.#forget(part).release();
    }
  }

  /** All of the part, or undefined. Valid until `done`. */
  view(offset: number, length: number): Buffer | undefined {
    const part = this.#parts.get(offset);
    return part !== undefined && part.filled === length ? part.block.bytes.subarray(0, length) : undefined;
  }

  /** The part as `read` fills it in, `step` bytes at a time; read to its end, `view` has it. Where there is no room for it: `otherwise`. */
  async *load(offset: number, length: number, step: number, read: (into: Buffer, at: number) => Promise<unknown>,
    otherwise: () => AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    const old = this.#parts.get(offset);
    if (old !== undefined) this.#forget(old).release();
    const block = this.#take(length);
    if (block === undefined) {
      yield* otherwise();
      return;
    }
    let whole = false;
    try {
      for (let at = 0; at < length; at += step) {
        const slice = block.bytes.subarray(at, Math.min(length, at + step));
        await read(slice, offset + at);
        yield slice;
      }
      whole = !this.#parts.has(offset);
      if (whole) this.#parts.set(offset, { offset, length, block, filled: length });
    } finally {
      if (!whole) block.release();
    }
  }

  /** The part is not needed in memory any more. @param sent whether the store has it: nobody looks at its bytes then. */
  done(offset: number, sent: boolean): void {
    const part = this.#parts.get(offset);
    if (part === undefined) return;
    const block = this.#forget(part);
    if (sent && this.#grid !== undefined && this.#spares.length < SPARES) this.#spares.push(block);
    else block.release();
  }

  /** Gives all memory back. */
  free(): void {
    this.#grid = undefined;
    for (const part of this.#parts.values()) this.#forget(part).release();
    for (const block of this.#spares) block.release();
    this.#spares = [];
  }

  /** The part that takes the byte `at`, or begins between it and `end`. */
  #fillingAt(at: number, end: number): Held | undefined {
    const filling = this.#filling;
    if (filling !== undefined) {
      if (filling.offset + filling.filled === at) return filling;
      // Out of order: it will come from the disk.
      this.#forget(filling).release();
    }
    const grid = this.#grid as PartSizes;
    const number = at === 0 ? 1 : grid.count(at) + 1;
    const offset = grid.offset(number);
    const length = grid.length(number);
    if (offset >= end || offset + length > grid.capacity || this.#parts.has(offset)) return undefined;
    const block = this.#take(length);
    if (block === undefined) return undefined;
    const part: Held = { offset, length, block, filled: 0 };
    this.#parts.set(offset, part);
    this.#filling = part;
    return part;
  }

  #take(length: number): Block | undefined {
    const spare = this.#spares.findIndex(({ bytes }) => bytes.length === length);
    if (spare >= 0) return this.#spares.splice(spare, 1)[0];
    for (const block of this.#spares.splice(0)) block.release();
    const lease = this.#pool.take(length);
    return lease === undefined ? undefined : { bytes: Buffer.allocUnsafeSlow(length), release: () => { lease.release(); } };
  }

  #forget(part: Held): Block {
    this.#parts.delete(part.offset);
    if (this.#filling === part) this.#filling = undefined;
    return part.block;
  }
}
