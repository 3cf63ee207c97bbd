// Operations on ranges of open files: fallocate, lseek, copy_file_range.

import { copyObject } from "../store/copyObject.js";
import { isStoreError } from "../store/errors.js";
import type { AttributeView } from "./attributes.js";
import type { Core } from "./core.js";
import { FsError } from "./errors.js";
import type { FileHandle, OpenFiles } from "./files.js";
import type { Context, Fh } from "./filesystem.js";
import type { FileInode } from "./inode.js";
import { formatTime } from "./metadata.js";
import type { MetadataWriter } from "./metadataWriter.js";

const SEEK_DATA = 3;
const SEEK_HOLE = 4;

export class Ranges {
  readonly #core: Core;
  readonly #view: AttributeView;
  readonly #files: OpenFiles;
  readonly #writer: MetadataWriter;

  constructor(core: Core, view: AttributeView, files: OpenFiles, writer: MetadataWriter) {
    this.#core = core;
    this.#view = view;
    this.#files = files;
    this.#writer = writer;
  }

  /** Only mode 0, and of it what can be promised: the size. */
  async fallocate(context: Context, fh: Fh, offset: number, length: number, mode: number): Promise<void> {
    return this.#files.use(fh, async (handle) => {
      if (!handle.writable) throw new FsError("EBADF", "not open for writing");
      if (mode !== 0) throw new FsError("EOPNOTSUPP", "of fallocate only the plain mode is supported");
      if (length <= 0 || offset < 0) throw new FsError("EINVAL", "an empty range");
      if (offset + length > this.#view.of(handle.inode).size) await this.#files.truncate(handle.inode, offset + length, handle, context.signal);
    });
  }

  async lseek(fh: Fh, offset: number, whence: number): Promise<number> {
    return this.#files.use(fh, async ({ inode }) => {
      if (whence !== SEEK_DATA && whence !== SEEK_HOLE) throw new FsError("EINVAL", "only SEEK_DATA and SEEK_HOLE");
      const { size } = this.#view.of(inode);
      if (offset < 0 || offset >= size) throw new FsError("ENXIO", "past the end");
      if (inode.draft === undefined) return whence === SEEK_DATA ? offset : size;
      const at = inode.draft.file.seek(offset, whence === SEEK_DATA ? "data" : "hole");
      if (at === undefined) throw new FsError("ENXIO", "no data up to the end");
      return at;
    });
  }

  /** A whole clean file into a new, empty one: by the store. Anything else the kernel copies by hand. */
  async copyFileRange(context: Context, fromFh: Fh, fromOffset: number, toFh: Fh, toOffset: number, length: number): Promise<number> {
    return this.#files.use(fromFh, (from) => this.#files.use(toFh, async (to) => {
      if (!from.readable || !to.writable) throw new FsError("EBADF", "not open for that");
      if (to.append) throw new FsError("EBADF", "open for appending");
      if (!this.#whole(from, fromOffset, to, toOffset, length)) throw new FsError("EOPNOTSUPP", "only a whole file is copied by the store");
      return this.#core.locked({ objects: [from.inode, to.inode] }, async () => {
        if (!this.#whole(from, fromOffset, to, toOffset, length)) throw new FsError("EOPNOTSUPP", "only a whole file is copied by the store");
        return this.#copy(from.inode, to.inode, context.signal);
      });
    }));
  }

  #whole(from: FileHandle, fromOffset: number, to: FileHandle, toOffset: number, length: number): boolean {
    const source = from.inode;
    const target = to.inode;
    const { copy } = this.#core.capabilities;
    return copy !== false && fromOffset === 0 && toOffset === 0 && source !== target &&
      source.draft === undefined && source.staging === undefined && source.parent !== undefined && from.foreign === source.foreign &&
      source.info !== undefined && source.info.size > 0 && length >= source.info.size &&
      target.draft !== undefined && target.parent !== undefined && target.info === undefined && target.draft.file.size === 0 && target.draft.active === 0;
  }

  async #copy(source: FileInode, target: FileInode, signal: AbortSignal): Promise<number> {
    const { draft } = target;
    const { info } = source;
    if (draft === undefined || info === undefined) throw new FsError("EOPNOTSUPP");
    const key = this.#core.keyOf(target);
    const { copy } = this.#core.capabilities;
    // One request is not called back: it could arrive all the same, and the close would then meet it as somebody else's object.
    const byParts = copy !== false && info.size > copy.maxSize;
    const metadata = this.#core.capabilities.metadata === false ? undefined : { ...draft.metadata, mtime: formatTime(this.#core.now()) };
    let receipt;
    try {
      receipt = await copyObject(this.#core.store, this.#core.keyOf(source), key, {
        source: { ...info, key: this.#core.keyOf(source) }, ifNoneMatch: "*", signal: byParts ? signal : undefined, metadata, contentType: draft.contentType ?? info.contentType,
      });
    } catch (error) {
      // Somebody has replaced one of the two: by hand the right error is found.
      if (isStoreError(error, "precondition", "not-found", "exists", "unsupported")) throw new FsError("EOPNOTSUPP", "the store would not copy", { key, cause: error });
      throw error;
    }
    // Nothing was written to the staged file; from now on the copy is the version that is changed.
    await draft.file.orphan();
    target.draft = undefined;
    if (draft.active > 0) await new Promise<void>((resolve) => { draft.idle = resolve; });
    await draft.file.close();
    this.#writer.written(target, {
      key, etag: receipt.etag, size: receipt.size, lastModified: receipt.lastModified ?? this.#core.clock.now(), metadata: metadata ?? {}, contentType: draft.contentType ?? info.contentType,
    }, receipt);
    return receipt.size;
  }
}
