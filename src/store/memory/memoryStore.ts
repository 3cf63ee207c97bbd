// An object store in memory: the contract at its plainest, for tests and for trying things out. Several MemoryStores on one
// MemoryContainer are several clients of one service.

import { throwIfAborted } from "../abort.js";
import { collectBody } from "../body.js";
import { checkConditions, checkKey, checkMetadata, checkTarget, cutRange, preconditionError } from "../checks.js";
import { StoreError } from "../errors.js";
import { objectStream } from "../objectStream.js";
import type {
  Body, ByteRange, CallOptions, Capabilities, CopyOptions, DeleteOptions, GetOptions, ListPage, ListRequest, Metadata, ObjectInfo,
  ObjectStore, ObjectStream, PutOptions, Upload, Usage, WriteConditions, WriteReceipt,
} from "../objectStore.js";
import { MemoryContainer, type MemoryObject, type MemoryOptions } from "./memoryContainer.js";
import { pageOf } from "./memoryListing.js";
import { beginMemoryUpload, MemoryUploadHandle } from "./memoryUpload.js";

/** How a store finds the other containers of its service, for copies between them. */
export type FindContainer = (name: string) => MemoryContainer | undefined;

export class MemoryStore implements ObjectStore {
  readonly label: string;
  readonly capabilities: Capabilities;
  readonly #container: MemoryContainer;
  readonly #find: FindContainer;
  #closed = false;

  /** Given options: a container of its own. Given a container: one more store on it. */
  constructor(on: MemoryOptions | MemoryContainer = {}, find: FindContainer = () => undefined) {
    this.#container = on instanceof MemoryContainer ? on : new MemoryContainer("memory", on);
    this.#find = find;
    this.label = `memory://${this.#container.name}`;
    this.capabilities = this.#container.capabilities;
  }

  /** What the store stands on, to open a second one on it. */
  get container(): MemoryContainer { return this.#container; }

  async head(key: string, options?: CallOptions): Promise<ObjectInfo> {
    await this.#start(options?.signal, key);
    return infoOf(key, this.#require(key), true);
  }

  async list(request: ListRequest): Promise<ListPage> {
    await this.#start(request.signal);
    const { list, listOrdered, listMetadata } = this.capabilities;
    if (list === "none") throw new StoreError("unsupported", "this store cannot list");
    if (request.delimiter !== undefined && list !== "delimiter") throw new StoreError("unsupported", "this store lists without a delimiter only");
    if (request.after !== undefined) {
      if (!listOrdered) throw new StoreError("unsupported", "this store's listings have no order to start from");
      if (request.delimiter !== undefined || request.cursor !== undefined) {
        throw new StoreError("invalid", "after goes with neither a delimiter nor a cursor");
      }
    }
    const { pageSize = 1000, emptyPages = false } = this.#container.options;
    const page = pageOf(this.#container.keys, request, { pageSize, emptyPages, scrambled: !listOrdered });
    return { objects: page.keys.map((key) => infoOf(key, this.#require(key), listMetadata)), prefixes: page.prefixes, next: page.next };
  }

  async get(key: string, range?: ByteRange, options?: GetOptions): Promise<ObjectStream> {
    await this.#start(options?.signal, key);
    const object = this.#require(key);
    if (options?.ifMatch !== undefined && this.capabilities.conditionalGet && object.etag !== options.ifMatch) throw preconditionError(key);
    const { start, length } = cutRange(range, object.bytes.length, key);
    // Replaced or deleted meanwhile: these bytes stay what they were.
    return objectStream({ info: infoOf(key, object, true), start, length, signal: options?.signal, open: () => this.#chunks(object.bytes, start, length) });
  }

  async *#chunks(bytes: Buffer, start: number, length: number): AsyncGenerator<Buffer> {
    const step = this.#container.options.chunkSize ?? 64 * 1024;
    for (let at = start; at < start + length; at += step) {
      this.#open();
      // A copy: what is handed out belongs to the receiver.
      yield Buffer.from(bytes.subarray(at, Math.min(at + step, start + length)));
    }
  }

  async put(key: string, body: Body, options?: PutOptions): Promise<WriteReceipt> {
    await this.#start(options?.signal, key);
    this.#checkPut(key, options);
    if (body.length > this.capabilities.maxPutSize) {
      throw new StoreError("invalid", `${body.length} bytes in one put, the store takes ${this.capabilities.maxPutSize}`, { key });
    }
    this.#checkEarly(key, options, this.capabilities.conditionalPut);
    const bytes = await collectBody(body, options?.signal, key);
    this.#open(key);
    this.#checkLate(key, options, this.capabilities.conditionalPut);
    return this.#container.set(key, bytes, { metadata: { ...options?.metadata }, contentType: options?.contentType, expires: options?.expires });
  }

  async copy(from: string, to: string, options?: CopyOptions): Promise<WriteReceipt> {
    const { copy, conditionalPut, metadata } = this.capabilities;
    await this.#start(options?.signal, to);
    if (copy === false) throw new StoreError("unsupported", "this store cannot copy", { key: to });
    this.#checkPut(to, options);
    const source = this.#source(from, options);
    if (source.bytes.length > copy.maxSize) {
      throw new StoreError("invalid", `${source.bytes.length} bytes in one copy, the store takes ${copy.maxSize}`, { key: from });
    }
    this.#checkEarly(to, options, conditionalPut);
    await Promise.resolve();
    this.#checkLate(to, options, conditionalPut);
    return this.#container.set(to, source.bytes, {
      metadata: metadata === false ? {} : { ...options?.metadata ?? source.metadata },
      contentType: options?.contentType ?? source.contentType, expires: source.expires,
    });
  }

  #source(key: string, options: Pick<CopyOptions, "fromContainer" | "sourceIfMatch"> | undefined): MemoryObject {
    const name = options?.fromContainer;
    const container = name === undefined || name === this.#container.name ? this.#container : this.#find(name);
    if (container === undefined) throw new StoreError("no-container", `there is no container ${name}`, { key });
    const source = container.get(key);
    if (source === undefined) throw new StoreError("not-found", "the object to copy is not there", { key });
    if (options?.sourceIfMatch !== undefined && source.etag !== options.sourceIfMatch) throw preconditionError(key);
    return source;
  }

  async delete(key: string, options?: DeleteOptions): Promise<void> {
    await this.#start(options?.signal, key);
    if (this.capabilities.immutable) throw new StoreError("unsupported", "objects of this store cannot be deleted", { key });
    const target = this.#container.get(key);
    if (target === undefined) return;
    if (options?.ifMatch !== undefined) checkTarget(target, { ifMatch: options.ifMatch }, key);
    this.#container.delete(key);
  }

  async deleteMany(keys: readonly string[], options?: CallOptions): Promise<{ readonly key: string; readonly error: unknown }[]> {
    await this.#start(options?.signal);
    const failed: { readonly key: string; readonly error: unknown }[] = [];
    for (const key of keys) {
      await this.delete(key, options).catch((error: unknown) => { failed.push({ key, error }); });
      throwIfAborted(options?.signal, key);
    }
    return failed;
  }

  async setMetadata(key: string, metadata: Metadata,
    options?: CallOptions & { readonly ifMatch?: string | undefined; readonly contentType?: string | undefined }): Promise<WriteReceipt> {
    await this.#start(options?.signal, key);
    const limit = this.capabilities.metadata;
    if (limit === false || limit.update === "none") throw new StoreError("unsupported", "this store cannot change metadata", { key });
    checkMetadata(metadata, limit, key);
    const object = this.#require(key);
    if (options?.ifMatch !== undefined) checkTarget(object, { ifMatch: options.ifMatch }, key);
    return this.#container.set(key, object.bytes, { metadata: { ...metadata }, contentType: options?.contentType ?? object.contentType, expires: object.expires },
      object.etag);
  }

  async rename(from: string, to: string, options?: CallOptions & WriteConditions): Promise<void> {
    await this.#start(options?.signal, to);
    if (this.capabilities.rename === "none") throw new StoreError("unsupported", "this store cannot rename", { key: from });
    checkKey(to, this.capabilities.maxKeyBytes);
    checkConditions(options, to);
    const object = this.#require(from);
    checkTarget(this.#container.get(to), options, to);
    if (from === to) return;
    this.#container.set(to, object.bytes, object, object.etag);
    this.#container.delete(from);
  }

  async beginUpload(key: string, options?: PutOptions): Promise<Upload> {
    await this.#start(options?.signal, key);
    this.#checkPut(key, options);
    return new MemoryUploadHandle(this.#container, beginMemoryUpload(this.#container, key, options), key, this.#within());
  }

  async resumeUpload(key: string, id: string, options?: PutOptions): Promise<Upload> {
    await this.#start(options?.signal, key);
    if (!this.capabilities.resume) throw new StoreError("unsupported", "this store cannot resume an upload", { key });
    const upload = this.#container.uploads.get(id);
    if (upload?.key !== key) throw new StoreError("not-found", "there is no such upload", { key });
    return new MemoryUploadHandle(this.#container, id, key, this.#within());
  }

  #within(): ConstructorParameters<typeof MemoryUploadHandle>[3] {
    return {
      start: (signal, key) => this.#start(signal, key),
      source: (key, options) => this.#source(key, options),
      early: (key, conditions) => this.#checkEarly(key, conditions, this.capabilities.conditionalComplete),
      late: (key, conditions) => this.#checkLate(key, conditions, this.capabilities.conditionalComplete),
    };
  }

  async usage(options?: CallOptions): Promise<Usage> {
    await this.#start(options?.signal);
    if (!this.capabilities.usage) throw new StoreError("unsupported", "this store does not tell its usage");
    return { usedBytes: this.#container.bytes, objects: this.#container.size, quotaBytes: this.#container.options.quotaBytes };
  }

  async presign(key: string, seconds: number): Promise<string> {
    await this.#start(undefined, key);
    if (!this.capabilities.presign) throw new StoreError("unsupported", "this store has no URLs to give away", { key });
    // For whoever tests what happens to the URL, not what it leads to.
    return `memory://${this.#container.name}/${encodeURIComponent(key)}?seconds=${seconds}`;
  }

  close(): Promise<void> {
    this.#closed = true;
    return Promise.resolve();
  }

  #open(key?: string): void {
    if (this.#closed) throw new StoreError("aborted", "the store is closed", { key });
    if (this.#container.deleted) throw new StoreError("no-container", `there is no container ${this.#container.name}`, { key });
  }

  /** Every call takes a turn of the loop, so that callers meet the interleavings of a real store. */
  async #start(signal: AbortSignal | undefined, key?: string): Promise<void> {
    throwIfAborted(signal, key);
    this.#open(key);
    if (key !== undefined) checkKey(key, this.capabilities.maxKeyBytes);
    await new Promise<void>(setImmediate);
    throwIfAborted(signal, key);
    this.#open(key);
  }

  #require(key: string): MemoryObject {
    const object = this.#container.get(key);
    if (object === undefined) throw new StoreError("not-found", "there is no such object", { key });
    return object;
  }

  #checkPut(key: string, options: PutOptions | undefined): void {
    checkConditions(options, key);
    checkMetadata(options?.metadata, this.capabilities.metadata, key);
    if (options?.expires !== undefined && !this.capabilities.ttl) throw new StoreError("unsupported", "objects of this store do not expire", { key });
  }

  // A service that does not enforce a condition gets a look just before the write instead, with the gap that leaves.
  #checkEarly(key: string, conditions: WriteConditions | undefined, enforced: Capabilities["conditionalPut"]): void {
    if (!enforces(enforced, conditions)) checkTarget(this.#container.get(key), conditions, key);
  }

  #checkLate(key: string, conditions: WriteConditions | undefined, enforced: Capabilities["conditionalPut"]): void {
    if (enforces(enforced, conditions)) checkTarget(this.#container.get(key), conditions, key);
  }
}

function enforces(enforced: Capabilities["conditionalPut"], conditions: WriteConditions | undefined): boolean {
  return enforced === "swap" || (enforced === "create" && conditions?.ifNoneMatch !== undefined);
}

function infoOf(key: string, object: MemoryObject, whole: boolean): ObjectInfo {
  const { etag, lastModified, version, expires, contentType } = object;
  const info: ObjectInfo = { key, size: object.bytes.length, etag, lastModified, version, expires };
  return whole ? { ...info, metadata: { ...object.metadata }, contentType } : info;
}

