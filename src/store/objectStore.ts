// Seam 2: an object store, in the store's terms. Everything above asks `capabilities`, never the scheme.
//
// Terms. A *key* names an object inside one container: any non-empty string of Unicode scalar values (the stores'
// protocols are UTF-8); `/` has no meaning here but as the usual delimiter. An *etag* is an opaque version token,
// compared as a whole string, quotes removed; equal etags of one key mean equal bytes. A *part* is one piece of a
// staged upload. Sizes, offsets and lengths are bytes; times are milliseconds since the epoch.
//
// Promises every store keeps (the contract suite, test/contract/objectStore.ts, holds them to it):
//  1. A `put`, `copy` or completed upload is visible whole or not at all, and a reader of the old version keeps
//     getting the old version or an error, never a mix.
//  2. What was acknowledged is durable at the store, and a `head` or `get` after the acknowledgement sees it.
//  3. Deleting what is missing is success.
//  4. Every failure is a StoreError. "Unreachable" is `unavailable`, never `not-found`.
//  5. `signal` is honoured at every await: the call rejects with kind `aborted` and frees its connection.
//  6. All calls may run concurrently. Only the retry wrapper (retry.ts) asks twice.

/** A half-open piece of an object. */
export interface ByteRange {
  readonly start: number;
  /** Bytes wanted, at least 1. A range that reaches past the end is cut to the object's end. */
  readonly length: number;
}

/** User metadata: lower-case keys `[a-z0-9-_.]+`, values any string without NUL; backends encode what the wire cannot carry. */
export type Metadata = Readonly<Record<string, string>>;

/** What is known of one object. From a listing some facts may be missing: see `Capabilities.listMetadata`. */
export interface ObjectInfo {
  readonly key: string;
  readonly size: number;
  readonly etag: string;
  /** The store's own modification time, milliseconds; many stores round to a second. */
  readonly lastModified: number;
  /** Absent when the source of this record does not carry it (a listing without metadata); `{}` when there is none. */
  readonly metadata?: Metadata | undefined;
  readonly contentType?: string | undefined;
  readonly storageClass?: string | undefined;
  /** The store's version id, where versions are kept. */
  readonly version?: string | undefined;
  /** When the store will delete it by itself, milliseconds. */
  readonly expires?: number | undefined;
}

export interface ListRequest {
  /** Only keys that start with this, "" for all. */
  readonly prefix: string;
  /** With a delimiter, keys that contain it after the prefix are rolled up into `prefixes`. Only "/" is used. */
  readonly delimiter?: string | undefined;
  /** Opaque continuation token: `next` of the page before, same prefix and delimiter. */
  readonly cursor?: string | undefined;
  /** Only keys strictly greater in UTF-8 byte order. Needs `listOrdered`; not together with `delimiter` or `cursor`. */
  readonly after?: string | undefined;
  /** Upper bound of objects plus prefixes in the page; the store may give fewer. Default: what it likes best. */
  readonly limit?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** As in CallOptions. */
  readonly priority?: "foreground" | "background" | undefined;
}

/**
 * One page. Where `listOrdered`, keys and prefixes are each in ascending UTF-8 byte order, within the page and from
 * page to page. A page may be empty and yet not the last: only an absent `next` ends the listing.
 */
export interface ListPage {
  readonly objects: readonly ObjectInfo[];
  /** Rolled-up common prefixes, each ending in the delimiter; a prefix appears once in a whole listing. */
  readonly prefixes: readonly string[];
  readonly next?: string | undefined;
}

/**
 * What is sent. May be opened more than once (a retry, or a checksum before the request); each time it yields
 * exactly `length` bytes, the same ones; another length is `invalid`. The Buffers belong to the body: the store must not modify or
 * keep them. A StoreError thrown by the body leaves the call as it is; anything else becomes `unexpected` with it as the cause.
 * `store/body.ts` has the usual bodies, and `readBody` by which a backend keeps all of this.
 */
export interface Body {
  readonly length: number;
  open(): AsyncIterable<Buffer> | Iterable<Buffer>;
}

/**
 * What arrives from `get`: exactly `length` bytes from `start`, as Buffers owned by the receiver, or a StoreError
 * thrown by the iteration (`unavailable` for a broken or short body, `corrupt` for wrong bytes). Iterate at most
 * once. Leaving the loop early, or `cancel()`, frees the connection; an ObjectStream that is not iterated must be
 * cancelled.
 */
export interface ObjectStream extends AsyncIterable<Buffer> {
  /** The object the bytes come from; `size` is the whole object's size. `metadata` is present. */
  readonly info: ObjectInfo;
  readonly start: number;
  readonly length: number;
  /** Idempotent. */
  cancel(): void;
}

/** Conditions on the target of a write. At most one of the two, else `invalid`. `precondition` when they do not hold; a missing target fails `ifMatch` that way too. */
export interface WriteConditions {
  /** The target's current etag must be this. */
  readonly ifMatch?: string | undefined;
  /** "*": the target must not exist. */
  readonly ifNoneMatch?: "*" | undefined;
}

export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
  /** A hint for the limit wrapper: what nobody waits for (prefetch, warming a cache) goes behind what somebody waits for. Absent: foreground. */
  readonly priority?: "foreground" | "background" | undefined;
}

export interface GetOptions extends CallOptions {
  /** Only this version; `precondition` when the object is another one by now (where `conditionalGet`). */
  readonly ifMatch?: string | undefined;
}

export interface PutOptions extends CallOptions, WriteConditions {
  readonly metadata?: Metadata | undefined;
  readonly contentType?: string | undefined;
  /** Milliseconds since the epoch, where `ttl`. */
  readonly expires?: number | undefined;
}

export interface CopyOptions extends CallOptions, WriteConditions {
  /** Source container, when it is not this store's own. */
  readonly fromContainer?: string | undefined;
  /** The source must still be this version. */
  readonly sourceIfMatch?: string | undefined;
  /**
   * Given: replaces the metadata of the copy; its content type is then `contentType`, or, without one, the source's or the
   * service's default. Absent: the source's metadata and content type come along.
   */
  readonly metadata?: Metadata | undefined;
  readonly contentType?: string | undefined;
}

export interface DeleteOptions extends CallOptions {
  /** Only this version (where `conditionalDelete`); else `precondition`. */
  readonly ifMatch?: string | undefined;
}

/** The acknowledgement of a write. */
export interface WriteReceipt {
  readonly etag: string;
  readonly size: number;
  readonly version?: string | undefined;
  /** When the answer carries it (few do). */
  readonly lastModified?: number | undefined;
}

/** The acknowledgement of one part. Plain data: it is written to the journal as JSON and read back after a crash. */
export interface PartReceipt {
  readonly number: number;
  readonly offset: number;
  readonly size: number;
  readonly etag: string;
  /** Checksum that `complete` must repeat, by algorithm name, where the service wants it. */
  readonly checksum?: Readonly<Record<string, string>> | undefined;
}

/**
 * A staged upload: parts in any order and in parallel, invisible until `complete`. An upload that is neither
 * completed nor aborted costs money at most services: whoever begins one is responsible for its end.
 */
export interface Upload {
  readonly key: string;
  /** Enough, with the key, for `resumeUpload` in another process. */
  readonly id: string;
  /**
   * @param number 1-based, within `PartLimits.maxParts`. Sent again, the later one counts.
   * @param offset where the part starts in the finished object (some services want it).
   * @param last whether this is the last part (only the last may be below `PartLimits.minSize`).
   */
  putPart(number: number, offset: number, last: boolean, body: Body, options?: CallOptions): Promise<PartReceipt>;
  /** A part made of a range of an existing object, copied by the service. Needs `copyPart`. */
  copyPart(number: number, offset: number, from: string, range: ByteRange,
    options?: CallOptions & { readonly sourceIfMatch?: string | undefined; readonly fromContainer?: string | undefined }): Promise<PartReceipt>;
  /** The parts the store has, ascending by number. Needs `resume`. */
  parts(options?: CallOptions): Promise<PartReceipt[]>;
  /**
   * Makes the object of exactly these parts (ascending numbers, offsets without gaps). Where the answer to an
   * earlier try was lost, a repetition that finds the same object succeeds.
   */
  complete(parts: readonly PartReceipt[], conditions?: WriteConditions & CallOptions): Promise<WriteReceipt>;
  /** Frees the parts. Idempotent; success when the upload is gone. */
  abort(options?: CallOptions): Promise<void>;
}

export interface PartLimits {
  /** Every part but the last is at least this long. */
  readonly minSize: number;
  readonly maxSize: number;
  readonly maxParts: number;
  readonly maxObjectSize: number;
  /** Every part but the last must have one common length (Cloudflare R2). */
  readonly equalSizes: boolean;
}

export interface ContainerInfo {
  readonly name: string;
  /** Milliseconds; absent when the service does not tell, or tells a made-up one. */
  readonly created?: number | undefined;
}

export interface Usage {
  readonly usedBytes?: number | undefined;
  readonly quotaBytes?: number | undefined;
  readonly objects?: number | undefined;
}

/** Frozen when the store is opened: what this endpoint, with these credentials, can do. A lying record fails the suite. */
export interface Capabilities {
  /** `delimiter`: hierarchical listings. `flat`: prefix only. `none`: objects are known by name alone. */
  readonly list: "delimiter" | "flat" | "none";
  readonly listOrdered: boolean;
  /** Listings carry user metadata, so no head per object is needed. */
  readonly listMetadata: boolean;
  /** `create`: ifNoneMatch is enforced. `swap`: ifMatch too. `none`: conditions are ignored or refused by the service; the backend then checks by `head` just before, which is documented as a narrower guarantee. */
  readonly conditionalPut: "none" | "create" | "swap";
  /** The same for `Upload.complete`. */
  readonly conditionalComplete: "none" | "create" | "swap";
  readonly conditionalGet: boolean;
  readonly conditionalDelete: boolean;
  /** Longest body of a single `put`. */
  readonly maxPutSize: number;
  readonly upload: PartLimits | false;
  /** `resumeUpload` and `Upload.parts` work. */
  readonly resume: boolean;
  /** Upload.copyPart; `minSize`: shortest range that is accepted for a part that is not the last. */
  readonly copyPart: { readonly minSize: number } | false;
  readonly copy: { readonly maxSize: number } | false;
  readonly rename: "atomic" | "none";
  readonly append: boolean;
  readonly truncate: boolean;
  /** Objects cannot be replaced or deleted. */
  readonly immutable: boolean;
  /** User metadata: total bytes of names and values; `update`: how setMetadata works. */
  readonly metadata: { readonly maxBytes: number; readonly update: "in-place" | "copy" | "none" } | false;
  readonly ttl: boolean;
  /** Algorithms the service verifies on what is sent to it. */
  readonly checksums: readonly ("md5" | "sha256" | "crc32c" | "crc64nvme")[];
  readonly containers: boolean;
  readonly usage: boolean;
  readonly presign: boolean;
  readonly versions: boolean;
  readonly maxKeyBytes: number;
}

/** One container of a store. */
export interface ObjectStore {
  /** For people and logs: `s3://bucket` or `file:///srv/store/photos`. Never carries a secret. */
  readonly label: string;
  readonly capabilities: Capabilities;

  /** `not-found` when there is none. Carries metadata. */
  head(key: string, options?: CallOptions): Promise<ObjectInfo>;
  list(request: ListRequest): Promise<ListPage>;
  /**
   * @param range absent for the whole object. A range that starts at or past the end: kind `range`. An object of size 0
   *   without a range gives an empty stream.
   */
  get(key: string, range?: ByteRange, options?: GetOptions): Promise<ObjectStream>;
  put(key: string, body: Body, options?: PutOptions): Promise<WriteReceipt>;
  /** Server-side copy inside the service. Needs `copy`; larger objects go by parts (`store/copyObject.ts`). */
  copy(from: string, to: string, options?: CopyOptions): Promise<WriteReceipt>;
  delete(key: string, options?: DeleteOptions): Promise<void>;
  /** Failed keys with their errors; an empty list is success. */
  deleteMany(keys: readonly string[], options?: CallOptions): Promise<{ readonly key: string; readonly error: unknown }[]>;
  /** Replaces the user metadata (and content type, when given) of exactly the version `ifMatch`, keeping the bytes. */
  setMetadata(key: string, metadata: Metadata,
    options?: CallOptions & { readonly ifMatch?: string | undefined; readonly contentType?: string | undefined }): Promise<WriteReceipt>;
  /** Needs `rename: "atomic"`. */
  rename(from: string, to: string, options?: CallOptions & WriteConditions): Promise<void>;

  /** Metadata and content type are fixed here. Needs `upload`. */
  beginUpload(key: string, options?: PutOptions): Promise<Upload>;
  /** `not-found` may come from here or from the first call on it. Needs `resume`. */
  resumeUpload(key: string, id: string, options?: PutOptions): Promise<Upload>;

  usage(options?: CallOptions): Promise<Usage>;
  /** A URL that anybody may GET for `seconds`. Needs `presign`. */
  presign(key: string, seconds: number): Promise<string>;
  /** Frees connections and timers. Calls after it are `aborted`. */
  close(): Promise<void>;
}

/** The account above the containers: what a backend opens, and what a mount without a container shows. */
export interface ObjectService {
  readonly label: string;
  containers(options?: CallOptions): Promise<ContainerInfo[]>;
  /** `exists` when it is there. */
  createContainer(name: string, options?: CallOptions): Promise<void>;
  /** `not-empty` when it has objects; success when it is missing. */
  deleteContainer(name: string, options?: CallOptions): Promise<void>;
  /**
   * Opens one container: asks the server whether it is there and may be read (`no-container`, `denied`,
   * `unavailable`), and finds out by probes what it can do.
   */
  container(name: string, options?: CallOptions): Promise<ObjectStore>;
  usage(options?: CallOptions): Promise<Usage>;
  close(): Promise<void>;
}
