// The operations of libfuse's path interface, put onto the filesystem. What that interface loses on the way is made up for here
// where it can be; the rest stands in docs/SEMANTICS.md:
//
// - Files unlinked or replaced while open: see hiddenFiles.ts.
// - create comes without its flags. O_EXCL is always set, for the kernel has just seen that there is nothing; where there is something
//   all the same, ESTALE makes the kernel look again.
// - Nobody is told: new files belong to the user who mounted.

import { FsError } from "../fs/errors.js";
import {
  type AttributeChanges, type Attributes, type Context, type DirectoryEntry, type DirectorySink, type Entry, type Fh, type Filesystem, type Ino,
  OPEN_FLAGS, type StatfsReply, type Timespec,
} from "../fs/filesystem.js";
import { HiddenFiles } from "./hiddenFiles.js";
import { type Found, Paths } from "./paths.js";

/** chown's "leave it". */
const UNCHANGED = 0xffff_ffff;
const LARGEST_HANDLE = 0x7fff_ffff;
const PERMISSIONS = 0o7777;

interface OpenFile { readonly fh: Fh; readonly found: Found }

export class PathOperations {
  readonly #filesystem: Filesystem;
  /** What only reads is cut short when the mount ends; what changes something runs to its end. */
  readonly #reading: Context;
  readonly #context: Context;
  readonly #paths: Paths;
  readonly #hidden: HiddenFiles;
  // The library's handles have 31 bits: a number of our own stands for the filesystem's.
  readonly #files = new Map<number, OpenFile>();
  #nextHandle = 0;

  /**
   * @param owner stands for whoever asks: the library does not tell
   * @param ending fires when the kernel has let go of the mount
   * @param onLate told of an unlink that failed after it was answered
   */
  constructor(filesystem: Filesystem, owner: { readonly uid: number; readonly gid: number }, ending: AbortSignal, onLate: (path: string, error: unknown) => void) {
    this.#filesystem = filesystem;
    this.#reading = { ...owner, pid: 0, signal: ending };
    this.#context = { ...owner, pid: 0, signal: new AbortController().signal };
    this.#paths = new Paths(filesystem);
    this.#hidden = new HiddenFiles((path, ino) => this.#removeHidden(path, ino).catch((error: unknown) => onLate(path, error)));
  }

  get openFiles(): number { return this.#files.size; }

  async #on<T>(path: string, work: (found: Found) => Promise<T>, context = this.#context): Promise<T> {
    const hidden = this.#hidden.get(path);
    if (hidden !== undefined) {
      await this.#hidden.settledInode(hidden.ino);
      // Counted by the entry, which outlives every operation on it.
      return await work({ ino: hidden.ino, attributes: undefined, chain: [] });
    }
    await this.#hidden.settled(path, false);
    return await this.#paths.on(context, path, work);
  }

  #look<T>(path: string, work: (found: Found) => Promise<T>): Promise<T> {
    return this.#on(path, work, this.#reading);
  }

  async #onParent<T>(path: string, work: (parent: Ino, name: string) => Promise<T>): Promise<T> {
    await this.#hidden.settled(path, true);
    return await this.#paths.onParent(this.#context, path, work);
  }

  #file(handle: number): OpenFile {
    const file = this.#files.get(handle);
    if (file === undefined) throw new FsError("EBADF", "no such file handle");
    return file;
  }

  #keep(fh: Fh, found: Found): number {
    do this.#nextHandle = this.#nextHandle % LARGEST_HANDLE + 1; while (this.#files.has(this.#nextHandle));
    this.#files.set(this.#nextHandle, { fh, found });
    return this.#nextHandle;
  }

  async getattr(path: string, handle?: number): Promise<Attributes> {
    const file = handle === undefined ? undefined : this.#files.get(handle);
    if (file !== undefined) {
      await this.#hidden.settledInode(file.found.ino);
      return (await this.#filesystem.getattr(this.#reading, file.found.ino, file.fh)).attributes;
    }
    return this.#look(path, async ({ ino, attributes }) => attributes ?? (await this.#filesystem.getattr(this.#reading, ino, undefined)).attributes);
  }

  access(path: string, mask: number): Promise<void> {
    return this.#look(path, ({ ino }) => this.#filesystem.access(this.#reading, ino, mask));
  }

  statfs(path: string): Promise<StatfsReply> {
    return this.#look(path, ({ ino }) => this.#filesystem.statfs(this.#reading, ino));
  }

  /** All names at once: the library keeps them for its own cookies. A name that is not UTF-8 cannot be handed over, and is left out. */
  async readdir(path: string): Promise<{ readonly entries: readonly DirectoryEntry[]; readonly leftOut: readonly string[] }> {
    await this.#hidden.settled(path, true);
    return await this.#look(path, async ({ ino }) => {
      const { fh } = await this.#filesystem.opendir(this.#reading, ino);
      const all = new AllEntries();
      try {
        for (let offset = -1; offset !== all.offset;) {
          offset = all.offset;
          await this.#filesystem.readdir(this.#reading, ino, fh, offset, all);
        }
      } finally {
        await this.#filesystem.releasedir(this.#reading, ino, fh);
      }
      return all;
    });
  }

  async open(path: string, flags: number): Promise<number> {
    await this.#hidden.settled(path, false);
    // Of a hidden file, too: the kernel had looked its name up before it was hidden.
    const hidden = this.#hidden.get(path);
    const found = hidden === undefined ? await this.#paths.find(this.#context, path) : { ...hidden, chain: [] };
    try {
      return this.#keep((await this.#filesystem.open(this.#context, found.ino, flags)).fh, found);
    } catch (error) {
      this.#paths.leave(found.chain);
      throw error;
    }
  }

  async create(path: string, mode: number): Promise<number> {
    await this.#hidden.settled(path, false);
    const at = path.lastIndexOf("/");
    const parent = await this.#paths.find(this.#context, path.slice(0, at));
    try {
      const { entry: { attributes }, open } = await this.#filesystem.create(this.#context, parent.ino, path.slice(at + 1), mode & PERMISSIONS,
        OPEN_FLAGS.O_RDWR | OPEN_FLAGS.O_CREAT | OPEN_FLAGS.O_EXCL);
      return this.#keep(open.fh, { ino: attributes.ino, attributes, chain: [...parent.chain, attributes.ino] });
    } catch (error) {
      this.#paths.leave(parent.chain);
      if (error instanceof FsError && error.errno === "EEXIST") throw new FsError("ESTALE", "made by somebody else meanwhile", { cause: error });
      throw error;
    }
  }

  /** Into `target`, all of it or up to the end of the file. @returns how much. */
  async read(handle: number, target: Buffer, offset: number): Promise<number> {
    const { fh, found } = this.#file(handle);
    let at = 0;
    for (const slice of await this.#filesystem.read(this.#reading, found.ino, fh, offset, target.length)) at += slice.copy(target, at);
    return at;
  }

  async write(handle: number, data: Buffer, offset: number): Promise<number> {
    const { fh, found } = this.#file(handle);
    return await this.#filesystem.write(this.#context, found.ino, fh, offset, data);
  }

  async flush(handle: number): Promise<void> {
    const { fh, found } = this.#file(handle);
    await this.#filesystem.flush(this.#context, found.ino, fh);
  }

  async fsync(handle: number, dataOnly: boolean): Promise<void> {
    const { fh, found } = this.#file(handle);
    await this.#filesystem.fsync(this.#context, found.ino, fh, dataOnly);
  }

  async release(handle: number): Promise<void> {
    const { fh, found } = this.#file(handle);
    this.#files.delete(handle);
    try {
      await this.#filesystem.release(this.#context, found.ino, fh);
    } finally {
      this.#paths.leave(found.chain);
    }
  }

  fsyncdir(path: string, dataOnly: boolean): Promise<void> {
    return this.#on(path, async ({ ino }) => {
      const { fh } = await this.#filesystem.opendir(this.#context, ino);
      try {
        await this.#filesystem.fsyncdir(this.#context, ino, fh, dataOnly);
      } finally {
        await this.#filesystem.releasedir(this.#context, ino, fh);
      }
    });
  }

  async #setattr(path: string, changes: AttributeChanges): Promise<void> {
    await this.#on(path, ({ ino }) => this.#filesystem.setattr(this.#context, ino, changes));
  }

  truncate(path: string, size: number): Promise<void> {
    return this.#setattr(path, { size });
  }

  async ftruncate(handle: number, size: number): Promise<void> {
    const { fh, found } = this.#file(handle);
    await this.#filesystem.setattr(this.#context, found.ino, { size, fh });
  }

  chmod(path: string, mode: number): Promise<void> {
    return this.#setattr(path, { mode: mode & PERMISSIONS });
  }

  chown(path: string, uid: number, gid: number): Promise<void> {
    return this.#setattr(path, { ...(uid === UNCHANGED ? {} : { uid }), ...(gid === UNCHANGED ? {} : { gid }) });
  }

  utimens(path: string, atime: Timespec, mtime: Timespec): Promise<void> {
    return this.#setattr(path, { atime, mtime });
  }

  readlink(path: string): Promise<string> {
    return this.#look(path, ({ ino }) => this.#filesystem.readlink(this.#reading, ino));
  }

  async symlink(target: string, path: string): Promise<void> {
    await this.#making(path, (parent, name) => this.#filesystem.symlink(this.#context, parent, name, target));
  }

  async mknod(path: string, mode: number, rdev: number): Promise<void> {
    await this.#making(path, (parent, name) => this.#filesystem.mknod(this.#context, parent, name, mode, rdev));
  }

  async mkdir(path: string, mode: number): Promise<void> {
    await this.#making(path, (parent, name) => this.#filesystem.mkdir(this.#context, parent, name, mode & PERMISSIONS));
  }

  async link(from: string, path: string): Promise<void> {
    await this.#on(from, ({ ino }) => this.#making(path, (parent, name) => this.#filesystem.link(this.#context, ino, parent, name)));
  }

  async #making(path: string, make: (parent: Ino, name: string) => Promise<Entry>): Promise<void> {
    const entry = await this.#onParent(path, make);
    this.#paths.leave([entry.attributes.ino]);
  }

  async unlink(path: string): Promise<void> {
    const hidden = this.#hidden.reveal(path);
    if (hidden !== undefined) {
      await this.#hidden.settledInode(hidden.ino);
      this.#paths.forget(hidden.chain);
      return;
    }
    await this.#hidden.settled(path, false);
    await this.#paths.removing(this.#context, path, (parent, name) => this.#filesystem.unlink(this.#context, parent, name));
  }

  async rmdir(path: string): Promise<void> {
    await this.#hidden.settled(path, true);
    await this.#paths.removing(this.#context, path, (parent, name) => this.#filesystem.rmdir(this.#context, parent, name));
  }

  async rename(from: string, to: string): Promise<void> {
    if (this.#hidden.isMadeUp(to) && await this.#hide(from, to)) return;
    await this.#hidden.settled(from, true);
    const replacing = this.#hidden.replacing(to);
    try {
      if (replacing === undefined) await this.#hidden.settled(to, true);
      await this.#paths.onParent(this.#context, from, (parent, name) =>
        this.#paths.onParent(this.#context, to, (newParent, newName) => this.#filesystem.rename(this.#context, parent, name, newParent, newName, 0)));
    } finally {
      // Also when it failed: what was to be replaced stays.
      replacing?.end();
    }
  }

  /** @returns false when nobody has the file open: then it is somebody's own name, however odd */
  async #hide(from: string, madeUp: string): Promise<boolean> {
    await this.#hidden.settled(from, false);
    const found = await this.#paths.find(this.#context, from);
    if (![...this.#files.values()].some((file) => file.found.ino === found.ino)) {
      this.#paths.leave(found.chain);
      return false;
    }
    this.#hidden.hide(from, madeUp, found);
    return true;
  }

  async #removeHidden(path: string, ino: Ino): Promise<void> {
    await this.#paths.on(this.#context, path, async (found) => {
      if (found.ino === ino) await this.#paths.onParent(this.#context, path, (parent, name) => this.#filesystem.unlink(this.#context, parent, name));
    });
  }

  setxattr(path: string, name: string, value: Buffer, flags: number): Promise<void> {
    return this.#on(path, ({ ino }) => this.#filesystem.setxattr(this.#context, ino, name, value, flags));
  }

  getxattr(path: string, name: string): Promise<Buffer> {
    return this.#look(path, ({ ino }) => this.#filesystem.getxattr(this.#reading, ino, name));
  }

  /** The names, each with a NUL behind it. */
  listxattr(path: string): Promise<Buffer> {
    return this.#look(path, async ({ ino }) => Buffer.from((await this.#filesystem.listxattr(this.#reading, ino)).map((name) => `${name}\0`).join(""), "utf8"));
  }

  removexattr(path: string, name: string): Promise<void> {
    return this.#on(path, ({ ino }) => this.#filesystem.removexattr(this.#context, ino, name));
  }

  /** The mount is over: handles that the library left open are closed, and all counts given back. */
  async close(): Promise<void> {
    await this.#hidden.flush();
    for (const handle of this.#files.keys()) await this.release(handle).catch(() => undefined);
    for (const { chain } of this.#hidden.close()) this.#paths.forget(chain);
    this.#paths.close();
  }
}

/** Takes everything. */
class AllEntries implements DirectorySink {
  readonly entries: DirectoryEntry[] = [];
  readonly leftOut: string[] = [];
  offset = 0;

  add(item: DirectoryEntry): boolean {
    if (item.name.isWellFormed()) this.entries.push(item);
    else this.leftOut.push(item.name);
    this.offset = item.offset;
    return true;
  }
}
