// A directory's rename. Where the store renames atomically, object by object; otherwise everything below the old
// prefix is copied, what changed meanwhile is copied again until nothing does, the inodes move, and only then the old keys
// are deleted. When one step fails, what was done is taken back and the old tree is as it was.

import { copyObject } from "../store/copyObject.js";
import { isStoreError } from "../store/errors.js";
import type { ObjectInfo } from "../store/objectStore.js";
import type { Core } from "./core.js";
import type { Directories } from "./directories.js";
import { FsError, toFsError } from "./errors.js";
import { prefixOf, type DirectoryInode, type FileInode, type Inode } from "./inode.js";
import type { MetadataWriter } from "./metadataWriter.js";

const ROUNDS = 8;
const DELETE_BATCH = 1000;

/** What was copied: by old key, the etags of the source and of the copy. */
type Copies = Map<string, { readonly from: string; readonly to: string }>;

export class TreeRename {
  readonly #core: Core;
  readonly #writer: MetadataWriter;
  readonly #directories: Directories;

  constructor(core: Core, writer: MetadataWriter, directories: Directories) {
    this.#core = core;
    this.#writer = writer;
    this.#directories = directories;
  }

  /** `moved` is called when everything is under the new prefix: it moves the inode, without an await. */
  async run(source: DirectoryInode, to: DirectoryInode, component: string, target: DirectoryInode | undefined, signal: AbortSignal, moved: () => void): Promise<void> {
    const oldPrefix = prefixOf(source);
    const newPrefix = `${prefixOf(to)}${component}/`;
    const { parent, marker, component: oldComponent } = source;
    const renamed = (key: string): string => newPrefix + key.slice(oldPrefix.length);
    const found = await this.#keys(oldPrefix);
    for (const key of found.keys()) this.#core.assertKey(renamed(key));
    for (const file of filesBelow(source)) this.#core.assertKey(renamed(this.#core.keyOf(file)));
    const copies: Copies = new Map();
    /** Keys that were asked to be copied: of a lost answer the copy is there all the same. */
    const asked = new Set<string>();
    const hadMarker = found.has(oldPrefix);
    const atomic = this.#core.capabilities.rename === "atomic";
    try {
      await (atomic ? this.#renameAll(found, copies, renamed, oldPrefix, signal) : this.#copyAll(found, copies, asked, renamed, oldPrefix, signal));
    } catch (error) {
      await this.#takeBack([...(atomic ? copies.keys() : asked)], renamed, atomic);
      // A marker that gave way went with the copies.
      if (target !== undefined) await this.#writer.keepDirectory(target, target.marker?.metadata ?? {}).catch(() => undefined);
      throw error;
    }
    const files = new Map(filesBelow(source).map((file) => [file, this.#core.keyOf(file)] as const));
    const legacy = parent?.cache.entries.get(source.component)?.legacy ?? [];
    if (target !== undefined && !hadMarker) await this.#directories.deleteMarkers(target);
    moved();
    if (source.marker !== null) source.marker = undefined;
    // An empty directory without a key needs one now.
    if (copies.size === 0) await this.#writer.keepDirectory(source, marker?.metadata ?? {});
    await this.#moveFiles(files, copies);
    source.cache.clear();
    for (const directory of directoriesBelow(source)) {
      directory.cache.clear();
      directory.marker = directory.marker === null ? null : undefined;
    }
    if (parent !== undefined) await this.#directories.keepAfterLoss(parent, oldPrefix);
    for (const key of copies.keys()) this.#core.attributes.forget(key);
    try {
      await this.#delete([...(atomic ? [] : copies.keys()), ...legacy]);
    } catch (error) {
      // What is left of the old tree is to be seen.
      parent?.cache.forget(oldComponent);
      throw error;
    }
  }

  async #keys(prefix: string): Promise<Map<string, ObjectInfo>> {
    const found = new Map<string, ObjectInfo>();
    if (this.#core.capabilities.list === "none") throw new FsError("EXDEV", "this store cannot list what is in the directory", { key: prefix });
    let cursor: string | undefined;
    do {
      const page = await this.#core.store.list({ prefix, cursor });
      for (const object of page.objects) found.set(object.key, object);
      cursor = page.next;
    } while (cursor !== undefined);
    return found;
  }

  async #copyAll(first: ReadonlyMap<string, ObjectInfo>, copies: Copies, asked: Set<string>, renamed: (key: string) => string, prefix: string, signal: AbortSignal): Promise<void> {
    let found = first;
    let failing = false;
    for (let round = 0; ; round++) {
      const missing = [...found.values()].filter((object) => copies.get(object.key)?.from !== object.etag);
      if (missing.length === 0) {
        // Deleted by somebody else meanwhile: the copy must not bring it back.
        const back = [...copies.keys()].filter((key) => !found.has(key));
        for (const key of back) copies.delete(key);
        await this.#delete(back.map(renamed));
        if (round > 0) return;
      }
      if (round === ROUNDS) throw new FsError("EBUSY", "the directory is being changed faster than it can be copied", { key: prefix });
      const results = await Promise.allSettled(missing.map((object) => this.#core.asks.run(async () => {
        // One listener per waiting copy would be too many.
        if (signal.aborted) throw new FsError("EINTR", "interrupted", { key: object.key });
        if (failing) return;
        asked.add(object.key);
        await this.#copy(object, renamed(object.key), copies).catch((error: unknown) => {
          failing = true;
          throw error;
        });
      })));
      const failed = results.find((result) => result.status === "rejected");
      if (failed !== undefined) throw failed.reason;
      found = await this.#keys(prefix);
    }
  }

  async #copy(object: ObjectInfo, to: string, copies: Copies): Promise<void> {
    try {
      const receipt = await copyObject(this.#core.store, object.key, to, { source: object });
      copies.set(object.key, { from: object.etag, to: receipt.etag });
      const complete = this.#core.attributes.complete(object);
      if (complete !== undefined) this.#core.attributes.remember({ ...complete, key: to, etag: receipt.etag, size: receipt.size }, false);
    } catch (error) {
      // Replaced or deleted since it was listed: the next round sees what it is now.
      if (!isStoreError(error, "precondition", "not-found")) throw error;
    }
  }

  async #moveFiles(files: ReadonlyMap<FileInode, string>, copies: Copies): Promise<void> {
    for (const [file, oldKey] of files) {
      if (file.staging !== undefined) await file.staging.catch(() => undefined);
      const newKey = this.#core.keyOf(file);
      const copy = await this.#seen(copies.get(oldKey), newKey);
      const { info, draft } = file;
      if (info !== undefined && copy !== undefined) {
        // A version this mount has not seen was copied: handles stay at theirs, which is gone.
        if (copy.from !== info.etag) file.foreign += 1;
        file.info = { ...info, key: newKey, etag: copy.to };
        file.infoAt = copy.from === info.etag ? file.infoAt : -Infinity;
        if (file.openedEtag === info.etag && copy.from === info.etag) file.openedEtag = copy.to;
      }
      if (draft !== undefined) {
        const version = draft.source.version;
        if (version !== undefined && copy !== undefined && copy.from === version.etag) draft.source.version = { key: newKey, etag: copy.to, size: version.size };
        const expected = copy !== undefined && copy.from === draft.file.etag ? copy.to : draft.file.etag;
        await draft.file.retarget(newKey, expected);
      }
    }
  }

  /** Whether an atomic rename keeps the etag is the store's affair: an inode that goes on with the version asks. */
  async #seen(copy: { readonly from: string; readonly to: string } | undefined, key: string): Promise<{ readonly from: string; readonly to: string } | undefined> {
    if (copy === undefined || this.#core.capabilities.rename !== "atomic") return copy;
    try {
      return { from: copy.from, to: (await this.#core.store.head(key)).etag };
    } catch (error) {
      if (!isStoreError(error)) throw error;
      return copy;
    }
  }

  /** One atomic rename after the other: each object is under exactly one of its names at every moment. */
  async #renameAll(first: ReadonlyMap<string, ObjectInfo>, copies: Copies, renamed: (key: string) => string, prefix: string, signal: AbortSignal): Promise<void> {
    let found = first;
    for (let round = 0; found.size > 0; round++) {
      if (round === ROUNDS) throw new FsError("EBUSY", "the directory is being changed faster than it can be renamed", { key: prefix });
      const results = await Promise.allSettled([...found.values()].map((object) => this.#core.asks.run(async () => {
        if (signal.aborted) throw new FsError("EINTR", "interrupted", { key: object.key });
        try {
          await this.#core.store.rename(object.key, renamed(object.key));
          copies.set(object.key, { from: object.etag, to: object.etag });
        } catch (error) {
          if (!isStoreError(error, "not-found")) throw error;
        }
      })));
      const failed = results.find((result) => result.status === "rejected");
      if (failed !== undefined) throw failed.reason;
      found = await this.#keys(prefix);
    }
  }

  async #takeBack(keys: readonly string[], renamed: (key: string) => string, atomic: boolean): Promise<void> {
    try {
      if (!atomic) await this.#delete(keys.map(renamed));
      else for (const key of keys) await this.#core.store.rename(renamed(key), key, { ifNoneMatch: "*" });
    } catch (error) {
      this.#core.logger.warn({ err: error, keys: keys.length }, "a failed rename of a directory could not be taken back whole");
    }
  }

  /** Every batch is tried; rejects with the first failure of all. */
  async #delete(keys: readonly string[]): Promise<void> {
    const failures: unknown[] = [];
    let left = 0;
    for (let at = 0; at < keys.length; at += DELETE_BATCH) {
      try {
        const failed = await this.#core.store.deleteMany(keys.slice(at, at + DELETE_BATCH));
        left += failed.length;
        const first = failed[0];
        if (first !== undefined) failures.push(new FsError("EIO", `${first.key} could not be deleted`, { key: first.key, cause: first.error }));
      } catch (error) {
        left += Math.min(DELETE_BATCH, keys.length - at);
        failures.push(error);
      }
    }
    if (failures.length === 0) return;
    const { errno, key, message } = toFsError(failures[0]);
    throw new FsError(errno, `${left} of ${keys.length} objects of the renamed directory could not be deleted: ${message}`, { key, cause: failures[0] });
  }
}

function inodesBelow(directory: DirectoryInode): Inode[] {
  return [...directory.children.values()].flatMap((child) => (child.kind === "directory" ? [child, ...inodesBelow(child)] : [child]));
}

function filesBelow(directory: DirectoryInode): FileInode[] {
  return inodesBelow(directory).filter((inode) => inode.kind === "file");
}

function directoriesBelow(directory: DirectoryInode): DirectoryInode[] {
  return inodesBelow(directory).filter((inode) => inode.kind === "directory");
}
