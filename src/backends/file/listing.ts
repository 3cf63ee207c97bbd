// Listings. A directory of keys is one directory on disk, so a page costs one readdir (none, when the directory has not
// changed since the page before) and one small read for each object of the page, many at a time. Keys come in UTF-8
// byte order: the subdirectory "x" takes its place as "x/", after the objects "x" and "x-y".

import { readdir, rmdir, stat } from "node:fs/promises";
import { compareUtf8 } from "../../util/names.js";
import { StoreError } from "../../store/errors.js";
import { throwIfAborted } from "../../store/abort.js";
import type { ListPage, ListRequest, ObjectInfo } from "../../store/objectStore.js";
import { errnoOf, succeeds } from "./api.js";
import type { ContainerPaths } from "./layout.js";
import { infoOf } from "./manifest.js";
import { readName } from "./names.js";
import { manifestForListing } from "./objectFile.js";
import { requireContainer } from "./changes.js";

const PAGE = 1000;
/** Reads of object files at once for one page. */
const READS = 32;
/** Reads of a page after which others get their turn. */
const TURN = 128;
/** Names kept of directories that were read, in all. */
const CACHED_NAMES = 500_000;
/** Time stamps of a file system advance in ticks of up to 10 ms: a directory read so soon after its last change may change unseen. */
const TICK_MS = 50;

/** The entries of one directory of keys, sorted: "name" for an object ("" for the one that has the directory's own name), "name/" for a subdirectory. */
type Entries = readonly string[];

const ABOVE_SURROGATES = /[\ud800-\uffff]/;

function sortKeys(names: string[]): string[] {
  // Only from U+D800 on do UTF-16 and UTF-8 order differ, and the engine's own sort is several times as fast.
  return names.some((name) => ABOVE_SURROGATES.test(name)) ? names.sort(compareUtf8) : names.sort();
}

/** First index whose entry is above `text`, or equal to it with `equal`. */
function search(entries: Entries, text: string, equal: boolean): number {
  let low = 0;
  let high = entries.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const order = compareUtf8(entries[middle] as string, text);
    if (order < 0 || (order === 0 && !equal)) low = middle + 1;
    else high = middle;
  }
  return low;
}

interface CachedDirectory {
  readonly changed: bigint;
  readonly entries: Entries;
}

export class Listing {
  readonly #paths: ContainerPaths;
  readonly #cached = new Map<string, CachedDirectory>();
  #names = 0;

  constructor(paths: ContainerPaths) {
    this.#paths = paths;
  }

  async page(request: ListRequest): Promise<ListPage> {
    const { prefix, delimiter, signal } = request;
    const limit = Math.min(request.limit ?? PAGE, PAGE);
    if (!Number.isSafeInteger(limit) || limit < 1) throw new StoreError("invalid", `A page has at least one entry, not ${request.limit}.`);
    if (delimiter !== undefined && delimiter !== "/") throw new StoreError("unsupported", "The only delimiter of this store is a slash.");
    const after = request.cursor === undefined ? request.after : decodeCursor(request);
    const found: string[] = [];
    let more = false;
    for await (const name of this.#walk(prefix, delimiter !== undefined, after)) {
      throwIfAborted(signal);
      if (found.length === limit) {
        more = true;
        break;
      }
      found.push(name);
    }
    if (found.length === 0) await requireContainer(this.#paths);
    const isPrefix = (name: string): boolean => delimiter !== undefined && name.indexOf("/", prefix.length) >= 0;
    const objects = await this.#infos(found.filter((name) => !isPrefix(name)), signal);
    return { objects, prefixes: found.filter(isPrefix), next: more ? encodeCursor(request, found.at(-1) as string) : undefined };
  }

  /** Whether the container has any object. Empty directories that it meets are removed. */
  async isEmpty(): Promise<boolean> {
    for await (const _key of this.#walk("", false, undefined)) return false;
    return true;
  }

  /** Keys (and, with `rolledUp`, common prefixes) that start with `prefix` and come after `after`, in order. */
  async *#walk(prefix: string, rolledUp: boolean, after: string | undefined): AsyncGenerator<string> {
    const parent = prefix.slice(0, prefix.lastIndexOf("/") + 1);
    // `after` outside this directory: all of it comes after, or nothing.
    if (after !== undefined && !after.startsWith(parent) && compareUtf8(after, parent) > 0) return;
    const rest = after?.startsWith(parent) === true ? after.slice(parent.length) : undefined;
    for await (const name of this.#below(parent, prefix.slice(parent.length), rolledUp, rest)) yield parent + name;
  }

  /** What comes after `parent` in its keys. `leaf`: only what starts so. */
  async *#below(parent: string, leaf: string, rolledUp: boolean, after: string | undefined): AsyncGenerator<string> {
    const directory = this.#paths.prefix(parent);
    const entries = await this.#entries(directory);
    let at = search(entries, leaf, true);
    if (after !== undefined) {
      // The subdirectory in which `after` lies sorts before it, and is not finished.
      const inside = after.slice(0, after.indexOf("/") + 1);
      const unfinished = rolledUp || inside === "" ? -1 : search(entries, inside, true);
      at = Math.max(at, unfinished >= 0 && entries[unfinished] === inside ? unfinished : search(entries, after, false));
    }
    for (; at < entries.length; at++) {
      const name = entries[at] as string;
      if (!name.startsWith(leaf)) return;
      if (rolledUp || !name.endsWith("/")) {
        yield name;
        continue;
      }
      const rest = after?.startsWith(name) === true ? after.slice(name.length) : undefined;
      let empty = rest === undefined;
      for await (const key of this.#below(parent + name, "", false, rest)) {
        empty = false;
        yield name + key;
      }
      if (empty) await this.#removeEmpty(this.#paths.prefix(parent + name));
    }
  }

  async #entries(directory: string): Promise<Entries> {
    const began = Date.now();
    let changed: bigint;
    try {
      changed = (await stat(directory, { bigint: true })).mtimeNs;
    } catch (error) {
      if (errnoOf(error) === "ENOENT" || errnoOf(error) === "ENAMETOOLONG") return [];
      throw error;
    }
    const cached = this.#cached.get(directory);
    if (cached?.changed === changed) {
      this.#cached.delete(directory);
      this.#cached.set(directory, cached);
      return cached.entries;
    }
    this.#forget(directory);
    const names: string[] = [];
    const whole = await this.#readNames(directory, "", names);
    const entries = sortKeys(names);
    if (entries.length === 0) await this.#removeEmpty(directory);
    else if (whole && began - Number(changed / 1_000_000n) > TICK_MS) this.#remember(directory, { changed, entries });
    return entries;
  }

  /** Adds the names in one directory, and in those that continue long ones. @returns false when there are such: their changes do not show in this one. */
  async #readNames(directory: string, start: string, names: string[]): Promise<boolean> {
    let list: string[];
    try {
      list = await readdir(directory);
    } catch (error) {
      if (errnoOf(error) === "ENOENT") return true;
      throw error;
    }
    let whole = true;
    for (const raw of list) {
      const name = readName(raw);
      if (name === undefined) continue;
      if (name.kind === "more") {
        whole = false;
        const before = names.length;
        await this.#readNames(`${directory}/${raw}`, start + name.text, names);
        if (names.length === before) await this.#removeEmpty(`${directory}/${raw}`);
      } else {
        names.push(name.kind === "object" ? start + name.text : `${start}${name.text}/`);
      }
    }
    return whole;
  }

  /** A crash may leave an empty directory behind; it stands for no key. */
  async #removeEmpty(directory: string): Promise<void> {
    if (directory !== this.#paths.objects) await succeeds(rmdir(directory), "ENOTEMPTY", "EEXIST", "ENOENT", "EACCES", "EPERM", "EROFS", "EBUSY");
  }

  #remember(directory: string, cached: CachedDirectory): void {
    this.#cached.set(directory, cached);
    this.#names += cached.entries.length;
    for (const [oldest] of this.#cached) {
      if (this.#names <= CACHED_NAMES) return;
      this.#forget(oldest);
    }
  }

  #forget(directory: string): void {
    this.#names -= this.#cached.get(directory)?.entries.length ?? 0;
    this.#cached.delete(directory);
  }

  async #infos(keys: readonly string[], signal: AbortSignal | undefined): Promise<ObjectInfo[]> {
    const infos = Array.from<ObjectInfo | undefined>({ length: keys.length });
    let next = 0;
    const work = async (): Promise<void> => {
      while (next < keys.length) {
        throwIfAborted(signal);
        const at = next++;
        if (at % TURN === TURN - 1) await new Promise<void>(setImmediate);
        const key = keys[at] as string;
        const manifest = await manifestForListing(this.#paths.object(key), key, this.#paths.quick);
        if (manifest !== undefined) infos[at] = infoOf(manifest, key);
      }
    };
    await Promise.all(Array.from({ length: Math.min(READS, keys.length) }, work));
    return infos.filter((info) => info !== undefined);
  }
}

interface Cursor {
  readonly prefix: string;
  readonly delimiter?: string | undefined;
  readonly last: string;
}

function encodeCursor(request: ListRequest, last: string): string {
  return Buffer.from(JSON.stringify({ prefix: request.prefix, delimiter: request.delimiter, last } satisfies Cursor)).toString("base64url");
}

function decodeCursor(request: ListRequest): string {
  let cursor: Cursor;
  try {
    cursor = JSON.parse(Buffer.from(request.cursor as string, "base64url").toString()) as Cursor;
  } catch (cause) {
    throw new StoreError("invalid", "This is not a continuation token of this store.", { cause });
  }
  if (cursor.prefix !== request.prefix || cursor.delimiter !== request.delimiter || typeof cursor.last !== "string") {
    throw new StoreError("invalid", "The continuation token belongs to another listing.");
  }
  return cursor.last;
}
