// From a listing's pages to a directory's entries. Three things make this more than a copy:
//
//  1. A common prefix ends in `/`, so the store's order is not the names': `a-` and `a.b` come between `a` and `a/`.
//  2. Whether the object `a` is called `a` or `a%^f` is known only when the position of `a/` has passed. It waits in `held` until
//     then; what waits is always a chain of prefixes of one key, so it is short however large the directory is.
//  3. The directory's own marker, and `d_$folder$` objects, are no entries.

import type { ObjectInfo } from "../store/objectStore.js";
import { compareUtf8 } from "../util/names.js";
import { FOLDER_SUFFIX } from "./metadata.js";

export interface Item {
  readonly component: string;
  directory: boolean;
  /** The object is shown beside a directory of its component. */
  readonly shadowed: boolean;
  /** A file's object; absent for directories. Replaced when its metadata becomes known. */
  info: ObjectInfo | undefined;
  /** A directory's marker; null: none; undefined: not known. */
  marker: ObjectInfo | null | undefined;
  legacy: readonly string[] | undefined;
}

export interface Folded {
  readonly items: Item[];
  /** Objects that wait for the next page. */
  readonly held: readonly ObjectInfo[];
  /** The directory's own marker, when this page had it. */
  readonly marker: ObjectInfo | undefined;
  /** Empty `d_$folder$` objects whose directory the page does not show otherwise: by component. */
  readonly folders: ReadonlyMap<string, ObjectInfo>;
}

function file(info: ObjectInfo, component: string, shadowed: boolean): Item {
  return { component, directory: false, shadowed, info, marker: undefined, legacy: undefined };
}

export function directoryItem(component: string, marker?: ObjectInfo | null, legacy?: readonly string[]): Item {
  return { component, directory: true, shadowed: false, info: undefined, marker, legacy };
}

/** One page in, in the names' order as far as the page shows it. `last`: nothing waits any more. */
export function fold(prefix: string, objects: readonly ObjectInfo[], prefixes: readonly string[], waiting: readonly ObjectInfo[], last: boolean): Folded {
  const items: Item[] = [];
  const held: ObjectInfo[] = [...waiting];
  const folders = new Map<string, ObjectInfo>();
  let marker: ObjectInfo | undefined;
  const below = (key: string): string => key.slice(prefix.length);
  const pass = (key: string): void => {
    for (let top = held.at(-1); top !== undefined && compareUtf8(`${top.key}/`, key) <= 0; top = held.at(-1)) {
      held.pop();
      const clash = `${top.key}/` === key;
      // The directory of the clash is put in by the caller, right after.
      items.push(file(top, below(top.key), clash));
    }
  };
  let p = 0;
  let o = 0;
  while (o < objects.length || p < prefixes.length) {
    const object = objects[o];
    const common = prefixes[p];
    if (object !== undefined && (common === undefined || compareUtf8(object.key, common) <= 0)) {
      o += 1;
      if (object.key === prefix) {
        marker = object;
        if (object.size > 0) items.push(file(object, "", false));
        continue;
      }
      pass(object.key);
      const component = below(object.key);
      if (object.size === 0 && component.endsWith(FOLDER_SUFFIX) && component.length > FOLDER_SUFFIX.length) {
        folders.set(component.slice(0, -FOLDER_SUFFIX.length), object);
      } else held.push(object);
    } else if (common !== undefined) {
      p += 1;
      pass(common);
      const component = below(common).slice(0, -1);
      items.push(directoryItem(component));
    }
  }
  if (last) for (let top = held.pop(); top !== undefined; top = held.pop()) items.push(file(top, below(top.key), false));
  for (const item of items) if (item.directory) folders.delete(item.component);
  // A directory stands before the object beside it.
  items.sort((a, b) => compareUtf8(a.component, b.component) || Number(b.directory) - Number(a.directory));
  return { items, held, marker, folders };
}

/** For listings without an order: everything at once. */
export function foldAll(prefix: string, objects: readonly ObjectInfo[], prefixes: readonly string[]): Folded {
  const sortedObjects = [...new Map(objects.map((object) => [object.key, object])).values()].sort((a, b) => compareUtf8(a.key, b.key));
  return fold(prefix, sortedObjects, [...new Set(prefixes)].sort(compareUtf8), [], true);
}
