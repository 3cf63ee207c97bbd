// file:// URLs. The URL alone does not tell where the store ends and the container begins: the disk does.

import { statSync } from "node:fs";
import { resolve } from "node:path";
import { StoreError } from "../../store/errors.js";
import type { StoreUrl } from "../backend.js";
import { MARK } from "./layout.js";
import { checkContainerName } from "./names.js";

function invalid(message: string): StoreError {
  return new StoreError("invalid", message);
}

function isStore(directory: string): boolean {
  return statSync(`${directory}/${MARK}/format`, { throwIfNoEntry: false })?.isFile() === true;
}

/** The longest beginning of `path` that is a store, and what follows it as it was written: keys may contain "//" and ".". */
function splitAtStore(path: string): { readonly store: string; readonly inside: string } | undefined {
  for (let cut = path.length; cut >= 0; cut = cut === 0 ? -1 : path.lastIndexOf("/", cut - 1)) {
    const store = resolve("/", path.slice(0, cut));
    try {
      if (isStore(store)) return { store, inside: path.slice(cut).replace(/^\/+/, "") };
    } catch {
      // Not readable, or a file on the way: no store there.
    }
  }
  return undefined;
}

/**
 * `file:///DIR`: the store in DIR, or a new one there. `file:///DIR/CONTAINER[/PREFIX]`, where DIR is a store: that
 * container, and the keys under the prefix. A store is found by its mark, walking up from the whole path.
 * Throws `invalid`.
 */
export function parseFileUrl(url: string): StoreUrl & { readonly location: string } {
  const rest = /^file:\/\/(.*)$/s.exec(url)?.[1];
  if (rest === undefined) throw invalid(`${JSON.stringify(url)} is not a file URL: write file:///DIRECTORY.`);
  const encoded = rest.startsWith("localhost/") ? rest.slice("localhost".length) : rest;
  if (!encoded.startsWith("/")) {
    throw invalid(`The directory of a file URL must be absolute, with three slashes: file:///DIRECTORY, not ${JSON.stringify(url)}.`);
  }
  if (/[?#]/.test(encoded)) throw invalid(`A file URL has no "?" or "#": write %3F or %23 where a name in ${JSON.stringify(url)} contains one.`);
  let path: string;
  try {
    path = decodeURIComponent(encoded);
  } catch {
    throw invalid(`${JSON.stringify(url)} has a "%" that is not followed by two hexadecimal digits of UTF-8: write %25 for the character itself.`);
  }
  if (path.includes("\0")) throw invalid("The directory of a file URL cannot contain a NUL character.");

  const found = splitAtStore(path);
  if (found === undefined) return { scheme: "file", location: resolve(path), prefix: "" };
  const { store, inside } = found;
  if (inside === "") return { scheme: "file", location: store, prefix: "" };
  const slash = inside.indexOf("/");
  const container = slash < 0 ? inside : inside.slice(0, slash);
  checkContainerName(container);
  const prefix = slash < 0 ? "" : inside.slice(slash + 1);
  return { scheme: "file", location: store, container, prefix: prefix === "" || prefix.endsWith("/") ? prefix : `${prefix}/` };
}
