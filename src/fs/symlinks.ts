// Symbolic links are objects whose metadata says so (S_IFLNK) and whose content is the target, as s3fs keeps them.

import { isStoreError } from "../store/errors.js";
import { decodeName } from "../util/names.js";
import type { AttributeView } from "./attributes.js";
import { collect } from "./bodies.js";
import type { Core } from "./core.js";
import { FsError } from "./errors.js";
import { S_IF, type Context, type Ino } from "./filesystem.js";

/** PATH_MAX: what the kernel takes of a target. */
const MAX_TARGET = 4095;

export class Symlinks {
  readonly #core: Core;
  readonly #view: AttributeView;

  constructor(core: Core, view: AttributeView) {
    this.#core = core;
    this.#view = view;
  }

  async readlink(context: Context, ino: Ino): Promise<string> {
    const inode = this.#core.inodes.get(ino);
    if (inode.kind === "directory") throw new FsError("EINVAL", "not a symbolic link", { ino });
    for (let attempt = 0; ; attempt++) {
      await this.#view.refresh(inode, attempt === 0 ? this.#core.options.attributesTimeoutMs : -1, true);
      const { info } = inode;
      if (info === undefined || (this.#view.of(inode).mode & S_IF.MT) !== S_IF.LNK) throw new FsError("EINVAL", "not a symbolic link", { ino });
      if (info.size > MAX_TARGET) throw new FsError("ENAMETOOLONG", "the link's target is too long", { ino });
      try {
        return decodeName(await collect(await this.#core.store.get(this.#core.keyOf(inode), undefined, { ifMatch: info.etag, signal: context.signal })));
      } catch (error) {
        if (attempt > 0 || !isStoreError(error, "precondition", "not-found")) throw error;
      }
    }
  }
}
