// mkdir, rmdir, and the rule that a directory does not vanish when its last child goes.

import { isStoreError } from "../store/errors.js";
import { EMPTY_BODY } from "./bodies.js";
import type { Core } from "./core.js";
import { FsError } from "./errors.js";
import { S_IF, type Context } from "./filesystem.js";
import { prefixOf, type DirectoryInode, type Inode } from "./inode.js";
import type { Lookups } from "./lookups.js";
import { DIRECTORY_CONTENT_TYPE, FOLDER_SUFFIX, formatTime } from "./metadata.js";
import type { MetadataWriter } from "./metadataWriter.js";
import type { AttributeView } from "./attributes.js";

const S_ISGID = 0o2000;

export class Directories {
  readonly #core: Core;
  readonly #view: AttributeView;
  readonly #lookups: Lookups;
  readonly #writer: MetadataWriter;

  constructor(core: Core, view: AttributeView, lookups: Lookups, writer: MetadataWriter) {
    this.#core = core;
    this.#view = view;
    this.#lookups = lookups;
    this.#writer = writer;
  }

  /** Mode, owner and time of something new; a set-group-ID directory hands its group on. */
  newMetadata(context: Context, parent: DirectoryInode, mode: number): Record<string, string> {
    const above = this.#view.of(parent);
    const inherit = (above.mode & S_ISGID) !== 0;
    const bits = inherit && (mode & S_IF.MT) === S_IF.DIR ? mode | S_ISGID : mode;
    return { mode: String(bits), uid: String(context.uid), gid: String(inherit ? above.gid : context.gid), mtime: formatTime(this.#core.now()) };
  }

  async mkdir(context: Context, parent: DirectoryInode, name: string, mode: number): Promise<DirectoryInode> {
    this.#core.assertWritable();
    return this.#core.locked({ names: [parent] }, async () => {
      const existing = await this.#lookups.find(parent, name, context.signal);
      if (existing !== undefined) {
        this.#core.inodes.settle(existing);
        throw new FsError("EEXIST", "the name is there already", { ino: existing.ino });
      }
      const component = await this.#lookups.componentFor(parent, name);
      if (name.endsWith("%^f")) throw new FsError("EINVAL", "the name stands for an object beside a directory", { ino: parent.ino });
      const key = `${prefixOf(parent)}${component}/`;
      this.#core.assertKey(key);
      const metadata = this.#core.capabilities.metadata === false ? {} : this.newMetadata(context, parent, S_IF.DIR | (mode & 0o7777));
      const epoch = parent.cache.epoch;
      try {
        const receipt = await this.#core.store.put(key, EMPTY_BODY, { metadata, contentType: DIRECTORY_CONTENT_TYPE, ifNoneMatch: "*", signal: context.signal });
        const inode = this.#core.inodes.openDirectory(parent, component);
        const marker = { key, etag: receipt.etag, size: 0, lastModified: receipt.lastModified ?? this.#core.clock.now(), metadata, contentType: DIRECTORY_CONTENT_TYPE };
        this.#writer.wroteMarker(inode, marker, receipt);
        // Nothing was below it a moment ago, and now there is the marker alone.
        inode.cache.complete = this.#core.batch(this.#core.options.createdTtlMs);
        this.#core.changed(parent, component, { directory: true, object: parent.cache.entries.get(component)?.object, marker });
        this.#core.touched(parent);
        return inode;
      } catch (error) {
        if (!isStoreError(error, "precondition", "exists")) throw error;
        if (parent.cache.epoch === epoch) parent.cache.forget(component);
        throw new FsError("EEXIST", "somebody else made the directory meanwhile", { key, cause: error });
      }
    });
  }

  async rmdir(context: Context, parent: DirectoryInode, name: string): Promise<void> {
    this.#core.assertMutable("rmdir");
    for (;;) {
      const victim = await this.#lookups.find(parent, name, context.signal);
      if (victim === undefined) throw new FsError("ENOENT");
      if (victim.kind !== "directory") {
        this.#core.inodes.settle(victim);
        throw new FsError("ENOTDIR", "not a directory", { ino: victim.ino });
      }
      const done = await this.#core.locked({ names: [parent], trees: [victim] }, async () => {
        if (victim.parent !== parent) return false;
        await this.assertEmpty(victim);
        await this.keepAfterLoss(parent, prefixOf(victim));
        await this.deleteMarkers(victim);
        this.remove(victim);
        return true;
      });
      if (done) return;
    }
  }

  /** @throws ENOTEMPTY when the directory holds anything but its own markers. */
  async assertEmpty(directory: DirectoryInode): Promise<void> {
    const fail = (): never => { throw new FsError("ENOTEMPTY", "the directory is not empty", { ino: directory.ino }); };
    for (const child of directory.children.values()) {
      if (child.kind === "file" && (child.draft !== undefined || child.staging !== undefined)) fail();
    }
    if (this.#core.capabilities.list === "none") {
      for (const child of directory.children.values()) if (child.kind === "directory" || child.info !== undefined) fail();
      return;
    }
    const prefix = prefixOf(directory);
    let cursor: string | undefined;
    do {
      const page = await this.#core.store.list({ prefix, limit: 2, cursor });
      if (page.prefixes.length > 0 || page.objects.some((object) => object.key !== prefix || object.size > 0)) fail();
      cursor = page.next;
    } while (cursor !== undefined);
  }

  /** The directory's marker, and what older tools left in its place. */
  async deleteMarkers(directory: DirectoryInode): Promise<void> {
    const prefix = prefixOf(directory);
    const legacy = directory.parent?.cache.entries.get(directory.component)?.legacy ?? [];
    const folder = prefix.slice(0, -1) + FOLDER_SUFFIX;
    const keys = [...new Set([...legacy, ...(this.#lookups.folders ? [folder] : []), prefix])];
    for (const key of keys) {
      await this.#core.store.delete(key);
      this.#core.attributes.forget(key);
    }
  }

  /** Takes the directory, and every inode below it, off its name: it is removed, or another one is renamed onto it. */
  remove(directory: DirectoryInode): void {
    const { parent, component } = directory;
    this.#forgetTree(directory);
    directory.cache.clear();
    directory.gone = true;
    this.#core.inodes.detach(directory);
    if (parent === undefined) return;
    this.#core.changed(parent, component, { directory: false, object: parent.cache.entries.get(component)?.object });
    this.#core.touched(parent);
  }

  #forgetTree(directory: DirectoryInode): void {
    for (const child of [...directory.children.values()] as Inode[]) {
      if (child.kind === "directory") this.#forgetTree(child);
      child.gone = true;
      this.#core.inodes.detach(child);
    }
  }

  /**
   * Called before `leaving` (a key, or a prefix that holds nothing but markers) is deleted from the directory: when it is the
   * last that implies the directory, a marker is written first, so that the directory stays.
   */
  async keepAfterLoss(directory: DirectoryInode, leaving: string): Promise<void> {
    if (directory.parent === undefined || this.#core.capabilities.list === "none") return;
    const prefix = prefixOf(directory);
    if (directory.marker !== undefined && directory.marker !== null && directory.marker.key === prefix) return;
    const { cache } = directory;
    const own = leaving.slice(prefix.length).replace(/\/$/, "");
    if (cache.isComplete(this.#core.clock.monotonic())) {
      for (const [component, known] of cache.entries) if (component !== own && (known.directory || known.object !== undefined)) return;
    }
    let cursor: string | undefined;
    do {
      const page = await this.#core.store.list({ prefix, limit: 3, cursor });
      if (page.objects.some(({ key }) => key !== leaving && !(leaving.endsWith("/") && key.startsWith(leaving)))) return;
      cursor = page.next;
    } while (cursor !== undefined);
    const attributes = this.#view.of(directory);
    await this.#writer.keepDirectory(directory, {
      mode: String(attributes.mode), uid: String(attributes.uid), gid: String(attributes.gid), mtime: formatTime(attributes.mtime),
    });
  }
}
