// Reading for a whole mount: `Reads` over an object store, with a memory cache, shared fetches and prefetch.

import { isStoreError, StoreError } from "../store/errors.js";
import type { ObjectInfo, ObjectStore, ObjectStream } from "../store/objectStore.js";
import type { ByteBudget } from "../util/byteBudget.js";
import type { Clock } from "../util/clock.js";
import type { Logger } from "../util/log.js";
import { BlockCache } from "./blockCache.js";
import { CachedHandle } from "./cachedHandle.js";
import { Fetcher } from "./fetch.js";
import { READ_DEFAULTS, type ReadOptions } from "./options.js";
import type { Prefetcher } from "./prefetcher.js";
import { type RangeSource, StoreSource } from "./rangeSource.js";
import type { ObjectVersion, ReadHandle, Reads, ReadStats } from "./types.js";

export interface CachedReadsParts {
  readonly store: ObjectStore;
  /** Of the whole mount: cached blocks and ranges on their way hold leases on it. */
  readonly budget: ByteBudget;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly options?: Partial<ReadOptions> | undefined;
  /** Where ranges come from, when not straight from the store. */
  readonly source?: RangeSource | undefined;
}

/** Counts of answered reads. */
export interface ReadCounts { hits: number; misses: number }

export class CachedReads implements Reads {
  readonly #store: ObjectStore;
  readonly #cache: BlockCache;
  readonly #fetcher: Fetcher;
  readonly #budget: ByteBudget;
  readonly #options: ReadOptions;
  readonly #hungry = new Set<Prefetcher>();
  readonly #handles = new Set<CachedHandle>();
  readonly #counts: ReadCounts = { hits: 0, misses: 0 };
  #closed = false;

  constructor(parts: CachedReadsParts) {
    this.#store = parts.store;
    this.#options = { ...READ_DEFAULTS, ...parts.options };
    this.#budget = parts.budget;
    this.#cache = new BlockCache(parts.budget, this.#options.blockSize, parts.clock);
    this.#fetcher = new Fetcher({
      source: parts.source ?? new StoreSource(parts.store),
      cache: this.#cache, budget: parts.budget, logger: parts.logger,
      onEnd: () => this.#feed(),
    });
  }

  open(version: ObjectVersion): ReadHandle {
    if (this.#closed) throw new StoreError("aborted", "reading has ended", { key: version.key });
    const blocks = this.#cache.enter(version);
    const handle: CachedHandle = new CachedHandle({
      cache: this.#cache, fetcher: this.#fetcher, budget: this.#budget, options: this.#options, hungry: this.#hungry,
      counts: this.#counts,
      onClose: () => {
        this.#handles.delete(handle);
        this.#cache.leave(blocks);
      },
    }, blocks);
    this.#handles.add(handle);
    return handle;
  }

  async look(known: ObjectVersion): Promise<ObjectInfo | undefined> {
    const { firstRequest } = this.#options;
    const length = Math.min(known.size, firstRequest);
    if (length === 0 || this.#closed) return undefined;
    const seen = this.#cache.enter(known);
    const { pieces } = this.#cache.survey(seen, 0, 1);
    this.#cache.leave(seen);
    if (pieces.length > 0) return undefined;
    const lease = this.#budget.tryAcquire(this.#cache.costOf([{ start: 0, length: firstRequest }]));
    if (lease === undefined) return undefined;
    let stream: ObjectStream;
    try {
      stream = await this.#store.get(known.key, { start: 0, length: firstRequest });
    } catch (error) {
      lease.release();
      // Empty by now.
      if (isStoreError(error, "range")) return undefined;
      throw error;
    }
    const { info } = stream;
    const blocks = this.#cache.enter({ key: known.key, etag: info.etag, size: info.size });
    const range = { start: 0, length: stream.length };
    // Others may have begun on it meanwhile: their bytes will do.
    if (this.#closed || stream.start !== 0 || range.length === 0 || this.#cache.survey(blocks, 0, range.length).pieces.length > 0) {
      stream.cancel();
      lease.release();
      this.#cache.leave(blocks);
      return info;
    }
    this.#fetcher.begin(blocks, [range], blocks, { lease, onPiece: () => undefined, onEnd: () => this.#cache.leave(blocks) }, stream);
    return info;
  }

  forget(key: string): void {
    this.#cache.forget(key);
  }

  stats(): ReadStats {
    return {
      cachedBytes: this.#cache.cachedBytes,
      hits: this.#counts.hits,
      misses: this.#counts.misses,
      fetchedBytes: this.#fetcher.fetchedBytes,
      wastedBytes: this.#cache.wastedBytes,
      openHandles: this.#handles.size,
    };
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const handle of this.#handles) handle.close();
    this.#hungry.clear();
    await this.#fetcher.close();
    this.#cache.close();
  }

  /** What must be zero after `close`, by name; for invariant checks. */
  gauges(): Readonly<Record<string, number>> {
    return {
      handles: this.#handles.size, running: this.#fetcher.running, aheadRunning: this.#fetcher.aheadRunning,
      cachedBytes: this.#cache.cachedBytes, aheadBytes: this.#cache.aheadBytes, versions: this.#cache.versions, hungry: this.#hungry.size,
    };
  }

  /** A fetch has ended: whoever wants to fetch ahead and could not tries again. */
  #feed(): void {
    if (this.#hungry.size === 0) return;
    const hungry = [...this.#hungry];
    this.#hungry.clear();
    for (const prefetcher of hungry) prefetcher.feed();
  }
}
