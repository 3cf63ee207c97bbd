// chmod, chown, utimens and truncate.

import type { AttributeView } from "./attributes.js";
import type { Core } from "./core.js";
import { FsError } from "./errors.js";
import type { OpenFiles } from "./files.js";
import { S_IF, type AttributeChanges, type AttributesReply, type Context, type Ino, type Timespec } from "./filesystem.js";
import type { FileInode, Inode } from "./inode.js";
import { formatTime } from "./metadata.js";
import type { MetadataWriter } from "./metadataWriter.js";

const S_ISUID = 0o4000;
const S_ISGID = 0o2000;
const S_IXGRP = 0o010;

export class SetAttributes {
  readonly #core: Core;
  readonly #view: AttributeView;
  readonly #writer: MetadataWriter;
  readonly #files: OpenFiles;

  constructor(core: Core, view: AttributeView, writer: MetadataWriter, files: OpenFiles) {
    this.#core = core;
    this.#view = view;
    this.#writer = writer;
    this.#files = files;
  }

  async setattr(context: Context, ino: Ino, changes: AttributeChanges): Promise<AttributesReply> {
    this.#core.assertWritable();
    const handle = this.#files.get(changes.fh);
    const inode = handle?.inode ?? this.#core.inodes.get(ino);
    return this.#core.inodes.hold(inode, async () => {
      if (changes.size !== undefined) {
        if (inode.kind === "directory") throw new FsError("EISDIR", "a directory has no size to set", { ino });
        if (this.#core.capabilities.immutable && inode.draft === undefined) throw new FsError("EPERM", "objects of this store cannot be changed", { ino });
        await this.#files.truncate(inode, changes.size, handle, context.signal);
      }
      const apply = await this.#changes(inode, changes);
      if (apply !== undefined) {
        if (inode.kind === "directory") await this.#writer.directory(inode, apply);
        else await this.#onFile(inode, apply, changes);
      }
      return this.#view.reply(inode);
    });
  }

  async #onFile(inode: FileInode, apply: (metadata: Record<string, string>) => void, changes: AttributeChanges): Promise<void> {
    await this.#writer.file(inode, apply);
    // An explicit time stands against the time of the writes before it.
    if (changes.mtime !== undefined && inode.draft !== undefined) inode.draft.written = undefined;
  }

  /** Whether there are set-id bits that go with a write, a truncation or a new owner (fuse_kernel.h, FUSE_HANDLE_KILLPRIV_V2). */
  async #losesSetId(inode: Inode, { uid, gid, mode, killSuidGid }: AttributeChanges): Promise<boolean> {
    if (inode.kind === "directory" || mode !== undefined || (killSuidGid !== true && uid === undefined && gid === undefined)) return false;
    if (this.#core.capabilities.metadata === false) return false;
    // Under `listing` too: bits that are not known are bits that stay.
    await this.#view.refresh(inode, Infinity, true);
    return cleared(this.#view.of(inode).mode) !== this.#view.of(inode).mode;
  }

  async #changes(inode: Inode, changes: AttributeChanges): Promise<((metadata: Record<string, string>) => void) | undefined> {
    const now = this.#core.now();
    const time = (value: Timespec | "now"): string => formatTime(value === "now" ? now : value);
    // Truncation has set the time already.
    const mtime = changes.size !== undefined && changes.mtime === "now" ? undefined : changes.mtime;
    const { mode, uid, gid, atime } = changes;
    const losesSetId = await this.#losesSetId(inode, changes);
    if (mode === undefined && uid === undefined && gid === undefined && atime === undefined && mtime === undefined && !losesSetId) return undefined;
    return (metadata) => {
      const current = this.#view.of(inode);
      // Kept together: an object with an owner and without a type is read as broken by other tools.
      let bits = mode === undefined ? current.mode & 0o7777 : mode & 0o7777;
      if (losesSetId || (changes.killSuidGid === true && mode !== undefined)) bits = cleared(bits);
      if (mode !== undefined || losesSetId || metadata["mode"] === undefined) metadata["mode"] = String((current.mode & S_IF.MT) | bits);
      if (uid !== undefined || metadata["uid"] === undefined) metadata["uid"] = String(uid ?? current.uid);
      if (gid !== undefined || metadata["gid"] === undefined) metadata["gid"] = String(gid ?? current.gid);
      if (atime !== undefined) metadata["atime"] = time(atime);
      if (mtime !== undefined) metadata["mtime"] = time(mtime);
      else if (inode.kind === "directory") metadata["mtime"] ??= formatTime(current.mtime);
    };
  }
}

/** Without the group's right to execute, the set-group-ID bit means something else (mandatory locking), and stays. */
function cleared(mode: number): number {
  return mode & ~(S_ISUID | ((mode & S_IXGRP) === 0 ? 0 : S_ISGID));
}
