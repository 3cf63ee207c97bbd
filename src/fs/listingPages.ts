// One directory's pages, whatever kind of listing the store has: rolled up by the store, or here.

import type { ListPage, ObjectInfo } from "../store/objectStore.js";
import type { Core } from "./core.js";

/** Where the next page starts. */
export interface PageCursor {
  readonly token: string | undefined;
  /** Flat, ordered listings: everything up to here is done; the children of a rolled-up prefix are skipped. */
  readonly after: string | undefined;
  /** The last prefix rolled up here. */
  readonly rolled: string | undefined;
}

export interface DirectoryPage {
  readonly objects: readonly ObjectInfo[];
  readonly prefixes: readonly string[];
  readonly next: PageCursor | undefined;
}

export const FIRST_PAGE: PageCursor = { token: undefined, after: undefined, rolled: undefined };

export async function directoryPage(core: Core, prefix: string, at: PageCursor): Promise<DirectoryPage> {
  const { list, listOrdered } = core.capabilities;
  if (list === "none") return { objects: [], prefixes: [], next: undefined };
  if (list === "delimiter") {
    const page = await core.store.list({ prefix, delimiter: "/", cursor: at.token });
    return { objects: page.objects, prefixes: page.prefixes, next: page.next === undefined ? undefined : { ...FIRST_PAGE, token: page.next } };
  }
  const page = await core.store.list(at.after === undefined ? { prefix, cursor: at.token } : { prefix, after: at.after });
  return rollUp(page, prefix, at, listOrdered);
}

function rollUp(page: ListPage, prefix: string, at: PageCursor, ordered: boolean): DirectoryPage {
  const objects: ObjectInfo[] = [];
  const prefixes: string[] = [];
  const seen = new Set<string>();
  let rolled = at.rolled;
  for (const object of page.objects) {
    const slash = object.key.indexOf("/", prefix.length);
    if (slash < 0) {
      objects.push(object);
      continue;
    }
    const child = object.key.slice(0, slash + 1);
    if (child !== rolled && !seen.has(child)) prefixes.push(child);
    seen.add(child);
    rolled = child;
  }
  if (page.next === undefined) return { objects, prefixes, next: undefined };
  const last = page.objects.at(-1)?.key;
  if (!ordered || last === undefined || rolled === undefined || !last.startsWith(rolled)) return { objects, prefixes, next: { token: page.next, after: undefined, rolled } };
  // The rest of this prefix holds no other name. U+10FFFF is the greatest character, so little is skipped too few.
  return { objects, prefixes, next: { token: undefined, after: `${rolled}\u{10ffff}`, rolled } };
}
