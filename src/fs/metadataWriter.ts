// Changes of what is kept in an object's metadata: chmod, chown, utimens, xattrs. On a staged file they are recorded and go along with
// the commit; on a clean one they are written before they are answered. Changes that wait for the same file are
// written together, each answered when the one request has succeeded.

import { isStoreError } from "../store/errors.js";
import type { Metadata, ObjectInfo, WriteReceipt } from "../store/objectStore.js";
import type { AttributeView } from "./attributes.js";
import type { Core } from "./core.js";
import { EMPTY_BODY } from "./bodies.js";
import { FsError } from "./errors.js";
import { S_IF } from "./filesystem.js";
import { copyMetadata, prefixOf, type DirectoryInode, type FileInode, type MetadataChange } from "./inode.js";
import { assertMetadataFits, DIRECTORY_CONTENT_TYPE, formatTime, keptOf, storeTime } from "./metadata.js";

export type Apply = (metadata: Record<string, string>) => void;

export class MetadataWriter {
  readonly #core: Core;
  readonly #view: AttributeView;

  constructor(core: Core, view: AttributeView) {
    this.#core = core;
    this.#view = view;
  }

  /** Set by `Staging`, which is made later. */
  commit: (inode: FileInode) => Promise<void> = () => Promise.resolve();

  async file(inode: FileInode, apply: Apply, contentType?: string): Promise<void> {
    if (inode.staging !== undefined) await inode.staging;
    if (inode.draft !== undefined || inode.gone) {
      const saved = inode.draft?.file.state === "clean";
      this.#record(inode, apply, contentType);
      // No close is bound to follow that would tell how it went.
      if (saved && !inode.gone) await this.commit(inode);
      return;
    }
    this.#assertKept();
    await new Promise<void>((resolve, reject) => {
      inode.changes.push({ apply, contentType, resolve, reject });
      // Whoever finds the list filled takes part in the write of the first.
      if (inode.changes.length === 1) void this.#write(inode);
    });
  }

  #assertKept(): void {
    const { capabilities } = this.#core;
    if (capabilities.metadata === false || capabilities.metadata.update === "none" || capabilities.immutable) {
      throw new FsError("EPERM", "this store cannot change an object's metadata");
    }
  }

  #record(inode: FileInode, apply: Apply, contentType: string | undefined): void {
    const { draft } = inode;
    if (draft === undefined) return;
    const next = { ...draft.metadata };
    // What the store's own time stood for must not move with a change of metadata.
    if (draft.written === undefined && inode.info !== undefined) next["mtime"] ??= formatTime(storeTime(inode.info.lastModified));
    apply(next);
    this.#assertFits(next, "ENOSPC");
    draft.metadata = next;
    if (contentType !== undefined) draft.contentType = contentType;
    draft.file.touch();
  }

  #assertFits(metadata: Metadata, errno: "E2BIG" | "ENOSPC"): void {
    const { metadata: limits } = this.#core.capabilities;
    if (limits !== false) assertMetadataFits(metadata, limits.maxBytes, errno);
  }

  /** Never rejects: every change is answered on its own. */
  async #write(inode: FileInode): Promise<void> {
    let changes: MetadataChange[] = [];
    try {
      await this.#core.locked({ objects: [inode] }, async () => {
        changes = inode.changes.splice(0);
        if (inode.draft !== undefined || inode.gone) {
          for (const { apply, contentType } of changes) this.#record(inode, apply, contentType);
          return;
        }
        await this.#update(inode, changes);
      });
      for (const change of changes) change.resolve();
    } catch (error) {
      for (const change of changes.length > 0 ? changes : inode.changes.splice(0)) change.reject(error);
    }
  }

  async #update(inode: FileInode, changes: readonly MetadataChange[]): Promise<void> {
    for (let attempt = 0; ; attempt++) {
      await this.#view.refresh(inode, attempt === 0 ? Infinity : -1, true);
      const info = inode.info as ObjectInfo;
      const next = copyMetadata(info.metadata);
      // What the store's own time stood for must not move with a change of metadata.
      if (keptOf(info.metadata).mtime === undefined) next["mtime"] = formatTime(storeTime(info.lastModified));
      let contentType: string | undefined;
      for (const change of changes) {
        change.apply(next);
        contentType = change.contentType ?? contentType;
      }
      if (contentType === undefined && sameMetadata(next, { mtime: next["mtime"] as string, ...info.metadata })) return;
      this.#assertFits(next, "ENOSPC");
      const key = this.#core.keyOf(inode);
      try {
        const receipt = await this.#core.store.setMetadata(key, next, { ifMatch: info.etag, contentType: contentType ?? info.contentType });
        this.written(inode, { ...info, key, etag: receipt.etag, size: receipt.size, metadata: next, contentType: contentType ?? info.contentType }, receipt);
        return;
      } catch (error) {
        // Replaced by somebody else since it was looked at: the change is meant for the file as it is now.
        if (attempt < 3 && isStoreError(error, "precondition")) continue;
        throw error;
      }
    }
  }

  /** Takes over an object this mount has just written. Handles that are at the version before go on with this one. */
  written(inode: FileInode, info: ObjectInfo, receipt?: Pick<WriteReceipt, "lastModified">): void {
    const seen = receipt?.lastModified !== undefined;
    const next = seen ? { ...info, lastModified: receipt.lastModified as number } : info;
    inode.info = next;
    inode.infoAt = this.#core.clock.monotonic();
    if (inode.openedEtag !== undefined) inode.openedEtag = next.etag;
    this.#core.attributes.remember(next, seen);
    if (inode.parent !== undefined) this.#core.changedObject(inode.parent, inode.component, next);
  }

  /** A directory keeps its attributes in its marker, which this writes when there is none. The root keeps them in memory alone. */
  async directory(inode: DirectoryInode, apply: Apply): Promise<void> {
    const { parent } = inode;
    if (parent === undefined) {
      if (inode.gone) return;
      const local = copyMetadata(inode.local);
      apply(local);
      inode.local = local;
      inode.changed = undefined;
      return;
    }
    this.#assertKept();
    await this.#core.locked({ names: [inode] }, async () => {
      for (let attempt = 0; ; attempt++) {
        try {
          await this.#updateMarker(inode, apply, attempt > 0);
          return;
        } catch (error) {
          if (attempt >= 3 || !isStoreError(error, "precondition", "not-found", "exists")) throw error;
        }
      }
    });
  }

  async #updateMarker(inode: DirectoryInode, apply: Apply, again: boolean): Promise<void> {
    const { store, clock } = this.#core;
    const key = prefixOf(inode);
    if (again || inode.marker === undefined || (inode.marker !== null && inode.marker.metadata === undefined) || inode.marker?.key !== key) {
      const at = clock.monotonic();
      this.#view.learnMarker(inode, await this.#view.head(key, undefined) ?? null, at);
    }
    const { marker } = inode;
    const metadata = copyMetadata(marker?.metadata);
    apply(metadata);
    // Some tools write a marker with a file's mode, which is not shown. (A copy is parsed: what keptOf has seen must not change any more.)
    const { mode } = keptOf({ ...metadata });
    if (mode !== undefined && (mode & S_IF.MT) !== S_IF.DIR) metadata["mode"] = String(this.#view.of(inode).mode);
    this.#assertFits(metadata, "ENOSPC");
    const receipt = marker === null || marker === undefined
      ? await store.put(key, EMPTY_BODY, { metadata, contentType: DIRECTORY_CONTENT_TYPE, ifNoneMatch: "*" })
      : await store.setMetadata(key, metadata, { ifMatch: marker.etag, contentType: marker.contentType });
    this.wroteMarker(inode, { key, etag: receipt.etag, size: receipt.size, lastModified: receipt.lastModified ?? clock.now(), metadata, contentType: marker?.contentType ?? DIRECTORY_CONTENT_TYPE }, receipt);
    inode.changed = undefined;
  }

  wroteMarker(inode: DirectoryInode, marker: ObjectInfo, receipt: WriteReceipt): void {
    inode.marker = marker;
    inode.markerAt = this.#core.clock.monotonic();
    inode.parent?.cache.marked(inode.component, marker);
    this.#core.attributes.remember(marker, receipt.lastModified !== undefined);
  }

  /** Writes the marker of a directory that is about to lose its last key. Success when somebody has written one. */
  async keepDirectory(inode: DirectoryInode, metadata: Metadata): Promise<void> {
    const key = prefixOf(inode);
    if (key === "" || this.#core.capabilities.immutable) return;
    try {
      const carried = this.#core.capabilities.metadata === false ? undefined : metadata;
      const receipt = await this.#core.store.put(key, EMPTY_BODY, { metadata: carried, contentType: DIRECTORY_CONTENT_TYPE, ifNoneMatch: "*" });
      this.wroteMarker(inode, { key, etag: receipt.etag, size: 0, lastModified: receipt.lastModified ?? this.#core.clock.now(), metadata: carried ?? {}, contentType: DIRECTORY_CONTENT_TYPE }, receipt);
    } catch (error) {
      if (!isStoreError(error, "precondition", "exists")) throw error;
      inode.marker = undefined;
    }
  }
}

function sameMetadata(a: Metadata, b: Metadata): boolean {
  const names = Object.keys(a);
  return names.length === Object.keys(b).length && names.every((name) => a[name] === b[name]);
}
