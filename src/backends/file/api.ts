// The service behind this backend is the local file system: its calls as promises, and its errno classified once.
// Descriptors are plain numbers and the callback API is used: FileHandle costs about twice as much per small object.

import * as fs from "node:fs";
import { StoreError, type StoreErrorKind } from "../../store/errors.js";
import type { QuickReads } from "./quick.js";

/** The errno name of a failed call ("ENOENT"); undefined for anything else. */
export function errnoOf(error: unknown): string | undefined {
  return error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
}

const KINDS: Readonly<Record<string, StoreErrorKind>> = {
  ENOSPC: "quota", EDQUOT: "quota", EFBIG: "quota",
  EACCES: "denied", EPERM: "denied", EROFS: "denied",
  ENAMETOOLONG: "invalid", EINVAL: "invalid",
  EIO: "unavailable", ESTALE: "unavailable", ETIMEDOUT: "unavailable", EMFILE: "unavailable", ENFILE: "unavailable", ENOMEM: "unavailable",
  EBUSY: "unavailable", EAGAIN: "unavailable", ENXIO: "unavailable", ENODEV: "unavailable", ENOTCONN: "unavailable", EHOSTDOWN: "unavailable",
  // Names that this backend expects to be there; what may rightly be missing is handled where it is opened.
  ENOENT: "unavailable", ENOTDIR: "unavailable",
};

const MEANINGS: Readonly<Record<string, string>> = {
  ENOSPC: "the disk is full", EDQUOT: "the disk quota is used up", EFBIG: "the object is too large for this file system",
  EACCES: "permission denied", EPERM: "not permitted", EROFS: "the file system is read-only", EIO: "the disk reports an input/output error",
  ENAMETOOLONG: "the key is too long for this file system", EMFILE: "too many files are open", ENFILE: "too many files are open",
};

/** Any failure of a call below as a StoreError; a StoreError comes back as it is. `doing`: "write the object". */
export function toStoreError(error: unknown, doing: string, key?: string): StoreError {
  if (error instanceof StoreError) return error;
  const code = errnoOf(error);
  const kind = code === undefined ? "unexpected" : KINDS[code] ?? "unexpected";
  const why = (code === undefined ? undefined : MEANINGS[code]) ?? (error instanceof Error ? error.message : String(error));
  return new StoreError(kind, `Cannot ${doing}: ${why}.`, { key, code, cause: error });
}

export function open(path: string, flags: string | number): Promise<number> {
  return new Promise((resolve, reject) => {
    fs.open(path, flags, 0o666, (error, fd) => { if (error === null) resolve(fd); else reject(error); });
  });
}

/** Not waited for: nothing that was to be durable depends on close. */
export function close(fd: number): void {
  fs.close(fd, () => {});
}

/** One read; fewer bytes than asked only at the end of the file. */
export async function read(fd: number, buffer: Buffer, length: number, position: number): Promise<number> {
  let done = 0;
  while (done < length) {
    const got = await new Promise<number>((resolve, reject) => {
      fs.read(fd, buffer, done, length - done, position + done, (error, bytes) => { if (error === null) resolve(bytes); else reject(error); });
    });
    if (got === 0) break;
    done += got;
  }
  return done;
}

export async function write(fd: number, buffer: Buffer, position: number): Promise<void> {
  let done = 0;
  while (done < buffer.length) {
    done += await new Promise<number>((resolve, reject) => {
      fs.write(fd, buffer, done, buffer.length - done, position + done, (error, bytes) => { if (error === null) resolve(bytes); else reject(error); });
    });
  }
}

export function fdatasync(fd: number): Promise<void> {
  return new Promise((resolve, reject) => {
    fs.fdatasync(fd, (error) => { if (error === null || error === undefined) resolve(); else reject(error); });
  });
}

function fsync(fd: number): Promise<void> {
  return new Promise((resolve, reject) => {
    fs.fsync(fd, (error) => { if (error === null || error === undefined) resolve(); else reject(error); });
  });
}

/** Makes the names in a directory durable. A directory that is gone has none; a file system that cannot sync one needs none. */
export async function syncDirectory(path: string, quick?: QuickReads): Promise<void> {
  let fd: number;
  try {
    // Somebody has just changed a name in it: it is in the kernel's cache.
    fd = quick?.allowed === true ? quick.run(() => fs.openSync(path, "r")) : await open(path, "r");
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return;
    throw error;
  }
  try {
    await fsync(fd);
  } catch (error) {
    if (errnoOf(error) !== "EINVAL" && errnoOf(error) !== "ENOTSUP") throw error;
  } finally {
    close(fd);
  }
}

/** True when the call succeeds, false when it fails with one of `codes`; other failures are thrown. */
export async function succeeds(call: Promise<unknown>, ...codes: readonly string[]): Promise<boolean> {
  try {
    await call;
    return true;
  } catch (error) {
    if (codes.includes(errnoOf(error) ?? "")) return false;
    throw error;
  }
}

/** The whole of a small file, undefined when it is not there. */
export async function readSmall(path: string): Promise<string | undefined> {
  try {
    return await fs.promises.readFile(path, "utf8");
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw error;
  }
}

export async function exists(path: string): Promise<boolean> {
  return succeeds(fs.promises.access(path), "ENOENT", "ENOTDIR");
}
