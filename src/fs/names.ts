// Kernel names and key components: every key has exactly one name, and every name leads back to its key.
//
// A key is a list of components separated by `/`. Most components are shown as they are. The others are shown under an
// escape, whose introducer is the two characters `%^`:
//
// | in the key                                        | as a name                                           |
// |---------------------------------------------------|-----------------------------------------------------|
// | an empty component (`a//b`, a leading `/`)        | `%^e`                                               |
// | the components `.` and `..`                       | `%^.` and `%^..`                                    |
// | the content of the marker `d/`                    | `%^m` inside the directory `d`                      |
// | NUL                                               | `%^0`                                               |
// | `%^xHH` (HH 80..ff, bytes that are not UTF-8)     | the raw byte: a Latin-1 name keeps its bytes        |
// | the object `a` beside keys under `a/`             | `a%^f` (the directory keeps `a`)                    |
// | a component whose name is longer than 255 bytes   | its first bytes, `%^l`, 32 digits of its SHA-256    |
// | ... and beside a directory of the same component  | its first bytes, `%^k`, 32 digits                   |
// | text that would read as one of these              | `%^` written `%^%`                                  |
//
// A `%^` that none of the above can follow stands for itself. A name that would decode to a key whose own name is a
// different one (`%^x41`, say) denotes nothing: a lookup answers ENOENT, creating it EINVAL. A hashed name is found by
// listing the directory, so it works after a remount too.

import { createHash } from "node:crypto";
import { encodeName } from "../util/names.js";

/** NAME_MAX: bytes of a name. */
export const MAX_NAME_BYTES = 255;

const TOKEN = /%\^[%0efmlkx.]/;
const LONE_BYTE = /[\udc80-\udcff]/u;
const RAW = /%\^x([89a-f][0-9a-f])/g;
const HASH_DIGITS = 32;
const HEAD_BYTES = MAX_NAME_BYTES - 3 - HASH_DIGITS;

/** What a name denotes inside its directory. */
export type NameForm =
  /** The directory of that component, or the object when there is no such directory. */
  | { readonly form: "plain"; readonly component: string }
  /** The object beside a directory of the same component. */
  | { readonly form: "shadowed"; readonly component: string }
  /** The content of the directory's own marker: the key that ends in `/`. */
  | { readonly form: "content" }
  /** `head`: what the component starts with, as far as it can be read from the name. */
  | { readonly form: "hashed"; readonly name: string; readonly head: string; readonly shadowed: boolean };

export function nameBytes(name: string): number {
  return LONE_BYTE.test(name) ? encodeName(name).length : Buffer.byteLength(name);
}

/** The name of the directory of this component. Never longer than 255 bytes; never ".", "..", empty, or with "/" or NUL. */
export function directoryName(component: string): string {
  return show(component, false);
}

/** The name of the object; `shadowed` when the directory of the same component is there too. The component "" is a marker's content. */
export function objectName(component: string, shadowed: boolean): string {
  return component === "" ? "%^m" : show(component, shadowed);
}

function show(component: string, shadowed: boolean): string {
  // A suffix must not run into an introducer that stands for itself.
  const pieces = escape(component, shadowed);
  const name = pieces === undefined ? component : pieces.join("");
  const suffix = shadowed ? "%^f" : "";
  if (nameBytes(name) + suffix.length <= MAX_NAME_BYTES) return name + suffix;
  let head = "";
  let bytes = 0;
  for (const piece of pieces ?? component) {
    bytes += encodeName(piece).length;
    if (bytes > HEAD_BYTES) break;
    head += piece;
  }
  const digest = createHash("sha256").update(component, "utf8").digest("hex").slice(0, HASH_DIGITS);
  return `${head}%^${shadowed ? "k" : "l"}${digest}`;
}

/** The pieces of an escaped name, or undefined when the component stands for itself. */
function escape(component: string, all: boolean): string[] | undefined {
  if (component === "") return ["%^e"];
  if (component === ".") return ["%^."];
  if (component === "..") return ["%^.."];
  if (!TOKEN.test(component) && !component.includes("\0") && !(all && component.includes("%^"))) return undefined;
  const raw = canonicalRaw(component);
  const pieces: string[] = [];
  for (let i = 0; i < component.length;) {
    if (component.startsWith("%^", i)) {
      const byte = raw ? /^%\^x([89a-f][0-9a-f])/.exec(component.slice(i, i + 5)) : null;
      pieces.push(byte === null ? "%^%" : String.fromCharCode(0xdc00 + Number.parseInt(byte[1] as string, 16)));
      i += byte === null ? 2 : 5;
    } else {
      const character = String.fromCodePoint(component.codePointAt(i) as number);
      pieces.push(character === "\0" ? "%^0" : character);
      i += character.length;
    }
  }
  return pieces;
}

/** Whether the escaped bytes, put in, are still bytes that are not UTF-8: otherwise they are shown as text. */
function canonicalRaw(component: string): boolean {
  if (!component.includes("%^x")) return false;
  const lone = component.replace(RAW, (_, hex: string) => String.fromCharCode(0xdc00 + Number.parseInt(hex, 16)));
  if (lone === component) return false;
  const bytes = encodeName(lone);
  return sameBytesDecode(bytes, lone);
}

/** The NameForm of a kernel name, or undefined when no key can have this name. */
export function parseName(name: string): NameForm | undefined {
  if (!TOKEN.test(name) && !LONE_BYTE.test(name)) return { form: "plain", component: name };
  if (name === "%^m") return { form: "content" };
  const hashed = /^(.*)%\^([lk])[0-9a-f]{32}$/s.exec(name);
  if (hashed !== null && nameBytes(name) > HEAD_BYTES + 3) {
    const head = hashed[1] as string;
    const opaque = /%\^|[\udc80-\udcff]/u.exec(head);
    return { form: "hashed", name, head: opaque === null ? head : head.slice(0, opaque.index), shadowed: hashed[2] === "k" };
  }
  const { component, shadowed } = decode(name);
  if (component === undefined) return undefined;
  const back = shadowed ? objectName(component, true) : directoryName(component);
  if (back !== name) return undefined;
  return shadowed ? { form: "shadowed", component } : { form: "plain", component };
}

function decode(name: string): { component: string | undefined; shadowed: boolean } {
  let component = "";
  let shadowed = false;
  let at = 0;
  while (at < name.length) {
    const rest = name.length - at;
    const code = name.charCodeAt(at);
    if (!name.startsWith("%^", at)) {
      const character = String.fromCodePoint(name.codePointAt(at) as number);
      component += character.length === 1 && code >= 0xdc80 && code <= 0xdcff ? `%^x${(code - 0xdc00).toString(16)}` : character;
      at += character.length;
      continue;
    }
    const token = name[at + 2];
    if (token === "%") component += "%^";
    else if (token === "0") component += "\0";
    else if (token === "f" && rest === 3) shadowed = true;
    else if (token === "e" && at === 0) component = "";
    else if (token === "." && at === 0) component = ".";
    else if (token === undefined || !TOKEN.test(`%^${token}`)) {
      component += "%^";
      at += 2;
      continue;
    } else return { component: undefined, shadowed };
    at += 3;
  }
  return { component, shadowed };
}

/** Whether decoding the bytes gives the lone surrogates back, that is, none of them has become part of a character. */
function sameBytesDecode(bytes: Buffer, text: string): boolean {
  let at = 0;
  for (const piece of text.split(/([\udc80-\udcff]+)/u)) {
    const width = encodeName(piece).length;
    if (LONE_BYTE.test(piece) && hasCharacter(bytes.subarray(at, at + width))) return false;
    at += width;
  }
  return true;
}

/** Only continuation bytes can join what stands before; a run of raw bytes must hold no whole character itself. */
function hasCharacter(run: Buffer): boolean {
  const strict = new TextDecoder("utf-8", { fatal: true });
  for (let from = 0; from < run.length; from++) {
    for (const width of [2, 3, 4]) {
      if (from + width > run.length) break;
      try {
        strict.decode(run.subarray(from, from + width));
        return true;
      } catch {
        // Not a character: the byte stays raw.
      }
    }
  }
  return false;
}
