// Byte fixtures: what each operation looks like on the wire, and which call it becomes. Rows are eight bytes.

import { describe, expect, it } from "vitest";
import type { Attributes, Fh, Filesystem, Ino } from "../../../src/fs/filesystem.js";
import { OPCODE, type OpcodeName } from "../../../src/fuse/protocol/constants.js";
import { bytes, FakeKernel, recordingFilesystem } from "./fakeKernel.js";

const ATTRIBUTES: Attributes = {
  ino: 0x0102 as Ino, size: 0x1_0000_0003, blocks: 9, mode: 0o100644, nlink: 1, uid: 1000, gid: 100, rdev: 0, blksize: 4096,
  atime: { sec: 1, nsec: 2 }, mtime: { sec: -1, nsec: 999_999_999 }, ctime: { sec: 0x7000_0000, nsec: 3 },
};
const ATTRIBUTE_ROWS = `
  02 01 00 00 00 00 00 00  ino
  03 00 00 00 01 00 00 00  size
  09 00 00 00 00 00 00 00  blocks
  01 00 00 00 00 00 00 00  atime
  ff ff ff ff ff ff ff ff  mtime: before 1970
  00 00 00 70 00 00 00 00  ctime
  02 00 00 00 ff c9 9a 3b  atimensec, mtimensec
  03 00 00 00 a4 81 00 00  ctimensec, mode
  01 00 00 00 e8 03 00 00  nlink, uid
  64 00 00 00 00 00 00 00  gid, rdev
  00 10 00 00 00 00 00 00  blksize, flags`;
const ENTRY = { attributes: ATTRIBUTES, generation: 7, entryTimeoutMs: 1500, attributesTimeoutMs: 60_000 };
const ENTRY_ROWS = `
  02 01 00 00 00 00 00 00  nodeid
  07 00 00 00 00 00 00 00  generation
  01 00 00 00 00 00 00 00  entry_valid
  3c 00 00 00 00 00 00 00  attr_valid
  00 65 cd 1d 00 00 00 00  entry_valid_nsec, attr_valid_nsec${ATTRIBUTE_ROWS}`;
const ATTRIBUTES_REPLY_ROWS = `
  02 00 00 00 00 00 00 00  attr_valid
  80 b2 e6 0e 00 00 00 00  attr_valid_nsec, dummy${ATTRIBUTE_ROWS}`;
const OPEN = { fh: 3 as Fh, keepCache: true, noFlush: true };
const OPEN_ROWS = `
  03 00 00 00 00 00 00 00  fh
  22 00 00 00 00 00 00 00  open_flags: KEEP_CACHE, NOFLUSH; backing_id`;

interface Case {
  readonly op: OpcodeName;
  readonly about?: string;
  readonly request: string;
  readonly method: keyof Filesystem;
  readonly arguments: readonly unknown[];
  readonly result?: unknown;
  readonly reply?: string;
}

const CASES: readonly Case[] = [
  { op: "LOOKUP", request: `
  "name\\0"`, method: "lookup", arguments: [5, "name"], result: ENTRY, reply: ENTRY_ROWS },
  { op: "LOOKUP", about: "a name that is not there", request: `
  "gone\\0"`, method: "lookup", arguments: [5, "gone"], result: { attributes: undefined, entryTimeoutMs: 2000 }, reply: `
  00 00 00 00 00 00 00 00  nodeid: none
  00 00 00 00 00 00 00 00  generation
  02 00 00 00 00 00 00 00  entry_valid
  00 00 00 00 00 00 00 00  attr_valid
  00 00 00 00 00 00 00 00  entry_valid_nsec, attr_valid_nsec
${"  00 00 00 00 00 00 00 00  attributes\n".repeat(11)}` },
  { op: "LOOKUP", about: "a name that is not UTF-8", request: `
  ff 61 00                 name`, method: "lookup", arguments: [5, "\udcffa"], result: ENTRY, reply: ENTRY_ROWS },
  { op: "GETATTR", about: "by handle", request: `
  01 00 00 00 00 00 00 00  getattr_flags: FH; dummy
  09 00 00 00 00 00 00 00  fh`, method: "getattr", arguments: [5, 9], result: { attributes: ATTRIBUTES, timeoutMs: 2250 }, reply: ATTRIBUTES_REPLY_ROWS },
  { op: "GETATTR", request: `
  00 00 00 00 00 00 00 00  getattr_flags, dummy
  00 00 00 00 00 00 00 00  fh`, method: "getattr", arguments: [5, undefined], result: { attributes: ATTRIBUTES, timeoutMs: 2250 }, reply: ATTRIBUTES_REPLY_ROWS },
  { op: "SETATTR", about: "all that can be given", request: `
  6f 08 00 00 00 00 00 00  valid: MODE UID GID SIZE MTIME FH KILL_SUIDGID; padding
  09 00 00 00 00 00 00 00  fh
  00 10 00 00 02 00 00 00  size
  ff ff ff ff ff ff ff ff  lock_owner
  00 00 00 00 00 00 00 00  atime
  fe ff ff ff ff ff ff ff  mtime: -2
  00 00 00 00 00 00 00 00  ctime
  00 00 00 00 05 00 00 00  atimensec, mtimensec
  00 00 00 00 a4 81 00 00  ctimensec, mode
  00 00 00 00 e8 03 00 00  unused4, uid
  64 00 00 00 00 00 00 00  gid, unused5`, method: "setattr",
  arguments: [5, { mode: 0o100644, uid: 1000, gid: 100, size: 0x2_0000_1000, mtime: { sec: -2, nsec: 5 }, fh: 9, killSuidGid: true }],
  result: { attributes: ATTRIBUTES, timeoutMs: 2250 }, reply: ATTRIBUTES_REPLY_ROWS },
  { op: "SETATTR", about: "times that are now", request: `
  b0 01 00 00 00 00 00 00  valid: ATIME MTIME ATIME_NOW MTIME_NOW; padding
${"  00 00 00 00 00 00 00 00  the rest\n".repeat(10)}`, method: "setattr", arguments: [5, { atime: "now", mtime: "now" }],
  result: { attributes: ATTRIBUTES, timeoutMs: 2250 }, reply: ATTRIBUTES_REPLY_ROWS },
  { op: "READLINK", request: "", method: "readlink", arguments: [5], result: "../target", reply: `
  "../target"` },
  { op: "SYMLINK", request: `
  "link\\0"
  "to/where\\0"`, method: "symlink", arguments: [5, "link", "to/where"], result: ENTRY, reply: ENTRY_ROWS },
  { op: "MKNOD", request: `
  b6 11 00 00 00 00 00 00  mode, rdev
  12 00 00 00 00 00 00 00  umask, padding
  "fifo\\0"`, method: "mknod", arguments: [5, "fifo", 0o010666, 0], result: ENTRY, reply: ENTRY_ROWS },
  { op: "MKDIR", request: `
  ed 01 00 00 12 00 00 00  mode, umask
  "dir\\0"`, method: "mkdir", arguments: [5, "dir", 0o755], result: ENTRY, reply: ENTRY_ROWS },
  { op: "UNLINK", request: `
  "file\\0"`, method: "unlink", arguments: [5, "file"] },
  { op: "RMDIR", request: `
  "dir\\0"`, method: "rmdir", arguments: [5, "dir"] },
  { op: "RENAME", request: `
  06 00 00 00 00 00 00 00  newdir
  "old\\0"
  "new\\0"`, method: "rename", arguments: [5, "old", 6, "new", 0] },
  { op: "RENAME2", request: `
  06 00 00 00 00 00 00 00  newdir
  01 00 00 00 00 00 00 00  flags: NOREPLACE; padding
  "old\\0"
  "new\\0"`, method: "rename", arguments: [5, "old", 6, "new", 1] },
  { op: "LINK", request: `
  06 00 00 00 00 00 00 00  oldnodeid
  "new\\0"`, method: "link", arguments: [6, 5, "new"], result: ENTRY, reply: ENTRY_ROWS },
  { op: "OPEN", request: `
  02 80 00 00 00 00 00 00  flags: O_RDWR O_LARGEFILE; open_flags`, method: "open", arguments: [5, 0x8002], result: OPEN, reply: OPEN_ROWS },
  { op: "CREATE", request: `
  c1 80 00 00 a4 81 00 00  flags, mode
  12 00 00 00 00 00 00 00  umask, open_flags
  "new\\0"`, method: "create", arguments: [5, "new", 0o100644, 0x80c1], result: { entry: ENTRY, open: OPEN }, reply: ENTRY_ROWS + OPEN_ROWS },
  { op: "READ", request: `
  03 00 00 00 00 00 00 00  fh
  00 00 00 00 01 00 00 00  offset: 4 GiB
  00 10 00 00 00 00 00 00  size, read_flags
  ff ff ff ff ff ff ff ff  lock_owner
  00 80 00 00 00 00 00 00  flags, padding`, method: "read", arguments: [5, 3, 0x1_0000_0000, 4096], result: [Buffer.from("one"), Buffer.from("two")], reply: `
  "onetwo"` },
  { op: "READ", about: "more than was asked for is cut", request: `
  03 00 00 00 00 00 00 00  fh
  00 00 00 00 00 00 00 00  offset
  04 00 00 00 00 00 00 00  size, read_flags
  00 00 00 00 00 00 00 00  lock_owner
  00 00 00 00 00 00 00 00  flags, padding`, method: "read", arguments: [5, 3, 0, 4], result: [Buffer.from("one"), Buffer.from("two")], reply: `
  "onet"` },
  { op: "WRITE", request: `
  03 00 00 00 00 00 00 00  fh
  07 00 00 00 00 00 00 00  offset
  04 00 00 00 00 00 00 00  size, write_flags
  ff ff ff ff ff ff ff ff  lock_owner
  01 80 00 00 00 00 00 00  flags, padding
  "data"`, method: "write", arguments: [5, 3, 7, Buffer.from("data")], result: 4, reply: `
  04 00 00 00 00 00 00 00  size, padding` },
  { op: "STATFS", request: "", method: "statfs", arguments: [5],
    result: { blocks: 1, bfree: 2, bavail: 3, files: 4, ffree: 5, bsize: 6, frsize: 8, namelen: 7 }, reply: `
  01 00 00 00 00 00 00 00  blocks
  02 00 00 00 00 00 00 00  bfree
  03 00 00 00 00 00 00 00  bavail
  04 00 00 00 00 00 00 00  files
  05 00 00 00 00 00 00 00  ffree
  06 00 00 00 07 00 00 00  bsize, namelen
  08 00 00 00 00 00 00 00  frsize, padding
  00 00 00 00 00 00 00 00  spare
  00 00 00 00 00 00 00 00  spare
  00 00 00 00 00 00 00 00  spare` },
  { op: "RELEASE", request: `
  03 00 00 00 00 00 00 00  fh
  02 80 00 00 00 00 00 00  flags, release_flags
  00 00 00 00 00 00 00 00  lock_owner`, method: "release", arguments: [5, 3] },
  { op: "FLUSH", request: `
  03 00 00 00 00 00 00 00  fh
  00 00 00 00 00 00 00 00  unused, padding
  ff ff ff ff ff ff ff ff  lock_owner`, method: "flush", arguments: [5, 3] },
  { op: "FSYNC", request: `
  03 00 00 00 00 00 00 00  fh
  01 00 00 00 00 00 00 00  fsync_flags: FDATASYNC; padding`, method: "fsync", arguments: [5, 3, true] },
  { op: "FSYNCDIR", request: `
  03 00 00 00 00 00 00 00  fh
  00 00 00 00 00 00 00 00  fsync_flags, padding`, method: "fsyncdir", arguments: [5, 3, false] },
  { op: "SETXATTR", request: `
  05 00 00 00 01 00 00 00  size, flags: CREATE
  00 00 00 00 00 00 00 00  setxattr_flags, padding
  "user.key\\0"
  "value"`, method: "setxattr", arguments: [5, "user.key", Buffer.from("value"), 1] },
  { op: "GETXATTR", request: `
  10 00 00 00 00 00 00 00  size, padding
  "user.key\\0"`, method: "getxattr", arguments: [5, "user.key"], result: Buffer.from("value"), reply: `
  "value"` },
  { op: "GETXATTR", about: "the length alone", request: `
  00 00 00 00 00 00 00 00  size, padding
  "user.key\\0"`, method: "getxattr", arguments: [5, "user.key"], result: Buffer.from("value"), reply: `
  05 00 00 00 00 00 00 00  size, padding` },
  { op: "LISTXATTR", request: `
  40 00 00 00 00 00 00 00  size, padding`, method: "listxattr", arguments: [5], result: ["user.a", "user.b"], reply: `
  "user.a\\0user.b\\0"` },
  { op: "LISTXATTR", about: "the length alone", request: `
  00 00 00 00 00 00 00 00  size, padding`, method: "listxattr", arguments: [5], result: ["user.a", "user.b"], reply: `
  0e 00 00 00 00 00 00 00  size, padding` },
  { op: "REMOVEXATTR", request: `
  "user.key\\0"`, method: "removexattr", arguments: [5, "user.key"] },
  { op: "OPENDIR", request: `
  00 80 01 00 00 00 00 00  flags, open_flags`, method: "opendir", arguments: [5], result: { fh: 3, cacheDir: true }, reply: `
  03 00 00 00 00 00 00 00  fh
  08 00 00 00 00 00 00 00  open_flags: CACHE_DIR; backing_id` },
  { op: "RELEASEDIR", request: `
  03 00 00 00 00 00 00 00  fh
  00 00 00 00 00 00 00 00  flags, release_flags
  00 00 00 00 00 00 00 00  lock_owner`, method: "releasedir", arguments: [5, 3] },
  { op: "FALLOCATE", request: `
  03 00 00 00 00 00 00 00  fh
  01 00 00 00 00 00 00 00  offset
  00 00 00 00 01 00 00 00  length
  03 00 00 00 00 00 00 00  mode: KEEP_SIZE PUNCH_HOLE; padding`, method: "fallocate", arguments: [5, 3, 1, 0x1_0000_0000, 3] },
  { op: "LSEEK", request: `
  03 00 00 00 00 00 00 00  fh
  08 00 00 00 00 00 00 00  offset
  03 00 00 00 00 00 00 00  whence: SEEK_DATA; padding`, method: "lseek", arguments: [5, 3, 8, 3], result: 0x1_0000_0000, reply: `
  00 00 00 00 01 00 00 00  offset` },
  { op: "COPY_FILE_RANGE", request: `
  03 00 00 00 00 00 00 00  fh_in
  01 00 00 00 00 00 00 00  off_in
  06 00 00 00 00 00 00 00  nodeid_out
  04 00 00 00 00 00 00 00  fh_out
  02 00 00 00 00 00 00 00  off_out
  ff ff ff ff ff ff ff 7f  len: as far as there is
  00 00 00 00 00 00 00 00  flags`, method: "copyFileRange", arguments: [5, 3, 1, 6, 4, 2, 0xffff_f000], result: 4096, reply: `
  00 10 00 00 00 00 00 00  size, padding` },
  { op: "COPY_FILE_RANGE_64", request: `
  03 00 00 00 00 00 00 00  fh_in
  01 00 00 00 00 00 00 00  off_in
  06 00 00 00 00 00 00 00  nodeid_out
  04 00 00 00 00 00 00 00  fh_out
  02 00 00 00 00 00 00 00  off_out
  00 00 00 00 02 00 00 00  len
  00 00 00 00 00 00 00 00  flags`, method: "copyFileRange", arguments: [5, 3, 1, 6, 4, 2, 0x2_0000_0000], result: 0x2_0000_0000, reply: `
  00 00 00 00 02 00 00 00  bytes_copied` },
  { op: "SYNCFS", request: `
  00 00 00 00 00 00 00 00  padding`, method: "syncfs", arguments: [] },
];

describe("operations on the wire", () => {
  it.each(CASES.map((row) => [`${row.op}${row.about === undefined ? "" : `: ${row.about}`}`, row] as const))("%s", async (_name, row) => {
    const { filesystem, calls } = recordingFilesystem({ [row.method]: row.result });
    const kernel = new FakeKernel(filesystem);
    const reply = await kernel.ask(OPCODE[row.op], bytes(row.request));
    expect(calls.map(({ method, arguments: given }) => [method, ...given])).toEqual([[row.method, ...row.arguments]]);
    expect(calls[0]?.context).toMatchObject({ uid: 1000, gid: 100, pid: 77 });
    expect(reply).toMatchObject({ unique: 2n, error: 0 });
    expect(reply.body.toString("hex")).toBe(bytes(row.reply ?? "").toString("hex"));
    expect(kernel.dispatcher.inFlight).toBe(0);
  });

  it("FORGET and BATCH_FORGET are done at once and have no reply", () => {
    const { filesystem, calls } = recordingFilesystem({});
    const kernel = new FakeKernel(filesystem);
    kernel.deliver(Buffer.concat([bytes(`
  30 00 00 00 02 00 00 00  len, opcode: FORGET
  06 00 00 00 00 00 00 00  unique
  05 00 00 00 00 00 00 00  nodeid
  00 00 00 00 00 00 00 00  uid, gid
  00 00 00 00 00 00 00 00  pid, total_extlen, padding
  03 00 00 00 00 00 00 00  nlookup`)]));
    kernel.deliver(Buffer.concat([bytes(`
  50 00 00 00 2a 00 00 00  len, opcode: BATCH_FORGET
  08 00 00 00 00 00 00 00  unique
  00 00 00 00 00 00 00 00  nodeid
  00 00 00 00 00 00 00 00  uid, gid
  00 00 00 00 00 00 00 00  pid, total_extlen, padding
  02 00 00 00 00 00 00 00  count, dummy
  06 00 00 00 00 00 00 00  nodeid
  01 00 00 00 00 00 00 00  nlookup
  07 00 00 00 00 00 00 00  nodeid
  00 00 00 00 01 00 00 00  nlookup`)]));
    expect(calls.map((call) => [call.method, ...call.arguments])).toEqual([["forget", 5, 3], ["forget", 6, 1], ["forget", 7, 0x1_0000_0000]]);
    expect(kernel.replies).toEqual([]);
  });

  it("DESTROY ends the filesystem and is answered", async () => {
    const kernel = new FakeKernel(recordingFilesystem({}).filesystem);
    expect(await kernel.ask(OPCODE.DESTROY)).toMatchObject({ error: 0 });
    expect(kernel.destroyed).toBe(1);
  });

  it("a request may carry extensions behind its own fields", async () => {
    const { filesystem, calls } = recordingFilesystem({ lookup: ENTRY });
    const kernel = new FakeKernel(filesystem);
    kernel.deliver(bytes(`
  40 00 00 00 01 00 00 00  len, opcode: LOOKUP
  02 00 00 00 00 00 00 00  unique
  05 00 00 00 00 00 00 00  nodeid
  00 00 00 00 00 00 00 00  uid, gid
  00 00 00 00 02 00 00 00  pid, total_extlen: 2 x 8, padding
  "name\\0\\0\\0\\0"
  10 00 00 00 20 00 00 00  size, type: FUSE_EXT_GROUPS
  01 00 00 00 05 00 00 00  nr_groups, groups`));
    await kernel.reply(0);
    expect(calls[0]?.arguments).toEqual([5, "name"]);
  });
});
