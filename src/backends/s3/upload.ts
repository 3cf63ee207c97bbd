// Multipart uploads.

import { createHash } from "node:crypto";
import { HttpError } from "../../http/errors.js";
import { checkConditions, checkPart, checkParts } from "../../store/checks.js";
import { isStoreError, StoreError } from "../../store/errors.js";
import { bodyOf } from "../../store/body.js";
import type { Body, ByteRange, CallOptions, ObjectInfo, PartLimits, PartReceipt, PutOptions, Upload, WriteConditions, WriteReceipt } from "../../store/objectStore.js";
import type { S3Call } from "./api.js";
import { asPrecondition, conditionHeaders, DEFAULT_TYPE, headObject, headOrNone, type Bucket } from "./bucket.js";
import { encodeKey } from "./endpoint.js";
import { notS3 } from "./errors.js";
import { metadataHeaders } from "./metadata.js";
import { children, escapeXml, text, unquote, type Xml } from "./parse.js";
import { pinnedPart } from "./sourceMatch.js";

/** Element and header names of the checksums that may go with a part. */
const CHECKSUM_ELEMENTS: Readonly<Record<string, string>> = { crc32: "ChecksumCRC32", crc32c: "ChecksumCRC32C", crc64nvme: "ChecksumCRC64NVME" };

export async function beginUpload(bucket: Bucket, key: string, options: PutOptions, extra: Readonly<Record<string, string>> = {}): Promise<S3Upload> {
  const { api, checksum } = bucket;
  const algorithm = checksum === undefined || checksum === "md5" ? {} : { "x-amz-checksum-algorithm": checksum.toUpperCase() };
  const call: S3Call = {
    method: "POST", bucket: bucket.name, key, query: { uploads: "" }, signal: options.signal,
    headers: { "content-type": options.contentType ?? DEFAULT_TYPE, ...extra, ...metadataHeaders(options.metadata, bucket.findings.underscores), ...api.config.createHeaders, ...api.config.keyHeaders, ...algorithm },
  };
  const { xml } = await api.xml(call, "InitiateMultipartUploadResult");
  const id = text(xml, "UploadId");
  if (id === undefined || id === "") throw notS3(api.subject(call), "an upload without an id");
  return new S3Upload(bucket, key, id, false);
}

export class S3Upload implements Upload {
  readonly key: string;
  readonly id: string;
  readonly #bucket: Bucket;
  /** `complete` may have gone through already: here without an answer, or in a process before this one. */
  #maybeComplete: boolean;

  /** @param resumed whether the upload was begun elsewhere. */
  constructor(bucket: Bucket, key: string, id: string, resumed: boolean) {
    this.#bucket = bucket;
    this.key = key;
    this.id = id;
    this.#maybeComplete = resumed;
  }

  async putPart(number: number, offset: number, last: boolean, body: Body, options: CallOptions = {}): Promise<PartReceipt> {
    checkPart(this.#limits, number, offset, body.length, last, this.key);
    const { headers, sent } = await this.#bucket.api.head(this.#call("PUT", options, {
      query: { partNumber: String(number), uploadId: this.id }, headers: this.#bucket.api.config.keyHeaders, body, checksum: this.#bucket.checksum,
    })).catch(async (error: unknown) => {
      // A server that knows of no such upload may say so while the data is still on its way, and reset the connection, or
      // fail inside.
      if (isStoreError(error, "unavailable") && (error.status !== undefined || (error.cause instanceof HttpError && error.cause.kind === "reset"))) await this.#listParts("0", options);
      throw error;
    });
    const etag = unquote(headers["etag"]);
    if (etag === "") throw notS3(this.#subject, "a part without an entity tag");
    return { number, offset, size: body.length, etag, ...(sent === undefined || Object.keys(sent).length === 0 ? {} : { checksum: sent }) };
  }

  async copyPart(number: number, offset: number, from: string, range: ByteRange,
    options: CallOptions & { readonly sourceIfMatch?: string | undefined; readonly fromContainer?: string | undefined } = {}): Promise<PartReceipt> {
    checkPart(this.#limits, number, offset, range.length, true, this.key);
    const { config } = this.#bucket.api;
    const container = options.fromContainer ?? this.#bucket.name;
    const send = (condition: Readonly<Record<string, string>>) => this.#bucket.api.xml(this.#call("PUT", options, {
      query: { partNumber: String(number), uploadId: this.id }, slow: true,
      headers: {
        "x-amz-copy-source": copySource(container, from),
        "x-amz-copy-source-range": `bytes=${range.start}-${range.start + range.length - 1}`,
        ...condition, ...config.keyHeaders, ...config.sourceKeyHeaders,
      },
    }), "CopyPartResult");
    const pinned = options.sourceIfMatch;
    const { answer: { xml }, checked } = pinned === undefined ? { answer: await send({}), checked: true }
      : await pinnedPart(this.#bucket, { container, key: from, etag: pinned }, send, options.signal);
    const etag = unquote(text(xml, "ETag"));
    if (etag === "") throw notS3(this.#subject, "a copied part without an entity tag");
    if (pinned !== undefined && !(checked && this.#bucket.findings.partSourceMatch)) {
      // The server did not look. What is the expected version after the copy was it during the copy too.
      const { info } = await headObject({ ...this.#bucket, name: container }, from, options.signal);
      if (info.etag !== pinned) throw new StoreError("precondition", `s3://${this.#bucket.name}/${from}: the object to copy is not the version that was expected`, { key: from });
    }
    return { number, offset, size: range.length, etag, ...checksumsOf(xml) };
  }

  /**
   * Offsets are not kept by the service: they are counted up from part 1, and a missing part is taken to be as long as
   * part 1 is.
   */
  async parts(options: CallOptions = {}): Promise<PartReceipt[]> {
    const found: PartReceipt[] = [];
    let marker = "0";
    let offset = 0;
    for (;;) {
      const xml = await this.#listParts(marker, options);
      for (const part of children(xml, "Part")) {
        const number = Number(text(part, "PartNumber"));
        const size = Number(text(part, "Size"));
        const etag = unquote(text(part, "ETag"));
        if (!Number.isSafeInteger(number) || !Number.isSafeInteger(size) || etag === "") throw notS3(this.#subject, "a part without number, size or entity tag");
        offset += (number - 1 - (found.at(-1)?.number ?? 0)) * (found[0]?.size ?? size);
        found.push({ number, offset, size, etag, ...checksumsOf(part) });
        offset += size;
      }
      const next = text(xml, "NextPartNumberMarker");
      if (text(xml, "IsTruncated") !== "true") {
        if (this.#maybeComplete && found.length > 0) await this.#refuseCompleted(found, options);
        return found;
      }
      if (next === undefined || next === "" || next === marker) throw notS3(this.#subject, "a list of parts that goes on, without saying where");
      marker = next;
    }
  }

  async complete(parts: readonly PartReceipt[], conditions: WriteConditions & CallOptions = {}): Promise<WriteReceipt> {
    const { key } = this;
    checkConditions(conditions, key);
    const size = checkParts(this.#limits, parts, key);
    const { api, findings } = this.#bucket;
    const { signal } = conditions;
    const expected = multipartEtag(parts);
    const done = (target: ObjectInfo | undefined): WriteReceipt | undefined =>
      target !== undefined && expected !== undefined && target.etag === expected && target.size === size
        ? { etag: target.etag, size, version: target.version, lastModified: target.lastModified } : undefined;

    if (this.#maybeComplete) {
      // Some servers answer a second complete with the first one's success, whatever became of the object since. So they are
      // asked what there is: the object of exactly these parts, or an upload that is still open.
      const receipt = done(await headOrNone(this.#bucket, key, signal));
      if (receipt !== undefined) {
        await this.abort({ signal });
        return receipt;
      }
      await this.#listParts("0", { signal });
    }
    this.#maybeComplete = true;

    let before: WriteReceipt | undefined;
    let headers: Record<string, string>;
    try {
      headers = await conditionHeaders(this.#bucket, key, conditions, findings.complete, signal, (target) => { before = done(target); });
    } catch (error) {
      // An earlier try went through, and its answer was lost: exactly these parts are the object now.
      if (before === undefined || !isStoreError(error, "precondition")) throw error;
      await this.abort({ signal });
      return before;
    }
    const body = bodyOf(completeXml(parts));
    try {
      const { xml, headers: answer } = await api.xml(this.#call("POST", { signal }, {
        query: { uploadId: this.id }, headers: { "content-type": "application/xml", ...headers }, body, slow: true,
      }), "CompleteMultipartUploadResult");
      const version = answer["x-amz-version-id"];
      const etag = unquote(text(xml, "ETag"));
      if (etag !== "") return { etag, size, ...(version === undefined || version === "null" ? {} : { version }) };
      // One server leaves the tag out of its first answer.
      const target = await headOrNone(this.#bucket, key, signal);
      if (target?.size !== size) throw new StoreError("unavailable", `s3://${this.#bucket.name}/${key}: the upload was completed, but the object cannot be seen yet`, { key });
      return { etag: target.etag, size, version: target.version, lastModified: target.lastModified };
    } catch (error) {
      const failedInside = isStoreError(error, "unavailable") && error.status !== undefined;
      if (!isStoreError(error, "not-found", "precondition") && !failedInside) throw error;
      const target = await headOrNone(this.#bucket, key, signal);
      const receipt = done(target);
      if (receipt !== undefined) {
        if (!isStoreError(error, "not-found")) await this.abort({ signal });
        return receipt;
      }
      // One server fails inside where the upload is gone.
      if (failedInside) await this.#listParts("0", { signal });
      throw asPrecondition(error, conditions);
    }
  }

  async abort(options: CallOptions = {}): Promise<void> {
    try {
      await this.#bucket.api.head(this.#call("DELETE", options, { query: { uploadId: this.id } }));
    } catch (error) {
      if (!isStoreError(error, "not-found")) throw error;
    }
  }

  /** Some servers list the parts of a completed upload as long as its object is the current one. */
  async #refuseCompleted(parts: readonly PartReceipt[], options: CallOptions): Promise<void> {
    const target = await headOrNone(this.#bucket, this.key, options.signal);
    // The same bytes may have been there before, and the upload be open still.
    if (target !== undefined && target.etag === multipartEtag(parts) && !await this.#isOpen(options)) {
      throw new StoreError("not-found", `${this.#subject.label}: the upload is not there any more: it was completed`, { key: this.key });
    }
  }

  async #isOpen(options: CallOptions): Promise<boolean> {
    const { api, name } = this.#bucket;
    try {
      const { xml } = await api.xml({ method: "GET", bucket: name, query: { uploads: "", prefix: this.key }, signal: options.signal }, "ListMultipartUploadsResult");
      return children(xml, "Upload").some((row) => text(row, "UploadId") === this.id);
    } catch (error) {
      if (isStoreError(error, "unsupported", "invalid", "denied")) return true;
      throw error;
    }
  }

  /** One page of parts; `not-found` when the upload is gone. */
  async #listParts(marker: string, options: CallOptions): Promise<Xml> {
    const { xml } = await this.#bucket.api.xml(this.#call("GET", options, {
      query: { uploadId: this.id, "max-parts": "1000", ...(marker === "0" ? {} : { "part-number-marker": marker }) },
    }), "ListPartsResult");
    return xml;
  }

  get #limits(): PartLimits {
    return this.#bucket.capabilities.upload as PartLimits;
  }

  get #subject(): ReturnType<Bucket["api"]["subject"]> {
    return this.#bucket.api.subject({ bucket: this.#bucket.name, key: this.key });
  }

  #call(method: S3Call["method"], options: CallOptions, more: Partial<S3Call>): S3Call {
    return { method, bucket: this.#bucket.name, key: this.key, signal: options.signal, ...more };
  }
}

/** Value of x-amz-copy-source. */
export function copySource(bucket: string, key: string): string {
  return `/${encodeKey(bucket)}/${encodeKey(key)}`;
}

function checksumsOf(xml: Xml): { checksum?: Record<string, string> } {
  const found: Record<string, string> = {};
  for (const [name, element] of Object.entries(CHECKSUM_ELEMENTS)) {
    const value = text(xml, element);
    if (value !== undefined && value !== "") found[name] = value;
  }
  return Object.keys(found).length === 0 ? {} : { checksum: found };
}

function completeXml(parts: readonly PartReceipt[]): string {
  const rows = parts.map((part) => {
    const sums = Object.entries(part.checksum ?? {}).map(([name, value]) => {
      const element = CHECKSUM_ELEMENTS[name];
      return element === undefined ? "" : `<${element}>${escapeXml(value)}</${element}>`;
    });
    return `<Part><PartNumber>${part.number}</PartNumber><ETag>&quot;${escapeXml(part.etag)}&quot;</ETag>${sums.join("")}</Part>`;
  });
  return `<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${rows.join("")}</CompleteMultipartUpload>`;
}

/** The etag that a service gives to an object of these parts, where parts' etags are MD5 sums; undefined where they are not. */
export function multipartEtag(parts: readonly PartReceipt[]): string | undefined {
  const hash = createHash("md5");
  for (const part of parts) {
    if (!/^[0-9a-f]{32}$/.test(part.etag)) return undefined;
    hash.update(part.etag, "hex");
  }
  return `${hash.digest("hex")}-${parts.length}`;
}
