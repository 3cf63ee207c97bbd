// New names that are no directories: create, mknod, symlink.

import type { AttributeView } from "./attributes.js";
import { bufferBody, EMPTY_BODY } from "./bodies.js";
import type { Core } from "./core.js";
import type { Directories } from "./directories.js";
import { FsError } from "./errors.js";
import type { OpenFiles } from "./files.js";
import { OPEN_FLAGS, S_IF, type Context, type CreateReply, type Ino } from "./filesystem.js";
import { prefixOf, type DirectoryInode, type FileInode } from "./inode.js";
import type { Lookups } from "./lookups.js";
import type { MetadataWriter } from "./metadataWriter.js";
import type { Staging } from "./staging.js";
import { isStoreError } from "../store/errors.js";
import type { Body } from "../store/objectStore.js";
import { encodeName } from "../util/names.js";

export interface CreationParts {
  readonly core: Core;
  readonly view: AttributeView;
  readonly lookups: Lookups;
  readonly writer: MetadataWriter;
  readonly staging: Staging;
  readonly files: OpenFiles;
  readonly directories: Directories;
}

export class Creation {
  readonly #parts: CreationParts;

  constructor(parts: CreationParts) {
    this.#parts = parts;
  }

  async create(context: Context, parentIno: Ino, name: string, mode: number, flags: number): Promise<CreateReply> {
    const { core, view, lookups, staging, files, directories } = this.#parts;
    core.assertWritable();
    const parent = core.inodes.directory(parentIno);
    for (;;) {
      const made = await core.locked({ names: [parent] }, async () => {
        const existing = await lookups.find(parent, name, context.signal);
        if (existing !== undefined) {
          if ((flags & OPEN_FLAGS.O_EXCL) !== 0 || existing.kind === "directory") {
            core.inodes.settle(existing);
            throw existing.kind === "directory" && (flags & OPEN_FLAGS.O_EXCL) === 0 ? new FsError("EISDIR", "a directory", { ino: existing.ino })
              : new FsError("EEXIST", "the name is there already", { ino: existing.ino });
          }
          existing.pins += 1;
          return { inode: existing, open: undefined };
        }
        const component = await lookups.componentFor(parent, name);
        const key = prefixOf(parent) + component;
        core.assertKey(key);
        // Held by somebody's question, and yet its object is gone: what is made now is another file.
        const former = core.inodes.childFile(parent, component);
        if (former !== undefined) core.inodes.retire(former);
        const inode = core.inodes.openFile(parent, component);
        inode.pins += 1;
        try {
          const metadata = directories.newMetadata(context, parent, S_IF.REG | (mode & 0o7777));
          const { mtime: _, ...kept } = metadata;
          await staging.open(inode, { key, metadata: kept, contentType: undefined, base: undefined, truncate: false, dirty: true });
        } catch (error) {
          inode.gone = true;
          core.inodes.detach(inode);
          inode.pins -= 1;
          core.inodes.settle(inode);
          throw error;
        }
        core.touched(parent);
        const handle = files.add(inode, flags);
        return { inode, open: { fh: handle.fh } };
      });
      const { inode } = made;
      try {
        const open = made.open ?? await files.openFile(context, inode.ino, flags);
        return { entry: view.entry(inode), open };
      } catch (error) {
        // It went away between the two steps: then it is to be made after all.
        if (made.open === undefined && error instanceof FsError && error.errno === "ESTALE" && inode.stale) continue;
        throw error;
      } finally {
        inode.pins -= 1;
        core.inodes.settle(inode);
      }
    }
  }

  /** Regular files, FIFOs and sockets, at the store when this answers. */
  async mknod(context: Context, parentIno: Ino, name: string, mode: number): Promise<FileInode> {
    const type = (mode & S_IF.MT) === 0 ? S_IF.REG : mode & S_IF.MT;
    if (type !== S_IF.REG && type !== S_IF.IFO && type !== S_IF.SOCK) throw new FsError("EPERM", "device nodes cannot be kept in an object store");
    return this.#put(context, this.#parts.core.inodes.directory(parentIno), name, type | (mode & 0o7777), EMPTY_BODY);
  }

  async symlink(context: Context, parentIno: Ino, name: string, target: string): Promise<FileInode> {
    return this.#put(context, this.#parts.core.inodes.directory(parentIno), name, S_IF.LNK | 0o777, bufferBody(encodeName(target)));
  }

  async #put(context: Context, parent: DirectoryInode, name: string, mode: number, body: Body): Promise<FileInode> {
    const { core, lookups, writer, directories } = this.#parts;
    core.assertWritable();
    if (core.capabilities.metadata === false && (mode & S_IF.MT) !== S_IF.REG) throw new FsError("EPERM", "this store keeps no metadata, so no file type either");
    return core.locked({ names: [parent] }, async () => {
      const existing = await lookups.find(parent, name, context.signal);
      if (existing !== undefined) {
        core.inodes.settle(existing);
        throw new FsError("EEXIST", "the name is there already", { ino: existing.ino });
      }
      const component = await lookups.componentFor(parent, name);
      const key = prefixOf(parent) + component;
      core.assertKey(key);
      const metadata = core.capabilities.metadata === false ? {} : directories.newMetadata(context, parent, mode);
      try {
        const receipt = await core.store.put(key, body, { metadata, ifNoneMatch: "*", signal: context.signal });
        const inode = core.inodes.openFile(parent, component);
        writer.written(inode, { key, etag: receipt.etag, size: receipt.size, lastModified: receipt.lastModified ?? core.clock.now(), metadata }, receipt);
        core.touched(parent);
        return inode;
      } catch (error) {
        if (!isStoreError(error, "precondition", "exists")) throw error;
        parent.cache.forget(component);
        throw new FsError("EEXIST", "somebody else made the name meanwhile", { key, cause: error });
      }
    });
  }
}
