// One reader of one version.

import { isStoreError, StoreError } from "../store/errors.js";
import type { ByteRange } from "../store/objectStore.js";
import type { Survey, VersionBlocks } from "./blockCache.js";
import type { ReadCounts } from "./cachedReads.js";
import type { Fetch } from "./fetch.js";
import { PAGE } from "./options.js";
import { type Cursor, ReadPattern } from "./pattern.js";
import type { Piece } from "./piece.js";
import { merged, type PrefetchParts, Prefetcher } from "./prefetcher.js";
import type { ObjectVersion, ReadHandle } from "./types.js";

export interface HandleParts extends PrefetchParts {
  readonly counts: ReadCounts;
  readonly onClose: () => void;
}

export class CachedHandle implements ReadHandle {
  readonly #parts: HandleParts;
  readonly #blocks: VersionBlocks;
  readonly #pattern: ReadPattern;
  readonly #prefetcher: Prefetcher;
  #closed = false;

  constructor(parts: HandleParts, blocks: VersionBlocks) {
    this.#parts = parts;
    this.#blocks = blocks;
    this.#prefetcher = new Prefetcher(parts, blocks);
    this.#pattern = new ReadPattern(parts.options.firstRequest, (cursor) => this.#prefetcher.leave(cursor));
  }

  get version(): ObjectVersion { return this.#blocks.version; }

  async read(offset: number, length: number, signal?: AbortSignal): Promise<readonly Buffer[]> {
    const { key, size } = this.version;
    if (this.#closed) throw new StoreError("aborted", "the reader is closed", { key });
    if (signal?.aborted === true) throw new StoreError("aborted", "the read was aborted", { key, cause: signal.reason });
    const end = Math.min(size, offset + length);
    if (offset >= end) return [];
    const { cache, counts } = this.#parts;
    const cursor = this.#pattern.note(offset, end);

    const found = cache.survey(this.#blocks, offset, end);
    if (cursor !== undefined) this.#steer(cursor, end, found);
    let pieces = found.gaps.length === 0 ? found.pieces : this.#ask(offset, end, cursor);
    if (cursor !== undefined) this.#prefetcher.fill(cursor);
    else if (found.gaps.length > 0) this.#prefetcher.scattered();

    let hit = true;
    let wrong = false;
    for (;;) {
      let failed = pieces.find((piece) => piece.state === "dropped")?.fetch;
      if (failed === undefined) {
        if (allThere(pieces, end)) break;
        hit = false;
        failed = await this.#arrival(pieces, end, signal);
        if (failed === undefined) continue;
      }
      // What was fetched ahead fails nobody: this read asks for itself. Wrong bytes are asked for once more, all of them; the store's
      // own retries cannot, for they have handed some on.
      const again = failed.ahead || (!wrong && isStoreError(failed.error, "corrupt"));
      if (!again || isStoreError(failed.error, "aborted")) throw failed.error as StoreError;
      wrong ||= !failed.ahead;
      pieces = this.#ask(offset, end, cursor);
    }
    if (hit) counts.hits += 1;
    else counts.misses += 1;
    return this.#slices(pieces, offset, end, cursor);
  }

  cached(offset: number, length: number): readonly Buffer[] | undefined {
    const end = Math.min(this.version.size, offset + length);
    if (this.#closed || offset >= end) return undefined;
    const { cache, counts } = this.#parts;
    const { pieces, gaps } = cache.survey(this.#blocks, offset, end);
    if (gaps.length > 0 || !allThere(pieces, end)) return undefined;
    const cursor = this.#pattern.note(offset, end);
    if (cursor !== undefined) this.#prefetcher.fill(cursor);
    counts.hits += 1;
    return this.#slices(pieces, offset, end, cursor);
  }

  #slices(pieces: readonly Piece[], offset: number, end: number, cursor: Cursor | undefined): readonly Buffer[] {
    const slices: Buffer[] = [];
    for (const piece of pieces) {
      piece.slices(offset, end, slices);
      this.#parts.cache.touch(piece, cursor !== undefined && piece.end <= end);
    }
    return slices;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#pattern.end();
    this.#prefetcher.end();
    this.#parts.fetcher.renounce(this);
    this.#parts.onClose();
  }

  /** Sets the window before this read waits. */
  #steer(cursor: Cursor, end: number, { pieces, gaps }: Survey): void {
    const lost = gaps[0];
    if (lost !== undefined && lost.start < cursor.asked) this.#prefetcher.shrink(cursor);
    else if (lost !== undefined || !allThere(pieces, end)) this.#prefetcher.starved(cursor, end);
  }

  /** Requests what is missing of [start, end), and some more where that is sure to be wanted. @returns all pieces of the read. */
  #ask(start: number, end: number, cursor: Cursor | undefined): readonly Piece[] {
    const { cache, fetcher, options } = this.#parts;
    const { size } = this.version;
    let from = start - start % PAGE;
    let to = Math.ceil(end / PAGE) * PAGE;
    if (size <= options.wholeFile) {
      from = 0;
      to = size;
    } else if (start === 0 && this.#pattern.reads === 1) {
      to = Math.max(to, options.firstRequest);
    } else if (cursor !== undefined) {
      to = Math.ceil(end / options.blockSize) * options.blockSize;
    }
    to = Math.min(size, to);
    const { gaps } = cache.survey(this.#blocks, from, to);
    for (const group of merged(gaps, options.mergeGap, options.rangeSize)) {
      const last = group.at(-1) as ByteRange;
      if ((group[0] as ByteRange).start < end && last.start + last.length > start) fetcher.begin(this.#blocks, group, this);
    }
    if (cursor !== undefined) cursor.asked = Math.max(cursor.asked, to);
    return cache.survey(this.#blocks, start, end).pieces;
  }

  /** Waits until all bytes below `end` are there (undefined), or one of the fetches has failed (that one). Rejects when aborted. */
  async #arrival(pieces: readonly Piece[], end: number, signal: AbortSignal | undefined): Promise<Fetch | undefined> {
    const missing = pieces.filter((piece) => !piece.has(end));
    const fetches = new Set(pieces.filter((piece) => piece.state === "arriving").map((piece) => piece.fetch));
    for (const fetch of fetches) fetch.waiters += 1;
    let aborted = false;
    try {
      return await new Promise<Fetch | undefined>((resolve, reject) => {
        let left = missing.length;
        const stops: (() => void)[] = [];
        const settle = (act: () => void): void => {
          signal?.removeEventListener("abort", onAbort);
          for (const stop of stops) stop();
          act();
        };
        const onAbort = (): void => settle(() => {
          aborted = true;
          reject(new StoreError("aborted", "the read was aborted", { key: this.version.key, cause: signal?.reason }));
        });
        signal?.addEventListener("abort", onAbort, { once: true });
        for (const piece of missing) {
          stops.push(piece.watch(end, () => {
            left -= 1;
            if (piece.state === "dropped") settle(() => resolve(piece.fetch));
            else if (left === 0) settle(() => resolve(undefined));
          }));
        }
      });
    } finally {
      for (const fetch of fetches) {
        fetch.waiters -= 1;
        // What this reader alone had asked for, and does not want any more.
        if (aborted && !fetch.ahead && fetch.waiters === 0) fetch.wanted.delete(this);
        this.#parts.fetcher.cancelIfUseless(fetch);
      }
    }
  }
}

function allThere(pieces: readonly Piece[], end: number): boolean {
  return pieces.every((piece) => piece.has(end));
}
