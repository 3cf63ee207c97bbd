// What the parts of the S3 store share: one bucket, and what its server was found to do.

import { checkTarget } from "../../store/checks.js";
import { isStoreError, StoreError } from "../../store/errors.js";
import type { Capabilities, ObjectInfo, WriteConditions } from "../../store/objectStore.js";
import type { S3Api } from "./api.js";
import type { CrcName } from "./checksum.js";
import { notS3 } from "./errors.js";
import { metadataOf } from "./metadata.js";
import { unquote } from "./parse.js";

/** How far the server enforces conditions on a write. */
export type Enforced = "none" | "create" | "swap";

export interface Findings {
  readonly put: Enforced;
  readonly complete: Enforced;
  readonly copy: Enforced;
  readonly delete: boolean;
  /** Keys are taken as they are; false: empty, "." and ".." segments are cleaned away, so different keys would be one object. */
  readonly rawPaths: boolean;
  /** If-Match of a PUT holds only when the entity tag stands there without its quotes. */
  readonly plainIfMatch: boolean;
  /** UploadPartCopy looks at x-amz-copy-source-if-match. */
  readonly partSourceMatch: boolean;
  /** Names of user metadata keep their underscores. */
  readonly underscores: boolean;
  /** User metadata of Amazon's size, in one value, is kept; false: values end at 256 bytes. */
  readonly longMetadata: boolean;
  /** The server verifies x-amz-checksum-crc32 (asked only where it would be used). */
  readonly crc32: boolean;
}

export interface Bucket {
  readonly api: S3Api;
  readonly name: string;
  readonly findings: Findings;
  readonly capabilities: Capabilities;
  /** Sent with every body. */
  readonly checksum: "md5" | CrcName | undefined;
}

export const GIB = 1024 ** 3;
/** Longest object that PUT and CopyObject take. */
export const MAX_SINGLE = 5 * GIB;
export const MIN_PART = 5 * 1024 ** 2;
/** Without one, servers make up types of their own (one takes that of the Complete request). */
export const DEFAULT_TYPE = "application/octet-stream";

/** What an answer's headers say of an object. `size` is the whole object's. */
export function infoOf(bucket: Bucket, key: string, headers: Readonly<Record<string, string>>, size: number): ObjectInfo {
  const etag = unquote(headers["etag"]);
  if (etag === "" || !Number.isSafeInteger(size)) throw notS3(bucket.api.subject({ bucket: bucket.name, key }), "no entity tag or no length");
  const lastModified = Date.parse(headers["last-modified"] ?? "");
  const version = headers["x-amz-version-id"];
  const expiry = /expiry-date="([^"]+)"/.exec(headers["x-amz-expiration"] ?? "")?.[1];
  const expires = expiry === undefined ? Number.NaN : Date.parse(expiry);
  return {
    key, size, etag, lastModified: Number.isNaN(lastModified) ? 0 : lastModified, metadata: metadataOf(headers),
    contentType: headers["content-type"], storageClass: headers["x-amz-storage-class"],
    ...(version === undefined || version === "null" ? {} : { version }),
    ...(Number.isNaN(expires) ? {} : { expires }),
  };
}

export async function headObject(bucket: Bucket, key: string, signal: AbortSignal | undefined): Promise<{ readonly info: ObjectInfo; readonly headers: Readonly<Record<string, string>> }> {
  const { headers } = await bucket.api.head({ method: "HEAD", bucket: bucket.name, key, headers: bucket.api.config.keyHeaders, signal });
  return { info: infoOf(bucket, key, headers, Number(headers["content-length"] ?? Number.NaN)), headers };
}

/** Undefined when there is none. */
export async function headOrNone(bucket: Bucket, key: string, signal: AbortSignal | undefined): Promise<ObjectInfo | undefined> {
  try {
    return (await headObject(bucket, key, signal)).info;
  } catch (error) {
    if (isStoreError(error, "not-found")) return undefined;
    throw error;
  }
}

/**
 * The headers that make a write conditional. Where the server does not enforce the condition, it is checked by asking just
 * before, and nothing is sent: the narrower guarantee of docs/SEMANTICS.md. `precondition` when it does not hold now.
 * @param seen is given the target as it was then.
 */
export async function conditionHeaders(bucket: Bucket, key: string, conditions: WriteConditions | undefined, enforced: Enforced,
  signal: AbortSignal | undefined, seen?: (target: ObjectInfo | undefined) => void): Promise<Record<string, string>> {
  const { ifMatch, ifNoneMatch } = conditions ?? {};
  if (ifMatch === undefined && ifNoneMatch === undefined) return {};
  if (enforced === "swap" || (enforced === "create" && ifNoneMatch !== undefined)) {
    return ifMatch === undefined ? { "if-none-match": "*" } : { "if-match": bucket.findings.plainIfMatch ? ifMatch : `"${ifMatch}"` };
  }
  const target = await headOrNone(bucket, key, signal);
  seen?.(target);
  checkTarget(target, conditions, key);
  return {};
}

/** A conditional write that found no object at all did not find the expected one either. */
export function asPrecondition(error: unknown, conditions: WriteConditions | undefined): unknown {
  if (conditions?.ifMatch === undefined || !isStoreError(error, "not-found") || error.code === "NoSuchUpload") return error;
  return new StoreError("precondition", error.message, { key: error.key, status: error.status, code: error.code, requestId: error.requestId, cause: error });
}
