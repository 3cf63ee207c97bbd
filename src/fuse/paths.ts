// Paths to inodes, for a front end whose kernel library speaks of paths. Every component is looked up anew, so nothing here can be
// out of date; the numbers are given back afterwards, and the last few thousand are kept counted, as a kernel would keep them:
// what the filesystem knows of a directory lives as long as somebody counts it.

import { FsError } from "../fs/errors.js";
import { type Attributes, type Context, type Filesystem, type Ino, ROOT_INO, S_IF } from "../fs/filesystem.js";

/** How many inodes stay counted between operations. */
const KEPT = 4096;

/** An inode with everything on the way to it, each counted once. To be let go of by `leave`. */
export interface Found {
  readonly ino: Ino;
  /** As the last lookup told; absent for the root. */
  readonly attributes: Attributes | undefined;
  readonly chain: readonly Ino[];
}

export class Paths {
  readonly #filesystem: Filesystem;
  /** Counted once each, oldest first. */
  readonly #kept = new Set<Ino>();

  constructor(filesystem: Filesystem) {
    this.#filesystem = filesystem;
  }

  /** @throws ENOENT, ENOTDIR, and whatever lookup throws. */
  async find(context: Context, path: string): Promise<Found> {
    const chain: Ino[] = [];
    let ino: Ino = ROOT_INO;
    let attributes: Attributes | undefined;
    try {
      for (const name of path.split("/")) {
        if (name === "") continue;
        if (attributes !== undefined && (attributes.mode & S_IF.MT) !== S_IF.DIR) throw new FsError("ENOTDIR", "not a directory", { ino });
        const entry = await this.#filesystem.lookup(context, ino, name);
        if (entry.attributes === undefined) throw new FsError("ENOENT", `there is no ${name}`, { ino });
        attributes = entry.attributes;
        ino = attributes.ino;
        chain.push(ino);
      }
    } catch (error) {
      this.leave(chain);
      throw error;
    }
    return { ino, attributes, chain };
  }

  /** Runs `work` on the inode of a path. */
  async on<T>(context: Context, path: string, work: (found: Found) => Promise<T>): Promise<T> {
    const found = await this.find(context, path);
    try {
      return await work(found);
    } finally {
      this.leave(found.chain);
    }
  }

  /** Runs `work` on the directory that holds the last component, and that component's name. */
  onParent<T>(context: Context, path: string, work: (parent: Ino, name: string) => Promise<T>): Promise<T> {
    const at = path.lastIndexOf("/");
    return this.on(context, path.slice(0, at), ({ ino }) => work(ino, path.slice(at + 1)));
  }

  /** Gives the counts back, the last first; the inodes stay known for a while. */
  leave(chain: readonly Ino[]): void {
    for (let i = chain.length - 1; i >= 0; i--) {
      const ino = chain[i] as Ino;
      if (this.#kept.delete(ino)) this.#filesystem.forget(ino, 1);
      this.#kept.add(ino);
    }
    for (const oldest of this.#kept) {
      if (this.#kept.size <= KEPT) break;
      this.#drop(oldest);
    }
  }

  /** Gives the counts back, and keeps none of them. */
  forget(chain: readonly Ino[]): void {
    for (const ino of chain.toReversed()) this.#filesystem.forget(ino, 1);
  }

  /** The inode has lost its name: it is not kept any longer than others hold it. */
  #drop(ino: Ino): void {
    if (this.#kept.delete(ino)) this.#filesystem.forget(ino, 1);
  }

  /** Runs `work`, which takes the name of `path` away, and lets its inode go. */
  async removing(context: Context, path: string, work: (parent: Ino, name: string) => Promise<void>): Promise<void> {
    const { ino, chain } = await this.find(context, path);
    try {
      await this.onParent(context, path, work);
    } finally {
      this.leave(chain);
    }
    this.#drop(ino);
  }

  /** At the end of the mount: everything is given back. */
  close(): void {
    for (const ino of [...this.#kept].reverse()) this.#filesystem.forget(ino, 1);
    this.#kept.clear();
  }
}
