// The structures of replies, and those of requests that need more than a line. Field order and padding: fuse_kernel.h 7.45.

import type { AttributeChanges, Attributes, Entry, Fh, StatfsReply, Timespec } from "../../fs/filesystem.js";
import { FATTR } from "./constants.js";
import { ProtocolError } from "./protocolError.js";
import type { MessageReader } from "./reader.js";
import type { MessageWriter } from "./writer.js";

const U32_MAX = 0xffff_ffff;

/** Milliseconds to the seconds of a timeout; what is no finite number of them is "as long as you like". */
export function timeoutSeconds(milliseconds: number): number {
  return milliseconds >= U32_MAX * 1000 ? U32_MAX : Math.max(0, Math.floor(milliseconds / 1000));
}

export function timeoutNanoseconds(milliseconds: number): number {
  return milliseconds >= U32_MAX * 1000 || milliseconds <= 0 ? 0 : Math.round((milliseconds % 1000) * 1e6) % 1_000_000_000;
}

/** struct fuse_attr */
export function writeAttributes(out: MessageWriter, a: Attributes): void {
  out.u64(a.ino);
  out.u64(a.size);
  out.u64(a.blocks);
  out.u64(a.atime.sec);
  out.u64(a.mtime.sec);
  out.u64(a.ctime.sec);
  out.u32(a.atime.nsec);
  out.u32(a.mtime.nsec);
  out.u32(a.ctime.nsec);
  out.u32(a.mode);
  out.u32(a.nlink);
  out.u32(a.uid);
  out.u32(a.gid);
  out.u32(a.rdev);
  out.u32(a.blksize);
  out.u32(0);
}

/** struct fuse_entry_out */
export function writeEntry(out: MessageWriter, entry: Entry): void {
  out.u64(entry.attributes.ino);
  out.u64(entry.generation);
  out.u64(timeoutSeconds(entry.entryTimeoutMs));
  out.u64(timeoutSeconds(entry.attributesTimeoutMs));
  out.u32(timeoutNanoseconds(entry.entryTimeoutMs));
  out.u32(timeoutNanoseconds(entry.attributesTimeoutMs));
  writeAttributes(out, entry.attributes);
}

/** struct fuse_entry_out with nodeid 0: the name is not there, and may be remembered as missing. */
export function writeNegativeEntry(out: MessageWriter, entryTimeoutMs: number): void {
  out.zeros(16);
  out.u64(timeoutSeconds(entryTimeoutMs));
  out.u64(0);
  out.u32(timeoutNanoseconds(entryTimeoutMs));
  out.zeros(4 + 88);
}

/** struct fuse_attr_out */
export function writeAttributesReply(out: MessageWriter, attributes: Attributes, timeoutMs: number): void {
  out.u64(timeoutSeconds(timeoutMs));
  out.u32(timeoutNanoseconds(timeoutMs));
  out.u32(0);
  writeAttributes(out, attributes);
}

/** struct fuse_open_out; the last field was padding before 7.40. */
export function writeOpen(out: MessageWriter, fh: Fh, flags: number, backingId: number): void {
  out.u64(fh);
  out.u32(flags);
  out.u32(backingId);
}

/** struct fuse_kstatfs */
export function writeStatfs(out: MessageWriter, s: StatfsReply): void {
  out.u64(s.blocks);
  out.u64(s.bfree);
  out.u64(s.bavail);
  out.u64(s.files);
  out.u64(s.ffree);
  out.u32(s.bsize);
  out.u32(s.namelen);
  out.u32(s.frsize);
  out.zeros(4 + 6 * 4);
}

/** struct fuse_setattr_in; ctime is ours to choose, and lock owners are the kernel's affair. */
export function readSetattr(message: MessageReader): AttributeChanges {
  const valid = message.u32();
  message.skip(4);
  const fh = message.u64();
  const size = message.u64();
  message.skip(8);
  const seconds = [message.i64(), message.i64()] as const;
  message.skip(8);
  const nanoseconds = [message.u32(), message.u32()] as const;
  message.skip(4);
  const mode = message.u32();
  message.skip(4);
  const uid = message.u32();
  const gid = message.u32();
  message.skip(4);
  const time = (which: 0 | 1, given: number, now: number): Timespec | "now" | undefined => {
    if ((valid & now) !== 0) return "now";
    if ((valid & given) === 0) return undefined;
    if (nanoseconds[which] > 999_999_999) throw new ProtocolError("more nanoseconds than a second has");
    return { sec: seconds[which], nsec: nanoseconds[which] };
  };
  const atime = time(0, FATTR.ATIME, FATTR.ATIME_NOW);
  const mtime = time(1, FATTR.MTIME, FATTR.MTIME_NOW);
  return {
    ...((valid & FATTR.MODE) !== 0 && { mode }),
    ...((valid & FATTR.UID) !== 0 && { uid }),
    ...((valid & FATTR.GID) !== 0 && { gid }),
    ...((valid & FATTR.SIZE) !== 0 && { size }),
    ...(atime !== undefined && { atime }),
    ...(mtime !== undefined && { mtime }),
    ...((valid & FATTR.FH) !== 0 && { fh: fh as Fh }),
    ...((valid & FATTR.KILL_SUIDGID) !== 0 && { killSuidGid: true }),
  };
}
