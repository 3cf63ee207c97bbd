// What is kept of a file in its object's user metadata, under the names that s3fs and rclone read and write:
// `mode` (decimal with S_IFMT bits), `uid`, `gid`, `mtime`, `atime`, `ctime` (seconds with a fraction), `xattr`.

import { S_IF, type Timespec } from "./filesystem.js";
import { FsError } from "./errors.js";
import type { Metadata, ObjectInfo } from "../store/objectStore.js";

/** Absent fields: the object does not say. `mode` has its S_IFMT bits. */
export interface Kept {
  readonly mode: number | undefined;
  readonly uid: number | undefined;
  readonly gid: number | undefined;
  readonly mtime: Timespec | undefined;
  readonly atime: Timespec | undefined;
  readonly ctime: Timespec | undefined;
}

const KEPT_NAMES = ["mode", "uid", "gid", "mtime", "atime", "ctime", "xattr", "hdi_isfolder"];
const TYPES: readonly number[] = [S_IF.SOCK, S_IF.LNK, S_IF.REG, S_IF.BLK, S_IF.DIR, S_IF.CHR, S_IF.IFO];
const NOTHING: Kept = { mode: undefined, uid: undefined, gid: undefined, mtime: undefined, atime: undefined, ctime: undefined };
const parsed = new WeakMap<Metadata, Kept>();

export function keptOf(metadata: Metadata | undefined): Kept {
  if (metadata === undefined) return NOTHING;
  let kept = parsed.get(metadata);
  if (kept === undefined) {
    kept = {
      mode: parseMode(metadata["mode"]), uid: parseId(metadata["uid"]), gid: parseId(metadata["gid"]),
      mtime: parseTime(metadata["mtime"]), atime: parseTime(metadata["atime"]), ctime: parseTime(metadata["ctime"]),
    };
    parsed.set(metadata, kept);
  }
  return kept;
}

/** Whether an object was written by something that keeps attributes in metadata. */
export function carriesAttributes(metadata: Metadata | undefined): boolean {
  return metadata !== undefined && KEPT_NAMES.some((name) => metadata[name] !== undefined);
}

/** s3fs writes decimal; rclone octal (`100644`), which read as decimal is no mode at all. */
function parseMode(text: string | undefined): number | undefined {
  if (text === undefined || !/^[0-9]{1,7}$/.test(text)) return undefined;
  const decimal = Number(text);
  const plausible = (mode: number): boolean => mode <= 0o177777 && ((mode & S_IF.MT) === 0 || TYPES.includes(mode & S_IF.MT));
  if (!text.startsWith("0") && plausible(decimal)) return typed(decimal);
  if (!/^[0-7]+$/.test(text)) return undefined;
  const octal = Number.parseInt(text, 8);
  return plausible(octal) ? typed(octal) : undefined;
}

function typed(mode: number): number {
  return (mode & S_IF.MT) === 0 ? mode | S_IF.REG : mode;
}

function parseId(text: string | undefined): number | undefined {
  if (text === undefined || !/^[0-9]{1,10}$/.test(text)) return undefined;
  const id = Number(text);
  return id <= 0xfffffffe ? id : undefined;
}

/** `1700000000`, `1700000000.5`, `-1.25`; more than nine digits of fraction are cut. */
export function parseTime(text: string | undefined): Timespec | undefined {
  const match = text === undefined ? null : /^(-?)([0-9]{1,12})(?:\.([0-9]*))?$/.exec(text.trim());
  if (match === null) return undefined;
  const sec = Number(match[2]);
  const nsec = Number((match[3] ?? "").slice(0, 9).padEnd(9, "0"));
  if (match[1] !== "-") return { sec, nsec };
  return nsec === 0 ? { sec: 0 - sec, nsec: 0 } : { sec: -sec - 1, nsec: 1_000_000_000 - nsec };
}

/** Seconds and always nine digits, so that nothing of a nanosecond is lost. */
export function formatTime(time: Timespec): string {
  const { sec, nsec } = time;
  if (sec >= 0) return `${sec}.${String(nsec).padStart(9, "0")}`;
  return nsec === 0 ? `${sec}.000000000` : `-${-sec - 1}.${String(1_000_000_000 - nsec).padStart(9, "0")}`;
}

/** The store's own time, as a whole second: listings and heads of many stores differ in the fraction. */
export function storeTime(milliseconds: number): Timespec {
  return { sec: Math.floor(milliseconds / 1000), nsec: 0 };
}

export function timeOf(milliseconds: number): Timespec {
  const sec = Math.floor(milliseconds / 1000);
  return { sec, nsec: Math.round((milliseconds - sec * 1000) * 1_000_000) % 1_000_000_000 };
}

const DIRECTORY_TYPES = new Set(["application/x-directory", "application/directory", "httpd/unix-directory"]);
export const DIRECTORY_CONTENT_TYPE = "application/x-directory";
/** The suffix of an empty object that stands for a directory, as old Hadoop clients write it. */
export const FOLDER_SUFFIX = "_$folder$";

/** A zero-byte object without a trailing `/` that says that it is a directory. False when the source of `info` does not tell. */
export function isDirectoryObject(info: ObjectInfo): boolean {
  if (info.size !== 0) return false;
  const type = info.contentType?.split(";")[0]?.trim().toLowerCase();
  if (type !== undefined && DIRECTORY_TYPES.has(type)) return true;
  if (info.metadata?.["hdi_isfolder"]?.toLowerCase() === "true") return true;
  const mode = keptOf(info.metadata).mode;
  return mode !== undefined && (mode & S_IF.MT) === S_IF.DIR;
}

/** s3fs: URL-encoded JSON of name to base64. Damaged text counts as none. */
export function parseXattrs(metadata: Metadata | undefined): Map<string, Buffer> {
  const out = new Map<string, Buffer>();
  const text = metadata?.["xattr"];
  if (text === undefined || text === "") return out;
  try {
    const record: unknown = JSON.parse(decodeURIComponent(text));
    if (typeof record !== "object" || record === null) return out;
    for (const [name, value] of Object.entries(record)) {
      if (typeof value === "string") out.set(name, Buffer.from(value, "base64"));
    }
  } catch {
    out.clear();
  }
  return out;
}

export function formatXattrs(xattrs: ReadonlyMap<string, Buffer>): string | undefined {
  if (xattrs.size === 0) return undefined;
  return encodeURIComponent(JSON.stringify(Object.fromEntries([...xattrs].map(([name, value]) => [name, value.toString("base64")]))));
}

export function metadataBytes(metadata: Metadata): number {
  let bytes = 0;
  for (const [name, value] of Object.entries(metadata)) bytes += name.length + Buffer.byteLength(value);
  return bytes;
}

/** @throws E2BIG or ENOSPC, as the operation at hand says it. */
export function assertMetadataFits(metadata: Metadata, maxBytes: number, errno: "E2BIG" | "ENOSPC"): void {
  const bytes = metadataBytes(metadata);
  if (bytes > maxBytes) throw new FsError(errno, `the object's metadata would be ${bytes} bytes, the store takes ${maxBytes}`);
}
