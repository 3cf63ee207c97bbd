// The bytes of one staged file: what was written (in memory while small, then in a sparse data file at final offsets),
// over the version of the object that it changes.
//
//   local     the ranges whose bytes are here; everything else below `baseLimit` is the base's, everything else is a hole
//   changed   of these, what is not in the base: after a commit nothing is, although the bytes stay here
//
// Ranges are marked after their bytes are in place, so a reader never gets what is not there yet. Reading needs no lock;
// write, truncate and rebase are the caller's to keep apart from sending (gate.ts).

import type { FileHandle } from "node:fs/promises";
import { crc32 } from "node:zlib";
import { isStoreError, StoreError } from "../store/errors.js";
import type { Body } from "../store/objectStore.js";
import type { ByteBudget } from "../util/byteBudget.js";
import { DirtyRanges, type Span } from "./dirtyRanges.js";
import { MemoryBytes, type MemoryPool } from "./memoryBytes.js";
import { PartMemory } from "./partMemory.js";
import type { BaseVersion } from "./types.js";

const ZEROS = Buffer.alloc(256 * 1024);
/** How much of a part on its way is read at a time: of the data file, and where bytes of the base are among it. */
const DISK_STEP = 1024 * 1024;
const BASE_STEP = 8 * 1024 * 1024;

export interface StagedDataOptions {
  readonly budget: ByteBudget;
  readonly pool: MemoryPool;
  /** For parts on their way. */
  readonly partPool: MemoryPool;
  /** Longest file that stays in memory. */
  readonly memoryFile: number;
  readonly sliceSize: number;
  /** Creates the data file, once; O_RDWR. */
  createFile(): Promise<FileHandle>;
}

interface Piece extends Span { readonly from: "local" | "base" | "hole" }

/** A body made of staged and base bytes. `failure`: why reading them failed, behind what the store made of it. */
export interface StagedBody extends Body {
  readonly failure: unknown;
  /** To be called once, when the call it was given to has settled. @param sent whether the store has the bytes. */
  done(sent: boolean): void;
}

export class StagedData {
  /** What is about to be sent, as far as there is memory for it. */
  readonly parts: PartMemory;
  readonly #options: StagedDataOptions;
  readonly #local = new DirtyRanges();
  readonly #changed = new DirtyRanges();
  #base: BaseVersion | undefined;
  /** How much of the base's head still shows through. */
  #baseLimit: number;
  #size: number;
  #memory: MemoryBytes | undefined;
  #file: FileHandle | undefined;
  #spilling: Promise<FileHandle> | undefined;

  constructor(base: BaseVersion | undefined, baseLimit: number, options: StagedDataOptions) {
    this.#options = options;
    this.parts = new PartMemory(options.partPool);
    this.#base = base;
    this.#baseLimit = baseLimit;
    this.#size = baseLimit;
    this.#memory = options.memoryFile > 0 ? new MemoryBytes(options.pool) : undefined;
  }

  get size(): number { return this.#size; }
  get base(): BaseVersion | undefined { return this.#base; }
  get baseLimit(): number { return this.#baseLimit; }
  get onDisk(): boolean { return this.#file !== undefined; }
  get changedBytes(): number { return this.#changed.bytes; }

  /** Where the file equals the base. */
  kept(): Span[] { return this.#changed.holes(0, this.#baseLimit); }
  /** The end of what is here without a gap from the first byte on. */
  get contiguous(): number { return this.#local.endOfRun(0); }
  rewrites(start: number, end: number): boolean { return this.#local.overlaps(start, end); }

  async write(offset: number, data: Buffer): Promise<void> {
    const end = offset + data.length;
    await this.#place(offset, data);
    this.#local.add(offset, end);
    this.#changed.add(offset, end);
    if (end > this.#size) this.#size = end;
  }

  /** The first bytes that only the base has, at most `length` of them. */
  missing(length: number): Span | undefined {
    const first = this.#local.holes(0, this.#baseLimit)[0];
    return first === undefined ? undefined : { start: first.start, end: Math.min(first.end, first.start + length) };
  }

  /** Puts the base's own bytes here: nothing is changed by them. */
  async fill(offset: number, data: Buffer): Promise<void> {
    await this.#place(offset, data);
    this.#local.add(offset, offset + data.length);
  }

  async truncate(size: number): Promise<void> {
    if (this.#spilling !== undefined) await this.#spilling.catch(() => undefined);
    if (size < this.#size) {
      this.parts.drop(size, this.#size);
      this.#local.remove(size, this.#size);
      this.#changed.remove(size, this.#size);
      this.#baseLimit = Math.min(this.#baseLimit, size);
    }
    this.#size = size;
    await this.#file?.truncate(size);
  }

  /** What is staged is the new base's content from now on. */
  rebase(base: BaseVersion): void {
    this.parts.free();
    this.#changed.clear();
    this.#base = base;
    this.#baseLimit = base.size;
  }

  /** The same bytes are found elsewhere (the object was renamed). */
  moveBase(base: BaseVersion): void {
    this.#base = base;
  }

  seek(offset: number, whence: "data" | "hole"): number | undefined {
    if (offset >= this.#size) return undefined;
    if (whence === "data") return offset < this.#baseLimit ? offset : this.#local.next(offset);
    let at = offset;
    for (;;) {
      const end = Math.max(at < this.#baseLimit ? this.#baseLimit : at, this.#local.endOfRun(at));
      if (end === at) return Math.min(at, this.#size);
      at = end;
    }
  }

  async read(offset: number, length: number, signal?: AbortSignal): Promise<Buffer[]> {
    const end = Math.min(this.#size, offset + length);
    const found = await Promise.all(this.#pieces(offset, end).map((piece) => this.#readPiece(piece, signal)));
    return found.flat();
  }

  /** The bytes [offset, offset + length) for sending. Nothing may be written there until the sending has ended. */
  body(offset: number, length: number, signal?: AbortSignal): StagedBody {
    const end = offset + length;
    const body = {
      length, failure: undefined as unknown,
      open: (): AsyncIterable<Buffer> | Iterable<Buffer> => {
        const memory = this.#memory;
        if (length === 0) return [];
        if (memory !== undefined && this.#local.covers(offset, end)) return [memory.view(offset, end)];
        const kept = this.parts.view(offset, length);
        if (kept !== undefined) return [kept];
        const holes = this.#pieces(offset, end).reduce((sum, piece) => sum + (piece.from === "hole" ? piece.end - piece.start : 0), 0);
        // Zeros need no memory.
        if (holes * 2 > length) return noting(this.#stream(offset, end, signal));
        // Asked for at once, the base's bytes are not taken for a reader's who goes on: nothing beyond them is fetched ahead.
        const step = this.#local.covers(offset, end) ? DISK_STEP : BASE_STEP;
        return noting(this.parts.load(offset, length, step, (into, at) => this.#gather(into, at, signal), () => this.#stream(offset, end, signal)));
      },
      done: (sent: boolean): void => { this.parts.done(offset, sent); },
    };
    async function* noting(pieces: AsyncGenerator<Buffer>): AsyncGenerator<Buffer> {
      try {
        yield* pieces;
      } catch (error) {
        body.failure = error;
        throw error;
      }
    }
    return body;
  }

  /** Moves what is in memory into the data file; the memory is given back. */
  spill(): Promise<FileHandle> {
    if (this.#file !== undefined) return Promise.resolve(this.#file);
    this.#spilling ??= this.#spill().finally(() => { this.#spilling = undefined; });
    return this.#spilling;
  }

  /** Everything written is on disk. @returns each changed range with the CRC-32 of its bytes. */
  async persist(): Promise<(readonly [number, number, number])[]> {
    this.parts.free();
    const file = await this.spill();
    const ranges: (readonly [number, number, number])[] = [];
    for (const { start, end } of this.#changed.all()) {
      let sum = 0;
      for await (const slice of this.#stream(start, end)) sum = crc32(slice, sum);
      ranges.push([start, end, sum]);
    }
    await file.datasync();
    return ranges;
  }

  async close(): Promise<void> {
    if (this.#spilling !== undefined) await this.#spilling.catch(() => undefined);
    this.parts.free();
    this.#memory?.free();
    this.#memory = undefined;
    const file = this.#file;
    this.#file = undefined;
    this.#local.clear();
    await file?.close();
  }

  async #place(offset: number, data: Buffer): Promise<void> {
    this.parts.write(offset, data);
    if (this.#spilling !== undefined) await this.#spilling.catch(() => undefined);
    if (this.#memory !== undefined && offset + data.length <= this.#options.memoryFile && this.#memory.write(offset, data)) return;
    const file = this.#file ?? await this.spill();
    for (let at = 0; at < data.length;) at += (await file.write(data, at, data.length - at, offset + at)).bytesWritten;
  }

  async #spill(): Promise<FileHandle> {
    const file = await this.#options.createFile();
    try {
      if (this.#memory !== undefined) {
        for (const { start, end } of this.#local.all()) {
          const bytes = this.#memory.view(start, end);
          for (let at = 0; at < bytes.length;) at += (await file.write(bytes, at, bytes.length - at, start + at)).bytesWritten;
        }
      }
    } catch (error) {
      await file.close();
      throw error;
    }
    this.#file = file;
    this.#memory?.free();
    this.#memory = undefined;
    return file;
  }

  #pieces(offset: number, end: number): Piece[] {
    const pieces: Piece[] = [];
    const outside = (start: number, stop: number): void => {
      const middle = Math.min(stop, Math.max(start, this.#baseLimit));
      if (middle > start) pieces.push({ start, end: middle, from: "base" });
      if (stop > middle) pieces.push({ start: middle, end: stop, from: "hole" });
    };
    let at = offset;
    for (const { start, end: stop } of this.#local.within(offset, end)) {
      outside(at, start);
      pieces.push({ start, end: stop, from: "local" });
      at = stop;
    }
    if (at < end) outside(at, end);
    return pieces;
  }

  async #readPiece({ start, end, from }: Piece, signal: AbortSignal | undefined): Promise<readonly Buffer[]> {
    if (from === "hole") return zeros(end - start);
    if (from === "base") return await this.#readBase(start, end, signal);
    // A copy: what is in memory may be overwritten while the receiver still has it.
    if (this.#memory !== undefined) return [Buffer.from(this.#memory.view(start, end))];
    return [await this.#readFile(start, end)];
  }

  /**
   * Bytes of the base, from its next version when a commit replaced it meanwhile: where nothing was changed, both have the same
   * bytes. What a truncation has taken since the read began is zeros.
   */
  async #readBase(start: number, end: number, signal: AbortSignal | undefined): Promise<readonly Buffer[]> {
    for (;;) {
      const base = this.#base as BaseVersion;
      const stop = Math.min(end, base.size);
      try {
        const pieces = stop > start ? await base.read(start, stop - start, signal) : [];
        const got = pieces.reduce((sum, piece) => sum + piece.length, 0);
        if (got !== Math.max(0, stop - start)) {
          throw new StoreError("unavailable", `the object gave ${String(got)} of ${String(stop - start)} bytes at ${String(start)}`);
        }
        return stop === end ? pieces : [...pieces, ...zeros(end - Math.max(start, stop))];
      } catch (error) {
        // `aborted`: the version's reader was closed when the next one took its place.
        if (this.#base === base || signal?.aborted === true || !isStoreError(error, "precondition", "not-found", "aborted")) throw error;
      }
    }
  }

  async #readFile(start: number, end: number): Promise<Buffer> {
    return await this.#fill(Buffer.allocUnsafe(end - start), start);
  }

  async #gather(into: Buffer, start: number, signal: AbortSignal | undefined): Promise<void> {
    for (const piece of this.#pieces(start, start + into.length)) {
      const target = into.subarray(piece.start - start, piece.end - start);
      if (piece.from === "local" && this.#memory === undefined) {
        await this.#fill(target, piece.start);
        continue;
      }
      let at = 0;
      for (const bytes of await this.#readPiece(piece, signal)) at += bytes.copy(target, at);
    }
  }

  async #fill(buffer: Buffer, start: number): Promise<Buffer> {
    const file = this.#file as FileHandle;
    for (let at = 0; at < buffer.length;) {
      const { bytesRead } = await file.read(buffer, at, buffer.length - at, start + at);
      // The file ends before a local range only when it is being truncated: zeros are what a reader may see then.
      if (bytesRead === 0) return buffer.fill(0, at);
      at += bytesRead;
    }
    return buffer;
  }

  async *#stream(offset: number, end: number, signal?: AbortSignal): AsyncGenerator<Buffer> {
    for (const piece of this.#pieces(offset, end)) {
      if (piece.from === "local" && this.#memory !== undefined) {
        yield this.#memory.view(piece.start, piece.end);
        continue;
      }
      for (let at = piece.start; at < piece.end;) {
        const stop = Math.min(piece.end, at + this.#options.sliceSize);
        if (piece.from === "local") {
          const lease = await this.#options.budget.acquire(stop - at, signal);
          try {
            yield await this.#readFile(at, stop);
          } finally {
            lease.release();
          }
        } else {
          // No lease here: src/read accounts for what it fetches, and waiting for it while holding one could starve it.
          yield* piece.from === "hole" ? zeros(stop - at) : await this.#readBase(at, stop, signal);
        }
        at = stop;
      }
    }
  }
}

function zeros(length: number): Buffer[] {
  const pieces: Buffer[] = [];
  for (let left = length; left > 0; left -= ZEROS.length) pieces.push(ZEROS.subarray(0, Math.min(left, ZEROS.length)));
  return pieces;
}
