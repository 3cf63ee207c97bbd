// One pass over a directory: pages come as they are drained, one ahead, and only the last few are kept. What this mount
// has and the store does not (files being written) comes at the end.

import { compareUtf8 } from "../util/names.js";
import { isStoreError } from "../store/errors.js";
import type { ObjectInfo } from "../store/objectStore.js";
import { SAMPLE, type AttributeView } from "./attributes.js";
import type { Core } from "./core.js";
import type { Batch } from "./directoryCache.js";
import { directoryItem, fold, foldAll, type Folded, type Item } from "./directoryItems.js";
import { childId, prefixOf, type DirectoryInode, type Inode } from "./inode.js";
import { carriesAttributes, isDirectoryObject } from "./metadata.js";
import { directoryPage, FIRST_PAGE, type PageCursor } from "./listingPages.js";
import type { Lookups } from "./lookups.js";

/** Pages whose items are kept for small steps back; older ones are fetched again. */
const KEPT_PAGES = 4;

/** Where a page starts: enough to fetch it again. */
interface Checkpoint {
  readonly index: number;
  readonly cursor: PageCursor | undefined;
  readonly held: readonly ObjectInfo[];
}

export interface Page extends Checkpoint {
  readonly items: Item[];
  readonly next: PageCursor | undefined;
  readonly heldAfter: readonly ObjectInfo[];
  /** When it was asked for, and the directory's epoch then. */
  readonly at: number;
  readonly epoch: number;
  /** Metadata that the listing did not carry has been asked for, as far as it is worth it. */
  described: Promise<void> | undefined;
}

export class DirectoryStream {
  readonly #core: Core;
  readonly #view: AttributeView;
  readonly #lookups: Lookups;
  readonly #directory: DirectoryInode;
  readonly #prefix: string;
  readonly #checkpoints: Checkpoint[] = [{ index: 0, cursor: FIRST_PAGE, held: [] }];
  readonly #pages = new Map<number, Page>();
  readonly #fetching = new Map<number, Promise<Page>>();
  /** Own entries that the store has not shown yet, as they were when the pass began. */
  readonly #local = new Map<string, Inode>();
  readonly #startEpoch: number;
  readonly #losses: number;
  readonly #batch: Batch;
  #collected = 0;
  #closed = false;

  /** `close` it: until then the directory remembers what changes here. */
  constructor(core: Core, view: AttributeView, lookups: Lookups, directory: DirectoryInode) {
    this.#core = core;
    this.#view = view;
    this.#lookups = lookups;
    this.#directory = directory;
    this.#prefix = prefixOf(directory);
    this.#startEpoch = directory.cache.begin();
    this.#losses = directory.cache.losses;
    this.#batch = core.batch(core.options.listingTtlMs);
    for (const [id, child] of directory.children) if (this.#isOwn(child)) this.#local.set(id, child);
    if (directory.cache.isComplete(core.clock.monotonic())) this.#serveKnown();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#directory.cache.end();
  }

  /** The page that holds the item of this index, or undefined past the end. Starts the page after it. */
  async page(index: number, describe: boolean): Promise<Page | undefined> {
    for (;;) {
      const n = this.#checkpoints.findLastIndex((checkpoint) => checkpoint.index <= index);
      const page = await this.#load(n);
      const more = page.next !== undefined;
      if (index < page.index + page.items.length || !more) {
        if (more) void this.#load(n + 1).then((next) => (describe ? this.#described(next) : undefined)).catch(() => undefined);
        if (describe) await this.#described(page);
        return index < page.index + page.items.length ? page : undefined;
      }
    }
  }

  /** Own entries that no page showed: read after the last page. */
  rest(): Inode[] {
    // Under the name it had: under a new one the store may have shown it.
    return [...this.#local].filter(([id, inode]) => inode.parent === this.#directory && !inode.gone && id === childId(inode.kind, inode.component)).map(([, inode]) => inode);
  }

  #isOwn(child: Inode): boolean {
    if (this.#core.capabilities.list === "none") return true;
    return child.kind === "file" && (child.draft !== undefined || child.staging !== undefined);
  }

  #load(n: number): Promise<Page> {
    const kept = this.#pages.get(n);
    if (kept !== undefined) return Promise.resolve(kept);
    const running = this.#fetching.get(n);
    if (running !== undefined) return running;
    const fetching = this.#core.inodes.hold(this.#directory, () => this.#fetch(n)).finally(() => { this.#fetching.delete(n); });
    this.#fetching.set(n, fetching);
    return fetching;
  }

  async #fetch(n: number): Promise<Page> {
    const checkpoint = this.#checkpoints[n] as Checkpoint;
    const { cache } = this.#directory;
    const at = this.#core.clock.monotonic();
    const { epoch } = cache;
    const ordered = this.#core.capabilities.listOrdered;
    let objects: readonly ObjectInfo[] = [];
    let prefixes: readonly string[] = [];
    let next: PageCursor | undefined = checkpoint.cursor;
    do {
      const page = await directoryPage(this.#core, this.#prefix, next as PageCursor);
      objects = objects.length === 0 ? page.objects : [...objects, ...page.objects];
      prefixes = prefixes.length === 0 ? page.prefixes : [...prefixes, ...page.prefixes];
      ({ next } = page);
    } while (next !== undefined && (!ordered || (objects.length === 0 && prefixes.length === 0)));
    const folded = ordered ? fold(this.#prefix, objects, prefixes, checkpoint.held, next === undefined) : foldAll(this.#prefix, objects, prefixes);
    await this.#addFolders(folded);
    const page: Page = {
      index: checkpoint.index, cursor: checkpoint.cursor, held: checkpoint.held, items: folded.items, next, heldAfter: folded.held, at, epoch, described: undefined,
    };
    this.#learn(page, folded);
    this.#keep(n, page);
    return page;
  }

  /** A `d_$folder$` object makes a directory, unless keys below `d/` have shown it on another page. */
  async #addFolders(folded: Folded): Promise<void> {
    for (const [component, object] of folded.folders) {
      this.#lookups.folders = true;
      const shown = await this.#core.store.list({ prefix: `${this.#prefix}${component}/`, limit: 1 });
      if (shown.objects.length === 0 && shown.prefixes.length === 0) folded.items.push(directoryItem(component, null, [object.key]));
    }
  }

  #learn(page: Page, folded: Folded): void {
    const { cache } = this.#directory;
    const { attributes, options, clock } = this.#core;
    this.#batch.at = clock.monotonic();
    for (const item of page.items) {
      if (item.info === undefined) continue;
      item.info = attributes.complete(item.info) ?? item.info;
      if (item.component !== "" && isDirectoryObject(item.info)) this.#turnIntoDirectory(item);
    }
    // The marker comes first in the order of keys: a first page without one says that there is none.
    if (folded.marker !== undefined) this.#view.learnMarker(this.#directory, folded.marker, page.at);
    else if (page.index === 0 && page.cursor === FIRST_PAGE && this.#prefix !== "" && this.#core.capabilities.list !== "none") this.#view.learnMarker(this.#directory, null, page.at);
    if (this.#collected !== page.index || cache.losses !== this.#losses) return;
    this.#collected += page.items.length;
    if (this.#collected > options.maxListingEntries) {
      if (cache.complete === undefined) cache.clear();
      return;
    }
    // The directory `a` and the object beside it are always items of one page.
    const facts = new Map<string, { directory?: Item; file?: Item }>();
    for (const item of page.items) {
      const fact = facts.get(item.component) ?? {};
      if (item.directory) fact.directory = item;
      else fact.file = item;
      facts.set(item.component, fact);
    }
    for (const [component, { directory, file }] of facts) {
      cache.learn(component, {
        directory: directory !== undefined, object: file?.info, marker: directory?.marker, legacy: directory?.legacy, batch: this.#batch, asked: page.at,
      }, page.epoch);
    }
    if (page.next === undefined && this.#core.capabilities.list !== "none") cache.finish(this.#batch, this.#startEpoch);
    this.#core.account(this.#directory);
  }

  /** A file's item turns out to be a directory. Beside the directory itself it is nothing of its own. */
  #turnIntoDirectory(item: Item): void {
    if (!item.shadowed) {
      item.directory = true;
      item.marker = item.info;
      item.legacy = item.info === undefined ? undefined : [item.info.key];
    }
    item.info = undefined;
  }

  #keep(n: number, page: Page): void {
    this.#pages.set(n, page);
    if (page.next !== undefined) {
      // A page fetched again may have another length by now: what follows is numbered anew.
      const index = page.index + page.items.length;
      const known = this.#checkpoints[n + 1];
      if (known === undefined || known.index !== index) {
        this.#checkpoints.length = n + 1;
        for (const later of this.#pages.keys()) if (later > n) this.#pages.delete(later);
        this.#checkpoints.push({ index, cursor: page.next, held: page.heldAfter });
      }
    }
    for (const old of this.#pages.keys()) {
      if (this.#pages.size <= KEPT_PAGES) break;
      if (old !== n) this.#pages.delete(old);
    }
    for (const item of page.items) this.#local.delete(childId(item.directory ? "directory" : "file", item.component));
  }

  /** A complete, fresh listing is answered without the store. */
  #serveKnown(): void {
    const { cache } = this.#directory;
    const items: Item[] = [];
    for (const [component, known] of cache.entries) {
      if (known.directory) items.push(directoryItem(component, known.marker, known.legacy));
      const info = known.object;
      if (info !== undefined && (component !== "" || info.size > 0)) {
        items.push({ component, directory: false, shadowed: known.directory, info: this.#core.attributes.complete(info) ?? info, marker: undefined, legacy: undefined });
      }
    }
    items.sort((a, b) => compareUtf8(a.component, b.component) || Number(b.directory) - Number(a.directory));
    this.#collected = -1;
    this.#keep(0, { index: 0, cursor: FIRST_PAGE, held: [], items, next: undefined, heldAfter: [], at: (cache.complete as Batch).at, epoch: cache.epoch, described: undefined });
  }

  #described(page: Page): Promise<void> {
    page.described ??= this.#describe(page).catch((error: unknown) => {
      page.described = undefined;
      throw error;
    });
    return page.described;
  }

  /** Asks in parallel for what the listing did not carry: all of it, a sample, or nothing (see SEMANTICS, `--attributes`). */
  async #describe(page: Page): Promise<void> {
    const directory = this.#directory;
    // Markers are not in the listing of the directory above, so there is something to ask even where listings carry metadata.
    if (!this.#view.worthAsking(directory, "marker")) return;
    const { listingTtlMs } = this.#core.options;
    const unknown = page.items.filter((item) => {
      if (!item.directory) return item.info !== undefined && item.info.metadata === undefined;
      const inode = this.#core.inodes.childDirectory(directory, item.component);
      const fresh = inode !== undefined && page.at - inode.markerAt <= listingTtlMs;
      const seen = item.marker === undefined && fresh ? inode.marker : item.marker;
      return seen !== null && seen?.metadata === undefined;
    });
    if (unknown.length === 0) return;
    const remembered = page.items.some((item) => carriesAttributes(item.info?.metadata));
    if (remembered) this.#view.sampled(directory, "carried");
    const carried = (): boolean => directory.cache.sample === "carried";
    if (this.#core.options.attributes === "auto" && !carried()) {
      // The first, the last, and evenly between.
      const wanted = Math.min(SAMPLE, unknown.length);
      const sample = Array.from({ length: wanted }, (_, i) => unknown[Math.round((i * (unknown.length - 1)) / Math.max(1, wanted - 1))] as Item);
      await this.#ask(sample, page);
      // `head` has noted the directory as carrying when one of them did.
      if (!carried()) {
        this.#view.sampled(directory, "none");
        return;
      }
    }
    await this.#ask(unknown.filter((item) => (item.directory ? item.marker === undefined : item.info?.metadata === undefined)), page);
  }

  async #ask(items: readonly Item[], page: Page): Promise<void> {
    const gone = new Set<Item>();
    await Promise.all(items.map((item) => this.#core.asks.run(async () => {
      try {
        if (item.directory) {
          item.marker = await this.#view.head(`${this.#prefix}${item.component}/`, this.#directory) ?? null;
          return;
        }
        const info = await this.#view.head(this.#prefix + item.component, this.#directory);
        if (info === undefined) gone.add(item);
        else {
          item.info = info;
          const isDirectory = item.component !== "" && isDirectoryObject(info);
          if (isDirectory) this.#turnIntoDirectory(item);
          const known = this.#directory.cache.entries.get(item.component);
          if (known?.object === undefined || known.object.metadata !== undefined) return;
          this.#directory.cache.learn(item.component, isDirectory
            ? { ...known, directory: true, object: undefined, marker: known.directory ? known.marker : info, legacy: [...known.legacy ?? [], info.key] }
            : { ...known, object: info }, page.epoch);
        }
      } catch (error) {
        // One object that may not be read must not hide the directory: it keeps what the listing said.
        if (!isStoreError(error, "denied", "unsupported", "invalid")) throw error;
      }
    })));
    for (const item of gone) item.info = undefined;
  }
}
