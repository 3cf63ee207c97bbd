// Seam 1 over seam 2: each method finds its inode, hands the work to the group of operations it belongs to, and turns whatever goes
// wrong into an FsError.

import type { Reads } from "../read/types.js";
import type { ObjectStore } from "../store/objectStore.js";
import { systemClock, type Clock } from "../util/clock.js";
import { silentLogger, type Logger } from "../util/log.js";
import type { Writes } from "../write/types.js";
import { checkAccess } from "./access.js";
import { AttributeLog } from "./attributeLog.js";
import { AttributeView } from "./attributes.js";
import { Core } from "./core.js";
import { Creation } from "./creation.js";
import { Directories } from "./directories.js";
import { FsError, toFsError } from "./errors.js";
import { OpenFiles } from "./files.js";
import type {
  AttributeChanges, AttributesReply, Context, CreateReply, DirectorySink, Entry, Fh, Filesystem, Ino, NegativeEntry, Notifier, OpenReply, StatfsReply,
} from "./filesystem.js";
import type { Inode } from "./inode.js";
import { Lookups } from "./lookups.js";
import { MetadataWriter } from "./metadataWriter.js";
import { filesystemOptions, type FilesystemOptions } from "./options.js";
import { Ranges } from "./ranges.js";
import { DirectoryReader } from "./readdir.js";
import { Removal } from "./removal.js";
import { Rename } from "./rename.js";
import { TreeRename } from "./renameTree.js";
import { SetAttributes } from "./setattr.js";
import { Staging } from "./staging.js";
import { Statfs } from "./statfs.js";
import { Symlinks } from "./symlinks.js";
import { Xattrs } from "./xattrs.js";

export interface ObjectFilesystemParts {
  readonly store: ObjectStore;
  readonly reads: Reads;
  readonly writes: Writes;
  readonly logger?: Logger | undefined;
  readonly clock?: Clock | undefined;
  readonly options?: { readonly [K in keyof FilesystemOptions]?: FilesystemOptions[K] | undefined } | undefined;
}

/** The bytes of the attribute file on disk, in terms of the memory it is read into. */
const LOG_FACTOR = 2;

export class ObjectFilesystem implements Filesystem {
  readonly #core: Core;
  readonly #view: AttributeView;
  readonly #lookups: Lookups;
  readonly #staging: Staging;
  readonly #files: OpenFiles;
  readonly #directories: Directories;
  readonly #reader: DirectoryReader;
  readonly #creation: Creation;
  readonly #removal: Removal;
  readonly #rename: Rename;
  readonly #setattr: SetAttributes;
  readonly #symlinks: Symlinks;
  readonly #xattrs: Xattrs;
  readonly #ranges: Ranges;
  readonly #statfs: Statfs;
  readonly #log: Promise<AttributeLog> | undefined;
  #nextFh = 1;
  #destroyed: Promise<void> | undefined;

  /** Reads, writes and the store stay the caller's: after `destroy` it closes them. */
  constructor(parts: ObjectFilesystemParts) {
    const { store, reads, writes, logger = silentLogger, clock = systemClock, options } = parts;
    const core = this.#core = new Core({ store, reads, writes, logger, clock, options: filesystemOptions(options) });
    const view = this.#view = new AttributeView(core);
    const nextFh = (): Fh => this.#nextFh++ as Fh;
    const lookups = this.#lookups = new Lookups(core, view);
    const writer = new MetadataWriter(core, view);
    const staging = this.#staging = new Staging(core, view, writer);
    const files = this.#files = new OpenFiles(core, view, staging, nextFh);
    const directories = this.#directories = new Directories(core, view, lookups, writer);
    const removal = this.#removal = new Removal(core, lookups, staging, directories);
    const trees = new TreeRename(core, writer, directories);
    this.#reader = new DirectoryReader(core, view, lookups, nextFh);
    this.#creation = new Creation({ core, view, lookups, writer, staging, files, directories });
    this.#rename = new Rename({ core, view, lookups, writer, staging, directories, removal, trees });
    this.#setattr = new SetAttributes(core, view, writer, files);
    this.#symlinks = new Symlinks(core, view);
    this.#xattrs = new Xattrs(core, view, writer);
    this.#ranges = new Ranges(core, view, files, writer);
    this.#statfs = new Statfs(core);
    const { attributeFile, attributeBytes } = core.options;
    if (attributeFile !== undefined) this.#log = AttributeLog.open(attributeFile, core.attributes, LOG_FACTOR * attributeBytes, logger);
  }

  setNotifier(notifier: Notifier): void {
    this.#core.notifier = notifier;
  }

  /** Resolves when the attribute file, where there is one, has been read. Operations need not wait for it: until then they ask more. */
  async prepare(): Promise<void> {
    await this.#log;
  }

  lookup(context: Context, parent: Ino, name: string): Promise<Entry | NegativeEntry> {
    return this.#run(parent, async () => {
      const inode = await this.#lookups.find(this.#core.inodes.directory(parent), name, context.signal);
      if (inode === undefined) return { attributes: undefined, entryTimeoutMs: this.#core.options.negativeTimeoutMs };
      return this.#view.entry(inode);
    });
  }

  forget(ino: Ino, count: number): void {
    this.#core.inodes.forget(ino, count);
  }

  getattr(_context: Context, ino: Ino, fh: Fh | undefined): Promise<AttributesReply> {
    return this.#run(ino, async () => {
      const handle = this.#files.get(fh);
      const inode: Inode = handle?.inode ?? this.#core.inodes.get(ino);
      if (inode.kind === "file" && !(handle !== undefined && inode.stale)) {
        this.#fromListing(inode);
        const ask = inode.parent !== undefined && this.#view.worthAsking(inode.parent);
        await this.#view.refresh(inode, this.#core.options.attributesTimeoutMs, ask);
      }
      return this.#view.reply(inode);
    });
  }

  /** A fresh listing that shows the same version answers for the object. */
  #fromListing(inode: Inode): void {
    if (inode.kind !== "file" || inode.parent === undefined || inode.info === undefined) return;
    const known = inode.parent.cache.get(inode.component, this.#core.clock.monotonic());
    if (known?.object?.etag === inode.info.etag && known.batch.at > inode.infoAt) this.#view.learn(inode, known.object, known.batch.at);
  }

  setattr(context: Context, ino: Ino, changes: AttributeChanges): Promise<AttributesReply> {
    return this.#run(ino, () => this.#setattr.setattr(context, ino, changes));
  }

  readlink(context: Context, ino: Ino): Promise<string> {
    return this.#run(ino, () => this.#symlinks.readlink(context, ino));
  }

  symlink(context: Context, parent: Ino, name: string, target: string): Promise<Entry> {
    return this.#run(parent, async () => this.#view.entry(await this.#creation.symlink(context, parent, name, target)));
  }

  mknod(context: Context, parent: Ino, name: string, mode: number, _rdev: number): Promise<Entry> {
    return this.#run(parent, async () => this.#view.entry(await this.#creation.mknod(context, parent, name, mode)));
  }

  mkdir(context: Context, parent: Ino, name: string, mode: number): Promise<Entry> {
    return this.#run(parent, async () => this.#view.entry(await this.#directories.mkdir(context, this.#core.inodes.directory(parent), name, mode)));
  }

  unlink(context: Context, parent: Ino, name: string): Promise<void> {
    return this.#run(parent, () => this.#removal.unlink(context, parent, name));
  }

  rmdir(context: Context, parent: Ino, name: string): Promise<void> {
    return this.#run(parent, () => this.#directories.rmdir(context, this.#core.inodes.directory(parent), name));
  }

  rename(context: Context, parent: Ino, name: string, newParent: Ino, newName: string, flags: number): Promise<void> {
    return this.#run(parent, () => this.#rename.rename(context, parent, name, newParent, newName, flags));
  }

  link(_context: Context, ino: Ino): Promise<Entry> {
    return this.#run(ino, async () => { throw new FsError("EPERM", "an object has one key, so a file has one name", { ino }); });
  }

  open(context: Context, ino: Ino, flags: number): Promise<OpenReply> {
    return this.#run(ino, () => this.#files.openFile(context, ino, flags));
  }

  create(context: Context, parent: Ino, name: string, mode: number, flags: number): Promise<CreateReply> {
    return this.#run(parent, () => this.#creation.create(context, parent, name, mode, flags));
  }

  read(context: Context, ino: Ino, fh: Fh, offset: number, length: number): Promise<readonly Buffer[]> {
    return this.#run(ino, () => this.#files.read(context, fh, offset, length));
  }

  write(context: Context, ino: Ino, fh: Fh, offset: number, data: Buffer): Promise<number> {
    return this.#run(ino, () => this.#files.write(context, fh, offset, data));
  }

  flush(context: Context, ino: Ino, fh: Fh): Promise<void> {
    return this.#run(ino, () => this.#files.flush(context, fh));
  }

  release(_context: Context, ino: Ino, fh: Fh): Promise<void> {
    return this.#run(ino, () => this.#files.release(fh));
  }

  fsync(context: Context, ino: Ino, fh: Fh, _dataOnly: boolean): Promise<void> {
    return this.#run(ino, () => this.#files.fsync(context, fh));
  }

  fallocate(context: Context, ino: Ino, fh: Fh, offset: number, length: number, mode: number): Promise<void> {
    return this.#run(ino, () => this.#ranges.fallocate(context, fh, offset, length, mode));
  }

  lseek(_context: Context, ino: Ino, fh: Fh, offset: number, whence: number): Promise<number> {
    return this.#run(ino, () => this.#ranges.lseek(fh, offset, whence));
  }

  copyFileRange(context: Context, fromIno: Ino, fromFh: Fh, fromOffset: number, _toIno: Ino, toFh: Fh, toOffset: number, length: number): Promise<number> {
    return this.#run(fromIno, () => this.#ranges.copyFileRange(context, fromFh, fromOffset, toFh, toOffset, length));
  }

  opendir(_context: Context, ino: Ino): Promise<OpenReply> {
    return this.#run(ino, async () => this.#reader.opendir(ino));
  }

  readdir(context: Context, ino: Ino, fh: Fh, offset: number, sink: DirectorySink): Promise<void> {
    return this.#run(ino, () => this.#reader.readdir(context, fh, offset, sink, false));
  }

  readdirplus(context: Context, ino: Ino, fh: Fh, offset: number, sink: DirectorySink): Promise<void> {
    return this.#run(ino, () => this.#reader.readdir(context, fh, offset, sink, true));
  }

  releasedir(_context: Context, ino: Ino, fh: Fh): Promise<void> {
    return this.#run(ino, async () => { this.#reader.releasedir(fh); });
  }

  /** Names are at the store when they are answered, but for new files that are still being written. */
  fsyncdir(context: Context, ino: Ino, _fh: Fh, _dataOnly: boolean): Promise<void> {
    return this.#run(ino, () => this.#commitAll([...this.#core.inodes.directory(ino).children.values()], context.signal));
  }

  statfs(_context: Context, ino: Ino): Promise<StatfsReply> {
    return this.#run(ino, () => this.#statfs.statfs());
  }

  access(context: Context, ino: Ino, mask: number): Promise<void> {
    return this.#run(ino, async () => {
      const { attributes } = await this.getattr(context, ino, undefined);
      checkAccess(context, attributes, mask, this.#core.options.readOnly);
    });
  }

  setxattr(_context: Context, ino: Ino, name: string, value: Buffer, flags: number): Promise<void> {
    return this.#run(ino, () => this.#xattrs.set(ino, name, value, flags));
  }

  getxattr(_context: Context, ino: Ino, name: string): Promise<Buffer> {
    return this.#run(ino, () => this.#xattrs.get(ino, name));
  }

  listxattr(_context: Context, ino: Ino): Promise<readonly string[]> {
    return this.#run(ino, () => this.#xattrs.list(ino));
  }

  removexattr(_context: Context, ino: Ino, name: string): Promise<void> {
    return this.#run(ino, () => this.#xattrs.remove(ino, name));
  }

  syncfs(context: Context): Promise<void> {
    // By inodes, under their locks: a commit past them could meet a rename of its file half done.
    return this.#run(undefined, () => this.#commitAll([...this.#core.inodes.all()], context.signal));
  }

  async #commitAll(inodes: readonly Inode[], signal: AbortSignal | undefined): Promise<void> {
    const results = await Promise.allSettled(inodes.map(async (inode) => {
      if (inode.kind === "file" && (inode.draft !== undefined || inode.staging !== undefined)) await this.#staging.commit(inode, signal);
    }));
    const failed = results.find((result) => result.status === "rejected");
    if (failed !== undefined) throw failed.reason;
  }

  destroy(): Promise<void> {
    this.#destroyed ??= this.#run(undefined, async () => {
      const errors = await this.#files.closeAll();
      this.#reader.closeAll();
      await this.#core.writes.sync().catch((error: unknown) => { errors.push(error); });
      await (await this.#log)?.close();
      for (const inode of this.#core.inodes.all()) this.#core.inodes.forget(inode.ino, inode.lookups);
      this.checkInvariants();
      if (this.#core.inodes.size !== 1) throw new Error(`${this.#core.inodes.size - 1} inodes are left`);
      if (this.#core.asks.held !== 0 || this.#core.asks.waiting !== 0) throw new Error("requests are under way");
      if (errors.length > 0) throw errors[0];
    });
    return this.#destroyed;
  }

  /** For tests and for the end: @throws Error that names what does not hold. */
  checkInvariants(): void {
    this.#core.checkInvariants();
  }

  /** What is held now; all but `inodes` (1, the root) are zero after `destroy`. */
  stats(): { readonly inodes: number; readonly files: number; readonly directories: number; readonly attributeBytes: number } {
    return { inodes: this.#core.inodes.size, files: this.#files.open, directories: this.#reader.open, attributeBytes: this.#core.attributes.bytes };
  }

  async #run<T>(ino: Ino | undefined, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw toFsError(error, { ino });
    }
  }
}
