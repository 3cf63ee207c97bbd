// Directory handles: cookies, "." and "..", and entries handed to the kernel.
//
// A cookie is the position in the handle's pass, plus three: 1 and 2 are "." and "..". Zero starts a new pass.

import type { AttributeView } from "./attributes.js";
import type { Core } from "./core.js";
import { DirectoryStream, type Page } from "./directoryStream.js";
import type { Item } from "./directoryItems.js";
import { FsError } from "./errors.js";
import { S_IF, type Context, type DirectorySink, type Fh, type Ino, type OpenReply } from "./filesystem.js";
import type { DirectoryInode, Inode } from "./inode.js";
import { Lock } from "./locks.js";
import { abortable, type Lookups } from "./lookups.js";
import { directoryName, objectName } from "./names.js";

/** What readdir says where no number was given to the name yet (FUSE_UNKNOWN_INO of libfuse). */
const UNKNOWN_INO = 0xffffffff as Ino;
const FIRST = 3;

interface DirectoryHandle {
  readonly inode: DirectoryInode;
  stream: DirectoryStream | undefined;
  /** Entries of the pass after the store's last one; set when the end was reached. */
  rest: { readonly from: number; readonly inodes: readonly Inode[] } | undefined;
  readonly busy: Lock;
  operations: number;
  released: boolean;
}

export class DirectoryReader {
  readonly #core: Core;
  readonly #view: AttributeView;
  readonly #lookups: Lookups;
  readonly #handles = new Map<number, DirectoryHandle>();
  readonly #nextFh: () => Fh;

  constructor(core: Core, view: AttributeView, lookups: Lookups, nextFh: () => Fh) {
    this.#core = core;
    this.#view = view;
    this.#lookups = lookups;
    this.#nextFh = nextFh;
  }

  get open(): number { return this.#handles.size; }

  opendir(ino: Ino): OpenReply {
    const inode = this.#core.inodes.directory(ino);
    const fh = this.#nextFh();
    inode.handles += 1;
    this.#handles.set(fh, { inode, stream: undefined, rest: undefined, busy: new Lock(), operations: 0, released: false });
    return { fh };
  }

  releasedir(fh: Fh): void {
    const handle = this.#handles.get(fh);
    if (handle === undefined) return;
    this.#handles.delete(fh);
    handle.released = true;
    if (handle.operations === 0) this.#end(handle);
  }

  closeAll(): void {
    for (const fh of this.#handles.keys()) this.releasedir(fh as Fh);
  }

  async readdir(context: Context, fh: Fh, offset: number, sink: DirectorySink, plus: boolean): Promise<void> {
    const handle = this.#handles.get(fh);
    if (handle === undefined) throw new FsError("EBADF", "no such directory handle");
    handle.operations += 1;
    const waiting = handle.busy.take(true);
    try {
      if (waiting !== undefined) await waiting;
      await this.#fill(handle, context, offset, sink, plus);
    } finally {
      handle.busy.leave(true);
      handle.operations -= 1;
      if (handle.released && handle.operations === 0) this.#end(handle);
    }
  }

  #end(handle: DirectoryHandle): void {
    handle.stream?.close();
    handle.stream = undefined;
    handle.inode.handles -= 1;
    this.#core.inodes.settle(handle.inode);
  }

  async #fill(handle: DirectoryHandle, context: Context, offset: number, sink: DirectorySink, plus: boolean): Promise<void> {
    const { inode } = handle;
    if ((offset === 0 || handle.stream === undefined) && !inode.gone) {
      handle.stream?.close();
      handle.rest = undefined;
      handle.stream = new DirectoryStream(this.#core, this.#view, this.#lookups, inode);
    }
    if (offset < 1 && !sink.add({ name: ".", ino: inode.ino, type: S_IF.DIR, offset: 1 })) return;
    if (offset < 2 && !sink.add({ name: "..", ino: inode.parent?.ino ?? inode.ino, type: S_IF.DIR, offset: 2 })) return;
    const { stream } = handle;
    // A removed directory is empty.
    if (inode.gone || stream === undefined) return;
    let index = Math.max(0, offset - FIRST + 1);
    let added = 0;
    for (;;) {
      if (handle.rest !== undefined && index >= handle.rest.from) break;
      let page: Page | undefined;
      try {
        page = await abortable(stream.page(index, plus), context.signal);
      } catch (error) {
        // What is there already is handed out; the next call meets the error again.
        if (added > 0) return;
        throw error;
      }
      if (page === undefined) {
        handle.rest ??= { from: index, inodes: stream.rest() };
        break;
      }
      for (; index < page.index + page.items.length; index++) {
        const item = page.items[index - page.index] as Item;
        if (!this.#add(inode, item, page, index + FIRST, sink, plus)) return;
        added += 1;
      }
    }
    const { from, inodes } = handle.rest;
    for (; index < from + inodes.length; index++) {
      const own = inodes[index - from] as Inode;
      if (own.parent !== inode || !this.#core.inodes.has(own)) continue;
      if (!this.#offer(own, this.#core.nameOf(own), index + FIRST, sink, plus)) return;
    }
  }

  /** @returns false when the sink is full. An item that is no longer there is passed over. */
  #add(directory: DirectoryInode, item: Item, page: Page, offset: number, sink: DirectorySink, plus: boolean): boolean {
    const { inodes } = this.#core;
    const { cache } = directory;
    const { component } = item;
    let { info, marker } = item;
    // Of a forgotten name the page is as good a witness as any.
    if (cache.changedSince(component, page.epoch) && !cache.unsure.has(component)) {
      const known = cache.entries.get(component);
      const own = inodes.childFile(directory, component);
      if (item.directory) {
        marker = known?.marker;
        if (known?.directory !== true && inodes.childDirectory(directory, component) === undefined) return true;
      } else if (own?.draft === undefined && own?.staging === undefined) {
        if (known === undefined && own === undefined) return true;
        info = known?.object;
        if (info === undefined) return true;
      }
    }
    if (!item.directory && info === undefined) return true;
    const name = item.directory ? directoryName(component) : objectName(component, item.shadowed);
    if (!plus) {
      const known = item.directory ? inodes.childDirectory(directory, component) : inodes.childFile(directory, component);
      return sink.add({ name, ino: known?.ino ?? UNKNOWN_INO, type: item.directory ? S_IF.DIR : this.#type(directory, item), offset });
    }
    if (item.directory) {
      const child = inodes.openDirectory(directory, component);
      this.#view.learnMarker(child, marker, page.at);
      return this.#offer(child, name, offset, sink, plus);
    }
    const child = this.#view.learn(inodes.openFile(directory, component), info as NonNullable<typeof info>, page.at);
    return this.#offer(child, name, offset, sink, plus);
  }

  #offer(inode: Inode, name: string, offset: number, sink: DirectorySink, plus: boolean): boolean {
    const entry = this.#view.uncounted(inode);
    const item = { name, ino: inode.ino, type: entry.attributes.mode & S_IF.MT, offset };
    const taken = plus ? sink.add(item, entry) : sink.add(item);
    if (taken && plus) this.#core.inodes.count(inode);
    this.#core.inodes.settle(inode);
    return taken;
  }

  /** 0 (DT_UNKNOWN) where only the object itself could tell and was not asked. */
  #type(directory: DirectoryInode, item: Item): number {
    const known = this.#core.inodes.childFile(directory, item.component);
    if (known !== undefined) return this.#view.of(known).mode & S_IF.MT;
    if (item.info?.metadata === undefined && this.#view.worthAsking(directory)) return 0;
    return this.#view.typeOf(item.info, item.component);
  }
}
