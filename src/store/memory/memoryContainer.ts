// What a memory container holds, shared by all stores opened on it. Every change here is one synchronous step, which
// is what makes a write visible whole or not at all.

import { createHash, randomUUID } from "node:crypto";
import { systemClock, type Clock } from "../../util/clock.js";
import { StoreError } from "../errors.js";
import type { Capabilities, Metadata, PartReceipt, PutOptions, WriteReceipt } from "../objectStore.js";
import { lowerBound } from "./memoryListing.js";

export interface MemoryOptions {
  /** Overrides of `MEMORY_CAPABILITIES`; the store then behaves as they say (no conditions, flat listings, small parts, ...). */
  readonly capabilities?: Partial<Capabilities> | undefined;
  /** Longest page of a listing, 1000. */
  readonly pageSize?: number | undefined;
  /** Put an empty, not last page before every page but the first. */
  readonly emptyPages?: boolean | undefined;
  /** Bytes per Buffer of a `get`, 64 KiB. */
  readonly chunkSize?: number | undefined;
  /**
   * `md5` (as S3: equal bytes have equal etags, whoever wrote them, and the etag outlives a change of metadata) or `unique`
   * (as services with generations: every write has a new one).
   */
  readonly etags?: "md5" | "unique" | undefined;
  /** `lastModified` is rounded down to this many milliseconds, 1. */
  readonly timeGranularity?: number | undefined;
  /** Writes beyond it are `quota`. */
  readonly quotaBytes?: number | undefined;
  readonly clock?: Clock | undefined;
}

export interface MemoryObject {
  readonly bytes: Buffer;
  readonly etag: string;
  readonly lastModified: number;
  readonly metadata: Metadata;
  readonly contentType: string | undefined;
  readonly version: string | undefined;
  readonly expires: number | undefined;
}

export interface MemoryPart {
  readonly receipt: PartReceipt;
  readonly bytes: Buffer;
}

export interface MemoryUpload {
  readonly key: string;
  readonly options: PutOptions;
  readonly parts: Map<number, MemoryPart>;
  /** After `complete`: what it made. The parts are gone, the answer can be given again. */
  receipt?: WriteReceipt;
}

export const MEMORY_CAPABILITIES: Capabilities = Object.freeze({
  list: "delimiter", listOrdered: true, listMetadata: true,
  conditionalPut: "swap", conditionalComplete: "swap", conditionalGet: true, conditionalDelete: true,
  maxPutSize: 1 << 30,
  upload: Object.freeze({ minSize: 1, maxSize: 1 << 30, maxParts: 10_000, maxObjectSize: 1 << 30, equalSizes: false }),
  resume: true, copyPart: Object.freeze({ minSize: 1 }), copy: Object.freeze({ maxSize: 1 << 30 }),
  rename: "none", append: false, truncate: false, immutable: false,
  metadata: Object.freeze({ maxBytes: 8192, update: "in-place" }),
  ttl: false, checksums: Object.freeze([]), containers: true, usage: true, presign: false, versions: false, maxKeyBytes: 1024,
});

export class MemoryContainer {
  readonly name: string;
  readonly created: number;
  readonly capabilities: Capabilities;
  readonly options: MemoryOptions;
  readonly clock: Clock;
  readonly uploads = new Map<string, MemoryUpload>();
  /** Set by deleteContainer: stores that are still open on it answer `no-container`. */
  deleted = false;
  readonly #objects = new Map<string, MemoryObject>();
  /** The keys of `#objects` in UTF-8 byte order. */
  readonly #keys: string[] = [];
  #bytes = 0;
  #count = 0;

  constructor(name: string, options: MemoryOptions = {}) {
    this.name = name;
    this.options = options;
    this.clock = options.clock ?? systemClock;
    this.created = this.clock.now();
    this.capabilities = Object.freeze({ ...MEMORY_CAPABILITIES, ...options.capabilities });
  }

  get keys(): readonly string[] {
    this.#expire();
    return this.#keys;
  }

  get size(): number { return this.keys.length; }
  get bytes(): number { return this.#bytes; }

  get(key: string): MemoryObject | undefined {
    const found = this.#objects.get(key);
    if (found?.expires === undefined || found.expires > this.clock.now()) return found;
    this.delete(key);
    return undefined;
  }

  /** Makes `bytes`, which are the container's from now on, the object. */
  set(key: string, bytes: Buffer, facts: Pick<MemoryObject, "metadata" | "contentType" | "expires">, etag?: string): WriteReceipt {
    const before = this.get(key);
    if (this.capabilities.immutable && before !== undefined) throw new StoreError("exists", "objects of this store cannot be replaced", { key });
    const total = this.#bytes - (before?.bytes.length ?? 0) + bytes.length;
    if (total > (this.options.quotaBytes ?? Infinity)) throw new StoreError("quota", "the container's quota is used up", { key });
    const granularity = this.options.timeGranularity ?? 1;
    const made: MemoryObject = {
      bytes, ...facts,
      etag: this.options.etags === "unique" ? `${++this.#count}-${randomUUID()}` : etag ?? md5(bytes),
      lastModified: Math.floor(this.clock.now() / granularity) * granularity,
      version: this.capabilities.versions ? randomUUID() : undefined,
    };
    if (before === undefined) this.#keys.splice(lowerBound(this.#keys, key), 0, key);
    this.#objects.set(key, made);
    this.#bytes = total;
    return receiptOf(made);
  }

  delete(key: string): void {
    const before = this.#objects.get(key);
    if (before === undefined) return;
    this.#objects.delete(key);
    this.#keys.splice(lowerBound(this.#keys, key), 1);
    this.#bytes -= before.bytes.length;
  }

  #expire(): void {
    if (!this.capabilities.ttl) return;
    for (const key of this.#keys.slice()) this.get(key);
  }
}

export function receiptOf(object: MemoryObject): WriteReceipt {
  return { etag: object.etag, size: object.bytes.length, lastModified: object.lastModified, version: object.version };
}

export function md5(bytes: Buffer): string {
  return createHash("md5").update(bytes).digest("hex");
}
