// Open files. A handle counts its operations and closes when it is released and the last of them has ended.

import type { ReadHandle } from "../read/types.js";
import { isStoreError } from "../store/errors.js";
import type { AttributeView } from "./attributes.js";
import type { Core } from "./core.js";
import { FsError } from "./errors.js";
import { OPEN_FLAGS, S_IF, type Context, type Fh, type Ino, type OpenReply } from "./filesystem.js";
import type { FileInode } from "./inode.js";
import type { Staging } from "./staging.js";

export interface FileHandle {
  readonly fh: Fh;
  readonly inode: FileInode;
  readonly readable: boolean;
  readonly writable: boolean;
  readonly append: boolean;
  /** `inode.foreign` at open: another one now means that this handle's version is gone. */
  readonly foreign: number;
  reader: ReadHandle | undefined;
  operations: number;
  released: boolean;
  ended: (() => void) | undefined;
  /** Its close met a conflict: the bytes are kept elsewhere, and this handle writes no more. */
  conflict: unknown;
}

export class OpenFiles {
  readonly #core: Core;
  readonly #view: AttributeView;
  readonly #staging: Staging;
  readonly #handles = new Map<number, FileHandle>();
  readonly #nextFh: () => Fh;

  constructor(core: Core, view: AttributeView, staging: Staging, nextFh: () => Fh) {
    this.#core = core;
    this.#view = view;
    this.#staging = staging;
    this.#nextFh = nextFh;
  }

  get open(): number { return this.#handles.size; }

  get(fh: Fh | undefined): FileHandle | undefined {
    return fh === undefined ? undefined : this.#handles.get(fh);
  }

  async openFile(context: Context, ino: Ino, flags: number): Promise<OpenReply> {
    const inode = this.#core.inodes.file(ino);
    const writes = (flags & OPEN_FLAGS.O_ACCMODE) !== OPEN_FLAGS.O_RDONLY || (flags & OPEN_FLAGS.O_TRUNC) !== 0;
    if (writes) this.#core.assertWritable();
    if (writes && this.#core.capabilities.immutable) throw new FsError("EEXIST", "objects of this store are written once", { ino });
    await this.#view.refresh(inode, this.#core.options.attributesTimeoutMs, false, !writes);
    if ((this.#view.of(inode).mode & S_IF.MT) === S_IF.LNK) throw new FsError("ELOOP", "a symbolic link", { ino });
    const handle = await this.#enter(inode, flags);
    const keepCache = inode.draft !== undefined || inode.staging !== undefined || (inode.info !== undefined && inode.openedEtag === inode.info.etag);
    inode.openedEtag = inode.info?.etag;
    if ((flags & OPEN_FLAGS.O_TRUNC) !== 0) {
      try {
        await this.truncate(inode, 0, handle, context.signal);
      } catch (error) {
        await this.release(handle.fh).catch(() => undefined);
        throw error;
      }
    }
    return { fh: handle.fh, keepCache, ...(handle.writable ? {} : { noFlush: true }) };
  }

  /**
   * A handle, counted while nobody takes the object away: unlink and rename bring here what the handles they find may still read.
   * @throws ESTALE when the object went first: the kernel then looks the name up once more.
   */
  async #enter(inode: FileInode, flags: number): Promise<FileHandle> {
    inode.pins += 1;
    try {
      if (inode.draft === undefined && inode.staging === undefined) {
        const waiting = inode.object.take(false);
        if (waiting !== undefined) await waiting;
        inode.object.leave(false);
      }
      if ((inode.gone || inode.stale) && inode.draft === undefined) throw new FsError("ESTALE", "the file was removed or replaced before it was open", { ino: inode.ino });
      return this.add(inode, flags);
    } finally {
      inode.pins -= 1;
      this.#core.inodes.settle(inode);
    }
  }

  add(inode: FileInode, flags: number): FileHandle {
    const access = flags & OPEN_FLAGS.O_ACCMODE;
    const handle: FileHandle = {
      fh: this.#nextFh(), inode, readable: access !== OPEN_FLAGS.O_WRONLY, writable: access !== OPEN_FLAGS.O_RDONLY, append: (flags & OPEN_FLAGS.O_APPEND) !== 0,
      foreign: inode.foreign, reader: undefined, operations: 0, released: false, ended: undefined, conflict: undefined,
    };
    inode.handles += 1;
    if (handle.writable) inode.writers += 1;
    this.#handles.set(handle.fh, handle);
    return handle;
  }

  /** Runs one operation of a handle. @throws EBADF when it is released. */
  async use<T>(fh: Fh, work: (handle: FileHandle) => Promise<T>): Promise<T> {
    const handle = this.#handles.get(fh);
    if (handle === undefined) throw new FsError("EBADF", "no such file handle");
    handle.operations += 1;
    try {
      return await work(handle);
    } finally {
      handle.operations -= 1;
      if (handle.operations === 0) handle.ended?.();
    }
  }

  read(context: Context, fh: Fh, offset: number, length: number): Promise<readonly Buffer[]> {
    return this.use(fh, async (handle) => {
      if (!handle.readable) throw new FsError("EBADF", "not open for reading");
      return this.#cached(handle, offset, length) ?? this.#read(handle, offset, length, context.signal);
    });
  }

  /** What needs no waiting needs no signal either, which costs as much as the rest of such a read. */
  #cached(handle: FileHandle, offset: number, length: number): readonly Buffer[] | undefined {
    const { inode, reader } = handle;
    const { info, parent } = inode;
    if (reader === undefined || info === undefined || parent === undefined || inode.draft !== undefined || inode.staging !== undefined) return undefined;
    if (reader.version.etag !== info.etag || handle.foreign !== inode.foreign || reader.version.key !== this.#core.keyOf(inode)) return undefined;
    return reader.cached(offset, length);
  }

  async #read(handle: FileHandle, offset: number, length: number, signal: AbortSignal): Promise<readonly Buffer[]> {
    const { inode } = handle;
    for (;;) {
      const draft = inode.draft ?? (inode.staging === undefined ? undefined : await inode.staging);
      // Also before a staged file is read: it may be one of the version that replaced this handle's.
      this.#assertCurrent(handle);
      if (draft !== undefined) return this.#staging.use(draft, () => draft.file.read(offset, length, signal));
      const { info } = inode;
      if (info === undefined) throw new FsError("ESTALE", "the object is not there any more", { ino: inode.ino });
      const key = inode.parent === undefined ? info.key : this.#core.keyOf(inode);
      let { reader } = handle;
      if (reader === undefined || reader.version.key !== key || reader.version.etag !== info.etag) {
        reader?.close();
        reader = handle.reader = this.#core.reads.open({ key, etag: info.etag, size: info.size });
      }
      try {
        const data = await reader.read(offset, length, signal);
        // Bytes of a version that was replaced meanwhile must not reach the kernel's cache beside those of the new one.
        this.#assertCurrent(handle);
        return data;
      } catch (error) {
        if (!isStoreError(error, "precondition", "not-found", "aborted")) throw error;
        // It may be on its way to another key: whoever moves it holds its lock, or one above.
        if (!isStoreError(error, "aborted") && inode.parent !== undefined) await this.#core.locked({ objects: [inode] }, () => Promise.resolve());
        const moved = inode.draft !== undefined || inode.staging !== undefined || inode.info !== info || handle.reader !== reader ||
          (inode.parent !== undefined && this.#core.keyOf(inode) !== key);
        if (moved && !signal.aborted) continue;
        if (isStoreError(error, "aborted")) throw error;
        inode.infoAt = -Infinity;
        throw new FsError("ESTALE", `${key} was replaced or removed while it was read`, { ino: inode.ino, key, cause: error });
      }
    }
  }

  #assertCurrent(handle: FileHandle): void {
    if (handle.foreign !== handle.inode.foreign) throw new FsError("ESTALE", "the object was replaced since it was opened", { ino: handle.inode.ino });
  }

  write(context: Context, fh: Fh, offset: number, data: Buffer): Promise<number> {
    return this.use(fh, async (handle) => {
      if (!handle.writable) throw new FsError("EBADF", "not open for writing");
      const { inode } = handle;
      if (handle.conflict !== undefined) throw handle.conflict;
      this.#assertCurrent(handle);
      const draft = await this.#staging.stage(inode, false, handle.foreign);
      await this.#staging.use(draft, async () => {
        // Before and after: a commit may take the bytes along before this goes on.
        draft.written = this.#core.now();
        if (handle.append) await draft.file.append(data, context.signal);
        else await draft.file.write(offset, data, context.signal);
      });
      draft.written = this.#core.now();
      return data.length;
    });
  }

  flush(context: Context, fh: Fh): Promise<void> {
    return this.use(fh, async (handle) => {
      if (!handle.writable) return;
      if (handle.conflict !== undefined) throw handle.conflict;
      try {
        await this.#staging.commit(handle.inode, context.signal);
      } catch (error) {
        if (isStoreError(error, "precondition") && handle.inode.writers === 1) {
          handle.conflict = error;
          await this.#staging.giveUp(handle.inode);
        }
        throw error;
      }
    });
  }

  fsync(context: Context, fh: Fh): Promise<void> {
    return this.use(fh, async (handle) => {
      if (handle.conflict !== undefined) throw handle.conflict;
      await this.#staging.commit(handle.inode, context.signal);
    });
  }

  async release(fh: Fh): Promise<void> {
    const handle = this.#handles.get(fh);
    if (handle === undefined) return;
    this.#handles.delete(fh);
    handle.released = true;
    if (handle.operations > 0) await new Promise<void>((resolve) => { handle.ended = resolve; });
    handle.reader?.close();
    await this.#leave(handle.inode, handle.writable);
  }

  async #leave(inode: FileInode, writer: boolean): Promise<void> {
    inode.pins += 1;
    inode.handles -= 1;
    if (writer) inode.writers -= 1;
    try {
      await this.#staging.settle(inode);
    } finally {
      inode.pins -= 1;
      this.#core.inodes.settle(inode);
    }
  }

  /** Through a writable handle the change waits for its close; otherwise it is committed before this answers. */
  async truncate(inode: FileInode, size: number, handle: FileHandle | undefined, signal?: AbortSignal): Promise<void> {
    const own = handle?.writable === true;
    if (!own) {
      inode.handles += 1;
      inode.writers += 1;
    }
    let failed = true;
    try {
      if (!(inode.draft === undefined && inode.staging === undefined && inode.info?.size === size)) {
        const draft = await this.#staging.stage(inode, size === 0, handle?.foreign ?? inode.foreign);
        await this.#staging.use(draft, async () => { await draft.file.truncate(size); });
        draft.written = this.#core.now();
        if (!own) await this.#staging.commit(inode, signal);
      }
      failed = false;
    } finally {
      if (!own) {
        const left = this.#leave(inode, true);
        await (failed ? left.catch(() => undefined) : left);
      }
    }
  }

  /** Every handle's end, as at the end of the mount. */
  async closeAll(): Promise<unknown[]> {
    const errors: unknown[] = [];
    await Promise.all([...this.#handles.keys()].map((fh) => this.release(fh as Fh).catch((error: unknown) => { errors.push(error); })));
    return errors;
  }
}
