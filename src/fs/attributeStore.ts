// Remembered metadata of objects, for listings that carry none: by key, valid for exactly the version that a listing shows.

import { LRUCache } from "lru-cache";
import type { Metadata, ObjectInfo } from "../store/objectStore.js";
import { metadataBytes } from "./metadata.js";

/** `lastModified` undefined: written by this mount and not yet seen; the first sight of the version fills it in. */
export interface Remembered {
  readonly etag: string;
  readonly size: number;
  lastModified: number | undefined;
  readonly metadata: Metadata;
  readonly contentType: string | undefined;
}

/** Told of every change; a log that survives the mount. */
export interface AttributeSink {
  put(key: string, record: Remembered): void;
  drop(key: string): void;
}

const RECORD_OVERHEAD = 200;

export class AttributeStore {
  readonly #records: LRUCache<string, Remembered>;
  #sink: AttributeSink | undefined;

  constructor(maxBytes: number) {
    this.#records = new LRUCache({
      maxSize: Math.max(1, maxBytes),
      sizeCalculation: (record, key) => RECORD_OVERHEAD + 2 * key.length + metadataBytes(record.metadata),
    });
  }

  attach(sink: AttributeSink | undefined): void { this.#sink = sink; }
  get bytes(): number { return this.#records.calculatedSize; }
  entries(): IterableIterator<[string, Remembered]> { return this.#records.rentries() as IterableIterator<[string, Remembered]>; }

  /** `info.metadata` must be present. `seen`: `info.lastModified` is the store's own. */
  remember(info: ObjectInfo, seen: boolean): void {
    if (info.metadata === undefined) return;
    const lastModified = seen ? info.lastModified : undefined;
    const old = this.#records.peek(info.key);
    if (old !== undefined && old.etag === info.etag && old.metadata === info.metadata && sameSecond(old.lastModified, lastModified)) return;
    const record: Remembered = { etag: info.etag, size: info.size, lastModified, metadata: info.metadata, contentType: info.contentType };
    this.#records.set(info.key, record);
    this.#sink?.put(info.key, record);
  }

  /** From a log, without telling it again. What was learnt in the meantime is newer. */
  restore(records: ReadonlyMap<string, Remembered>): void {
    for (const [key, record] of records) if (!this.#records.has(key)) this.#records.set(key, record);
  }

  forget(key: string): void {
    if (this.#records.delete(key)) this.#sink?.drop(key);
  }

  /**
   * The listed version with its metadata, if that is known. Etag and size must agree, and the time too (to the second): a metadata
   * update at the store may keep the etag, but never the time.
   */
  complete(info: ObjectInfo): ObjectInfo | undefined {
    if (info.metadata !== undefined) return info;
    const record = this.#records.get(info.key);
    if (record === undefined || record.etag !== info.etag || record.size !== info.size) return undefined;
    if (record.lastModified !== undefined && !sameSecond(record.lastModified, info.lastModified)) return undefined;
    if (record.lastModified === undefined) {
      record.lastModified = info.lastModified;
      this.#sink?.put(info.key, record);
    }
    return { ...info, metadata: record.metadata, contentType: info.contentType ?? record.contentType };
  }
}

function sameSecond(a: number | undefined, b: number | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return Math.floor(a / 1000) === Math.floor(b / 1000);
}
