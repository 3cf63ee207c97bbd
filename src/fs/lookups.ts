// From a name in a directory to what stands there: from own knowledge where that suffices, otherwise by HEAD `key` and
// a one-key LIST of `key/` in parallel.

import { isStoreError } from "../store/errors.js";
import type { ListPage, ObjectInfo } from "../store/objectStore.js";
import { SingleFlight } from "../util/singleFlight.js";
import type { AttributeView } from "./attributes.js";
import type { Core } from "./core.js";
import type { Known } from "./directoryCache.js";
import { DirectoryStream } from "./directoryStream.js";
import { FsError } from "./errors.js";
import { prefixOf, type DirectoryInode, type FileInode, type Inode } from "./inode.js";
import { FOLDER_SUFFIX, isDirectoryObject } from "./metadata.js";
import { directoryName, MAX_NAME_BYTES, nameBytes, objectName, parseName, type NameForm } from "./names.js";

/** A lapsed listing is asked for again when so many names have been looked up since: one page answers what each HEAD and LIST would. */
const RELIST_AFTER = 3;
/** Longest listing that is: two pages of most stores. */
const RELIST_NAMES = 2000;

/** What a name leads to. */
export type Found =
  | { readonly kind: "directory"; readonly component: string; readonly marker: ObjectInfo | null | undefined; readonly at: number }
  | { readonly kind: "file"; readonly component: string; readonly info: ObjectInfo; readonly at: number }
  /** Being written here. */
  | { readonly kind: "local"; readonly component: string; readonly inode: Inode };

export class Lookups {
  readonly #core: Core;
  readonly #view: AttributeView;
  readonly #flight = new SingleFlight<string, Known | undefined>();
  readonly #relisting = new SingleFlight<DirectoryInode, void>();
  /** A listing has shown `x_$folder$`: a name that is nowhere else may be such a directory. */
  folders = false;

  constructor(core: Core, view: AttributeView) {
    this.#core = core;
    this.#view = view;
  }

  /** The inode behind the name, not yet counted: follow with `entry` without an await in between, or `settle`. */
  async find(directory: DirectoryInode, name: string, signal?: AbortSignal): Promise<Inode | undefined> {
    if (nameBytes(name) > MAX_NAME_BYTES) throw new FsError("ENAMETOOLONG", `a name is at most ${MAX_NAME_BYTES} bytes`, { ino: directory.ino });
    const form = parseName(name);
    if (form === undefined || directory.gone) return undefined;
    return this.#core.inodes.hold(directory, async () => {
      const { cache } = directory;
      for (;;) {
        const epoch = cache.begin();
        try {
          const found = await abortable(this.#resolve(directory, form), signal);
          const component = found?.component ?? (form.form === "plain" || form.form === "shadowed" ? form.component : "");
          // Changed here on the way: what was found may be gone.
          if (found !== undefined && cache.changedSince(component, epoch)) continue;
          if (directory.gone || directory.stale) throw new FsError("ESTALE", "the directory was removed meanwhile", { ino: directory.ino });
          this.#retire(directory, component);
          return found === undefined ? undefined : this.attach(directory, found);
        } finally {
          cache.end();
        }
      }
    });
  }

  /** The component a new name would have. @throws EINVAL when no key can have that name. */
  async componentFor(directory: DirectoryInode, name: string): Promise<string> {
    if (nameBytes(name) > MAX_NAME_BYTES) throw new FsError("ENAMETOOLONG", `a name is at most ${MAX_NAME_BYTES} bytes`, { ino: directory.ino });
    const form = parseName(name);
    if (form?.form === "plain") return form.component;
    if (form?.form === "content" && directory.parent !== undefined) return "";
    if (form?.form === "shadowed" && (await this.facts(directory, form.component)).directory) return form.component;
    throw new FsError("EINVAL", "the name reads as an escape that leads to no key", { ino: directory.ino });
  }

  /** Inodes whose name somebody else has taken away must not be met under it again. */
  #retire(directory: DirectoryInode, component: string): void {
    const { inodes, clock } = this.#core;
    const known = directory.cache.get(component, clock.monotonic());
    if (known === undefined) return;
    const child = inodes.childDirectory(directory, component);
    if (!known.directory && child !== undefined && !hasDrafts(child)) inodes.retire(child);
    const file = inodes.childFile(directory, component);
    if (known.object === undefined && file !== undefined && file.draft === undefined && file.staging === undefined && file.pins === 0) inodes.retire(file);
  }

  attach(directory: DirectoryInode, found: Found): Inode {
    const { inodes } = this.#core;
    if (found.kind === "local") return found.inode;
    if (found.kind === "directory") {
      const inode = inodes.openDirectory(directory, found.component);
      this.#view.learnMarker(inode, found.marker, found.at);
      return inode;
    }
    return this.#view.learn(inodes.openFile(directory, found.component), found.info, found.at);
  }

  async #resolve(directory: DirectoryInode, form: NameForm): Promise<Found | undefined> {
    if (form.form === "content") return directory.parent === undefined ? undefined : this.#asFile(directory, "", false);
    if (form.form === "hashed") {
      const component = await this.#unhash(directory, form.name, form.head, form.shadowed);
      if (component === undefined) return undefined;
      return this.#resolve(directory, { form: form.shadowed ? "shadowed" : "plain", component });
    }
    const { component } = form;
    if (form.form === "shadowed") return this.#asFile(directory, component, true);
    const facts = await this.facts(directory, component);
    const made = this.#core.inodes.childDirectory(directory, component);
    // Its keys are on their way.
    if (!facts.directory && made !== undefined && hasDrafts(made)) return { kind: "local", component, inode: made };
    if (facts.directory) return { kind: "directory", component, marker: await this.#markerOf(directory, component, facts), at: facts.asked ?? facts.batch.at };
    return this.#asFile(directory, component, false);
  }

  async #asFile(directory: DirectoryInode, component: string, shadowed: boolean): Promise<Found | undefined> {
    const own = this.#own(directory, component);
    if (own !== undefined && !shadowed) return { kind: "local", component, inode: own };
    for (;;) {
      const facts = await this.facts(directory, component);
      if (shadowed && !facts.directory) return undefined;
      const staged = this.#own(directory, component);
      if (staged !== undefined) return { kind: "local", component, inode: staged };
      const { object } = facts;
      // The empty marker is the directory itself, no file in it.
      if (object === undefined || (component === "" && object.size === 0)) return undefined;
      if (object.metadata !== undefined || !this.#view.worthAsking(directory)) return { kind: "file", component, info: object, at: facts.asked ?? facts.batch.at };
      const epoch = directory.cache.begin();
      try {
        const at = this.#core.clock.monotonic();
        const info = this.#core.attributes.complete(object) ?? await this.#view.head(object.key, directory);
        if (directory.cache.changedSince(component, epoch)) continue;
        const directoryToo = info !== undefined && component !== "" && isDirectoryObject(info);
        const known: Known = {
          ...facts, directory: facts.directory || directoryToo, object: directoryToo ? undefined : info,
          legacy: directoryToo ? [...facts.legacy ?? [], info.key] : facts.legacy, batch: facts.batch,
        };
        directory.cache.learn(component, known, epoch);
        if (directoryToo) return { kind: "directory", component, marker: info, at };
        return info === undefined ? undefined : { kind: "file", component, info, at };
      } finally {
        directory.cache.end();
      }
    }
  }

  /** A file of this mount that is being written: it is there whatever the store says. */
  #own(directory: DirectoryInode, component: string): FileInode | undefined {
    const child = this.#core.inodes.childFile(directory, component);
    return child?.draft !== undefined || child?.staging !== undefined ? child : undefined;
  }

  /** Both facts of a component, as the store or own knowledge has them. */
  async facts(directory: DirectoryInode, component: string): Promise<Known> {
    const { cache } = directory;
    for (;;) {
      const known = cache.get(component, this.#core.clock.monotonic());
      if (known !== undefined) return known;
      if (await this.#relist(directory)) continue;
      const asked = await this.#flight.run(`${directory.ino}/${component}`, () => this.#core.inodes.hold(directory, () => this.#ask(directory, component)));
      if (asked !== undefined) return asked;
    }
  }

  /** Somebody goes through the names of a directory that was listed a while ago. @returns whether the whole of it is known again. */
  async #relist(directory: DirectoryInode): Promise<boolean> {
    const { cache } = directory;
    const { lapsed } = cache;
    if (lapsed === undefined || lapsed.names > RELIST_NAMES || ++lapsed.asked < RELIST_AFTER) return false;
    await this.#relisting.run(directory, () => this.#core.inodes.hold(directory, async () => {
      const stream = new DirectoryStream(this.#core, this.#view, this, directory);
      try {
        let index = 0;
        for (let page = await stream.page(index, false); page !== undefined; page = await stream.page(index, false)) index = page.index + page.items.length;
      } catch (error) {
        // Whoever may not list may still ask for names.
        if (!isStoreError(error, "denied", "unsupported")) throw error;
      } finally {
        stream.close();
        if (cache.lapsed === lapsed) cache.lapsed = undefined;
      }
    }));
    return cache.isComplete(this.#core.clock.monotonic());
  }

  /** Asks the store. Undefined: the name was changed here meanwhile, so the answer says nothing. */
  async #ask(directory: DirectoryInode, component: string): Promise<Known | undefined> {
    const { cache } = directory;
    const { options, capabilities, clock } = this.#core;
    const key = prefixOf(directory) + component;
    const batch = this.#core.batch(options.entryTimeoutMs);
    const epoch = cache.begin();
    try {
      // A key that no store takes cannot be there.
      const sendable = Buffer.byteLength(key) <= capabilities.maxKeyBytes;
      const [object, below] = sendable ? await Promise.all([key === "" ? undefined : this.#view.head(key, directory), this.#below(`${key}/`)]) : [undefined, undefined];
      const named = object !== undefined && component !== "" && isDirectoryObject(object);
      let legacy: string[] | undefined = named ? [object.key] : undefined;
      if (object === undefined && below === undefined && this.folders && sendable) {
        const folder = await this.#view.head(key + FOLDER_SUFFIX, undefined);
        if (folder?.size === 0) legacy = [folder.key];
      }
      const isDirectory = below !== undefined || legacy !== undefined;
      const absent = !isDirectory && object === undefined;
      const known: Known = {
        directory: isDirectory, object: named ? undefined : object, legacy,
        marker: below?.marker ?? (named ? object : isDirectory ? null : undefined),
        batch: absent ? { at: batch.at, ttl: options.negativeTimeoutMs } : batch,
      };
      const learnt = cache.learn(component, known, epoch);
      this.#core.account(directory);
      return learnt ? { ...known, batch: { at: clock.monotonic(), ttl: batch.ttl } } : undefined;
    } finally {
      cache.end();
    }
  }

  /** Whether there are keys that start with `prefix`, and the marker among them. */
  async #below(prefix: string): Promise<{ marker: ObjectInfo | null | undefined } | undefined> {
    const { store, capabilities } = this.#core;
    if (capabilities.list === "none") {
      const marker = await this.#view.head(prefix, undefined);
      return marker === undefined ? undefined : { marker };
    }
    let cursor: string | undefined;
    do {
      const page: ListPage = await store.list({ prefix, limit: 1, cursor });
      const first = page.objects[0];
      // In key order the marker itself comes first.
      if (first !== undefined) return { marker: first.key === prefix ? first : capabilities.listOrdered ? null : undefined };
      cursor = page.next;
    } while (cursor !== undefined);
    return undefined;
  }

  /** The marker with its metadata, where that is known or worth asking. */
  async #markerOf(directory: DirectoryInode, component: string, facts: Known): Promise<ObjectInfo | null | undefined> {
    const { marker } = facts;
    if (marker === null || marker?.metadata !== undefined) return marker;
    const inode = this.#core.inodes.childDirectory(directory, component);
    if (marker !== undefined) {
      const complete = this.#core.attributes.complete(marker);
      if (complete !== undefined) return complete;
    } else if (inode !== undefined && inode.marker !== undefined && inode.markerAt >= facts.batch.at - this.#core.options.listingTtlMs) return inode.marker;
    if (!this.#view.worthAsking(directory, "marker")) return marker;
    return await this.#view.head(`${prefixOf(directory)}${component}/`, directory) ?? null;
  }

  /** The component whose hashed name this is: among what is known, otherwise by listing what starts like it. */
  async #unhash(directory: DirectoryInode, name: string, head: string, shadowed: boolean): Promise<string | undefined> {
    const is = (component: string): boolean => (shadowed ? objectName(component, true) : directoryName(component)) === name;
    for (const child of directory.children.values()) if (is(child.component)) return child.component;
    for (const component of directory.cache.entries.keys()) if (component.startsWith(head) && is(component)) return component;
    const { store, capabilities } = this.#core;
    if (directory.cache.isComplete(this.#core.clock.monotonic()) || capabilities.list === "none") return undefined;
    const prefix = prefixOf(directory);
    let cursor: string | undefined;
    do {
      const page: ListPage = await store.list({ prefix: prefix + head, delimiter: capabilities.list === "delimiter" ? "/" : undefined, cursor });
      for (const key of [...page.objects.map((object) => object.key), ...page.prefixes]) {
        const component = key.slice(prefix.length).split("/")[0] as string;
        if (is(component)) return component;
      }
      cursor = page.next;
    } while (cursor !== undefined);
    return undefined;
  }
}

function hasDrafts(directory: DirectoryInode): boolean {
  for (const child of directory.children.values()) {
    if (child.kind === "directory" ? hasDrafts(child) : child.draft !== undefined || child.staging !== undefined) return true;
  }
  return false;
}

/** The answer, or EINTR as soon as the signal fires; the question goes on for whoever shares it. */
export async function abortable<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return work;
  if (signal.aborted) {
    work.catch(() => undefined);
    throw new FsError("EINTR", "interrupted");
  }
  let onAbort: () => void = () => undefined;
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => { reject(new FsError("EINTR", "interrupted")); };
    signal.addEventListener("abort", onAbort, { once: true });
  });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener("abort", onAbort);
    work.catch(() => undefined);
  }
}

