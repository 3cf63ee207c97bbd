// Ranges on their way. Every missing byte is asked for once, whoever wants it: readers wait on the pieces of the same fetch.

import { isStoreError, StoreError } from "../store/errors.js";
import type { ByteRange, ObjectStream } from "../store/objectStore.js";
import type { ByteBudget, Lease } from "../util/byteBudget.js";
import type { Logger } from "../util/log.js";
import { type BlockCache, PIECE_OVERHEAD, type VersionBlocks } from "./blockCache.js";
import type { Piece } from "./piece.js";
import { drain, type RangeSource } from "./rangeSource.js";

/** One request. */
export class Fetch {
  readonly blocks: VersionBlocks;
  readonly range: ByteRange;
  /** Given: nobody had asked for it; its failure is no reader's. */
  readonly begunAhead: Ahead | undefined;
  /** Readers and cursors that want it to go on although nobody waits now. */
  readonly wanted = new Set<object>();
  /** Reads that wait for some of its bytes. */
  waiters = 0;
  pieces: readonly Piece[] = [];
  error: StoreError | undefined;
  readonly #controller = new AbortController();

  constructor(blocks: VersionBlocks, range: ByteRange, ahead: Ahead | undefined) {
    this.blocks = blocks;
    this.range = range;
    this.begunAhead = ahead;
  }

  get ahead(): boolean { return this.begunAhead !== undefined; }

  get signal(): AbortSignal { return this.#controller.signal; }
  get useless(): boolean { return this.waiters === 0 && this.wanted.size === 0; }
  cancel(reason: StoreError): void { this.#controller.abort(reason); }
}

export interface FetcherParts {
  readonly source: RangeSource;
  readonly cache: BlockCache;
  readonly budget: ByteBudget;
  readonly logger: Logger;
  /** Called after the end of every fetch, with the pieces settled and the leases given back. */
  readonly onEnd: () => void;
}

/** For what nobody waits for yet. */
export interface Ahead {
  /** Memory for it (`BlockCache.costOf`), held already. */
  readonly lease: Lease;
  /** A piece of it, so many bytes long, is complete. */
  readonly onPiece: (bytes: number) => void;
  /** Once, at its end: bytes that were not completed, and whether it failed (it did not when it was cancelled). */
  readonly onEnd: (missing: number, failed: boolean) => void;
}

export class Fetcher {
  readonly #parts: FetcherParts;
  readonly #running = new Map<Fetch, Promise<void>>();
  #fetchedBytes = 0;
  #aheadRunning = 0;
  #closed = false;

  constructor(parts: FetcherParts) {
    this.#parts = parts;
  }

  get running(): number { return this.#running.size; }
  /** Fetches that were begun ahead. */
  get aheadRunning(): number { return this.#aheadRunning; }
  get fetchedBytes(): number { return this.#fetchedBytes; }

  /**
   * One request from the first gap's start to the last one's end; what it brings between the gaps is dropped.
   * @param ahead absent for what a reader waits for: the fetch then waits for its memory, too.
   * @param begun the answer of exactly this range, where it was asked for already.
   */
  begin(blocks: VersionBlocks, gaps: readonly ByteRange[], wantedBy: object, ahead?: Ahead, begun?: ObjectStream): Fetch {
    const start = (gaps[0] as ByteRange).start;
    const last = gaps.at(-1) as ByteRange;
    const fetch = new Fetch(blocks, { start, length: last.start + last.length - start }, ahead);
    fetch.wanted.add(wantedBy);
    fetch.pieces = gaps.flatMap((gap) => this.#parts.cache.plant(blocks, gap, fetch));
    if (fetch.ahead) this.#aheadRunning += 1;
    this.#running.set(fetch, this.#run(fetch, ahead?.lease, begun));
    return fetch;
  }

  /** `who` is through with whatever it wanted. */
  renounce(who: object): void {
    for (const fetch of this.#running.keys()) {
      if (fetch.wanted.delete(who)) this.cancelIfUseless(fetch);
    }
  }

  /** Others find none of its unfinished pieces afterwards. */
  cancelIfUseless(fetch: Fetch): void {
    if (!fetch.useless || !this.#running.has(fetch)) return;
    this.#fail(fetch, new StoreError("aborted", "nobody wants this range any more", { key: fetch.blocks.version.key }));
  }

  /** Cancels all, and resolves when every one has ended. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const fetch of this.#running.keys()) {
      this.#fail(fetch, new StoreError("aborted", "reading has ended", { key: fetch.blocks.version.key }));
    }
    await Promise.all(this.#running.values());
  }

  async #run(fetch: Fetch, given: Lease | undefined, begun: ObjectStream | undefined): Promise<void> {
    if (begun !== undefined) fetch.signal.addEventListener("abort", () => { begun.cancel(); }, { once: true });
    const { source, cache, budget } = this.#parts;
    let lease = given;
    let next = 0;
    // The caller is still planning: its other fetches and its wait come first.
    await Promise.resolve();
    try {
      fetch.signal.throwIfAborted();
      const held = lease ??= await budget.acquire(costOf(fetch.pieces), fetch.signal);
      let position = fetch.range.start;
      const sink = (chunk: Buffer): void => {
        this.#fetchedBytes += chunk.length;
        let rest = chunk;
        while (rest.length > 0 && fetch.error === undefined) {
          const piece = fetch.pieces[next];
          if (piece === undefined) return;
          const missing = piece.end - position;
          const skipped = Math.min(rest.length, Math.max(0, piece.start - position));
          const taken = Math.min(rest.length - skipped, missing - skipped);
          if (taken > 0) piece.append(skipped === 0 && taken === rest.length ? rest : rest.subarray(skipped, skipped + taken));
          rest = rest.subarray(skipped + taken);
          position += skipped + taken;
          if (position === piece.end) {
            cache.complete(piece, held.split(piece.length + PIECE_OVERHEAD));
            next += 1;
            fetch.begunAhead?.onPiece(piece.length);
          }
        }
      };
      await (begun === undefined ? source.fetch(fetch.blocks.version, fetch.range, sink, fetch.signal) : drain(begun, fetch.blocks.version, fetch.range, sink));
    } catch (error) {
      this.#fail(fetch, asStoreError(error, fetch));
    } finally {
      lease?.release();
      this.#running.delete(fetch);
      if (fetch.ahead) this.#aheadRunning -= 1;
      const missing = fetch.pieces.slice(next).reduce((sum, piece) => sum + piece.length, 0);
      fetch.begunAhead?.onEnd(missing, fetch.error !== undefined && fetch.error.kind !== "aborted");
      if (!this.#closed) this.#parts.onEnd();
    }
  }

  /** Takes its unfinished pieces out of the cache; after wrong bytes, the finished ones too. Wakes everybody who waits. */
  #fail(fetch: Fetch, error: StoreError): void {
    if (fetch.error !== undefined) return;
    fetch.error = error;
    if (error.kind === "precondition") fetch.blocks.outdated = true;
    const { key } = fetch.blocks.version;
    if (error.kind !== "aborted") {
      this.#parts.logger.debug({ key, ...fetch.range, ahead: fetch.ahead, kind: error.kind, error: error.message }, "a range could not be fetched");
    }
    for (const piece of fetch.pieces) {
      if (piece.state === "arriving" || error.kind === "corrupt") this.#parts.cache.drop(piece);
    }
    fetch.cancel(error);
  }
}

function costOf(pieces: readonly Piece[]): number {
  return pieces.reduce((sum, piece) => sum + piece.length + PIECE_OVERHEAD, 0);
}

function asStoreError(error: unknown, fetch: Fetch): StoreError {
  if (isStoreError(error)) return error;
  const { key } = fetch.blocks.version;
  if (fetch.signal.aborted) return new StoreError("aborted", "the fetch was cancelled", { key, cause: error });
  return new StoreError("unexpected", `reading ${key} failed: ${error instanceof Error ? error.message : String(error)}`, { key, cause: error });
}
