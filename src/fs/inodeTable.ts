// Which inodes there are, and how long each is kept: as long as the kernel remembers it (lookups), a handle or an
// operation holds it, it has staged data, or a child is kept.

import { FsError } from "./errors.js";
import { ROOT_INO, type Ino } from "./filesystem.js";
import { childId, newDirectory, newFile, type DirectoryInode, type FileInode, type Inode } from "./inode.js";

export class InodeTable {
  readonly root: DirectoryInode = newDirectory(ROOT_INO, undefined, "");
  readonly #byIno = new Map<number, Inode>([[ROOT_INO, this.root]]);
  #next = ROOT_INO + 1;
  readonly #dropped: (inode: Inode) => void;

  constructor(dropped: (inode: Inode) => void = () => undefined) {
    this.#dropped = dropped;
  }

  get size(): number { return this.#byIno.size; }
  all(): IterableIterator<Inode> { return this.#byIno.values(); }

  /** @throws ESTALE when the number is not known, or its name leads elsewhere by now. */
  get(ino: Ino): Inode {
    const inode = this.#byIno.get(ino);
    if (inode === undefined || inode.stale) throw new FsError("ESTALE", `inode ${ino} is not known any more`, { ino });
    return inode;
  }

  has(inode: Inode): boolean { return this.#byIno.get(inode.ino) === inode; }

  directory(ino: Ino): DirectoryInode {
    const inode = this.get(ino);
    if (inode.kind !== "directory") throw new FsError("ENOTDIR", "not a directory", { ino });
    return inode;
  }

  file(ino: Ino): FileInode {
    const inode = this.get(ino);
    if (inode.kind === "directory") throw new FsError("EISDIR", "a directory", { ino });
    return inode;
  }

  childDirectory(parent: DirectoryInode, component: string): DirectoryInode | undefined {
    const child = parent.children.get(childId("directory", component));
    return child?.kind === "directory" ? child : undefined;
  }

  childFile(parent: DirectoryInode, component: string): FileInode | undefined {
    const child = parent.children.get(childId("file", component));
    return child?.kind === "file" ? child : undefined;
  }

  /** The known inode, or a new one that nobody counts yet: follow with `count`, or `settle` when it turns out not to be needed. */
  openDirectory(parent: DirectoryInode, component: string): DirectoryInode {
    return this.childDirectory(parent, component) ?? this.#add(newDirectory(this.#next++ as Ino, parent, component));
  }

  openFile(parent: DirectoryInode, component: string): FileInode {
    return this.childFile(parent, component) ?? this.#add(newFile(this.#next++ as Ino, parent, component));
  }

  #add<T extends Inode>(inode: T): T {
    this.#byIno.set(inode.ino, inode);
    inode.parent?.children.set(childId(inode.kind, inode.component), inode);
    return inode;
  }

  /** The kernel was told the number once more. */
  count(inode: Inode): void {
    inode.lookups += 1;
  }

  forget(ino: Ino, count: number): void {
    const inode = this.#byIno.get(ino);
    if (inode === undefined) return;
    inode.lookups = Math.max(0, inode.lookups - count);
    this.settle(inode);
  }

  /** Takes the inode off its name. It stays in the table as long as somebody holds it. */
  detach(inode: Inode): void {
    const { parent } = inode;
    if (parent === undefined) return;
    const id = childId(inode.kind, inode.component);
    if (parent.children.get(id) === inode) parent.children.delete(id);
    inode.parent = undefined;
    this.settle(inode);
    this.settle(parent);
  }

  /** The store has something else, or nothing, under the names of the inode and of all below it: they lose them. */
  retire(inode: Inode): void {
    if (inode.kind === "directory") for (const child of inode.children.values()) this.retire(child);
    inode.stale = true;
    this.detach(inode);
  }

  /** Puts the inode under another name. What a lookup has met there on the way is what this is. */
  move(inode: Inode, parent: DirectoryInode, component: string): void {
    const there = parent.children.get(childId(inode.kind, component));
    if (there !== undefined && there !== inode) this.retire(there);
    const old = inode.parent;
    old?.children.delete(childId(inode.kind, inode.component));
    inode.parent = parent;
    inode.component = component;
    parent.children.set(childId(inode.kind, component), inode);
    if (old !== undefined) this.settle(old);
  }

  /** Keeps the inode across an await. */
  async hold<T>(inode: Inode, work: () => Promise<T>): Promise<T> {
    inode.pins += 1;
    try {
      return await work();
    } finally {
      inode.pins -= 1;
      this.settle(inode);
    }
  }

  /** Drops the inode, and then its parents, when nothing keeps it. */
  settle(inode: Inode): void {
    for (let at: Inode | undefined = inode; at !== undefined && at !== this.root && !this.#wanted(at);) {
      const { parent }: { parent: DirectoryInode | undefined } = at;
      this.#byIno.delete(at.ino);
      if (parent?.children.get(childId(at.kind, at.component)) === at) parent.children.delete(childId(at.kind, at.component));
      this.#dropped(at);
      at = parent;
    }
  }

  #wanted(inode: Inode): boolean {
    if (!this.#byIno.has(inode.ino)) return true;
    if (inode.lookups > 0 || inode.handles > 0 || inode.pins > 0) return true;
    if (inode.kind === "directory") return inode.children.size > 0 || !inode.tree.idle || !inode.names.idle;
    return inode.draft !== undefined || inode.staging !== undefined || !inode.object.idle;
  }

  /** @throws Error that names the first invariant that does not hold. */
  checkInvariants(): void {
    const fail = (inode: Inode, text: string): never => { throw new Error(`inode ${inode.ino} (${inode.component}): ${text}`); };
    for (const [ino, inode] of this.#byIno) {
      if (inode.ino !== ino) fail(inode, "is filed under another number");
      if (ino >= this.#next) fail(inode, "has a number that was not given out");
      if (inode.lookups < 0 || inode.handles < 0 || inode.pins < 0) fail(inode, "has a negative count");
      if (inode !== this.root && !this.#wanted(inode)) fail(inode, "is kept by nobody");
      if ((inode.gone || inode.stale) && inode.parent !== undefined) fail(inode, "is gone and yet has a name");
      if (inode !== this.root && inode.parent === undefined && !inode.gone && !inode.stale) fail(inode, "has no name and is not gone");
      if (inode.parent !== undefined) {
        if (!this.has(inode.parent)) fail(inode, "has a parent that is not in the table");
        if (inode.parent.children.get(childId(inode.kind, inode.component)) !== inode) fail(inode, "is not among its parent's children");
      }
      if (inode.kind === "directory") {
        for (const [id, child] of inode.children) {
          if (child.parent !== inode || childId(child.kind, child.component) !== id) fail(child, "is filed under another name");
          if (!this.has(child)) fail(child, "is a child that is not in the table");
        }
        if (inode.cache.pending < 0) fail(inode, "has a negative count of pending answers");
        if (inode.cache.pending === 0 && inode.cache.changes.size > 0) fail(inode, "remembers changes for nobody");
      } else {
        if (inode.writers < 0 || inode.writers > inode.handles) fail(inode, "has more writers than handles");
        if (inode.info === undefined && inode.draft === undefined && inode.staging === undefined && !inode.gone && !inode.stale && inode.pins === 0) fail(inode, "is neither an object nor staged");
      }
    }
  }
}
