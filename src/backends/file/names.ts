// Keys to names on disk and back. A key is split at "/"; each component becomes one name, so that one directory of keys is
// one directory on disk. What a name is, its last character says, so an object `a` and the prefix `a/` coexist and no stat
// is needed:
//   photos       the directory of all keys "photos/..."
//   cat.jpg=     the object whose key ends in the component "cat.jpg"
//   aaaa...&     a directory that continues a component too long for one name: the next piece is inside
// Escapes are %XX of UTF-8 bytes, upper case: "%" itself, control characters, a "." in front (so ".", ".." and hidden
// names never arise), a last "=" or "&" of a directory. The empty component (`a//b`, `a/`, `/a`) is a lone "%".

import { StoreError } from "../../store/errors.js";

export const OBJECT = "=";
const MORE = "&";
export const MAX_KEY_BYTES = 1024;
/** Bytes of one piece; with its suffix and one escape more it stays below the 255 of every file system. */
const PIECE_BYTES = 240;

function hex(text: string): string {
  return [...Buffer.from(text, "utf8")].map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`).join("");
}

const UNSAFE = /[%\p{Cc}]|^\./gu;
// For file systems that fold case or normalise: whatever could be taken for another name.
const UNSAFE_FOLDED = /[%A-Z\p{Cc}]|\P{ASCII}+|^\./gu;

function escapePiece(piece: string, folded: boolean): string {
  return piece === "" ? "%" : piece.replace(folded ? UNSAFE_FOLDED : UNSAFE, hex);
}

/** The pieces of one component; nearly always one. */
function pieces(component: string, folded: boolean): string[] {
  if (component.length * 9 <= PIECE_BYTES) return [escapePiece(component, folded)];
  const whole = escapePiece(component, folded);
  if (Buffer.byteLength(whole) <= PIECE_BYTES) return [whole];
  const out: string[] = [];
  let piece = "";
  let bytes = 0;
  for (const char of component) {
    const cost = Buffer.byteLength(escapePiece(char, folded));
    if (bytes + cost > PIECE_BYTES) {
      out.push(escapePiece(piece, folded));
      piece = "";
      bytes = 0;
    }
    piece += char;
    bytes += cost;
  }
  out.push(escapePiece(piece, folded));
  return out;
}

function directoryName(component: string, folded: boolean): string {
  const all = pieces(component, folded);
  const last = all.pop() as string;
  const safe = last.endsWith(OBJECT) || last.endsWith(MORE) ? last.slice(0, -1) + hex(last.slice(-1)) : last;
  return [...all.map((piece) => piece + MORE), safe].join("/");
}

/** Path, below `objects/`, of the directory of the keys that start with `prefix`, which is "" or ends in "/". Ends in "/" unless "". */
export function directoryPath(prefix: string, folded: boolean): string {
  if (prefix === "") return "";
  return prefix.slice(0, -1).split("/").map((component) => `${directoryName(component, folded)}/`).join("");
}

/** Path of the object file of a key, below `objects/`. */
export function objectPath(key: string, folded: boolean): string {
  const slash = key.lastIndexOf("/") + 1;
  const last = pieces(key.slice(slash), folded);
  return directoryPath(key.slice(0, slash), folded) + last.map((piece, i) => piece + (i < last.length - 1 ? MORE : OBJECT)).join("/");
}

function unescapePiece(name: string): string | undefined {
  if (name === "%") return "";
  if (!name.includes("%")) return name;
  if (!/^(?:[^%]|%[0-9A-F]{2})*$/u.test(name)) return undefined;
  return name.replace(/(?:%[0-9A-F]{2})+/g, (run) => Buffer.from(run.replaceAll("%", ""), "hex").toString("utf8"));
}

/** What one name on disk stands for; undefined for a name that this backend never writes. */
export function readName(name: string): { readonly kind: "object" | "directory" | "more"; readonly text: string } | undefined {
  const last = name.at(-1);
  const kind = last === OBJECT ? "object" : last === MORE ? "more" : "directory";
  const text = unescapePiece(kind === "directory" ? name : name.slice(0, -1));
  return text === undefined || name.startsWith(".") ? undefined : { kind, text };
}

/** Names of containers: what is a plain file name everywhere. Throws `invalid`. */
export function checkContainerName(name: string): void {
  const why = name === "" ? "it is empty"
    : name.includes("/") ? "it contains a slash"
      : /\p{Cc}/u.test(name) ? "it contains a control character"
    : name.startsWith(".") ? "it starts with a dot"
    : name === "lost+found" ? "the file system itself uses that name"
    : !name.isWellFormed() ? "it is not valid Unicode"
    : Buffer.byteLength(name) > 255 ? "it is longer than 255 bytes"
    : undefined;
  if (why !== undefined) throw new StoreError("invalid", `${JSON.stringify(name)} cannot be the name of a container: ${why}.`);
}
