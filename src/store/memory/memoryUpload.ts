// Staged uploads of the memory store.

import { createHash, randomUUID } from "node:crypto";
import { collectBody } from "../body.js";
import { checkConditions, checkPart, checkParts, cutRange } from "../checks.js";
import { StoreError } from "../errors.js";
import type { Body, ByteRange, CallOptions, CopyOptions, PartLimits, PartReceipt, PutOptions, Upload, WriteConditions, WriteReceipt } from "../objectStore.js";
import { md5, type MemoryContainer, type MemoryObject, type MemoryPart, type MemoryUpload } from "./memoryContainer.js";

/** What the store an upload was begun on lends it. */
interface Within {
  start(signal: AbortSignal | undefined, key: string): Promise<void>;
  source(key: string, options: Pick<CopyOptions, "fromContainer" | "sourceIfMatch"> | undefined): MemoryObject;
  early(key: string, conditions: WriteConditions | undefined): void;
  late(key: string, conditions: WriteConditions | undefined): void;
}

export function beginMemoryUpload(container: MemoryContainer, key: string, options: PutOptions = {}): string {
  limitsOf(container, key);
  const id = randomUUID();
  container.uploads.set(id, { key, options, parts: new Map() });
  return id;
}

function limitsOf(container: MemoryContainer, key: string): PartLimits {
  const limits = container.capabilities.upload;
  if (limits === false) throw new StoreError("unsupported", "this store has no uploads by parts", { key });
  return limits;
}

export class MemoryUploadHandle implements Upload {
  readonly key: string;
  readonly id: string;
  readonly #container: MemoryContainer;
  readonly #within: Within;

  constructor(container: MemoryContainer, id: string, key: string, within: Within) {
    this.#container = container;
    this.id = id;
    this.key = key;
    this.#within = within;
  }

  async putPart(number: number, offset: number, last: boolean, body: Body, options?: CallOptions): Promise<PartReceipt> {
    await this.#within.start(options?.signal, this.key);
    this.#unfinished();
    checkPart(limitsOf(this.#container, this.key), number, offset, body.length, last, this.key);
    return this.#keep(number, offset, await collectBody(body, options?.signal, this.key));
  }

  async copyPart(number: number, offset: number, from: string, range: ByteRange,
    options?: CallOptions & { readonly sourceIfMatch?: string | undefined; readonly fromContainer?: string | undefined }): Promise<PartReceipt> {
    await this.#within.start(options?.signal, this.key);
    if (this.#container.capabilities.copyPart === false) throw new StoreError("unsupported", "this store cannot copy parts", { key: this.key });
    this.#unfinished();
    const source = this.#within.source(from, options);
    const { start, length } = cutRange(range, source.bytes.length, from);
    if (length < range.length) throw new StoreError("range", `the range ends at ${start + range.length}, the object has ${source.bytes.length} bytes`, { key: from });
    // Whether it is the last, and may be short, is known at the end.
    checkPart(limitsOf(this.#container, this.key), number, offset, length, true, this.key);
    return this.#keep(number, offset, source.bytes.subarray(start, start + length));
  }

  #keep(number: number, offset: number, bytes: Buffer): PartReceipt {
    const upload = this.#unfinished();
    const receipt: PartReceipt = { number, offset, size: bytes.length, etag: md5(bytes) };
    upload.parts.set(number, { receipt, bytes });
    return receipt;
  }

  async parts(options?: CallOptions): Promise<PartReceipt[]> {
    await this.#within.start(options?.signal, this.key);
    if (!this.#container.capabilities.resume) throw new StoreError("unsupported", "this store does not tell its parts", { key: this.key });
    return [...this.#unfinished().parts.values()].map((part) => part.receipt).sort((a, b) => a.number - b.number);
  }

  async complete(parts: readonly PartReceipt[], conditions?: WriteConditions & CallOptions): Promise<WriteReceipt> {
    const { key } = this;
    await this.#within.start(conditions?.signal, key);
    checkConditions(conditions, key);
    const again = this.#container.uploads.get(this.id)?.receipt;
    if (again !== undefined && this.#container.get(key)?.etag === again.etag) return again;
    const upload = this.#unfinished();
    checkParts(limitsOf(this.#container, key), parts, key);
    const pieces = parts.map((part) => this.#part(upload, part).bytes);
    this.#within.early(key, conditions);
    await Promise.resolve();
    this.#within.late(key, conditions);
    const { metadata = {}, contentType, expires } = upload.options;
    const receipt = this.#container.set(key, Buffer.concat(pieces), { metadata: { ...metadata }, contentType, expires }, etagOfParts(parts));
    upload.receipt = receipt;
    upload.parts.clear();
    return receipt;
  }

  async abort(options?: CallOptions): Promise<void> {
    await this.#within.start(options?.signal, this.key);
    this.#container.uploads.delete(this.id);
  }

  #part(upload: MemoryUpload, part: PartReceipt): MemoryPart {
    const kept = upload.parts.get(part.number);
    if (kept?.receipt.etag === part.etag && kept.receipt.size === part.size) return kept;
    throw new StoreError("invalid", `part ${part.number} is not the one that was sent`, { key: this.key });
  }

  #unfinished(): MemoryUpload {
    const upload = this.#container.uploads.get(this.id);
    if (upload === undefined || upload.receipt !== undefined) throw new StoreError("not-found", "there is no such upload", { key: this.key });
    return upload;
  }
}

/** As S3: the hash of the parts' hashes, and how many. */
function etagOfParts(parts: readonly PartReceipt[]): string {
  const hash = createHash("md5");
  for (const part of parts) hash.update(Buffer.from(part.etag, "hex"));
  return `${hash.digest("hex")}-${parts.length}`;
}
