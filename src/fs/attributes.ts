// From what is known of an inode to what the kernel is told, and from a listing's or HEAD's record to the inode.

import type { ObjectInfo } from "../store/objectStore.js";
import { isStoreError } from "../store/errors.js";
import type { Core } from "./core.js";
import { holds } from "./directoryCache.js";
import { FsError } from "./errors.js";
import { S_IF, type Attributes, type AttributesReply, type Entry, type Timespec } from "./filesystem.js";
import type { DirectoryInode, FileInode, Inode } from "./inode.js";
import { carriesAttributes, keptOf, storeTime } from "./metadata.js";

const BLOCK = 512;
/** st_blksize: buffers of stdio have this size, so it is no larger than pays. */
const BLKSIZE = 128 * 1024;

export class AttributeView {
  readonly #core: Core;

  constructor(core: Core) {
    this.#core = core;
  }

  of(inode: Inode): Attributes {
    return inode.kind === "directory" ? this.#ofDirectory(inode) : this.#ofFile(inode);
  }

  reply(inode: Inode): AttributesReply {
    return { attributes: this.of(inode), timeoutMs: this.#core.options.attributesTimeoutMs };
  }

  /** An Entry that counts: the kernel holds the inode once more. */
  entry(inode: Inode): Entry {
    this.#core.inodes.count(inode);
    return this.uncounted(inode);
  }

  uncounted(inode: Inode): Entry {
    const { entryTimeoutMs, attributesTimeoutMs } = this.#core.options;
    return { attributes: this.of(inode), generation: 0, entryTimeoutMs, attributesTimeoutMs };
  }

  /** S_IFMT bits of an object; a marker's content is a regular file whatever its metadata says. */
  typeOf(info: Pick<ObjectInfo, "metadata"> | undefined, component: string): number {
    const mode = component === "" ? undefined : keptOf(info?.metadata).mode;
    const type = mode === undefined ? S_IF.REG : mode & S_IF.MT;
    return type === S_IF.DIR || type === S_IF.CHR || type === S_IF.BLK ? S_IF.REG : type;
  }

  #ofFile(inode: FileInode): Attributes {
    const { options } = this.#core;
    const { draft, info } = inode;
    const metadata = draft?.metadata ?? info?.metadata;
    const kept = keptOf(metadata);
    const type = this.typeOf({ metadata }, inode.component);
    const permissions = kept.mode !== undefined && (kept.mode & S_IF.MT) !== S_IF.DIR ? kept.mode & 0o7777
      : type === S_IF.LNK ? 0o777 : options.fileMode & ~options.umask;
    const fallback = storeTime(info?.lastModified ?? this.#core.clock.now());
    const mtime = draft?.written ?? kept.mtime ?? fallback;
    return this.#attributes(inode, draft?.file.size ?? info?.size ?? 0, type | permissions, inode.gone ? 0 : 1,
      kept.uid ?? options.uid, kept.gid ?? options.gid, { mtime, atime: kept.atime ?? mtime, ctime: kept.ctime ?? mtime });
  }

  #ofDirectory(inode: DirectoryInode): Attributes {
    const { options, started } = this.#core;
    const kept = keptOf(inode.local ?? inode.marker?.metadata);
    const permissions = kept.mode !== undefined && (kept.mode & S_IF.MT) === S_IF.DIR ? kept.mode & 0o7777 : options.dirMode & ~options.umask;
    const mtime = inode.changed ?? kept.mtime ?? started;
    return this.#attributes(inode, 4096, S_IF.DIR | permissions, inode.gone ? 0 : 2,
      kept.uid ?? options.uid, kept.gid ?? options.gid, { mtime, atime: kept.atime ?? mtime, ctime: kept.ctime ?? mtime });
  }

  #attributes(inode: Inode, size: number, mode: number, nlink: number, uid: number, gid: number,
    times: { mtime: Timespec; atime: Timespec; ctime: Timespec }): Attributes {
    return { ino: inode.ino, size, blocks: Math.ceil(size / BLOCK), ...times, mode, nlink, uid, gid, rdev: 0, blksize: BLKSIZE };
  }

  /**
   * Takes over what the store said at `at` (monotonic, before the question was sent).
   * @returns the inode that stands for the object now: another one when it has become something of another type.
   */
  learn(inode: FileInode, seen: ObjectInfo, at: number): FileInode {
    const { inodes, attributes, notifier, reads } = this.#core;
    if (inode.draft !== undefined || inode.staging !== undefined || at < inode.infoAt) return inode;
    const old = inode.info;
    if (seen.metadata !== undefined) attributes.remember(seen, true);
    const info = seen.metadata === undefined ? attributes.complete(seen) ?? seen : seen;
    if (old !== undefined && inode.parent !== undefined && this.typeOf(old, inode.component) !== this.typeOf(info, inode.component)) {
      const { parent, component } = inode;
      inode.stale = true;
      inodes.detach(inode);
      const next = inodes.openFile(parent, component);
      next.info = info;
      next.infoAt = at;
      return next;
    }
    inode.info = info;
    inode.infoAt = at;
    if (old !== undefined && old.etag !== info.etag) {
      inode.foreign += 1;
      reads.forget(old.key);
      notifier.invalidateInode(inode.ino, 0, -1);
    }
    return inode;
  }

  learnMarker(inode: DirectoryInode, marker: ObjectInfo | null | undefined, at: number): void {
    if (marker === undefined || at < inode.markerAt) return;
    if (marker !== null && marker.metadata !== undefined) this.#core.attributes.remember(marker, true);
    inode.marker = marker === null ? null : this.#core.attributes.complete(marker) ?? marker;
    inode.markerAt = at;
  }

  /** Whether an object of this directory (or a subdirectory's marker) whose metadata the listing did not carry is worth a HEAD. */
  worthAsking(directory: DirectoryInode, what: "object" | "marker" = "object"): boolean {
    const { options, capabilities, clock } = this.#core;
    if (options.attributes === "listing" || capabilities.metadata === false || (capabilities.listMetadata && what === "object")) return false;
    if (options.attributes === "full") return true;
    const { sample, sampledAt } = directory.cache;
    return sample !== "none" || !holds({ at: sampledAt, ttl: SAMPLE_TTL_MS }, clock.monotonic());
  }

  /**
   * The object with its metadata, by HEAD. Undefined: it is not there any more.
   * @param opened what it was, where it is about to be read: then the question brings its first bytes as well.
   */
  async head(key: string, directory: DirectoryInode | undefined, opened?: ObjectInfo): Promise<ObjectInfo | undefined> {
    try {
      const info = (opened === undefined ? undefined : await this.#core.reads.look({ key, etag: opened.etag, size: opened.size })) ?? await this.#core.store.head(key);
      const known = { ...info, metadata: info.metadata ?? {} };
      this.#core.attributes.remember(known, true);
      if (directory !== undefined) this.#sample(directory, carriesAttributes(known.metadata));
      return known;
    } catch (error) {
      if (isStoreError(error, "not-found")) {
        this.#core.attributes.forget(key);
        return undefined;
      }
      throw error;
    }
  }

  /** Objects met one by one are a sample too. */
  #sample(directory: DirectoryInode, carried: boolean): void {
    const { cache } = directory;
    cache.plain = carried ? 0 : cache.plain + 1;
    if (carried) this.sampled(directory, "carried");
    else if (cache.plain >= SAMPLE && cache.sample !== "carried") this.sampled(directory, "none");
  }

  sampled(directory: DirectoryInode, sample: "carried" | "none"): void {
    directory.cache.plain = 0;
    directory.cache.sample = sample;
    directory.cache.sampledAt = this.#core.clock.monotonic();
  }

  /**
   * The newest knowledge of an object, asked again when what is known is older than the attributes' time.
   * @param reading it is about to be read from its beginning.
   * @throws ESTALE when it is gone or of another type: the kernel then looks the name up once more.
   */
  async refresh(inode: FileInode, maxAgeMs: number, needMetadata: boolean, reading = false): Promise<void> {
    const { clock, inodes } = this.#core;
    if (inode.gone || inode.draft !== undefined || inode.staging !== undefined) return;
    const known = inode.info !== undefined && (!needMetadata || inode.info.metadata !== undefined);
    if (known && clock.monotonic() - inode.infoAt <= maxAgeMs) return;
    const { parent, component } = inode;
    if (parent === undefined) throw new FsError("ESTALE", "the file has no name any more", { ino: inode.ino });
    const key = this.#core.keyOf(inode);
    const at = clock.monotonic();
    const epoch = parent.cache.begin();
    try {
      const opened = reading ? inode.info : undefined;
      const info = await inodes.hold(inode, () => this.head(key, parent, opened));
      if (parent.cache.changedSince(component, epoch) || inode.draft !== undefined || inode.staging !== undefined || inode.parent !== parent) {
        if (inode.stale) throw new FsError("ESTALE", "the name leads to another object by now", { ino: inode.ino, key });
        return;
      }
      if (info === undefined) {
        this.vanished(inode);
        throw new FsError("ESTALE", `${key} is not there any more`, { ino: inode.ino, key });
      }
      if (this.learn(inode, info, at) !== inode) throw new FsError("ESTALE", `${key} is of another type by now`, { ino: inode.ino, key });
    } finally {
      parent.cache.end();
      inodes.settle(inode);
      inodes.settle(parent);
    }
  }

  /** The store says that the object is gone: its inode loses the name. Open handles keep what they have read. */
  vanished(inode: Inode): void {
    const { inodes, notifier } = this.#core;
    const { parent, component } = inode;
    if (parent === undefined) return;
    const name = this.#core.nameOf(inode);
    parent.cache.forget(component);
    inodes.retire(inode);
    notifier.invalidateEntry(parent.ino, name);
  }
}

/** So many objects of a directory tell whether it is worth asking for the others' metadata. */
export const SAMPLE = 8;
/** How long a sample of a directory holds. */
const SAMPLE_TTL_MS = 60_000;
