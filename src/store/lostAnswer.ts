// A conditional write whose answer was lost may have happened. Asking again blindly is wrong twice: the second try finds the first
// one's object and calls it somebody else's, or, where bytes repeat, replaces what somebody wrote in between. So the store is asked
// what is there, and three answers are told apart: ours (success), what was there before (ask again), somebody else's (`precondition`).
//
// Ours is what has our size, our metadata and our bytes: by the etag where it is the MD5 of the bytes (RFC 1321; most S3 puts),
// otherwise by reading back, up to a limit. Two writers who write the same bytes and metadata cannot be told apart, and need not be:
// the object is what both wanted.

import { createHash } from "node:crypto";
import { readBody } from "./body.js";
import { preconditionError } from "./checks.js";
import { isStoreError, StoreError } from "./errors.js";
import type {
  Body, CallOptions, CopyOptions, Metadata, ObjectInfo, ObjectStore, PartReceipt, PutOptions, Upload, WriteConditions, WriteReceipt,
} from "./objectStore.js";

/** The receipt of a write that has happened; "again" when it has not. Rejects with `precondition`, or `unavailable`, not to be retried, when it cannot be known. */
export type Resolution = WriteReceipt | "again";

export interface Resolver {
  readonly store: ObjectStore;
  readonly compareBytes: number;
}

export async function resolvePut(by: Resolver, key: string, body: Body, options: PutOptions, lost: unknown): Promise<Resolution> {
  const found = await headOrNone(by.store, key, options);
  const verdict = judge(key, found, options);
  if (verdict === "again" || found === undefined) return "again";
  const ours = found.size === body.length && sameFacts(found, options.metadata ?? {}, options.contentType)
    && (await md5Of(body, options) === found.etag || await sameBytes(by, lost, found, (signal) => readBody(body, signal, key), options));
  if (!ours) throw preconditionError(key);
  return receiptOf(found);
}

export async function resolveCopy(by: Resolver, from: string, to: string, options: CopyOptions, lost: unknown): Promise<Resolution> {
  // Another container's objects cannot be asked for from here.
  if (options.fromContainer !== undefined) throw unknowable(to, lost);
  const found = await headOrNone(by.store, to, options);
  if (from === to) return resolveSelfCopy(to, found, options);
  const verdict = judge(to, found, options);
  if (verdict === "again" || found === undefined) return "again";
  const source = await headOrNone(by.store, from, options);
  if (source === undefined) throw unknowable(to, lost);
  const ours = found.size === source.size && sameFacts(found, options.metadata ?? source.metadata ?? {}, options.contentType)
    && (found.etag === source.etag
      || await sameBytes(by, lost, found, async (signal) => by.store.get(from, undefined, { signal, ifMatch: source.etag }), options));
  if (!ours) throw preconditionError(to);
  return receiptOf(found);
}

/** A copy onto itself changes metadata alone. */
function resolveSelfCopy(key: string, found: ObjectInfo | undefined, options: CopyOptions): Resolution {
  return resolveSetMetadata(key, found, options.metadata ?? {}, options.contentType, options.sourceIfMatch ?? options.ifMatch);
}

export function resolveSetMetadata(key: string, found: ObjectInfo | undefined, metadata: Metadata, contentType: string | undefined,
  ifMatch: string | undefined): Resolution {
  if (found === undefined) throw preconditionError(key);
  if (sameFacts(found, metadata, contentType)) return receiptOf(found);
  if (ifMatch === undefined || found.etag === ifMatch) return "again";
  throw preconditionError(key);
}

/**
 * A repeated `complete` was refused. It cannot have made a second object: an upload completes once. It is ours when the object is
 * of our size and carries the etag of our parts, or when the upload itself is gone, which only its completion did.
 */
export async function resolveComplete(store: ObjectStore, upload: Upload, parts: readonly PartReceipt[], options: CallOptions | undefined,
  refused: unknown): Promise<WriteReceipt> {
  const { signal } = options ?? {};
  const found = await headOrNone(store, upload.key, { signal });
  if (found?.size !== parts.reduce((sum, part) => sum + part.size, 0)) throw refused;
  if (found.etag === etagOfParts(parts)) return receiptOf(found);
  if (!store.capabilities.resume || isStoreError(refused, "not-found")) throw refused;
  try {
    await upload.parts({ signal });
  } catch (error) {
    if (isStoreError(error, "not-found")) return receiptOf(found);
    throw error;
  }
  throw refused;
}

/** As S3 makes it: the MD5 of the parts' MD5s, and how many. Undefined when the parts' etags are no MD5s. */
export function etagOfParts(parts: readonly PartReceipt[]): string | undefined {
  const hash = createHash("md5");
  for (const { etag } of parts) {
    if (!/^[0-9a-f]{32}$/.test(etag)) return undefined;
    hash.update(Buffer.from(etag, "hex"));
  }
  return `${hash.digest("hex")}-${parts.length}`;
}

export async function headOrNone(store: ObjectStore, key: string, options: CallOptions | undefined): Promise<ObjectInfo | undefined> {
  try {
    return await store.head(key, { signal: options?.signal });
  } catch (error) {
    if (isStoreError(error, "not-found")) return undefined;
    throw error;
  }
}

/** "again" when what is there is what the condition asks for: the write has not happened. */
function judge(key: string, found: ObjectInfo | undefined, conditions: WriteConditions): "again" | "look" {
  if (conditions.ifMatch !== undefined && found === undefined) throw preconditionError(key);
  return found === undefined || found.etag === conditions.ifMatch ? "again" : "look";
}

function sameFacts(found: ObjectInfo, metadata: Metadata, contentType: string | undefined): boolean {
  const names = Object.keys(metadata);
  const there = found.metadata ?? {};
  return names.length === Object.keys(there).length && names.every((name) => there[name] === metadata[name])
    && (contentType === undefined || found.contentType === undefined || found.contentType === contentType);
}

async function md5Of(body: Body, options: CallOptions): Promise<string> {
  const hash = createHash("md5");
  for await (const piece of readBody(body, options.signal)) hash.update(piece);
  return hash.digest("hex");
}

type Source = (signal: AbortSignal | undefined) => AsyncIterable<Buffer> | Promise<AsyncIterable<Buffer>>;

/** Compares hashes, so that the two need not arrive in step. */
async function sameBytes(by: Resolver, lost: unknown, found: ObjectInfo, source: Source, options: CallOptions): Promise<boolean> {
  if (found.size > by.compareBytes) throw unknowable(found.key, lost);
  const { signal } = options;
  const there = await by.store.get(found.key, undefined, { signal, ifMatch: found.etag });
  const [a, b] = [await digest(there), await digest(await source(signal))];
  return a === b;
}

async function digest(source: AsyncIterable<Buffer>): Promise<string> {
  const hash = createHash("sha256");
  for await (const piece of source) hash.update(piece);
  return hash.digest("hex");
}

function unknowable(key: string, lost: unknown): StoreError {
  return new StoreError("unavailable", "the answer was lost, and whether the object was written cannot be found out", { key, retry: "never", cause: lost });
}

function receiptOf(info: ObjectInfo): WriteReceipt {
  return { etag: info.etag, size: info.size, version: info.version, lastModified: info.lastModified };
}
