// Between an inode and its staged file: when it is staged, committed, orphaned and let go.

import type { ReadHandle } from "../read/types.js";
import { isStoreError } from "../store/errors.js";
import type { ObjectInfo } from "../store/objectStore.js";
import type { BaseVersion, Committed, ObjectDescription } from "../write/types.js";
import type { AttributeView } from "./attributes.js";
import type { Core } from "./core.js";
import { FsError } from "./errors.js";
import { abortable } from "./lookups.js";
import { copyMetadata, prefixOf, type Draft, type FileInode } from "./inode.js";
import { formatTime } from "./metadata.js";
import type { MetadataWriter } from "./metadataWriter.js";

export interface NewDraft {
  readonly key: string;
  readonly metadata: Record<string, string>;
  readonly contentType: string | undefined;
  /** The object that is changed; undefined: there is none yet. */
  readonly base: ObjectInfo | undefined;
  readonly truncate: boolean;
  readonly dirty: boolean;
}

export class Staging {
  readonly #core: Core;
  readonly #view: AttributeView;
  readonly #writer: MetadataWriter;

  constructor(core: Core, view: AttributeView, writer: MetadataWriter) {
    this.#core = core;
    this.#view = view;
    this.#writer = writer;
    writer.commit = (inode) => this.commit(inode);
  }

  /** The inode's staged file; without one, the object is staged as it was last seen. `foreign`: the version the caller's handle is at. */
  async stage(inode: FileInode, truncate: boolean, foreign: number): Promise<Draft> {
    for (;;) {
      if (inode.draft !== undefined) return inode.draft;
      if (inode.staging !== undefined) await inode.staging;
      else if (inode.info !== undefined && inode.info.metadata === undefined && !inode.gone) await this.#view.refresh(inode, Infinity, true);
      else {
        const draft = await this.#core.locked({ objects: [inode] }, async () => {
          if (inode.draft !== undefined || inode.staging !== undefined) return undefined;
          if (inode.foreign !== foreign || inode.stale) throw new FsError("ESTALE", "the object was replaced since it was opened", { ino: inode.ino });
          const { info } = inode;
          if (info === undefined) throw new FsError("ESTALE", "the object is not there any more", { ino: inode.ino });
          if (info.metadata === undefined && !inode.gone) return undefined;
          const key = inode.gone ? info.key : this.#core.keyOf(inode);
          return this.open(inode, { key, metadata: copyMetadata(info.metadata), contentType: info.contentType, base: info, truncate, dirty: truncate && info.size > 0 });
        });
        if (draft !== undefined) return draft;
      }
    }
  }

  /** Stages without a lock of its own: the caller has the name's or the object's. */
  async open(inode: FileInode, how: NewDraft): Promise<Draft> {
    const source: Draft["source"] = { version: how.base === undefined ? undefined : { key: how.key, etag: how.base.etag, size: how.base.size } };
    const written = how.dirty ? this.#core.now() : undefined;
    const cell: { draft: Pick<Draft, "metadata" | "contentType" | "written"> } = { draft: { metadata: how.metadata, contentType: how.contentType, written } };
    const describe = (streamed: boolean): ObjectDescription => {
      const { metadata, contentType, written: at } = cell.draft;
      if (this.#core.capabilities.metadata === false) return { metadata: {}, contentType };
      if (at === undefined) return { metadata: { ...metadata }, contentType };
      const { mtime: _, ...others } = metadata;
      return { metadata: streamed ? others : { ...others, mtime: formatTime(at) }, contentType };
    };
    const staging = (async (): Promise<Draft> => {
      const file = await this.#core.writes.stage({
        key: how.key, base: this.#base(source), truncate: how.truncate, dirty: how.dirty, describe: (at) => describe(at?.streamed === true),
      });
      const draft: Draft = { file, metadata: how.metadata, contentType: how.contentType, written, source, active: 0, idle: undefined };
      cell.draft = draft;
      inode.draft = draft;
      return draft;
    })();
    inode.staging = staging;
    staging.catch(() => undefined);
    try {
      return await staging;
    } finally {
      inode.staging = undefined;
    }
  }

  #base(source: Draft["source"]): BaseVersion | undefined {
    const { version } = source;
    if (version === undefined) return undefined;
    let reader: ReadHandle | undefined;
    return {
      etag: version.etag, size: version.size,
      read: async (offset, length, signal) => {
        for (;;) {
          const now = source.version ?? version;
          if (reader === undefined || reader.version !== now) {
            reader?.close();
            reader = this.#core.reads.open(now);
          }
          try {
            return await reader.read(offset, length, signal);
          } catch (error) {
            // Renamed here meanwhile: the same bytes are under another key.
            if (source.version !== now) continue;
            throw error;
          }
        }
      },
    };
  }

  /** One operation on the staged file; it is not closed before it has ended. */
  async use<T>(draft: Draft, work: () => Promise<T>): Promise<T> {
    draft.active += 1;
    try {
      return await work();
    } finally {
      draft.active -= 1;
      if (draft.active === 0) draft.idle?.();
    }
  }

  /**
   * Everything written so far is at the store when this answers. The signal ends the caller's waiting alone: the commit goes on under
   * its lock, so that whoever renames, unlinks or closes the file meets it done.
   */
  commit(inode: FileInode, signal?: AbortSignal): Promise<void> {
    return abortable(this.#commit(inode), signal);
  }

  async #commit(inode: FileInode): Promise<void> {
    if (inode.staging !== undefined) await inode.staging;
    if (inode.draft === undefined || inode.gone) return;
    await this.#core.locked({ objects: [inode] }, async () => {
      const { draft } = inode;
      if (draft === undefined || inode.gone || draft.file.state === "closed") return;
      // Clean, and yet of a version that is not known here: it was committed behind our back.
      if (draft.file.state === "clean" && draft.file.etag === draft.source.version?.etag) return;
      const { written } = draft;
      let committed: Committed;
      try {
        committed = await this.use(draft, () => draft.file.commit());
      } catch (error) {
        // Unlinked while it was on its way: nobody waits for the object any more.
        if (inode.gone as boolean) return;
        throw error;
      }
      await this.#committed(inode, draft, committed, written);
    });
  }

  async #committed(inode: FileInode, draft: Draft, committed: Committed, written: Draft["written"]): Promise<void> {
    const { clock, store } = this.#core;
    let { lastModified } = committed;
    if (lastModified === undefined && committed.metadata["mtime"] === undefined) {
      try {
        const seen = await store.head(committed.key);
        if (seen.etag === committed.etag) ({ lastModified } = seen);
      } catch (error) {
        if (!isStoreError(error)) throw error;
        // The commit stands; the next look at the object tells its time.
      }
    }
    if (inode.gone || inode.parent === undefined) return;
    const info: ObjectInfo = {
      key: committed.key, etag: committed.etag, size: committed.size, lastModified: lastModified ?? clock.now(), metadata: committed.metadata, contentType: committed.contentType,
    };
    if (committed.key !== this.#core.keyOf(inode)) this.#movedAside(inode, committed.key);
    draft.source.version = { key: committed.key, etag: committed.etag, size: committed.size };
    if (draft.written === written && committed.metadata["mtime"] === undefined) draft.written = undefined;
    this.#writer.written(inode, info, { lastModified });
  }

  /** A conflict was answered by a copy: the name leads to the other's object, this one is beside it. */
  #movedAside(inode: FileInode, key: string): void {
    const { inodes, notifier } = this.#core;
    const { parent } = inode;
    if (parent === undefined || !key.startsWith(prefixOf(parent))) return;
    const name = this.#core.nameOf(inode);
    parent.cache.forget(inode.component);
    inodes.move(inode, parent, key.slice(prefixOf(parent).length));
    notifier.invalidateEntry(parent.ino, name);
  }

  /** After a writer has gone: commits what is left and lets the staged file go when nobody needs it. Rejects with the commit's error. */
  async settle(inode: FileInode): Promise<void> {
    const needed = (): boolean => (inode.gone ? inode.handles > 0 : inode.writers > 0);
    if (needed()) return;
    let failure: unknown;
    let draft: Draft | undefined;
    do {
      try {
        await this.commit(inode);
      } catch (error) {
        failure = error;
      }
      ({ draft } = inode);
      if (needed() || draft === undefined) {
        if (failure !== undefined) throw failure;
        return;
      }
      // A change of metadata may have come in between.
    } while (failure === undefined && !inode.gone && draft.file.state === "dirty");
    await this.#letGo(inode, draft, failure !== undefined);
    this.#core.inodes.settle(inode);
    if (failure !== undefined) throw failure;
  }

  /**
   * The close of the only writer met a conflict, which no later try can end: src/write keeps the bytes, and whoever opens the
   * name from now on meets the other's object. The kernel's release comes later than its answer to close(2).
   */
  async giveUp(inode: FileInode): Promise<void> {
    const { draft } = inode;
    if (draft !== undefined && !inode.gone) await this.#letGo(inode, draft, true);
  }

  async #letGo(inode: FileInode, draft: Draft, failed: boolean): Promise<void> {
    inode.draft = undefined;
    if (!inode.gone && inode.info === undefined) this.#lost(inode);
    else if (failed) {
      inode.infoAt = -Infinity;
      inode.foreign += 1;
      // The kernel's pages are those of the version that has come to nothing.
      inode.openedEtag = undefined;
      this.#core.notifier.invalidateInode(inode.ino, 0, -1);
      if (inode.parent !== undefined) inode.parent.cache.forget(inode.component);
    }
    if (draft.active > 0) await new Promise<void>((resolve) => { draft.idle = resolve; });
    await draft.file.close();
  }

  /** A new file whose only commit failed: there is no such name. Its bytes are kept by src/write. */
  #lost(inode: FileInode): void {
    const { parent } = inode;
    if (parent === undefined) return;
    const name = this.#core.nameOf(inode);
    parent.cache.forget(inode.component);
    inode.gone = true;
    this.#core.inodes.detach(inode);
    this.#core.notifier.invalidateEntry(parent.ino, name);
  }

  /**
   * The file is about to lose its object (unlink, or another renamed onto it) while handles are open: what they may still read is
   * brought here first. Called with the object's lock, before the store is changed.
   * @returns takes it back, for when the store would not have the change; under the same lock.
   */
  async orphan(inode: FileInode): Promise<() => Promise<void>> {
    const nothing = (): Promise<void> => Promise.resolve();
    if (inode.staging !== undefined) await inode.staging.catch(() => undefined);
    if (inode.handles === 0 && inode.draft === undefined) return nothing;
    const { info, draft: before } = inode;
    if (before === undefined && (info === undefined || info.size > this.#core.options.unlinkPrefetchBytes)) return nothing;
    const draft = before ?? await this.#forReaders(inode, info as ObjectInfo);
    const back = async (): Promise<void> => {
      // Readers go on without it; while it is an orphan, closing it commits nothing.
      if (before === undefined && draft.file.state === "clean" && inode.writers === 0) await this.#letGo(inode, draft, false);
      else draft.file.restore();
    };
    try {
      await this.use(draft, async () => {
        if (draft.source.version !== undefined) await draft.file.fetch();
        await draft.file.orphan();
      });
    } catch (error) {
      await back();
      throw error;
    }
    return back;
  }

  #forReaders(inode: FileInode, info: ObjectInfo): Promise<Draft> {
    return this.open(inode, { key: info.key, metadata: copyMetadata(info.metadata), contentType: info.contentType, base: info, truncate: false, dirty: false });
  }
}
