// unlink, and what it shares with a rename onto a file: the object goes, open handles go on.

import { FsError } from "./errors.js";
import type { Context, Ino } from "./filesystem.js";
import { EMPTY_BODY } from "./bodies.js";
import type { Core } from "./core.js";
import type { Directories } from "./directories.js";
import type { FileInode } from "./inode.js";
import type { Lookups } from "./lookups.js";
import { DIRECTORY_CONTENT_TYPE } from "./metadata.js";
import type { Staging } from "./staging.js";

export class Removal {
  readonly #core: Core;
  readonly #lookups: Lookups;
  readonly #staging: Staging;
  readonly #directories: Directories;

  constructor(core: Core, lookups: Lookups, staging: Staging, directories: Directories) {
    this.#core = core;
    this.#lookups = lookups;
    this.#staging = staging;
    this.#directories = directories;
  }

  async unlink(context: Context, parentIno: Ino, name: string): Promise<void> {
    this.#core.assertMutable("unlink");
    const parent = this.#core.inodes.directory(parentIno);
    for (;;) {
      const inode = await this.#lookups.find(parent, name, context.signal);
      if (inode === undefined) throw new FsError("ENOENT");
      if (inode.kind === "directory") {
        this.#core.inodes.settle(inode);
        throw new FsError("EISDIR", "a directory", { ino: inode.ino });
      }
      const done = await this.#core.locked({ names: [parent], objects: [inode] }, async () => {
        if (inode.parent !== parent || inode.gone) return false;
        const back = await this.#staging.orphan(inode);
        try {
          await this.deleteObject(inode);
        } catch (error) {
          await back();
          throw error;
        }
        this.forget(inode);
        return true;
      });
      if (done) return;
    }
  }

  /** Deletes the object of a file at the store; the directory it was the last child of stays. */
  async deleteObject(inode: FileInode): Promise<void> {
    const { parent } = inode;
    if (parent === undefined || inode.info === undefined) return;
    const key = this.#core.keyOf(inode);
    await this.#directories.keepAfterLoss(parent, key);
    await this.deleteKey(key, inode.component);
  }

  /** The content of a directory's marker goes, the marker stays. */
  async deleteKey(key: string, component: string, ifMatch?: string): Promise<void> {
    if (component === "") await this.#core.store.put(key, EMPTY_BODY, { contentType: DIRECTORY_CONTENT_TYPE, ifMatch });
    else await this.#core.store.delete(key, { ifMatch: this.#core.capabilities.conditionalDelete ? ifMatch : undefined });
    this.#core.attributes.forget(key);
    this.#core.reads.forget(key);
  }

  /** The inode has no name from now on. */
  forget(inode: FileInode): void {
    const { parent, component } = inode;
    inode.gone = true;
    this.#core.inodes.detach(inode);
    if (parent === undefined) return;
    if (component === "") parent.marker = undefined;
    this.#core.changedObject(parent, component, undefined);
    this.#core.touched(parent);
  }
}
