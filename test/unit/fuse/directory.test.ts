import { describe, expect, it } from "vitest";
import type { Attributes, DirectoryEntry, DirectorySink, Entry, Ino } from "../../../src/fs/filesystem.js";
import { FsError } from "../../../src/fs/errors.js";
import { OPCODE } from "../../../src/fuse/protocol/constants.js";
import { bytes, FakeKernel, recordingFilesystem } from "./fakeKernel.js";

const attributes = (ino: number): Attributes => ({ ino: ino as Ino, size: 0, blocks: 0, mode: 0o100644, nlink: 1, uid: 0, gid: 0, rdev: 0, blksize: 4096,
  atime: { sec: 0, nsec: 0 }, mtime: { sec: 0, nsec: 0 }, ctime: { sec: 0, nsec: 0 } });
const entry = (ino: number): Entry => ({ attributes: attributes(ino), generation: 0, entryTimeoutMs: 0, attributesTimeoutMs: 0 });
const item = (name: string, ino: number, offset: number, type = 0o100000): DirectoryEntry => ({ name, ino: ino as Ino, type, offset });

const request = (size: number): Buffer => {
  const body = bytes(`
  03 00 00 00 00 00 00 00  fh
  07 00 00 00 00 00 00 00  offset: the cookie
  00 00 00 00 00 00 00 00  size, read_flags
  00 00 00 00 00 00 00 00  lock_owner
  00 00 00 00 00 00 00 00  flags, padding`);
  body.writeUInt32LE(size, 16);
  return body;
};

type List = (sink: DirectorySink) => void;
function kernelListing(method: "readdir" | "readdirplus", list: List): ReturnType<typeof recordingFilesystem> & { kernel: FakeKernel } {
  const recorded = recordingFilesystem({ [method]: async (...all: unknown[]) => { list(all[4] as DirectorySink); } });
  return { ...recorded, kernel: new FakeKernel(recorded.filesystem) };
}

describe("READDIR", () => {
  it("lays out names, cookies and types", async () => {
    const { kernel, calls } = kernelListing("readdir", (sink) => {
      expect(sink.add(item("..", 1, 8, 0o040000))).toBe(true);
      expect(sink.add(item("12345678", 0x0102, 9))).toBe(true);
    });
    const reply = await kernel.ask(OPCODE.READDIR, request(4096));
    expect(calls[0]?.arguments.slice(0, 3)).toEqual([5, 3, 7]);
    expect(reply.body.toString("hex")).toBe(bytes(`
  01 00 00 00 00 00 00 00  ino
  08 00 00 00 00 00 00 00  off
  02 00 00 00 04 00 00 00  namelen, type: DT_DIR
  2e 2e 00 00 00 00 00 00  name, padding
  02 01 00 00 00 00 00 00  ino
  09 00 00 00 00 00 00 00  off
  08 00 00 00 08 00 00 00  namelen, type: DT_REG
  31 32 33 34 35 36 37 38  name`).toString("hex"));
  });

  it("stops where the kernel's buffer ends", async () => {
    const taken: boolean[] = [];
    const { kernel } = kernelListing("readdir", (sink) => { for (let i = 0; i < 4; i++) taken.push(sink.add(item("n", 9, i + 1))); });
    expect((await kernel.ask(OPCODE.READDIR, request(64))).body).toHaveLength(64);
    expect(taken).toEqual([true, true, false, false]);
  });

  it("an empty answer is the end", async () => {
    const { kernel } = kernelListing("readdir", () => undefined);
    expect(await kernel.ask(OPCODE.READDIR, request(4096))).toMatchObject({ error: 0, body: Buffer.alloc(0) });
  });

  it("sends what there is before an error, and the error where there is nothing", async () => {
    const some = kernelListing("readdir", (sink) => {
      sink.add(item("a", 9, 1));
      throw new FsError("EIO");
    });
    expect((await some.kernel.ask(OPCODE.READDIR, request(4096))).body).toHaveLength(32);
    const none = kernelListing("readdir", () => { throw new FsError("EIO"); });
    expect(await none.kernel.ask(OPCODE.READDIR, request(4096))).toMatchObject({ error: -5 });
  });

  it("leaves out a name for which the kernel would refuse the whole directory", async () => {
    const { kernel } = kernelListing("readdir", (sink) => {
      for (const name of ["", "a/b", "x".repeat(1025), "nul\0", "good"]) expect(sink.add(item(name, 9, 1))).toBe(true);
    });
    expect((await kernel.ask(OPCODE.READDIR, request(4096))).body).toHaveLength(32);
  });
});

describe("READDIRPLUS", () => {
  it("lays out an entry before each name; none for dots", async () => {
    const { kernel } = kernelListing("readdirplus", (sink) => {
      sink.add(item(".", 5, 1, 0o040000));
      sink.add(item("file", 9, 2), entry(9));
    });
    const { body } = await kernel.ask(OPCODE.READDIRPLUS, request(4096));
    // Each: fuse_entry_out (128), fuse_dirent (24), name padded to 8.
    expect(body).toHaveLength(2 * 160);
    expect(body.subarray(0, 128).equals(Buffer.alloc(128))).toBe(true);
    expect([body.readBigUInt64LE(160), body.readBigUInt64LE(160 + 40), body.readUInt32LE(160 + 128 + 16)]).toEqual([9n, 9n, 4]);
    expect(body.subarray(160 + 152, 160 + 156).toString()).toBe("file");
  });

  it("takes back every lookup of a reply that was not taken, and of names that were left out", async () => {
    const { kernel, calls } = kernelListing("readdirplus", (sink) => {
      sink.add(item("a", 9, 1), entry(9));
      sink.add(item("", 10, 2), entry(10));
      sink.add(item("b", 11, 3), entry(11));
    });
    kernel.answer = -2;
    await kernel.ask(OPCODE.READDIRPLUS, request(4096));
    await Promise.resolve();
    const forgotten = calls.filter((call) => call.method === "forget").map((call) => call.arguments);
    expect(forgotten).toEqual([[10, 1], [9, 1], [11, 1]]);
  });
});
