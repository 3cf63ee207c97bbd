// What all staged files of a mount share.

import type { open } from "node:fs/promises";
import type { ObjectStore, PutOptions } from "../store/objectStore.js";
import type { ByteBudget } from "../util/byteBudget.js";
import type { Clock } from "../util/clock.js";
import type { Logger } from "../util/log.js";
import type { Semaphore } from "../util/semaphore.js";
import type { MemoryPool } from "./memoryBytes.js";
import type { ResolvedOptions } from "./options.js";
import type { StagingDirectory } from "./stagingDirectory.js";
import type { BaseVersion, ObjectDescription } from "./types.js";

export interface Counters {
  committed: number;
  failed: number;
  uploadedBytes: number;
  copiedBytes: number;
}

/** `close` is called when the version is not needed any more. */
export interface OpenedBase extends BaseVersion { close?(): void }

/** Reads one version of one object: how unchanged bytes are found after a commit or a rename. */
export type OpenBase = (version: { readonly key: string; readonly etag: string; readonly size: number }) => OpenedBase;

export interface WriteContext {
  readonly store: ObjectStore;
  readonly options: ResolvedOptions;
  readonly directory: StagingDirectory;
  readonly budget: ByteBudget;
  readonly pool: MemoryPool;
  readonly partPool: MemoryPool;
  /** Puts, parts and copies of all files on the wire at once. */
  readonly transfers: Semaphore;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly counters: Counters;
  readonly openBase: OpenBase;
  /** Opens data files. */
  readonly openFile: typeof open;
  /** The description as far as this store can keep it. */
  putOptions(description: ObjectDescription): PutOptions;
}

/** Longest object that this store can be given. */
export function longestObject(store: ObjectStore): number {
  const { upload, maxPutSize } = store.capabilities;
  return upload === false ? maxPutSize : Math.max(maxPutSize, Math.min(upload.maxObjectSize, upload.maxSize * upload.maxParts));
}

/** Bytes of a version straight from the store, where nobody gave a better way. */
export function openFromStore(store: ObjectStore): OpenBase {
  return ({ key, etag, size }) => ({
    etag, size,
    read: async (offset, length, signal) => {
      const pieces: Buffer[] = [];
      for await (const piece of await store.get(key, { start: offset, length }, { ifMatch: etag, signal })) pieces.push(piece);
      return pieces;
    },
  });
}
