// What `src/write` offers to `src/fs`: staged files that become objects by a commit, without inodes.

import type { Metadata } from "../store/objectStore.js";

/** The object a staged file changes: its unchanged bytes are read through `read` (the composition root joins src/read to it). */
export interface BaseVersion {
  readonly etag: string;
  readonly size: number;
  read(offset: number, length: number, signal?: AbortSignal): Promise<readonly Buffer[]>;
}

/** Asked when an upload begins and again when it completes; a difference is repaired by a metadata update after the commit. */
export interface ObjectDescription {
  readonly metadata: Metadata;
  readonly contentType?: string | undefined;
  readonly expires?: number | undefined;
}

export interface StageRequest {
  readonly key: string;
  /** Absent: there is no object yet, and the commit is conditional on that (ifNoneMatch). */
  readonly base?: BaseVersion | undefined;
  /** The staged file starts empty although there is a base (O_TRUNC); the commit is still conditional on the base's etag. */
  readonly truncate?: boolean | undefined;
  /** True: even without a write there is something to commit (a new or a truncated file). */
  readonly dirty: boolean;
  /**
   * The metadata as it stands now. `streamed: true` (an upload by parts, asked at its begin and again at its completion) leaves the
   * implicit mtime out: the store's own modification time stands for it, so that a file streamed while it is written needs no metadata
   * update afterwards. Absent or false (a single put, asked once, right before it) carries the time of the last write.
   */
  describe(how?: { readonly streamed: boolean }): ObjectDescription;
}

/** What a commit left at the store. `key` differs from the staged key after a conflict that was answered by a copy. */
export interface Committed {
  readonly key: string;
  readonly etag: string;
  readonly size: number;
  /** The store's own modification time as `head` tells it; absent when it was not asked (a put that carries its mtime in the metadata). */
  readonly lastModified?: number | undefined;
  readonly metadata: Metadata;
  readonly contentType?: string | undefined;
}

/**
 * The state of one staged file (DESIGN 7).
 *
 * | state      | write        | commit                        | close                 | commit ok | commit failed |
 * |------------|--------------|-------------------------------|-----------------------|-----------|---------------|
 * | clean      | -> dirty     | no-op, answers the last one   | -> closed             | -         | -             |
 * | dirty      | stays        | -> committing, wait           | commits, then closes  | -         | -             |
 * | committing | queues behind| joins the same wait           | closes after          | -> clean  | -> failed     |
 * | failed     | same error   | tries again, then same error  | closed, bytes kept    | -         | -             |
 * | closed     | EBADF        | EBADF                         | no-op                 | -         | -             |
 */
export type StagedState = "clean" | "dirty" | "committing" | "failed" | "closed";

/** One object being written; shared by all handles of its inode. */
export interface StagedFile {
  readonly key: string;
  readonly size: number;
  readonly state: StagedState;
  /** The etag it would replace: the base's, or the last commit's. Undefined: it would create. */
  readonly etag: string | undefined;
  /** Staged bytes merged with the base's. Holes are zeros. Cut at `size`. */
  read(offset: number, length: number, signal?: AbortSignal): Promise<readonly Buffer[]>;
  /** Takes all of `data` (valid until the promise settles). Past the end: the gap is a hole. */
  write(offset: number, data: Buffer, signal?: AbortSignal): Promise<void>;
  /** Writes at the end as it is when the write is its turn. @returns the offset it got. */
  append(data: Buffer, signal?: AbortSignal): Promise<number>;
  truncate(size: number): Promise<void>;
  /** SEEK_DATA / SEEK_HOLE over staged ranges and base; undefined past the end. */
  seek(offset: number, whence: "data" | "hole"): number | undefined;
  /**
   * Everything written before this call is an object at the store when it answers. Calls during a commit join one
   * further commit if something was written since. Rejects with StoreError or the staging file system's own error;
   * the bytes are then kept. `precondition`: somebody else changed the object.
   */
  commit(signal?: AbortSignal): Promise<Committed>;
  /** Only the description changed (chmod before close): the next commit must write it. */
  touch(): void;
  /** Renamed while staged: later commits go to `key`; an upload under the old key is aborted. `etag`: what the target is expected to be there. */
  retarget(key: string, etag: string | undefined): Promise<void>;
  /** Every byte that only the base has is brought here; rejects with what keeps one from coming. What is committed does not change by it. */
  fetch(): Promise<void>;
  /** Unlinked while open: reading and writing go on, nothing is committed any more, an upload is aborted. */
  orphan(): Promise<void>;
  /** Takes `orphan` back: the store would not unlink. What is unsaved is committed again. */
  restore(): void;
  /** The last handle is gone. See the table; never throws: failures are logged and kept for `pending`. */
  close(): Promise<void>;
}

/** A line of `objmount status`. */
export interface PendingFile {
  readonly key: string;
  readonly state: StagedState;
  readonly size: number;
  /** Bytes of it that the store has acknowledged as parts. */
  readonly uploaded: number;
  /** Milliseconds since the epoch when it became dirty. */
  readonly since: number;
  /** Where its bytes are kept. */
  readonly file: string;
  readonly error?: string | undefined;
}

export interface WriteStats {
  readonly pending: readonly PendingFile[];
  readonly pendingBytes: number;
  readonly committed: number;
  readonly failed: number;
  readonly uploadedBytes: number;
  readonly copiedBytes: number;
}

export interface Writes {
  stage(request: StageRequest): Promise<StagedFile>;
  stats(): WriteStats;
  /** Waits until every dirty or committing file is committed or failed; rejects with the first failure after all have ended. */
  sync(signal?: AbortSignal): Promise<void>;
  /** Ends: staged files of failed commits stay on disk. */
  close(): Promise<void>;
}
