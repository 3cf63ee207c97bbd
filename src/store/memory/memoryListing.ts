// Pages over sorted keys, as a store gives them.

import { compareUtf8 } from "../../util/names.js";
import { StoreError } from "../errors.js";
import type { ListRequest } from "../objectStore.js";

/** A page before the objects' facts are filled in. */
export interface KeyPage {
  readonly keys: readonly string[];
  readonly prefixes: readonly string[];
  readonly next?: string | undefined;
}

/** Where a listing goes on: after this key, or after everything under this prefix. `idle`: the empty page before it was given. */
interface Position {
  readonly prefix: string;
  readonly delimiter?: string | undefined;
  readonly key?: string | undefined;
  readonly rolledUp?: string | undefined;
  readonly idle?: boolean | undefined;
}

export interface PageStyle {
  readonly pageSize: number;
  /** Before each page but the first comes an empty one that is not the last. */
  readonly emptyPages: boolean;
  /** Not in key order (a fixed other one). */
  readonly scrambled: boolean;
}

/** First index whose key is not below `key`. */
export function lowerBound(keys: readonly string[], key: string): number {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compareUtf8(keys[middle] as string, key) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** First index from `from` on whose key does not start with `prefix`; the keys that do are one run. */
function endOfPrefix(keys: readonly string[], prefix: string, from: number): number {
  let low = from;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((keys[middle] as string).startsWith(prefix)) low = middle + 1;
    else high = middle;
  }
  return low;
}

function encode(position: Position): string {
  return Buffer.from(JSON.stringify(position)).toString("base64url");
}

function decode(request: ListRequest): Position {
  let position: Position;
  try {
    position = JSON.parse(Buffer.from(request.cursor as string, "base64url").toString()) as Position;
  } catch (cause) {
    throw new StoreError("invalid", "not a continuation token of this store", { cause });
  }
  if (position.prefix !== request.prefix || position.delimiter !== request.delimiter) {
    throw new StoreError("invalid", "the continuation token belongs to another listing");
  }
  return position;
}

/** One page of `keys`, which are in UTF-8 byte order. */
export function pageOf(keys: readonly string[], request: ListRequest, style: PageStyle): KeyPage {
  const limit = Math.min(request.limit ?? style.pageSize, style.pageSize);
  if (!Number.isSafeInteger(limit) || limit < 1) throw new StoreError("invalid", `not a page length: ${request.limit}`);
  const from: Position = request.cursor === undefined ? { prefix: request.prefix, delimiter: request.delimiter } : decode(request);
  if (style.emptyPages && request.cursor !== undefined && from.idle !== true) return { keys: [], prefixes: [], next: encode({ ...from, idle: true }) };
  return style.scrambled ? scrambledPage(keys, request, from, limit) : sortedPage(keys, request, from, limit);
}

function sortedPage(keys: readonly string[], request: ListRequest, from: Position, limit: number): KeyPage {
  const { prefix, delimiter, after } = request;
  const found: string[] = [];
  const prefixes: string[] = [];
  let at = lowerBound(keys, prefix);
  if (from.rolledUp !== undefined) at = endOfPrefix(keys, from.rolledUp, lowerBound(keys, from.rolledUp));
  const past = from.key ?? after;
  if (past !== undefined) {
    const next = lowerBound(keys, past);
    at = Math.max(at, keys[next] === past ? next + 1 : next);
  }
  let last: Pick<Position, "key" | "rolledUp"> = {};
  while (at < keys.length) {
    const key = keys[at] as string;
    if (!key.startsWith(prefix)) break;
    if (found.length + prefixes.length === limit) return { keys: found, prefixes, next: encode({ prefix, delimiter, ...last }) };
    const cut = delimiter === undefined ? -1 : key.indexOf(delimiter, prefix.length);
    if (cut < 0) {
      found.push(key);
      last = { key };
      at += 1;
    } else {
      const rolledUp = key.slice(0, cut + (delimiter as string).length);
      prefixes.push(rolledUp);
      last = { rolledUp };
      at = endOfPrefix(keys, rolledUp, at);
    }
  }
  return { keys: found, prefixes };
}

/** Entries ordered by their text read backwards: any fixed order that is not the keys' own. */
function scrambledPage(keys: readonly string[], request: ListRequest, from: Position, limit: number): KeyPage {
  const { prefix, delimiter } = request;
  const all = sortedPage(keys, { prefix, delimiter }, { prefix, delimiter }, Infinity);
  const entries = [...all.keys.map((key) => ({ key, rolledUp: undefined })), ...all.prefixes.map((rolledUp) => ({ key: undefined, rolledUp }))]
    .map((entry) => ({ ...entry, order: scramble(entry.key ?? entry.rolledUp) }))
    .sort((a, b) => compareUtf8(a.order, b.order));
  const seen = from.key ?? from.rolledUp;
  const order = seen === undefined ? "" : scramble(seen);
  const rest = entries.filter((entry) => compareUtf8(entry.order, order) > 0);
  const page = rest.slice(0, limit);
  const last = page.at(-1);
  return {
    keys: page.flatMap((entry) => entry.key ?? []),
    prefixes: page.flatMap((entry) => entry.rolledUp ?? []),
    ...rest.length > page.length ? { next: encode({ prefix, delimiter, key: last?.key, rolledUp: last?.rolledUp }) } : {},
  };
}

function scramble(text: string): string {
  return Array.from(text).reverse().join("");
}
