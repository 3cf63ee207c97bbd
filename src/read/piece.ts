// A run of bytes of one block, arriving or there: the list of Buffers in which it came, never joined.

import type { Lease } from "../util/byteBudget.js";
import type { Block } from "./blockCache.js";
import type { Fetch } from "./fetch.js";

/** Chunks below this are copied together: a list of crumbs costs more than the copy, and each may hold a whole slab alive. */
const CRUMB = 8 * 1024;
/** From here on a slice of something larger is kept as it is: sockets read 64 KiB at most, so at least half of the slab is used. */
const SLICE = 32 * 1024;
/** Crumbs are gathered in Buffers of this size. */
const GATHER = 16 * 1024;

/**
 * - `arriving`: its fetch runs (or waits for memory). Readers may take what is there.
 * - `complete`: all bytes are there, and a lease holds them. An evicted piece stays complete for whoever still has it.
 * - `dropped`: its fetch failed or was cancelled; `fetch.error` says why. No longer in the cache.
 */
export type PieceState = "arriving" | "complete" | "dropped";

interface Watcher { readonly upTo: number; readonly wake: () => void }

export class Piece {
  readonly block: Block;
  readonly fetch: Fetch;
  /** Offset in the object. */
  readonly start: number;
  readonly length: number;
  state: PieceState = "arriving";
  /** Fetched ahead and not read so far. */
  ahead: boolean;
  /** Holds the bytes of a complete piece until it is evicted. */
  lease: Lease | undefined;
  #received = 0;
  readonly #chunks: Buffer[] = [];
  /** The Buffer in which crumbs are being gathered; its used part is the last of `#chunks`. */
  #gather: Buffer | undefined;
  #gathered = 0;
  #watchers: Watcher[] = [];

  constructor(block: Block, fetch: Fetch, start: number, length: number, ahead: boolean) {
    this.block = block;
    this.fetch = fetch;
    this.start = start;
    this.length = length;
    this.ahead = ahead;
  }

  get end(): number { return this.start + this.length; }
  get received(): number { return this.#received; }

  /** Whether everything below `upTo` (or the piece's end) can be read now. */
  has(upTo: number): boolean {
    return this.state !== "dropped" && this.start + this.#received >= Math.min(upTo, this.end);
  }

  /** The next bytes; never more than are missing. */
  append(chunk: Buffer): void {
    const whole = chunk.length === this.length;
    const owned = chunk.buffer.byteLength < 2 * chunk.length;
    if (chunk.length >= SLICE || (owned && (whole || chunk.length >= CRUMB))) {
      this.#seal();
      this.#chunks.push(chunk);
    } else {
      this.#copy(chunk);
    }
    this.#received += chunk.length;
    if (this.#watchers.length > 0) this.#wake();
  }

  #copy(chunk: Buffer): void {
    for (let at = 0; at < chunk.length;) {
      if (this.#gather === undefined) {
        this.#gather = Buffer.allocUnsafeSlow(Math.min(GATHER, this.length - this.#received - at));
        this.#gathered = 0;
        this.#chunks.push(this.#gather);
      }
      const taken = chunk.copy(this.#gather, this.#gathered, at);
      at += taken;
      this.#gathered += taken;
      // Readers hold slices of the used part; the rest is not written yet, so nothing they hold ever changes.
      this.#chunks[this.#chunks.length - 1] = this.#gather.subarray(0, this.#gathered);
      if (this.#gathered === this.#gather.length) this.#gather = undefined;
    }
  }

  /** Ends gathering; a Buffer that stayed mostly empty is exchanged for one that fits. */
  #seal(): void {
    if (this.#gather === undefined) return;
    if (2 * this.#gathered < this.#gather.length) {
      const fitting = Buffer.allocUnsafeSlow(this.#gathered);
      this.#gather.copy(fitting, 0, 0, this.#gathered);
      this.#chunks[this.#chunks.length - 1] = fitting;
    }
    this.#gather = undefined;
  }

  /** Adds slices of [from, to), given in the object's offsets, cut to this piece, to `out`. */
  slices(from: number, to: number, out: Buffer[]): void {
    let at = this.start;
    for (const chunk of this.#chunks) {
      const next = at + chunk.length;
      if (next > from) {
        if (at >= to) return;
        out.push(from <= at && to >= next ? chunk : chunk.subarray(Math.max(0, from - at), Math.min(chunk.length, to - at)));
      }
      at = next;
    }
  }

  drop(): void {
    this.state = "dropped";
    this.#chunks.length = 0;
    this.#gather = undefined;
    this.#wake();
  }

  /** Calls `wake` once, as soon as `has(upTo)` or the piece is dropped. @returns the function that stops watching. */
  watch(upTo: number, wake: () => void): () => void {
    const watcher = { upTo, wake };
    this.#watchers.push(watcher);
    return () => { this.#watchers = this.#watchers.filter((one) => one !== watcher); };
  }

  #wake(): void {
    const ready = this.#watchers.filter((one) => this.state === "dropped" || this.has(one.upTo));
    if (ready.length === 0) return;
    this.#watchers = this.#watchers.filter((one) => !ready.includes(one));
    for (const one of ready) one.wake();
  }
}
