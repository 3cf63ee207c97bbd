// Server-side copies, and metadata updates, which S3 knows only as a copy of an object onto itself.

import { checkConditions } from "../../store/checks.js";
import { StoreError } from "../../store/errors.js";
import type { CopyOptions, Metadata, ObjectInfo, PartReceipt, WriteConditions, WriteReceipt } from "../../store/objectStore.js";
import { asPrecondition, conditionHeaders, DEFAULT_TYPE, GIB, headObject, MAX_SINGLE, type Bucket } from "./bucket.js";
import { metadataHeaders } from "./metadata.js";
import { text, unquote } from "./parse.js";
import { sourceCondition, wholeOrByParts, type PinnedSource } from "./sourceMatch.js";
import { beginUpload, copySource } from "./upload.js";

/** Facts of an object that a copy which replaces the metadata would lose. */
const KEPT = ["cache-control", "content-disposition", "content-encoding", "content-language", "expires", "x-amz-website-redirect-location"];

const PART = GIB;
const PARALLEL = 8;

interface Source {
  readonly container: string;
  readonly info: ObjectInfo;
  readonly headers: Readonly<Record<string, string>>;
}

/** The source as it is now, pinned: what is copied is this version or nothing. */
async function source(bucket: Bucket, container: string, key: string, ifMatch: string | undefined, signal: AbortSignal | undefined): Promise<Source> {
  const found = await headObject(container === bucket.name ? bucket : { ...bucket, name: container }, key, signal);
  if (ifMatch !== undefined && found.info.etag !== ifMatch) {
    throw new StoreError("precondition", `s3://${container}/${key}: the object to copy is not the version that was expected`, { key });
  }
  return { container, ...found };
}

export async function copyObject(bucket: Bucket, from: string, to: string, options: CopyOptions): Promise<WriteReceipt> {
  checkConditions(options, to);
  const { signal } = options;
  const found = await source(bucket, options.fromContainer ?? bucket.name, from, options.sourceIfMatch, signal);
  const { info } = found;
  if (info.size > MAX_SINGLE) throw new StoreError("unsupported", `s3://${found.container}/${from}: an object above 5 GiB is copied by parts`, { key: from });
  const replace = options.metadata !== undefined || options.contentType !== undefined;
  if (!replace && from === to && found.container === bucket.name) {
    await conditionHeaders(bucket, to, options, "none", signal);
    return { etag: info.etag, size: info.size, version: info.version, lastModified: info.lastModified };
  }
  const headers = await conditionHeaders(bucket, to, options, bucket.findings.copy, signal);
  try {
    const metadata = options.metadata ?? info.metadata ?? {};
    const replaced = replacing(bucket, found, metadata, options.contentType);
    return await wholeOrByParts(bucket, pinOf(found),
      () => copyWhole(bucket, found, to, { ...headers, ...(replace ? replaced : { "x-amz-metadata-directive": "COPY" }) }, signal),
      () => copyByParts(bucket, found, to, metadata, replaced, options, signal), signal);
  } catch (error) {
    throw asPrecondition(error, options);
  }
}

export async function setMetadata(bucket: Bucket, key: string, metadata: Metadata,
  options: { readonly ifMatch?: string | undefined; readonly contentType?: string | undefined; readonly signal?: AbortSignal | undefined }): Promise<WriteReceipt> {
  const { signal } = options;
  const found = await source(bucket, bucket.name, key, options.ifMatch, signal);
  const replaced = replacing(bucket, found, metadata, options.contentType);
  const byParts = (): Promise<WriteReceipt> => copyByParts(bucket, found, key, metadata, replaced, { ifMatch: found.info.etag }, signal);
  if (found.info.size > MAX_SINGLE) return byParts();
  // The source's own condition guards the reading; where the server can, the target's guards the replacing.
  const guard: Record<string, string> = bucket.findings.copy === "swap" ? { "if-match": `"${found.info.etag}"` } : {};
  return wholeOrByParts(bucket, pinOf(found), () => copyWhole(bucket, found, key, { ...guard, ...replaced }, signal), byParts, signal);
}

function pinOf({ container, info }: Source): PinnedSource {
  return { container, key: info.key, etag: info.etag };
}

function replacing(bucket: Bucket, found: Source, metadata: Metadata, contentType: string | undefined): Record<string, string> {
  const kept = Object.fromEntries(KEPT.flatMap((name) => found.headers[name] === undefined ? [] : [[name, found.headers[name] as string]]));
  return {
    "x-amz-metadata-directive": "REPLACE", ...kept,
    "content-type": contentType ?? found.info.contentType ?? DEFAULT_TYPE,
    ...metadataHeaders(metadata, bucket.findings.underscores),
  };
}

/** A copy is of the default class unless it is told otherwise. */
function classOf(found: Source): Record<string, string> {
  const { storageClass } = found.info;
  return storageClass === undefined ? {} : { "x-amz-storage-class": storageClass };
}

async function copyWhole(bucket: Bucket, found: Source, to: string, headers: Readonly<Record<string, string>>, signal: AbortSignal | undefined): Promise<WriteReceipt> {
  const { config } = bucket.api;
  const { xml, headers: answer } = await bucket.api.xml({
    method: "PUT", bucket: bucket.name, key: to, signal, slow: true,
    headers: {
      ...classOf(found), ...config.createHeaders, ...config.keyHeaders, ...config.sourceKeyHeaders,
      "x-amz-copy-source": copySource(found.container, found.info.key),
      ...sourceCondition(found.info.etag),
      ...headers,
    },
  }, "CopyObjectResult");
  const etag = unquote(text(xml, "ETag"));
  const lastModified = Date.parse(text(xml, "LastModified") ?? "");
  const version = answer["x-amz-version-id"];
  return {
    etag: etag === "" ? (await headObject(bucket, to, signal)).info.etag : etag,
    size: found.info.size,
    ...(Number.isNaN(lastModified) ? {} : { lastModified }),
    ...(version === undefined || version === "null" ? {} : { version }),
  };
}

async function copyByParts(bucket: Bucket, found: Source, to: string, metadata: Metadata, replaced: Readonly<Record<string, string>>,
  conditions: WriteConditions, signal: AbortSignal | undefined): Promise<WriteReceipt> {
  const { size, etag } = found.info;
  const { "x-amz-metadata-directive": _directive, ...headers } = replaced;
  const upload = await beginUpload(bucket, to, { metadata, contentType: replaced["content-type"], signal }, { ...headers, ...classOf(found) });
  try {
    const count = Math.ceil(size / PART);
    const parts: PartReceipt[] = [];
    let next = 0;
    await Promise.all(Array.from({ length: Math.min(PARALLEL, count) }, async () => {
      while (next < count) {
        const number = next++;
        const start = number * PART;
        parts[number] = await upload.copyPart(number + 1, start, found.info.key, { start, length: Math.min(PART, size - start) },
          { signal, sourceIfMatch: etag, fromContainer: found.container });
      }
    }));
    return await upload.complete(parts, { ifMatch: conditions.ifMatch, ifNoneMatch: conditions.ifNoneMatch, signal });
  } catch (error) {
    await upload.abort().catch(() => undefined);
    throw error;
  }
}
