// rename(2) of files and directories: by the store where it can, otherwise copy first, delete last. At no moment is anything under
// neither name.

import { isStoreError } from "../store/errors.js";
import { copyObject } from "../store/copyObject.js";
import type { ObjectInfo } from "../store/objectStore.js";
import type { AttributeView } from "./attributes.js";
import type { Core } from "./core.js";
import type { Directories } from "./directories.js";
import { FsError } from "./errors.js";
import { RENAME_FLAGS, type Context, type Ino } from "./filesystem.js";
import { isWithin, prefixOf, type DirectoryInode, type FileInode, type Inode } from "./inode.js";
import type { Lookups } from "./lookups.js";
import type { MetadataWriter } from "./metadataWriter.js";
import type { Removal } from "./removal.js";
import type { TreeRename } from "./renameTree.js";
import type { Staging } from "./staging.js";

const ATTEMPTS = 4;

export interface RenameParts {
  readonly core: Core;
  readonly view: AttributeView;
  readonly lookups: Lookups;
  readonly writer: MetadataWriter;
  readonly staging: Staging;
  readonly directories: Directories;
  readonly removal: Removal;
  readonly trees: TreeRename;
}

interface Move {
  readonly from: DirectoryInode;
  readonly to: DirectoryInode;
  readonly component: string;
  readonly noReplace: boolean;
  readonly signal: AbortSignal;
}

export class Rename {
  readonly #parts: RenameParts;

  constructor(parts: RenameParts) {
    this.#parts = parts;
  }

  async rename(context: Context, fromIno: Ino, name: string, toIno: Ino, newName: string, flags: number): Promise<void> {
    const { core, lookups } = this.#parts;
    core.assertMutable("rename");
    if ((flags & ~RENAME_FLAGS.NOREPLACE) !== 0) throw new FsError("EINVAL", "of rename's flags only RENAME_NOREPLACE is supported");
    const from = core.inodes.directory(fromIno);
    const to = core.inodes.directory(toIno);
    for (;;) {
      const source = await lookups.find(from, name, context.signal);
      if (source === undefined) throw new FsError("ENOENT");
      const done = await core.inodes.hold(source, async () => {
        const target = await lookups.find(to, newName, context.signal);
        const attempt = (): Promise<boolean> => this.#attempt(context, { from, to, source, target, newName, noReplace: (flags & RENAME_FLAGS.NOREPLACE) !== 0 });
        return target === undefined ? attempt() : core.inodes.hold(target, attempt);
      });
      if (done) return;
    }
  }

  /** @returns false when the names were found changed once the locks were held. */
  async #attempt(context: Context, how: { from: DirectoryInode; to: DirectoryInode; source: Inode; target: Inode | undefined; newName: string; noReplace: boolean }): Promise<boolean> {
    const { core, lookups } = this.#parts;
    const { from, to, source, target } = how;
    if (target === source) {
      if (how.noReplace) throw new FsError("EEXIST");
      return true;
    }
    this.#check(source, target, to, how.noReplace);
    const inodes = target === undefined ? [source] : [source, target];
    const request = {
      names: [from, to],
      trees: inodes.filter((inode) => inode.kind === "directory"),
      objects: inodes.filter((inode) => inode.kind === "file"),
    };
    return core.locked(request, async () => {
      if (source.parent !== from || (target !== undefined && target.parent !== to)) return false;
      // Under the lock: the target as it is now, and no directory into itself after somebody else's rename.
      const now = await lookups.find(to, how.newName, context.signal);
      if (now !== target || source.stale || source.gone) return false;
      this.#check(source, target, to, how.noReplace);
      const component = target?.component ?? await lookups.componentFor(to, how.newName);
      const move: Move = { from, to, component, noReplace: how.noReplace, signal: context.signal };
      if (source.kind === "file") await this.#file(source, target as FileInode | undefined, move);
      else await this.#directory(source, target as DirectoryInode | undefined, move);
      return true;
    });
  }

  #check(source: Inode, target: Inode | undefined, to: DirectoryInode, noReplace: boolean): void {
    if (target !== undefined && noReplace) throw new FsError("EEXIST", "the new name is there already", { ino: target.ino });
    if (source.kind === "directory") {
      if (isWithin(to, source)) throw new FsError("EINVAL", "a directory cannot be moved into itself", { ino: source.ino });
      if (target?.kind === "file") throw new FsError("ENOTDIR", "the new name is no directory", { ino: target.ino });
    } else if (target?.kind === "directory") throw new FsError("EISDIR", "the new name is a directory", { ino: target.ino });
    // The target holds the source: not empty, then.
    if (target?.kind === "directory" && isWithin(source, target)) throw new FsError("ENOTEMPTY", "the new name is a directory that is not empty", { ino: target.ino });
  }

  async #file(source: FileInode, target: FileInode | undefined, move: Move): Promise<void> {
    const { core, staging, removal, writer, directories } = this.#parts;
    const oldKey = core.keyOf(source);
    const newKey = prefixOf(move.to) + move.component;
    core.assertKey(newKey);
    const { component: oldComponent } = source;
    const back = target === undefined ? undefined : await staging.orphan(target);
    let copied: ObjectInfo | undefined;
    try {
      if (source.info !== undefined) copied = await this.#moveObject(source, oldKey, newKey, move);
    } catch (error) {
      // The copy may be there all the same, its answer lost.
      move.to.cache.forget(move.component);
      await back?.();
      throw error;
    }
    const was = source.info?.etag;
    const replaced = target?.info?.etag;
    if (target !== undefined) removal.forget(target);
    const oldName = core.nameOf(source);
    core.inodes.move(source, move.to, move.component);
    core.changedObject(move.from, oldComponent, undefined);
    if (copied !== undefined) writer.written(source, copied);
    core.touched(move.from);
    core.touched(move.to);
    const { draft } = source;
    if (draft !== undefined) {
      draft.source.version = copied === undefined ? undefined : { key: newKey, etag: copied.etag, size: copied.size };
      await draft.file.retarget(newKey, copied?.etag ?? replaced);
    }
    // Moved away by the store, the content of a marker leaves the marker behind.
    if (copied === undefined || (core.capabilities.rename === "atomic" && oldComponent !== "")) return;
    try {
      await directories.keepAfterLoss(move.from, oldKey);
      await removal.deleteKey(oldKey, oldComponent, core.capabilities.rename === "atomic" ? undefined : was);
    } catch (error) {
      move.from.cache.forget(oldComponent);
      core.notifier.invalidateEntry(move.from.ino, oldName);
      // Somebody wrote a new version under the old name in the meantime: it is theirs, and it stays.
      if (!isStoreError(error, "precondition")) throw error;
    }
  }

  /** The object under its new key as well, or instead where renaming is atomic. */
  async #moveObject(source: FileInode, oldKey: string, newKey: string, move: Move): Promise<ObjectInfo> {
    const { core, view, directories } = this.#parts;
    const ifNoneMatch = move.noReplace ? "*" as const : undefined;
    for (let attempt = 1; ; attempt++) {
      const info = source.info as ObjectInfo;
      try {
        if (core.capabilities.rename === "atomic") {
          await directories.keepAfterLoss(move.from, oldKey);
          await core.store.rename(oldKey, newKey, { ifNoneMatch });
          core.attributes.forget(oldKey);
          const seen = await core.store.head(newKey);
          return { ...seen, metadata: seen.metadata ?? {} };
        }
        const receipt = await copyObject(core.store, oldKey, newKey, { source: { ...info, key: oldKey }, ifNoneMatch });
        return {
          key: newKey, etag: receipt.etag, size: receipt.size, lastModified: receipt.lastModified ?? info.lastModified,
          metadata: info.metadata, contentType: info.contentType, storageClass: info.storageClass,
        };
      } catch (error) {
        if (!isStoreError(error, "precondition", "not-found", "exists") || attempt === ATTEMPTS) throw error;
        if (move.noReplace && await view.head(newKey, undefined) !== undefined) {
          move.to.cache.forget(move.component);
          throw new FsError("EEXIST", "somebody else made the new name meanwhile", { key: newKey, cause: error });
        }
        await this.#freshSource(source, oldKey, error);
      }
    }
  }

  /** The source as it is by now. */
  async #freshSource(source: FileInode, key: string, cause: unknown): Promise<void> {
    const { core, view } = this.#parts;
    if (source.draft !== undefined) throw new FsError("ESTALE", `${key} was replaced while it was being written`, { ino: source.ino, key, cause });
    await view.refresh(source, -1, false);
    core.inodes.settle(source);
  }

  async #directory(source: DirectoryInode, target: DirectoryInode | undefined, move: Move): Promise<void> {
    const { core, directories, trees } = this.#parts;
    const { component: oldComponent, parent } = source;
    if (target !== undefined) await directories.assertEmpty(target);
    const beside = move.to.cache.entries.get(move.component)?.object;
    await trees.run(source, move.to, move.component, target, move.signal, () => {
      if (target !== undefined) directories.remove(target);
      core.inodes.move(source, move.to, move.component);
      if (parent !== undefined) core.changed(parent, oldComponent, { directory: false, object: parent.cache.entries.get(oldComponent)?.object });
      core.changed(move.to, move.component, { directory: true, object: beside });
      core.touched(move.from);
      core.touched(move.to);
    });
  }
}
