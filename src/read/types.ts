// What `src/read` offers to `src/fs`: bytes of one version of one object, through caches, without inodes.

import type { ObjectInfo } from "../store/objectStore.js";

/** A version: equal etags of one key are equal bytes. */
export interface ObjectVersion {
  readonly key: string;
  readonly etag: string;
  readonly size: number;
}

/** One reader of one version; it has its own pattern detector, and shares blocks with all others. */
export interface ReadHandle {
  readonly version: ObjectVersion;
  /**
   * Bytes [offset, offset+length), cut at the end of the object; empty past it. Slices of cached blocks, in order, never
   * modified afterwards. Rejects with StoreError: `precondition` when the object is another version by now.
   */
  read(offset: number, length: number, signal?: AbortSignal): Promise<readonly Buffer[]>;
  /** The same without waiting, where all of it is cached; otherwise undefined, and nothing has happened. */
  cached(offset: number, length: number): readonly Buffer[] | undefined;
  /** Cancels this reader's prefetch. Reads after it reject with `aborted`. Idempotent. */
  close(): void;
}

export interface ReadStats {
  /** Bytes held by cached blocks now. */
  readonly cachedBytes: number;
  readonly hits: number;
  readonly misses: number;
  readonly fetchedBytes: number;
  /** Bytes that were fetched ahead and dropped unread. */
  readonly wastedBytes: number;
  readonly openHandles: number;
}

export interface Reads {
  open(version: ObjectVersion): ReadHandle;
  /**
   * The object as it is now, asked by a GET of its first bytes instead of a HEAD, so that one request brings both; the bytes go into
   * the cache. `known`: what it was last. Undefined where a HEAD is as good: the beginning is cached, it was empty, or there
   * is no memory for it. Rejects as `ObjectStore.get` does.
   */
  look(known: ObjectVersion): Promise<ObjectInfo | undefined>;
  /** Drops what is cached of the key (all its versions). Open handles go on. */
  forget(key: string): void;
  stats(): ReadStats;
  /** Cancels everything; afterwards every byte of the budget is given back. */
  close(): Promise<void>;
}
