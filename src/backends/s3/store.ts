// One bucket as an ObjectStore.

import { abortedError } from "../../store/abort.js";
import { checkConditions, checkKey, checkMetadata, checkTarget } from "../../store/checks.js";
import { isStoreError, StoreError } from "../../store/errors.js";
import type {
  Body, ByteRange, CallOptions, Capabilities, CopyOptions, DeleteOptions, GetOptions, ListPage, ListRequest, Metadata, ObjectInfo, ObjectStore, ObjectStream, PutOptions,
  Upload, Usage, WriteConditions, WriteReceipt,
} from "../../store/objectStore.js";
import { objectStream } from "../../store/objectStream.js";
import type { S3Api } from "./api.js";
import { asPrecondition, conditionHeaders, DEFAULT_TYPE, headObject, headOrNone, infoOf, MAX_SINGLE, MIN_PART, type Bucket, type Findings } from "./bucket.js";
import { digestBody } from "./checksum.js";
import { copyObject, setMetadata } from "./copy.js";
import { BulkDelete } from "./deleteMany.js";
import { notS3, transportError } from "./errors.js";
import { Lister } from "./list.js";
import { metadataHeaders } from "./metadata.js";
import { fitsXml, unquote } from "./parse.js";
import { beginUpload, S3Upload } from "./upload.js";

/** Of names and values together: Amazon's limit, and that of a server which ends values at 256 bytes. */
const MAX_METADATA = 2048;
const SHORT_METADATA = 256;
const MAX_OBJECT = 50e12;

export function capabilitiesOf(api: S3Api, name: string, findings: Findings): Capabilities {
  const { config } = api;
  const own = config.checksum === "crc32c" || config.checksum === "crc64nvme" ? [config.checksum] : [];
  return Object.freeze<Capabilities>({
    list: "delimiter", listOrdered: true, listMetadata: false,
    conditionalPut: findings.put, conditionalComplete: findings.complete, conditionalGet: true, conditionalDelete: findings.delete,
    maxPutSize: MAX_SINGLE,
    upload: Object.freeze({ minSize: MIN_PART, maxSize: MAX_SINGLE, maxParts: 10_000, maxObjectSize: MAX_OBJECT, equalSizes: config.equalParts }),
    resume: true,
    copyPart: config.equalParts ? false : Object.freeze({ minSize: MIN_PART }),
    copy: Object.freeze({ maxSize: MAX_SINGLE }),
    rename: "none", append: false, truncate: false, immutable: false,
    metadata: Object.freeze({ maxBytes: findings.longMetadata ? MAX_METADATA : SHORT_METADATA, update: "copy" as const }),
    ttl: false,
    checksums: Object.freeze(["md5" as const, ...(api.signsPayload(name) ? ["sha256" as const] : []), ...own]),
    containers: true, usage: false,
    presign: Object.keys(config.keyHeaders).length === 0,
    versions: false, maxKeyBytes: 1024,
  });
}

export class S3Store implements ObjectStore {
  readonly label: string;
  readonly capabilities: Capabilities;
  readonly #bucket: Bucket;
  readonly #lister: Lister;
  readonly #bulk: BulkDelete;
  readonly #closing = new AbortController();

  constructor(api: S3Api, name: string, findings: Findings, lister: Lister = new Lister(api, name)) {
    const { checksum } = api.config;
    this.label = `s3://${name}`;
    this.capabilities = capabilitiesOf(api, name, findings);
    this.#bucket = {
      api, name, findings, capabilities: this.capabilities,
      // The signature's own SHA-256 is a checksum that every server verifies.
      checksum: checksum === "none" ? undefined : checksum !== "auto" ? checksum : api.signsPayload(name) ? undefined : findings.crc32 ? "crc32" : "md5",
    };
    this.#lister = lister;
    this.#bulk = new BulkDelete(api, name, (key, signal) => this.#delete(key, {}, signal));
  }

  async head(key: string, options: CallOptions = {}): Promise<ObjectInfo> {
    this.#check(key);
    return (await headObject(this.#bucket, key, this.#signal(options))).info;
  }

  async list(request: ListRequest): Promise<ListPage> {
    return this.#lister.list({ ...request, signal: this.#signal(request) });
  }

  async get(key: string, range?: ByteRange, options: GetOptions = {}): Promise<ObjectStream> {
    this.#check(key);
    if (range !== undefined && !(Number.isSafeInteger(range.start) && range.start >= 0 && Number.isSafeInteger(range.length) && range.length >= 1)) {
      throw new StoreError("invalid", `not a range: ${range.length} bytes from ${range.start}`, { key });
    }
    const { api, name } = this.#bucket;
    const signal = this.#signal(options);
    const response = await api.send({
      method: "GET", bucket: name, key, signal,
      headers: {
        ...api.config.keyHeaders,
        ...(range === undefined ? {} : { range: `bytes=${range.start}-${range.start + range.length - 1}` }),
        ...(options.ifMatch === undefined ? {} : { "if-match": `"${options.ifMatch}"` }),
      },
    });
    const { headers, body } = response;
    const subject = api.subject({ bucket: name, key });
    try {
      const { start, length, size } = extent(response.status, headers, range) ?? fail(notS3(subject, "a body without its length or its range"));
      const info = infoOf(this.#bucket, key, headers, size);
      if (options.ifMatch !== undefined && info.etag !== options.ifMatch) {
        throw new StoreError("precondition", `${subject.label}: the object is not the version that was expected`, { key });
      }
      if (range !== undefined && start !== range.start) throw new StoreError("unsupported", `${subject.label}: ${subject.host} does not give parts of objects (it ignores Range)`, { key });
      if (range !== undefined && length > range.length) throw notS3(subject, "more bytes than were asked for");
      const failed = (error: unknown): never => { throw transportError(error, subject); };
      return objectStream({
        info, start, length, signal,
        open: () => {
          const iterator = body[Symbol.asyncIterator]();
          return { [Symbol.asyncIterator]: () => ({ next: () => iterator.next().catch(failed), return: () => iterator.return?.() ?? Promise.resolve({ done: true as const, value: undefined }) }) };
        },
        free: () => body.cancel(),
      });
    } catch (error) {
      body.cancel();
      throw error;
    }
  }

  async put(key: string, body: Body, options: PutOptions = {}): Promise<WriteReceipt> {
    this.#check(key, options);
    if (body.length > MAX_SINGLE) throw new StoreError("invalid", `${body.length} bytes, a single PUT takes ${MAX_SINGLE}`, { key });
    const { api, name, findings, checksum } = this.#bucket;
    const signal = this.#signal(options);
    const condition = await conditionHeaders(this.#bucket, key, options, findings.put, signal);
    try {
      const { headers, status } = await api.head({
        method: "PUT", bucket: name, key, body, checksum, signal,
        headers: { "content-type": options.contentType ?? DEFAULT_TYPE, ...metadataHeaders(options.metadata, findings.underscores), ...api.config.createHeaders, ...api.config.keyHeaders, ...condition },
      });
      const etag = unquote(headers["etag"]);
      if (etag === "") {
        // Taken, and replaced at once by a later write (Swift's 202). Its tag would have been the data's MD5.
        if (status !== 202 && headers["x-amz-request-id"] === undefined) throw notS3(api.subject({ bucket: name, key }), "no entity tag");
        const sum = (await digestBody(body, ["md5"], signal, key)).get("md5") as Buffer;
        return { etag: sum.toString("hex"), size: body.length };
      }
      const version = headers["x-amz-version-id"];
      return { etag, size: body.length, ...(version === undefined || version === "null" ? {} : { version }) };
    } catch (error) {
      if (Object.keys(condition).length > 0 && isStoreError(error, "unavailable") && error.status !== undefined) await this.#lost(key, body, options, signal);
      throw asPrecondition(error, options);
    }
  }

  /** One server fails inside for whoever comes second in a race of conditional writes: `precondition` where that is plain to see. */
  async #lost(key: string, body: Body, conditions: WriteConditions, signal: AbortSignal | undefined): Promise<void> {
    const target = await headOrNone(this.#bucket, key, signal);
    if (target === undefined) return;
    const own = (await digestBody(body, ["md5"], signal, key)).get("md5")?.toString("hex");
    if (target.etag !== own) checkTarget(target, conditions, key);
  }

  async copy(from: string, to: string, options: CopyOptions = {}): Promise<WriteReceipt> {
    this.#check(from);
    this.#check(to, options);
    return copyObject(this.#bucket, from, to, { ...options, signal: this.#signal(options) });
  }

  async delete(key: string, options: DeleteOptions = {}): Promise<void> {
    this.#check(key);
    return this.#delete(key, options, this.#signal(options));
  }

  async deleteMany(keys: readonly string[], options: CallOptions = {}): Promise<{ readonly key: string; readonly error: unknown }[]> {
    const signal = this.#signal(options);
    const refused: { readonly key: string; readonly error: unknown }[] = [];
    const good = keys.filter((key) => {
      try {
        this.#check(key);
        return true;
      } catch (error) {
        refused.push({ key, error });
        return false;
      }
    });
    return [...refused, ...await this.#bulk.run(good, signal)];
  }

  async setMetadata(key: string, metadata: Metadata,
    options: CallOptions & { readonly ifMatch?: string | undefined; readonly contentType?: string | undefined } = {}): Promise<WriteReceipt> {
    this.#check(key, { metadata, contentType: options.contentType });
    return setMetadata(this.#bucket, key, metadata, { ...options, signal: this.#signal(options) });
  }

  async rename(from: string): Promise<void> {
    throw new StoreError("unsupported", "S3 has no rename: objects are copied and deleted", { key: from });
  }

  async beginUpload(key: string, options: PutOptions = {}): Promise<Upload> {
    this.#check(key, options);
    return beginUpload(this.#bucket, key, { ...options, signal: this.#signal(options) });
  }

  async resumeUpload(key: string, id: string, options: PutOptions = {}): Promise<Upload> {
    this.#check(key, options);
    this.#signal(options);
    return new S3Upload(this.#bucket, key, id, true);
  }

  async usage(): Promise<Usage> {
    throw new StoreError("unsupported", "S3 does not tell what a bucket holds");
  }

  async presign(key: string, seconds: number): Promise<string> {
    this.#check(key);
    if (!this.capabilities.presign) throw new StoreError("unsupported", "an object under a key of one's own has no URL for others", { key });
    if (!(seconds >= 1 && seconds <= 604_800)) throw new StoreError("invalid", "a presigned URL is valid for one second to seven days", { key });
    return this.#bucket.api.presign(this.#bucket.name, key, Math.floor(seconds));
  }

  close(): Promise<void> {
    this.#closing.abort(new Error("the store is closed"));
    return Promise.resolve();
  }

  async #delete(key: string, options: DeleteOptions, signal: AbortSignal | undefined): Promise<void> {
    const { api, name, findings } = this.#bucket;
    const condition = options.ifMatch === undefined ? {}
      : findings.delete ? { "if-match": `"${options.ifMatch}"` }
      : await conditionHeaders(this.#bucket, key, { ifMatch: options.ifMatch }, "none", signal);
    try {
      await api.head({ method: "DELETE", bucket: name, key, signal, headers: condition });
    } catch (error) {
      // Missing is what was wanted.
      if (!isStoreError(error, "not-found")) throw error;
    }
  }

  #check(key: string, options?: PutOptions): void {
    checkKey(key, this.capabilities.maxKeyBytes);
    // Another object would be read, replaced or deleted instead.
    if (!this.#bucket.findings.rawPaths && /(?:^|\/)(?:\.{1,2}(?:\/|$)|\/)/.test(key)) {
      throw new StoreError("invalid", `${this.label}: this server takes the key for another one (it cleans up "//", "." and ".." in paths)`, { key });
    }
    if (!this.#lister.encodes && !fitsXml(key)) {
      throw new StoreError("invalid", `${this.label}: this server cannot list a key with control characters`, { key });
    }
    if (options === undefined) return;
    checkConditions(options, key);
    checkMetadata(options.metadata, this.capabilities.metadata, key);
    if (options.contentType !== undefined && !/^[\x20-\x7e]+$/.test(options.contentType)) {
      throw new StoreError("invalid", "the content type is not printable ASCII", { key });
    }
  }

  /** The caller's signal, and the closing of the store. */
  #signal(options: CallOptions): AbortSignal | undefined {
    if (this.#closing.signal.aborted) throw abortedError(this.#closing.signal);
    return options.signal;
  }
}

function fail(error: StoreError): never {
  throw error;
}

/** Which bytes an answer to GET carries, of how many; undefined when it does not say. */
function extent(status: number, headers: Readonly<Record<string, string>>, range: ByteRange | undefined): { start: number; length: number; size: number } | undefined {
  if (status === 206 && range !== undefined) {
    const found = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(headers["content-range"] ?? "");
    if (found === null) return undefined;
    const [start, end, size] = found.slice(1).map(Number) as [number, number, number];
    return end < start || end >= size ? undefined : { start, length: end - start + 1, size };
  }
  const length = Number(headers["content-length"] ?? Number.NaN);
  return status === 200 && Number.isSafeInteger(length) ? { start: 0, length, size: length } : undefined;
}
