// Fetches ahead of sequential readers: a window beyond each cursor's head, kept filled by ranges side by side.
//
// The window doubles only when the reader starved, that is, had to wait for a byte beyond those that were asked for when it grew
// last; so a slow reader holds little. It is halved when the budget has no memory for it, or when what it had fetched was pushed
// out before it was read. Nothing here fails: what could not be fetched ahead is fetched by the read that wants it.

import type { ByteRange } from "../store/objectStore.js";
import type { ByteBudget } from "../util/byteBudget.js";
import type { BlockCache, VersionBlocks } from "./blockCache.js";
import type { Fetcher } from "./fetch.js";
import type { ReadOptions } from "./options.js";
import { Cursor } from "./pattern.js";

/** The least a window grows to: what follows the first request is worth several ranges. */
const SECOND_WINDOW = 4 * 1024 * 1024;

/** What all handles of a mount share. */
export interface PrefetchParts {
  readonly cache: BlockCache;
  readonly fetcher: Fetcher;
  readonly budget: ByteBudget;
  readonly options: ReadOptions;
  /** Prefetchers that had to stop for want of a place or memory; called again when a fetch ends. */
  readonly hungry: Set<Prefetcher>;
}

export class Prefetcher {
  readonly #parts: PrefetchParts;
  readonly #blocks: VersionBlocks;
  readonly #cursors = new Set<Cursor>();
  #running = 0;
  /** Requests of a reader at random since the last sweep. */
  #scattered = 0;
  #sweep: Cursor | undefined;
  /** Bytes asked for ahead that have not arrived. */
  #coming = 0;

  constructor(parts: PrefetchParts, blocks: VersionBlocks) {
    this.#parts = parts;
    this.#blocks = blocks;
  }

  /** The reader had to wait although the window should have been there already: it was dropped, or its fetch failed. */
  shrink(cursor: Cursor): void {
    cursor.window = Math.max(this.#parts.options.firstRequest, Math.floor(cursor.window / 2));
  }

  /** The reader waits for bytes up to `end`. */
  starved(cursor: Cursor, end: number): void {
    if (end <= cursor.grownAt) return;
    const { options, budget } = this.#parts;
    const most = Math.max(options.firstRequest, Math.min(options.maxWindow, Math.floor(budget.limit * options.aheadShare)));
    cursor.window = Math.min(most, Math.max(SECOND_WINDOW, cursor.window * 2));
    cursor.grownAt = cursor.asked;
  }

  /** A read that belongs to no stream had to ask the store: when there are many of them, all of the object is fetched. */
  scattered(): void {
    const { options, budget } = this.#parts;
    const { size } = this.#blocks.version;
    this.#scattered += 1;
    if (size > budget.limit * options.sweepShare || this.#scattered < Math.max(options.sweepLeast, size / options.sweepPer)) return;
    this.#scattered = 0;
    if (this.#sweep !== undefined) this.leave(this.#sweep);
    this.#sweep = new Cursor(0, 0, size, 0);
    this.fill(this.#sweep);
  }

  /** The handle is closed. */
  end(): void {
    if (this.#sweep !== undefined) this.leave(this.#sweep);
    this.#sweep = undefined;
  }

  /** Fills the cursor's window as far as places and memory allow. */
  fill(cursor: Cursor): void {
    this.#cursors.add(cursor);
    if (!this.#fill(cursor)) this.#parts.hungry.add(this);
  }

  /** A place or memory may be free again. */
  feed(): void {
    for (const cursor of this.#cursors) this.fill(cursor);
  }

  /** The stream is no more. */
  leave(cursor: Cursor): void {
    this.#cursors.delete(cursor);
    if (this.#cursors.size === 0) this.#parts.hungry.delete(this);
    this.#parts.fetcher.renounce(cursor);
  }

  /** @returns false when it had to stop early. */
  #fill(cursor: Cursor): boolean {
    const { options, cache } = this.#parts;
    const { size } = this.#blocks.version;
    if (this.#blocks.outdated) return true;
    if (cursor.asked < cursor.head) cursor.asked = cursor.head;
    for (;;) {
      const limit = Math.min(size, cursor.head + cursor.window);
      if (cursor.asked >= limit) return true;
      const end = this.#rangeEnd(cursor);
      // Whole ranges only, unless the reader stands at the end of what was asked.
      if (end > limit && cursor.asked - cursor.head > cursor.window / 2) return true;
      const { pieces, gaps } = cache.survey(this.#blocks, cursor.asked, end);
      for (const piece of pieces) {
        if (piece.state === "arriving") piece.fetch.wanted.add(cursor);
      }
      for (const group of merged(gaps, options.mergeGap, options.rangeSize)) {
        if (!this.#begin(cursor, group)) return false;
      }
      cursor.asked = end;
    }
  }

  /** Ranges are a quarter of the window, so that several are on their way; they end at block borders. */
  #rangeEnd(cursor: Cursor): number {
    const { blockSize, rangeSize } = this.#parts.options;
    const length = Math.max(blockSize, Math.min(rangeSize, Math.floor(cursor.window / 4)));
    const aligned = Math.floor((cursor.asked + length) / blockSize) * blockSize;
    return Math.min(this.#blocks.version.size, aligned > cursor.asked ? aligned : cursor.asked + length);
  }

  #begin(cursor: Cursor, gaps: readonly ByteRange[]): boolean {
    const { options, cache, fetcher, budget } = this.#parts;
    const bytes = gaps.reduce((sum, gap) => sum + gap.length, 0);
    // Ranges side by side share the line and arrive together. Were the next ones begun only when the reader has got through these,
    // they would go out together too, and the line would lie idle for as long as their answers take: so they are begun as bytes arrive.
    if (this.#coming > 0 && this.#coming + bytes > options.inFlight) return false;
    if (fetcher.aheadRunning >= options.mountRanges || this.#running >= options.handleRanges) return false;
    const cost = cache.costOf(gaps);
    const excess = cache.aheadBytes + cost - budget.limit * options.aheadShare;
    if (excess > 0) cache.dropStale(excess);
    const lease = cache.aheadBytes + cost > budget.limit * options.aheadShare ? undefined : budget.tryAcquire(cost);
    if (lease === undefined) {
      this.shrink(cursor);
      return false;
    }
    this.#running += 1;
    this.#coming += bytes;
    const onPiece = (arrived: number): void => {
      this.#coming -= arrived;
      if (this.#cursors.has(cursor)) this.fill(cursor);
    };
    const onEnd = (missing: number, failed: boolean): void => {
      this.#running -= 1;
      this.#coming -= missing;
      // A store in trouble is not to be hammered by whole windows.
      if (failed) cursor.window = options.firstRequest;
    };
    fetcher.begin(this.#blocks, gaps, cursor, { lease, onPiece, onEnd });
    return true;
  }
}

/** Groups of gaps that are asked by one request each: gaps closer than `distance`, up to `longest` bytes in all. */
export function merged(gaps: readonly ByteRange[], distance: number, longest: number): ByteRange[][] {
  const groups: ByteRange[][] = [];
  for (const gap of gaps) {
    for (let at = gap.start; at < gap.start + gap.length;) {
      const piece = { start: at, length: Math.min(longest, gap.start + gap.length - at) };
      const group = groups.at(-1);
      const last = group?.at(-1);
      const close = group !== undefined && last !== undefined && piece.start - (last.start + last.length) < distance
        && piece.start + piece.length - (group[0] as ByteRange).start <= longest;
      if (close) group.push(piece);
      else groups.push([piece]);
      at += piece.length;
    }
  }
  return groups;
}
