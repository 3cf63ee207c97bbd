// The inodes: what the kernel (or an open handle, or staged data) makes us remember. Everything else is asked again.
//
// A key is never stored in an inode: it is put together from the parents' components, so a renamed directory moves all
// that is below it at once.

import { FsError } from "./errors.js";
import { ROOT_INO, type Ino, type Timespec } from "./filesystem.js";
import type { Metadata, ObjectInfo } from "../store/objectStore.js";
import type { StagedFile } from "../write/types.js";
import type { ObjectVersion } from "../read/types.js";
import { DirectoryCache } from "./directoryCache.js";
import { Lock } from "./locks.js";

interface InodeBase {
  /** Never reused. */
  readonly ino: Ino;
  /** How often the kernel was told the number, less what it has forgotten. Never negative. */
  lookups: number;
  /** Open handles. */
  handles: number;
  /** Operations that hold the inode across an await. */
  pins: number;
  /** Undefined for the root, and for what is no longer under any name (`gone` or `stale`). */
  parent: DirectoryInode | undefined;
  component: string;
  /** Unlinked or removed: it has no name, nlink is 0, and open handles go on. */
  gone: boolean;
  /** The name leads to something of another kind now (changed outside): every operation is ESTALE. */
  stale: boolean;
}

export interface DirectoryInode extends InodeBase {
  readonly kind: "directory";
  /** By `d` or `f` and component. A child is here exactly as long as it is in the inode table and has this parent. */
  readonly children: Map<string, Inode>;
  readonly cache: DirectoryCache;
  /** `prefix` itself; null: there is none; undefined: not known. */
  marker: ObjectInfo | null | undefined;
  markerAt: number;
  /** Time of the last own change of its names, not kept at the store. */
  changed: Timespec | undefined;
  /** Attributes of a directory that has no key to keep them (the root). */
  local: Record<string, string> | undefined;
  readonly tree: Lock;
  readonly names: Lock;
}

/** What will be written with the next commit. */
export interface Draft {
  readonly file: StagedFile;
  /** The object's user metadata with all changes, without an implicit mtime. */
  metadata: Record<string, string>;
  contentType: string | undefined;
  /** Time of the last write; undefined: as `metadata` says. */
  written: Timespec | undefined;
  /** The object the unchanged bytes come from; a rename changes where it is. */
  readonly source: { version: ObjectVersion | undefined };
  /** Operations on `file` under way; it is closed when there are none. */
  active: number;
  idle: (() => void) | undefined;
}

export interface FileInode extends InodeBase {
  readonly kind: "file";
  /** The object as it was last seen. Undefined: it was never committed. `metadata` undefined: not known. */
  info: ObjectInfo | undefined;
  /** Monotonic time at which `info` was asked for. */
  infoAt: number;
  draft: Draft | undefined;
  /** Being staged. */
  staging: Promise<Draft> | undefined;
  /** Open handles that may write. */
  writers: number;
  /** How often somebody else's version was met: a handle of another count is at a version that is gone (ESTALE). */
  foreign: number;
  /** Etag at the last open: the same one keeps the kernel's pages. */
  openedEtag: string | undefined;
  /** Waiting changes of metadata: whoever gets the lock first writes them all. */
  readonly changes: MetadataChange[];
  readonly object: Lock;
}

export interface MetadataChange {
  readonly apply: (metadata: Record<string, string>) => void;
  readonly contentType: string | undefined;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

export type Inode = DirectoryInode | FileInode;

export function newDirectory(ino: Ino, parent: DirectoryInode | undefined, component: string): DirectoryInode {
  return {
    ino, kind: "directory", lookups: 0, handles: 0, pins: 0, parent, component, gone: false, stale: false,
    children: new Map(), cache: new DirectoryCache(), marker: undefined, markerAt: -Infinity, changed: undefined, local: undefined,
    tree: new Lock(), names: new Lock(),
  };
}

export function newFile(ino: Ino, parent: DirectoryInode, component: string): FileInode {
  return {
    ino, kind: "file", lookups: 0, handles: 0, pins: 0, parent, component, gone: false, stale: false,
    info: undefined, infoAt: -Infinity, draft: undefined, staging: undefined, writers: 0, foreign: 0, openedEtag: undefined, changes: [], object: new Lock(),
  };
}

export function childId(kind: Inode["kind"], component: string): string {
  return (kind === "directory" ? "d" : "f") + component;
}

/** "" for the root, otherwise it ends in `/`. @throws ESTALE below a directory that has no name any more: its keys are nobody's. */
export function prefixOf(directory: DirectoryInode): string {
  if (directory.parent === undefined && directory.ino !== ROOT_INO) throw new FsError("ESTALE", "the directory has no name any more", { ino: directory.ino });
  return directory.parent === undefined ? "" : `${prefixOf(directory.parent)}${directory.component}/`;
}

export function depthOf(inode: Inode): number {
  let depth = 0;
  for (let at = inode.parent; at !== undefined; at = at.parent) depth += 1;
  return depth;
}

/** The root first, `directory` last. */
export function chainOf(directory: DirectoryInode): DirectoryInode[] {
  const chain: DirectoryInode[] = [];
  for (let at: DirectoryInode | undefined = directory; at !== undefined; at = at.parent) chain.unshift(at);
  return chain;
}

/** Whether `inode` is `directory` or below it. */
export function isWithin(inode: Inode, directory: DirectoryInode): boolean {
  for (let at: Inode | undefined = inode; at !== undefined; at = at.parent) if (at === directory) return true;
  return false;
}

export function copyMetadata(metadata: Metadata | undefined): Record<string, string> {
  return { ...metadata };
}
