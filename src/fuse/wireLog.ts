// One readable line per operation: `12 READ ino=5 fh=3 offset=0 size=4096 -> 4096 bytes 0.08 ms`. It exists only while it
// is wanted; nothing of it runs otherwise.

import { ProtocolError } from "./protocol/protocolError.js";
import type { MessageReader } from "./protocol/reader.js";
import { OPCODE, type OpcodeName } from "./protocol/constants.js";
import { opcodeName } from "./operations/table.js";
import type { Request } from "./request.js";

// The fields of each request in their order: 4 and 8 are the bytes of a number, x an octal number of 4, s a name, - and =
// padding of 4 and 8 bytes. Operations that are missing have no fields that tell anything.
const FIELDS: Partial<Record<OpcodeName, string>> = {
  LOOKUP: "s:name", UNLINK: "s:name", RMDIR: "s:name", REMOVEXATTR: "s:name",
  FORGET: "8:count", BATCH_FORGET: "4:inodes", INTERRUPT: "8:unique",
  GETATTR: "4:flags - 8:fh", SETATTR: "4:valid - 8:fh 8:size = 8:atime 8:mtime = - - - x:mode - 4:uid 4:gid",
  SYMLINK: "s:name s:target", MKNOD: "x:mode 4:rdev x:umask - s:name", MKDIR: "x:mode x:umask s:name",
  RENAME: "8:newdir s:name s:newname", RENAME2: "8:newdir 4:flags - s:name s:newname", LINK: "8:target s:name",
  OPEN: "x:flags 4:more", OPENDIR: "x:flags", CREATE: "x:flags x:mode x:umask 4:more s:name",
  READ: "8:fh 8:offset 4:size", READDIR: "8:fh 8:offset 4:size", READDIRPLUS: "8:fh 8:offset 4:size",
  WRITE: "8:fh 8:offset 4:size 4:flags", FLUSH: "8:fh", RELEASE: "8:fh x:flags", RELEASEDIR: "8:fh",
  FSYNC: "8:fh 4:flags", FSYNCDIR: "8:fh 4:flags", GETXATTR: "4:size - s:name", LISTXATTR: "4:size", SETXATTR: "4:size 4:flags",
  FALLOCATE: "8:fh 8:offset 8:length 4:mode", LSEEK: "8:fh 8:offset 4:whence", ACCESS: "4:mask", IOCTL: "8:fh 4:flags 4:cmd",
  COPY_FILE_RANGE: "8:fh 8:offset 8:toIno 8:toFh 8:toOffset 8:length", COPY_FILE_RANGE_64: "8:fh 8:offset 8:toIno 8:toFh 8:toOffset 8:length",
  INIT: "4:major 4:minor 4:readahead 4:flags 4:flags2",
};
const BY_OPCODE = new Map(Object.entries(FIELDS).map(([name, fields]) => [OPCODE[name as OpcodeName] as number,
  fields.split(" ").map((field) => ({ kind: field[0], label: field.slice(2) }))]));

/** The request's part of the line. Leaves the reader where it was not: call `begin` again. */
export function describeRequest(request: Request, message: MessageReader): string {
  let line = `${request.key} ${opcodeName(request.opcode)} ino=${request.ino}`;
  try {
    for (const { kind, label } of BY_OPCODE.get(request.opcode) ?? []) {
      if (kind === "-") message.skip(4);
      else if (kind === "=") message.skip(8);
      else if (kind === "s") line += ` ${label}=${JSON.stringify(message.text())}`;
      else if (kind === "x") line += ` ${label}=0${message.u32().toString(8)}`;
      else line += ` ${label}=${kind === "8" ? message.u64Clamped() : message.u32()}`;
    }
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    line += " (cut short)";
  }
  return `${line} pid=${request.pid}`;
}

/** The result's part. */
export function describeResult(result: unknown): string {
  if (result === undefined) return "ok";
  if (typeof result === "number") return String(result);
  if (typeof result === "string") return JSON.stringify(result);
  if (Buffer.isBuffer(result)) return `${result.length} bytes`;
  if (Array.isArray(result)) {
    return typeof result[0] === "string" ? `${result.length} names` : `${(result as Buffer[]).reduce((sum, slice) => sum + slice.length, 0)} bytes`;
  }
  const fields = result as { fh?: number; count?: number; entry?: unknown; open?: unknown; attributes?: { ino: number; mode: number; size: number } };
  if (fields.open !== undefined) return `${describeResult(fields.entry)} ${describeResult(fields.open)}`;
  if (fields.fh !== undefined) return `fh=${fields.fh}`;
  if (fields.attributes !== undefined) {
    const { ino, mode, size } = fields.attributes;
    return `ino=${ino} mode=0${mode.toString(8)} size=${size}`;
  }
  if ("entryTimeoutMs" in fields) return "no such name";
  return fields.count === undefined ? "ok" : `${fields.count} entries`;
}
