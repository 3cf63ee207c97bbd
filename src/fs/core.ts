// What all groups of operations share: the parts a mount is made of, the inode table, locks, time, and the
// bookkeeping of what an own change makes known.

import type { Reads } from "../read/types.js";
import type { Capabilities, ObjectInfo, ObjectStore } from "../store/objectStore.js";
import type { Clock } from "../util/clock.js";
import type { Logger } from "../util/log.js";
import { Semaphore } from "../util/semaphore.js";
import type { Writes } from "../write/types.js";
import { AttributeStore } from "./attributeStore.js";
import type { Batch, Known } from "./directoryCache.js";
import { FsError } from "./errors.js";
import type { Notifier, Timespec } from "./filesystem.js";
import { chainOf, depthOf, prefixOf, type DirectoryInode, type FileInode, type Inode } from "./inode.js";
import { InodeTable } from "./inodeTable.js";
import { takeAll, type Wanted } from "./locks.js";
import { timeOf } from "./metadata.js";
import { objectName, directoryName } from "./names.js";
import type { FilesystemOptions } from "./options.js";

export interface CoreParts {
  readonly store: ObjectStore;
  readonly reads: Reads;
  readonly writes: Writes;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly options: FilesystemOptions;
}

/** What an operation needs for itself; see `Core.locked`. */
export interface LockRequest {
  /** Directories in which it changes a name. */
  readonly names?: readonly DirectoryInode[];
  /** Directories that it moves or removes, with all that is below. */
  readonly trees?: readonly DirectoryInode[];
  /** Files whose object it changes. */
  readonly objects?: readonly FileInode[];
}

const SILENT: Notifier = { invalidateInode: () => undefined, invalidateEntry: () => undefined, deleteEntry: () => undefined };

export class Core {
  readonly store: ObjectStore;
  readonly reads: Reads;
  readonly writes: Writes;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly options: FilesystemOptions;
  readonly capabilities: Capabilities;
  readonly inodes = new InodeTable((inode) => { if (inode.kind === "directory") this.#unlist(inode); });
  readonly attributes: AttributeStore;
  /** Requests that one operation sends in numbers. */
  readonly asks: Semaphore;
  /** Modification time of directories that do not say: constant over the mount. */
  readonly started: Timespec;
  notifier: Notifier = SILENT;
  /** Directories with cached names, the least recently filled first. */
  readonly #listed = new Map<DirectoryInode, number>();
  #names = 0;

  constructor(parts: CoreParts) {
    this.store = parts.store;
    this.reads = parts.reads;
    this.writes = parts.writes;
    this.logger = parts.logger;
    this.clock = parts.clock;
    this.options = parts.options;
    this.capabilities = parts.store.capabilities;
    this.attributes = new AttributeStore(parts.options.attributeBytes);
    this.asks = new Semaphore(Math.max(1, parts.options.concurrency));
    this.started = { sec: Math.floor(parts.clock.now() / 1000), nsec: 0 };
  }

  now(): Timespec { return timeOf(this.clock.now()); }
  batch(ttl: number): Batch { return { at: this.clock.monotonic(), ttl }; }

  /** The key of a file that has a name. @throws ESTALE when it has none any more. */
  keyOf(inode: FileInode): string {
    if (inode.parent === undefined) throw new FsError("ESTALE", "the file has no name any more", { ino: inode.ino });
    return prefixOf(inode.parent) + inode.component;
  }

  /** The name the kernel knows the inode by. */
  nameOf(inode: Inode): string {
    if (inode.kind === "directory") return directoryName(inode.component);
    const { parent, component } = inode;
    const shadowed = parent !== undefined && component !== "" &&
      (this.inodes.childDirectory(parent, component) !== undefined || parent.cache.entries.get(component)?.directory === true);
    return objectName(component, shadowed);
  }

  assertWritable(): void {
    if (this.options.readOnly) throw new FsError("EROFS", "the mount is read-only");
  }

  /** @throws EPERM where objects can neither be replaced nor removed. */
  assertMutable(what: string): void {
    this.assertWritable();
    if (this.capabilities.immutable) throw new FsError("EPERM", `${what}: objects of this store cannot be changed`);
  }

  assertKey(key: string): void {
    const bytes = Buffer.byteLength(key);
    if (bytes > this.capabilities.maxKeyBytes) {
      throw new FsError("ENAMETOOLONG", `the key would be ${bytes} bytes, the store takes ${this.capabilities.maxKeyBytes}`, { key });
    }
  }

  /**
   * Runs `work` with the locks of the request, the ancestors of everything in it held shared, so that nobody moves them away.
   * @throws ENOENT when a directory of the request is removed while waiting.
   */
  async locked<T>(request: LockRequest, work: () => Promise<T>): Promise<T> {
    const { names = [], trees = [], objects = [] } = request;
    const inodes: Inode[] = [...names, ...trees, ...objects];
    for (const inode of inodes) inode.pins += 1;
    let release: () => void = () => undefined;
    try {
      for (;;) {
        const before = this.#wanted(names, trees, objects);
        release = await takeAll(before);
        const after = this.#wanted(names, trees, objects);
        if (before.length === after.length && before.every((want, i) => want.lock === after[i]?.lock && want.depth === after[i]?.depth)) break;
        release();
      }
      for (const directory of [...names, ...trees]) {
        if (directory.gone) throw new FsError("ENOENT", "the directory was removed", { ino: directory.ino });
        if (directory.stale) throw new FsError("ESTALE", "the directory is another one by now", { ino: directory.ino });
      }
      return await work();
    } finally {
      release();
      for (const inode of inodes) inode.pins -= 1;
      for (const inode of inodes) this.inodes.settle(inode);
    }
  }

  #wanted(names: readonly DirectoryInode[], trees: readonly DirectoryInode[], objects: readonly FileInode[]): Wanted[] {
    const wanted: Wanted[] = [];
    const chain = (directory: DirectoryInode): void => {
      chainOf(directory).forEach((at, depth) => wanted.push({ lock: at.tree, kind: "tree", depth, ino: at.ino, exclusive: false }));
    };
    for (const directory of names) {
      chain(directory);
      wanted.push({ lock: directory.names, kind: "names", depth: 0, ino: directory.ino, exclusive: true });
    }
    for (const directory of trees) {
      chain(directory);
      wanted.push({ lock: directory.tree, kind: "tree", depth: depthOf(directory), ino: directory.ino, exclusive: true });
    }
    for (const file of objects) {
      if (file.parent !== undefined) chain(file.parent);
      wanted.push({ lock: file.object, kind: "object", depth: 0, ino: file.ino, exclusive: true });
    }
    return wanted;
  }

  /** An own change: what the name is from now on. */
  changed(directory: DirectoryInode, component: string, facts: Omit<Known, "batch">): void {
    directory.cache.change(component, { ...facts, batch: this.batch(this.options.listingTtlMs) });
    this.account(directory);
  }

  /** The object of a name after an own change, leaving the other fact of the name as it is known. */
  changedObject(directory: DirectoryInode, component: string, object: ObjectInfo | undefined): void {
    const known = directory.cache.entries.get(component);
    const isDirectory = known?.directory === true || this.inodes.childDirectory(directory, component) !== undefined;
    this.changed(directory, component, { directory: isDirectory, object, marker: known?.marker, legacy: known?.legacy });
  }

  /** The directory's own time, when one of its names comes or goes. */
  touched(directory: DirectoryInode): void {
    directory.changed = this.now();
  }

  /** Keeps cached names within their bound: the directory filled longest ago loses its names first. */
  account(directory: DirectoryInode): void {
    this.#unlist(directory);
    if (!this.inodes.has(directory)) return;
    this.#listed.set(directory, directory.cache.entries.size);
    this.#names += directory.cache.entries.size;
    for (const [listed] of this.#listed) {
      if (this.#names <= this.options.maxListingEntries) return;
      listed.cache.clear();
      this.#unlist(listed);
    }
  }

  #unlist(directory: DirectoryInode): void {
    this.#names -= this.#listed.get(directory) ?? 0;
    this.#listed.delete(directory);
  }

  checkInvariants(): void {
    this.inodes.checkInvariants();
    let names = 0;
    for (const [directory, counted] of this.#listed) {
      names += counted;
      if (!this.inodes.has(directory)) throw new Error(`inode ${directory.ino}: names of a forgotten directory are counted`);
    }
    if (names !== this.#names) throw new Error(`${this.#names} cached names are counted, there are ${names}`);
  }
}
