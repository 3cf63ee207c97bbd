import { pino } from "pino";
import { describe, expect, it } from "vitest";
import { FsError } from "../../../src/fs/errors.js";
import type { Context, Filesystem } from "../../../src/fs/filesystem.js";
import { OPCODE, type OpcodeName } from "../../../src/fuse/protocol/constants.js";
import { rowOf } from "../../../src/fuse/operations/table.js";
import { bytes, FakeKernel, message, recordingFilesystem } from "./fakeKernel.js";

const NAME = bytes(`
  "name\\0"`);
const READ = bytes(`
  03 00 00 00 00 00 00 00  fh
  00 00 00 00 00 00 00 00  offset
  00 10 00 00 00 00 00 00  size, read_flags
  00 00 00 00 00 00 00 00  lock_owner
  00 00 00 00 00 00 00 00  flags, padding`);
const interrupt = (unique: bigint): Buffer => {
  const body = Buffer.alloc(8);
  body.writeBigUInt64LE(unique);
  return message(OPCODE.INTERRUPT, body, { unique: unique | 1n, ino: 0 });
};
const attributes = (ino: number): object => ({ ino, size: 0, blocks: 0, mode: 0o100644, nlink: 1, uid: 0, gid: 0, rdev: 0, blksize: 4096,
  atime: { sec: 0, nsec: 0 }, mtime: { sec: 0, nsec: 0 }, ctime: { sec: 0, nsec: 0 } });
const entry = (ino: number): object => ({ attributes: attributes(ino), generation: 0, entryTimeoutMs: 0, attributesTimeoutMs: 0 });

/** Waits for the signal, as a filesystem does. */
const untilAborted = (context: Context): Promise<never> => new Promise((_resolve, reject) => {
  const stop = (): void => { reject(new FsError("EINTR")); };
  if (context.signal.aborted) stop();
  else context.signal.addEventListener("abort", stop);
});

describe("the dispatch table", () => {
  it("has a row for every opcode", () => {
    for (const [name, number] of Object.entries(OPCODE)) expect(rowOf(number)?.name).toBe(name);
  });

  it.each([["ACCESS", 38], ["GETLK", 38], ["SETLK", 38], ["SETLKW", 38], ["BMAP", 38], ["IOCTL", 25], ["POLL", 38], ["SETUPMAPPING", 38],
    ["REMOVEMAPPING", 38], ["TMPFILE", 38], ["STATX", 38], ["CUSE_INIT", 38]] as const)("answers %s with errno %i, without asking", async (op, errno) => {
    const { filesystem, calls } = recordingFilesystem({});
    const kernel = new FakeKernel(filesystem);
    expect(await kernel.ask(OPCODE[op], Buffer.alloc(64))).toEqual({ unique: 2n, error: -errno, body: Buffer.alloc(0) });
    expect(calls).toEqual([]);
  });

  it.each([7, 19, 54, 200, 5000, 0xffff_ffff])("answers the unknown opcode %i with ENOSYS", async (opcode) => {
    expect(await new FakeKernel(recordingFilesystem({}).filesystem).ask(opcode)).toMatchObject({ error: -38 });
  });

  it("is silent to NOTIFY_REPLY", () => {
    const kernel = new FakeKernel(recordingFilesystem({}).filesystem);
    kernel.deliver(message(OPCODE.NOTIFY_REPLY, Buffer.alloc(40)));
    expect(kernel.replies).toEqual([]);
  });
});

describe("errors", () => {
  it("go to the kernel as the errno of the filesystem", async () => {
    const kernel = new FakeKernel(recordingFilesystem({ rmdir: () => Promise.reject(new FsError("ENOTEMPTY")) }).filesystem);
    expect(await kernel.ask(OPCODE.RMDIR, NAME)).toMatchObject({ error: -39 });
    expect(kernel.dispatcher.failures[OPCODE.RMDIR]).toBe(1);
  });

  it("that are none of ours become EIO, thrown at once or later", async () => {
    const kernel = new FakeKernel(recordingFilesystem({
      unlink: () => { throw new TypeError("a bug"); }, rmdir: () => Promise.reject(new TypeError("a bug")),
    }).filesystem);
    expect(await kernel.ask(OPCODE.UNLINK, NAME)).toMatchObject({ error: -5 });
    expect(await kernel.ask(OPCODE.RMDIR, NAME)).toMatchObject({ error: -5 });
  });

  it("never say ENOSYS for a filesystem: the kernel would not flush again", async () => {
    const kernel = new FakeKernel(recordingFilesystem({ flush: () => Promise.reject(new FsError("ENOSYS")) }).filesystem);
    expect(await kernel.ask(OPCODE.FLUSH, Buffer.alloc(24))).toMatchObject({ error: -95 });
  });

  it("are logged once, with their causes; expected misses at debug", async () => {
    const lines: Record<string, unknown>[] = [];
    const logger = pino({ level: "debug", base: null }, { write: (line: string) => { lines.push(JSON.parse(line) as Record<string, unknown>); } });
    const cause = new Error("connection reset", { cause: new Error("ECONNRESET") });
    const kernel = new FakeKernel(recordingFilesystem({
      lookup: () => Promise.reject(new FsError("ENOENT")), unlink: () => Promise.reject(new FsError("EIO", "the store is away", { key: "dir/name", cause })),
    }).filesystem, { logger });
    await kernel.ask(OPCODE.LOOKUP, NAME);
    await kernel.ask(OPCODE.UNLINK, NAME, { unique: 8n });
    expect(lines).toHaveLength(2);
    expect(lines[0]).toMatchObject({ level: 20, op: "LOOKUP", errno: "ENOENT", name: "name" });
    expect(lines[1]).toMatchObject({ level: 50, op: "UNLINK", unique: 8, ino: 5, name: "name", key: "dir/name", errno: "EIO",
      causes: ["FsError: the store is away", "Error: connection reset", "Error: ECONNRESET"] });
    expect(lines[1]?.["ms"]).toBeTypeOf("number");
  });

  it("a value or a target that does not fit its reply is an error, not a broken reply", async () => {
    const kernel = new FakeKernel(recordingFilesystem({ getxattr: Buffer.alloc(100), readlink: "x".repeat(4096) }).filesystem);
    expect(await kernel.ask(OPCODE.GETXATTR, bytes(`
  10 00 00 00 00 00 00 00  size, padding
  "user.key\\0"`))).toMatchObject({ error: -34 });
    expect(await kernel.ask(OPCODE.READLINK)).toMatchObject({ error: -36 });
  });

  it("numbers that no file can have are refused before the filesystem sees them", async () => {
    const { filesystem, calls } = recordingFilesystem({});
    const kernel = new FakeKernel(filesystem);
    const huge = bytes(`
  03 00 00 00 00 00 00 00  fh
  00 00 00 00 00 00 00 40  offset: 2^62
  03 00 00 00 00 00 00 00  whence, padding
  00 00 00 00 00 00 00 00
  00 00 00 00 00 00 00 00`);
    expect(await kernel.ask(OPCODE.LSEEK, huge)).toMatchObject({ error: -6 });
    expect(await kernel.ask(OPCODE.WRITE, huge)).toMatchObject({ error: -27 });
    expect(calls).toEqual([]);
  });
});

describe("interrupts", () => {
  it("fire the signal of their request alone", async () => {
    const kernel = new FakeKernel(recordingFilesystem({ read: untilAborted }).filesystem);
    kernel.deliver(message(OPCODE.READ, READ, { unique: 10n }));
    kernel.deliver(message(OPCODE.READ, READ, { unique: 12n }));
    kernel.deliver(interrupt(10n));
    expect(await kernel.reply(0)).toMatchObject({ unique: 10n, error: -4 });
    expect(kernel.dispatcher.inFlight).toBe(1);
    kernel.deliver(interrupt(12n));
    expect(await kernel.reply(1)).toMatchObject({ unique: 12n, error: -4 });
    expect(kernel.dispatcher.interrupts).toBe(2);
  });

  it("of a caller that handles its signal change nothing: a close or mkdir is not EINTR on a local disk either", async () => {
    let finish: (data: Buffer[]) => void = () => undefined;
    let context: Context | undefined;
    const kernel = new FakeKernel(recordingFilesystem({ read: (given: Context) => {
      context = given;
      return new Promise<Buffer[]>((resolve) => { finish = resolve; });
    } }).filesystem);
    kernel.callersEnd = false;
    kernel.deliver(message(OPCODE.READ, READ, { unique: 10n }));
    kernel.deliver(interrupt(10n));
    expect(context?.signal.aborted).toBe(false);
    finish([Buffer.from("x")]);
    expect(await kernel.reply(0)).toMatchObject({ unique: 10n, error: 0 });
  });

  it("may come before their request", async () => {
    const kernel = new FakeKernel(recordingFilesystem({ read: untilAborted }).filesystem);
    kernel.deliver(interrupt(10n));
    kernel.deliver(message(OPCODE.READ, READ, { unique: 10n }));
    expect(await kernel.reply(0)).toMatchObject({ unique: 10n, error: -4 });
  });

  it("of requests that have been answered change nothing, however many", async () => {
    const kernel = new FakeKernel(recordingFilesystem({ read: [Buffer.from("x")] }).filesystem);
    for (let unique = 2n; unique < 2000n; unique += 2n) kernel.deliver(interrupt(unique));
    expect(await kernel.ask(OPCODE.READ, READ, { unique: 2n })).toMatchObject({ error: 0 });
    expect(kernel.replies).toHaveLength(1);
  });

  it("need no controller where nobody asks for the signal", async () => {
    let context: Context | undefined;
    const kernel = new FakeKernel(recordingFilesystem({ read: (given: Context) => {
      context = given;
      return Promise.resolve([]);
    } }).filesystem);
    await kernel.ask(OPCODE.READ, READ);
    kernel.deliver(interrupt(2n));
    expect(context?.signal.aborted).toBe(false);
  });
});

describe("a reply that the kernel does not take", () => {
  const cases: readonly (readonly [OpcodeName, Buffer, Partial<Record<keyof Filesystem, unknown>>, readonly unknown[]])[] = [
    ["LOOKUP", NAME, { lookup: entry(9) }, [["forget", 9, 1]]],
    ["MKDIR", Buffer.concat([Buffer.alloc(8), NAME]), { mkdir: entry(9) }, [["forget", 9, 1]]],
    ["CREATE", Buffer.concat([Buffer.alloc(16), NAME]), { create: { entry: entry(9), open: { fh: 4 } }, release: undefined }, [["release", 9, 4], ["forget", 9, 1]]],
    ["OPEN", Buffer.alloc(8), { open: { fh: 4 } }, [["release", 5, 4]]],
    ["OPENDIR", Buffer.alloc(8), { opendir: { fh: 4 } }, [["releasedir", 5, 4]]],
  ];
  it.each(cases)("%s takes back what it gave", async (op, body, results, undone) => {
    const { filesystem, calls } = recordingFilesystem(results);
    const kernel = new FakeKernel(filesystem);
    kernel.answer = -2;
    await kernel.ask(OPCODE[op], body);
    await Promise.resolve();
    expect(calls.slice(1).map((call) => [call.method, ...call.arguments])).toEqual(undone);
    // What is taken back must not be stopped by the interrupt that may have caused it.
    for (const call of calls.slice(1)) expect(call.context?.signal.aborted ?? false).toBe(false);
  });
});

describe("WRITE", () => {
  const write = (size: number, flags: number): Buffer => {
    const body = Buffer.alloc(40 + size, "d");
    body.fill(0, 0, 40);
    body.writeUInt32LE(3, 0);
    body.writeUInt32LE(size, 16);
    body.writeUInt32LE(flags, 20);
    return body;
  };

  it("keeps its data valid until it is done, while other messages come", async () => {
    const done: ((size: number) => void)[] = [];
    const seen: Buffer[] = [];
    const { filesystem } = recordingFilesystem({ write: (_c: unknown, _i: unknown, _f: unknown, _o: unknown, data: Buffer) => {
      seen.push(data);
      return new Promise((resolve) => { done.push(resolve); });
    } });
    const kernel = new FakeKernel(filesystem);
    for (const size of [100, 1 << 20, 1 << 20]) kernel.deliver(message(OPCODE.WRITE, write(size, 0), { unique: BigInt(size) }));
    kernel.input.fill(0);
    expect(seen.map((data) => [data.length, data.every((byte) => byte === 0x64)])).toEqual([[100, true], [1 << 20, true], [1 << 20, true]]);
    expect(kernel.dispatcher.heldInputs).toBe(2);
    done.forEach((resolve, i) => { resolve((seen[i] as Buffer).length); });
    await kernel.reply(2);
    expect([kernel.dispatcher.heldInputs, kernel.dispatcher.inFlight, kernel.dispatcher.bytesWritten]).toEqual([0, 0, 100 + (2 << 20)]);
  });

  it("clears set-id bits once per handle, and again after a new mode", async () => {
    const { filesystem, calls } = recordingFilesystem({ write: 1, setattr: { attributes: attributes(5), timeoutMs: 0 } });
    const kernel = new FakeKernel(filesystem);
    await kernel.ask(OPCODE.WRITE, write(1, 4));
    await kernel.ask(OPCODE.WRITE, write(1, 4));
    await kernel.ask(OPCODE.WRITE, write(1, 0));
    expect(calls.map((call) => call.method)).toEqual(["setattr", "write", "write", "write"]);
    expect(calls[0]?.arguments).toEqual([5, { fh: 3, killSuidGid: true }]);
    const mode = Buffer.alloc(88);
    mode.writeUInt32LE(1, 0);
    await kernel.ask(OPCODE.SETATTR, mode);
    await kernel.ask(OPCODE.WRITE, write(1, 4));
    expect(calls.map((call) => call.method).slice(4)).toEqual(["setattr", "setattr", "write"]);
  });
});

describe("requests that are handed over again", () => {
  const AGAIN = 1n << 63n;

  it("are answered with the bit that came with them", async () => {
    const kernel = new FakeKernel(recordingFilesystem({ read: [Buffer.from("x")] }).filesystem);
    expect(await kernel.ask(OPCODE.READ, READ, { unique: 10n | AGAIN })).toMatchObject({ unique: 10n | AGAIN, error: 0 });
  });

  it("are not done twice", async () => {
    let done: ((slices: Buffer[]) => void) | undefined;
    const { filesystem, calls } = recordingFilesystem({ read: () => new Promise((resolve) => { done = resolve; }) });
    const kernel = new FakeKernel(filesystem);
    kernel.deliver(message(OPCODE.READ, READ, { unique: 10n }));
    kernel.deliver(message(OPCODE.READ, READ, { unique: 10n | AGAIN }));
    done?.([]);
    expect(await kernel.reply(0)).toMatchObject({ unique: 10n | AGAIN });
    expect(calls).toHaveLength(1);
    // An interrupt names the request as it was handed over last.
    expect(kernel.dispatcher.inFlight).toBe(0);
  });
});

describe("the end of the connection", () => {
  it("cuts reading short, lets changes end, and waits for both", async () => {
    let flushed: (() => void) | undefined;
    let flushContext: Context | undefined;
    const { filesystem } = recordingFilesystem({ read: untilAborted, flush: (context: Context) => new Promise<void>((resolve) => {
      flushContext = context;
      flushed = resolve;
    }) });
    const kernel = new FakeKernel(filesystem);
    kernel.deliver(message(OPCODE.READ, READ, { unique: 10n }));
    kernel.deliver(message(OPCODE.FLUSH, Buffer.alloc(24), { unique: 12n }));
    kernel.close();
    let drained = false;
    const drain = kernel.dispatcher.drain(new Error("over")).then(() => { drained = true; });
    await kernel.reply(0);
    expect([drained, flushContext?.signal.aborted, kernel.dispatcher.inFlight]).toEqual([false, false, 1]);
    flushed?.();
    await drain;
    expect(kernel.dispatcher.inFlight).toBe(0);
  });
});

describe("the wire log", () => {
  it("has one line per operation", async () => {
    const { filesystem } = recordingFilesystem({ lookup: entry(9), read: [Buffer.alloc(5)], unlink: () => Promise.reject(new FsError("EROFS")) });
    const kernel = new FakeKernel(filesystem, { wire: true });
    await kernel.ask(OPCODE.LOOKUP, NAME);
    await kernel.ask(OPCODE.READ, READ);
    await kernel.ask(OPCODE.UNLINK, NAME);
    await kernel.ask(OPCODE.POLL, Buffer.alloc(24));
    kernel.deliver(message(OPCODE.FORGET, Buffer.from([1, 0, 0, 0, 0, 0, 0, 0])));
    expect(kernel.wire.map((line) => line.replace(/ \d+\.\d\d ms$/, ""))).toEqual([
      '2 LOOKUP ino=5 name="name" pid=77 -> ino=9 mode=0100644 size=0',
      "2 READ ino=5 fh=3 offset=0 size=4096 pid=77 -> 5 bytes",
      '2 UNLINK ino=5 name="name" pid=77 -> EROFS',
      "2 POLL ino=5 pid=77 -> ENOSYS",
      "2 FORGET ino=5 count=1 pid=77 -> no reply",
    ]);
  });
});
