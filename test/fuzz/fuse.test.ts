// Arbitrary bytes from the device: a protocol error at most, never a crash, never a request without its answer.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Entry, Ino } from "../../src/fs/filesystem.js";
import { OPCODE } from "../../src/fuse/protocol/constants.js";
import { FakeKernel, message, recordingFilesystem } from "../unit/fuse/fakeKernel.js";

const RUNS = 400;
const attributes = { ino: 9 as Ino, size: 0, blocks: 0, mode: 0o100644, nlink: 1, uid: 0, gid: 0, rdev: 0, blksize: 4096,
  atime: { sec: 0, nsec: 0 }, mtime: { sec: 0, nsec: 0 }, ctime: { sec: 0, nsec: 0 } };
const entry: Entry = { attributes, generation: 0, entryTimeoutMs: 0, attributesTimeoutMs: 0 };
const attributesReply = { attributes, timeoutMs: 0 };

const filesystem = (): ReturnType<typeof recordingFilesystem> => recordingFilesystem({
  lookup: entry, symlink: entry, mknod: entry, mkdir: entry, link: entry, create: { entry, open: { fh: 3 } }, getattr: attributesReply, setattr: attributesReply,
  readlink: "target", open: { fh: 3 }, opendir: { fh: 3 }, read: [Buffer.from("data")], write: 4, lseek: 8, copyFileRange: 8, getxattr: Buffer.from("v"),
  listxattr: ["user.a"], statfs: { blocks: 0, bfree: 0, bavail: 0, files: 0, ffree: 0, bsize: 0, frsize: 0, namelen: 255 },
});

/** No reply is wanted for these, whatever they hold. */
const SILENT = new Set<number>([OPCODE.FORGET, OPCODE.BATCH_FORGET, OPCODE.INTERRUPT, OPCODE.NOTIFY_REPLY]);

async function settled(kernel: FakeKernel): Promise<void> {
  // The recording filesystem answers at once: a few turns of the microtask queue are all that an operation takes.
  for (let i = 0; i < 50; i++) await Promise.resolve();
  expect(kernel.dispatcher.inFlight).toBe(0);
  expect(kernel.dispatcher.heldInputs).toBe(0);
}

function expectAnswers(kernel: FakeKernel, sent: Buffer): void {
  const silent = sent.length >= 40 && sent.readUInt32LE(0) === sent.length && SILENT.has(sent.readUInt32LE(4));
  expect(kernel.replies).toHaveLength(sent.length < 16 || silent ? 0 : 1);
  if (kernel.replies.length === 1) expect(kernel.replies[0]?.unique).toBe(sent.readBigUInt64LE(8));
}

describe("arbitrary bytes", () => {
  it("are answered once or ignored", async () => {
    await fc.assert(fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), fc.boolean(), async (raw, agreed) => {
      const sent = Buffer.from(raw);
      const kernel = new FakeKernel(filesystem().filesystem, { ...(agreed ? {} : { agreed: null }), wire: true });
      kernel.deliver(sent);
      await settled(kernel);
      expectAnswers(kernel, sent);
    }), { numRuns: RUNS });
  });

  it("as the body of each operation are answered once", async () => {
    const opcode = fc.oneof(fc.constantFrom(...Object.values(OPCODE)), fc.nat(70));
    await fc.assert(fc.asyncProperty(opcode, fc.uint8Array({ maxLength: 200 }), fc.bigInt(0n, (1n << 64n) - 1n), fc.nat(4), async (op, body, unique, extensions) => {
      const sent = message(op, Buffer.from(body), { unique });
      sent.writeUInt16LE(extensions, 36);
      const kernel = new FakeKernel(filesystem().filesystem, { wire: true });
      kernel.deliver(sent);
      await settled(kernel);
      expectAnswers(kernel, sent);
    }), { numRuns: RUNS * 4 });
  });

  it("in a row leave the session able to serve", async () => {
    await fc.assert(fc.asyncProperty(fc.array(fc.tuple(fc.nat(60), fc.uint8Array({ maxLength: 120 })), { maxLength: 60 }), async (messages) => {
      const kernel = new FakeKernel(filesystem().filesystem);
      messages.forEach(([op, body], i) => { kernel.deliver(message(op, Buffer.from(body), { unique: BigInt(2 * i + 2) })); });
      await settled(kernel);
      const before = kernel.replies.length;
      kernel.deliver(message(OPCODE.LOOKUP, Buffer.from("name\0"), { unique: 1_000_000n }));
      await settled(kernel);
      expect(kernel.replies[before]).toMatchObject({ unique: 1_000_000n, error: 0 });
    }), { numRuns: RUNS / 4 });
  });
});

describe("a truncated body", () => {
  // The shortest body that each operation accepts; one byte less is no message of its kind.
  const SHORTEST: Readonly<Record<string, number>> = {
    LOOKUP: 2, GETATTR: 8, SETATTR: 88, SYMLINK: 3, MKNOD: 18, MKDIR: 10, UNLINK: 2, RMDIR: 2, RENAME: 12, RENAME2: 20, LINK: 10, OPEN: 8, CREATE: 18, READ: 20,
    WRITE: 40, RELEASE: 8, FSYNC: 12, SETXATTR: 18, GETXATTR: 10, LISTXATTR: 8, REMOVEXATTR: 2, FLUSH: 8, INIT: 8, READDIR: 20, READDIRPLUS: 20,
    RELEASEDIR: 8, FSYNCDIR: 12, FALLOCATE: 28, LSEEK: 20, COPY_FILE_RANGE: 48, COPY_FILE_RANGE_64: 48,
  };
  /** Numbers are 0; names are letters that end with NUL. */
  function body(op: string, length: number): Buffer {
    const made = Buffer.alloc(length);
    const names = op === "SYMLINK" || op.startsWith("RENAME") ? 2 : ["LOOKUP", "MKNOD", "MKDIR", "UNLINK", "RMDIR", "LINK", "CREATE", "SETXATTR", "GETXATTR", "REMOVEXATTR"].includes(op) ? 1 : 0;
    const full = SHORTEST[op] ?? 0;
    const tail = Buffer.from(names === 2 ? (op === "SYMLINK" ? "a\0\0" : "a\0b\0") : "a\0".repeat(names));
    if (tail.length > 0) tail.copy(made, full - tail.length, 0, Math.max(0, length - (full - tail.length)));
    return made;
  }

  it.each(Object.entries(SHORTEST))("of %s below %i bytes is EINVAL", async (op, shortest) => {
    const opcode = OPCODE[op as keyof typeof OPCODE];
    for (let length = 0; length < shortest; length++) {
      const { filesystem: recording, calls } = filesystem();
      const kernel = new FakeKernel(recording);
      kernel.deliver(message(opcode, body(op, length)));
      await settled(kernel);
      expect(kernel.replies).toMatchObject([{ error: -22 }]);
      expect(calls).toEqual([]);
    }
    const kernel = new FakeKernel(filesystem().filesystem);
    kernel.deliver(message(opcode, body(op, shortest)));
    await settled(kernel);
    // INIT of version 0 is well formed, and refused.
    expect(kernel.replies).toMatchObject([{ error: op === "INIT" ? -71 : 0 }]);
  });

  it.each(["FORGET", "BATCH_FORGET", "INTERRUPT"] as const)("of %s is ignored", (op) => {
    const kernel = new FakeKernel(filesystem().filesystem);
    for (let length = 0; length < 8; length++) kernel.deliver(message(OPCODE[op], Buffer.alloc(length)));
    expect(kernel.replies).toEqual([]);
  });
});
