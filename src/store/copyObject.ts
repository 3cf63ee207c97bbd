// A copy of an object of any size, by the cheapest way the store has: one server-side copy, server-side copies of parts, or through
// this host, whole or by parts. The version that is copied is one version, in every way.

import { isStoreError, StoreError } from "./errors.js";
import type {
  Body, ByteRange, CallOptions, Metadata, ObjectInfo, ObjectStore, PartLimits, PartReceipt, PutOptions, Upload, WriteConditions, WriteReceipt,
} from "./objectStore.js";

export interface CopyObjectOptions extends CallOptions, WriteConditions {
  /** What `head` says of the source; asked when absent. Its etag pins the version. */
  readonly source?: ObjectInfo | undefined;
  /** Where the source is, when it is another container of the same service. */
  readonly fromStore?: ObjectStore | undefined;
  /** That container's name; without it the copy goes through this host. */
  readonly fromContainer?: string | undefined;
  readonly sourceIfMatch?: string | undefined;
  /** As in CopyOptions. */
  readonly metadata?: Metadata | undefined;
  readonly contentType?: string | undefined;
  /** Bytes per part where parts are needed, 128 MiB, adapted to the store's limits. */
  readonly partSize?: number | undefined;
  /** Parts at once, 8. */
  readonly concurrency?: number | undefined;
  /** Told of bytes as they are done, for progress. */
  readonly onProgress?: ((bytes: number) => void) | undefined;
}

const PART_SIZE = 128 << 20;
const CONCURRENCY = 8;

/** Rejects with `precondition` when source or target are not the versions that were meant; nothing is left behind then. */
export async function copyObject(store: ObjectStore, from: string, to: string, options: CopyObjectOptions = {}): Promise<WriteReceipt> {
  const fromStore = options.fromStore ?? store;
  const { signal } = options;
  const source = options.source ?? await fromStore.head(from, { signal });
  const pinned = options.sourceIfMatch ?? source.etag;
  if (pinned !== source.etag) throw new StoreError("precondition", "the object to copy is not the version that was expected", { key: from });
  const job: Job = { store, fromStore, from, to, source, options, size: source.size };
  const { copy, copyPart, upload, maxPutSize } = store.capabilities;
  const reachable = fromStore === store || options.fromContainer !== undefined;
  if (reachable && copy !== false && source.size <= copy.maxSize) {
    try {
      return await copyWhole(job);
    } catch (error) {
      // versitygw copies no object whose key ends in "/"; an empty one is as good put anew.
      if (source.size === 0 && isStoreError(error, "invalid", "unsupported")) return putWhole(job);
      throw error;
    }
  }
  if (reachable && copyPart !== false && upload !== false && source.size > 0) return byParts(job, upload, copyPart.minSize, serverPart(job));
  if (source.size <= maxPutSize && (upload === false || source.size <= (options.partSize ?? PART_SIZE))) return putWhole(job);
  if (upload !== false) return byParts(job, upload, 1, hostPart(job));
  throw new StoreError("unsupported", `the store cannot take ${source.size} bytes`, { key: to });
}

interface Job {
  readonly store: ObjectStore;
  readonly fromStore: ObjectStore;
  readonly from: string;
  readonly to: string;
  readonly source: ObjectInfo;
  readonly size: number;
  readonly options: CopyObjectOptions;
}

async function copyWhole({ store, from, to, size, source, options }: Job): Promise<WriteReceipt> {
  const { ifMatch, ifNoneMatch, metadata, contentType, fromContainer, signal, onProgress } = options;
  const receipt = await store.copy(from, to, { ifMatch, ifNoneMatch, metadata, contentType, fromContainer, signal, sourceIfMatch: source.etag });
  onProgress?.(size);
  return receipt;
}

/** What the copy is described by, where the service does not bring it along. */
async function description(job: Job): Promise<PutOptions> {
  const { options, fromStore, from, source } = job;
  const known = source.metadata === undefined ? await fromStore.head(from, { signal: options.signal }) : source;
  if (known.etag !== source.etag) throw new StoreError("precondition", "the object changed while it was copied", { key: from });
  return {
    signal: options.signal,
    metadata: job.store.capabilities.metadata === false ? undefined : options.metadata ?? known.metadata,
    contentType: options.contentType ?? known.contentType,
  };
}

async function putWhole(job: Job): Promise<WriteReceipt> {
  const { ifMatch, ifNoneMatch, onProgress } = job.options;
  const receipt = await job.store.put(job.to, sourceBody(job, { start: 0, length: job.size }, job.options.signal), { ...await description(job), ifMatch, ifNoneMatch });
  onProgress?.(job.size);
  return receipt;
}

/** A range of the source, read when the store asks for it, in the one version. */
function sourceBody({ fromStore, from, source }: Job, range: ByteRange, signal: AbortSignal | undefined): Body {
  return {
    length: range.length,
    async *open() {
      if (range.length === 0) return;
      const stream = await fromStore.get(from, range, { ifMatch: source.etag, signal });
      if (stream.info.etag !== source.etag) {
        stream.cancel();
        throw new StoreError("precondition", "the object changed while it was copied", { key: from });
      }
      yield* stream;
    },
  };
}

interface Piece extends ByteRange {
  readonly number: number;
  readonly last: boolean;
}

type SendPart = (upload: Upload, piece: Piece, signal: AbortSignal) => Promise<PartReceipt>;

function serverPart({ from, source, options }: Job): SendPart {
  return (upload, { number, start, length }, signal) =>
    upload.copyPart(number, start, from, { start, length }, { signal, sourceIfMatch: source.etag, fromContainer: options.fromContainer });
}

function hostPart(job: Job): SendPart {
  return (upload, piece, signal) => upload.putPart(piece.number, piece.start, piece.last, sourceBody(job, piece, signal), { signal });
}

/** Equal pieces but the last; as few as need be, never more than the store takes. */
export function piecesOf(size: number, wanted: number, limits: PartLimits, minSize: number): Piece[] {
  const least = Math.max(limits.minSize, minSize, Math.ceil(size / limits.maxParts));
  const length = Math.min(limits.maxSize, Math.max(wanted, least));
  const count = Math.max(1, Math.ceil(size / length));
  return Array.from({ length: count }, (_, i) => {
    const start = i * length;
    return { number: i + 1, start, length: Math.min(length, size - start), last: i === count - 1 };
  });
}

async function byParts(job: Job, limits: PartLimits, minSize: number, send: SendPart): Promise<WriteReceipt> {
  const { store, to, size, options } = job;
  const { ifMatch, ifNoneMatch, signal, onProgress } = options;
  const pieces = piecesOf(size, options.partSize ?? PART_SIZE, limits, minSize);
  const upload = await store.beginUpload(to, await description(job));
  // The first failure ends the other parts: they would be thrown away.
  const stop = new AbortController();
  const both = signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal]);
  const receipts: PartReceipt[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let piece = pieces[next++]; piece !== undefined; piece = pieces[next++]) {
      receipts[piece.number - 1] = await send(upload, piece, both);
      onProgress?.(piece.length);
    }
  };
  try {
    const workers = Array.from({ length: Math.min(options.concurrency ?? CONCURRENCY, pieces.length) }, () => worker().catch((error: unknown) => {
      stop.abort(error);
      throw error;
    }));
    await Promise.allSettled(workers);
    // The reason is the first failure; the others were aborted by it.
    stop.signal.throwIfAborted();
    return await upload.complete(receipts, { ifMatch, ifNoneMatch, signal });
  } catch (error) {
    // Also when the caller's signal has fired: parts that nobody frees cost money.
    await upload.abort().catch(() => undefined);
    throw error;
  }
}
