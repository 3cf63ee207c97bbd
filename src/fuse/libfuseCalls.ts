// From the calls of libfuse's threads to `PathOperations`, and back. A call blocks its thread until it is answered. The answers'
// layouts are those of fuse-native.c 2.2.6 (populate_stat, populate_statvfs, the FUSE_METHOD of each operation).

import { constants } from "node:os";
import { ERRNO, type ErrnoName, FsError, toFsError } from "../fs/errors.js";
import type { Attributes, StatfsReply, Timespec } from "../fs/filesystem.js";
import type { Logger } from "../util/log.js";
import { describeError, levelOf } from "./failures.js";
import type { LibfuseAddon, LibfuseHandler } from "./libfuse.js";
import type { PathOperations } from "./pathOperations.js";

const HIGH = 2 ** 32;
const OPERATIONS = 35;

/** What one operation answers: the result, and the values behind it. */
interface Answer { readonly result: number; readonly values: readonly unknown[] }
const DONE: Answer = { result: 0, values: [] };
const done = (): Answer => DONE;
const handle = (number: number): Answer => ({ result: 0, values: [number] });

interface Row {
  /** @param call the thread's call, for what its arguments leave out */
  readonly run: (values: readonly unknown[], call: Buffer) => Promise<Answer>;
  /** What stands behind a negative result: the addon reads it in any case. */
  readonly failed?: (values: readonly unknown[]) => readonly unknown[];
}

export class LibfuseCalls {
  readonly counts: Record<string, number> = {};
  readonly failures: Record<string, number> = {};
  inFlight = 0;
  bytesRead = 0;
  bytesWritten = 0;
  readonly #addon: LibfuseAddon;
  readonly #operations: PathOperations;
  readonly #logger: Logger;
  readonly #wireLog: ((line: string) => void) | undefined;
  #whenIdle: (() => void)[] = [];

  constructor(addon: LibfuseAddon, operations: PathOperations, logger: Logger, wireLog: ((line: string) => void) | undefined) {
    this.#addon = addon;
    this.#operations = operations;
    this.#logger = logger;
    this.#wireLog = wireLog;
  }

  /** By operation number, and which of them are served. @param onInit the kernel has begun to ask */
  table(onInit: () => void): { readonly handlers: readonly LibfuseHandler[]; readonly implemented: Uint32Array } {
    const handlers = Array.from({ length: OPERATIONS }, (): LibfuseHandler => () => undefined);
    const implemented = new Uint32Array(OPERATIONS);
    const add = (name: string, handler: LibfuseHandler): void => {
      const number = this.#addon[`op_${name}`];
      if (number === undefined || number >= OPERATIONS) throw new Error(`fuse-native does not know ${name}`);
      handlers[number] = handler;
      implemented[number] = 1;
    };
    add("init", (call) => {
      onInit();
      this.#addon["fuse_native_signal_init"]?.(call, 0);
    });
    for (const [name, row] of Object.entries(this.#rows())) add(name, (call, _operation, ...values) => { void this.#serve(name, row, call, values); });
    return { handlers, implemented };
  }

  /** Resolves when nothing is under way. */
  async idle(): Promise<void> {
    if (this.inFlight > 0) await new Promise<void>((resolve) => { this.#whenIdle.push(resolve); });
  }

  async #serve(name: string, row: Row, call: Buffer, values: readonly unknown[]): Promise<void> {
    const started = performance.now();
    this.counts[name] = (this.counts[name] ?? 0) + 1;
    this.inFlight += 1;
    // Now: what the library lends is taken back with the answer.
    const line = this.#wireLog === undefined ? "" : `${name} ${described(values)}`;
    let answer: Answer;
    let told: string;
    try {
      answer = await row.run(values, call);
      told = String(answer.result);
    } catch (thrown) {
      const error = toFsError(thrown);
      // The kernel remembers ENOSYS, and would never ask again.
      const errno: ErrnoName = error.errno === "ENOSYS" ? "EOPNOTSUPP" : error.errno;
      answer = { result: -number(errno), values: row.failed?.(values) ?? [] };
      told = errno;
      this.#failed(name, values, errno, error, thrown, started);
    }
    try {
      this.#addon[`fuse_native_signal_${name}`]?.(call, answer.result, ...answer.values);
    } finally {
      this.inFlight -= 1;
      if (this.inFlight === 0) for (const resolve of this.#whenIdle.splice(0)) resolve();
    }
    this.#wireLog?.(`${line} -> ${told} ${(performance.now() - started).toFixed(2)} ms`);
  }

  #failed(name: string, values: readonly unknown[], errno: ErrnoName, error: FsError, thrown: unknown, started: number): void {
    this.failures[name] = (this.failures[name] ?? 0) + 1;
    const level = levelOf(errno, error);
    if (!this.#logger.isLevelEnabled(level)) return;
    this.#logger[level]({
      op: name, path: typeof values[0] === "string" ? values[0] : undefined, ino: error.ino, key: error.key, errno,
      ms: Math.round((performance.now() - started) * 100) / 100, causes: describeError(thrown),
    }, `${name} failed: ${errno}`);
  }

  #rows(): Readonly<Record<string, Row>> {
    const on = this.#operations;
    const noStat = (): readonly unknown[] => [new Uint32Array(18)];
    const noHandle = (): readonly unknown[] => [0];
    return {
      getattr: { run: async ([path]) => stat(await on.getattr(path as string)), failed: noStat },
      fgetattr: { run: async ([path, fh]) => stat(await on.getattr(path as string, fh as number)), failed: noStat },
      access: { run: ([path, mask]) => on.access(path as string, mask as number).then(done) },
      statfs: { run: async ([path]) => statvfs(await on.statfs(path as string)), failed: () => [new Uint32Array(11)] },
      readdir: { run: ([path]) => this.#readdir(path as string), failed: () => [[], []] },
      fsyncdir: { run: ([path, dataOnly]) => on.fsyncdir(path as string, dataOnly !== 0).then(done) },
      open: { run: ([path, flags]) => on.open(path as string, flags as number).then(handle), failed: noHandle },
      create: { run: ([path, mode]) => on.create(path as string, mode as number).then(handle), failed: noHandle },
      read: {
        run: async ([, fh, target, , low, high]) => {
          const bytes = await on.read(fh as number, target as Buffer, offset(low, high));
          this.bytesRead += bytes;
          return { result: bytes, values: [0, (target as Buffer).buffer] };
        },
        failed: ([, , target]) => [0, (target as Buffer).buffer],
      },
      write: {
        run: async ([, fh, data, , low, high]) => {
          const bytes = await on.write(fh as number, data as Buffer, offset(low, high));
          this.bytesWritten += bytes;
          return { result: bytes, values: [0, (data as Buffer).buffer] };
        },
        failed: ([, , data]) => [0, (data as Buffer).buffer],
      },
      flush: { run: ([, fh]) => on.flush(fh as number).then(done) },
      fsync: { run: ([, dataOnly, fh]) => on.fsync(fh as number, dataOnly !== 0).then(done) },
      release: { run: ([, fh]) => on.release(fh as number).then(done) },
      truncate: { run: ([path, low, high]) => on.truncate(path as string, offset(low, high)).then(done) },
      ftruncate: { run: ([, fh, low, high]) => on.ftruncate(fh as number, offset(low, high)).then(done) },
      chmod: { run: ([path, mode]) => on.chmod(path as string, mode as number).then(done) },
      chown: { run: ([path, uid, gid]) => on.chown(path as string, uid as number, gid as number).then(done) },
      utimens: {
        run: ([path, low, high], call) => {
          const atime = offset(low, high);
          return on.utimens(path as string, timespec(atime), timespec(modificationTime(call, atime))).then(done);
        },
      },
      readlink: { run: async ([path]) => ({ result: 0, values: [await on.readlink(path as string)] }), failed: () => [""] },
      symlink: { run: ([target, path]) => on.symlink(target as string, path as string).then(done) },
      mknod: { run: ([path, mode, rdev]) => on.mknod(path as string, mode as number, rdev as number).then(done) },
      mkdir: { run: ([path, mode]) => on.mkdir(path as string, mode as number).then(done) },
      link: { run: ([from, path]) => on.link(from as string, path as string).then(done) },
      unlink: { run: ([path]) => on.unlink(path as string).then(done) },
      rmdir: { run: ([path]) => on.rmdir(path as string).then(done) },
      rename: { run: ([from, to]) => on.rename(from as string, to as string).then(done) },
      setxattr: {
        run: async ([path, name, value, , flags]) => {
          await on.setxattr(path as string, name as string, value as Buffer, flags as number);
          return { result: 0, values: [(value as Buffer).buffer] };
        },
        failed: ([, , value]) => [(value as Buffer).buffer],
      },
      getxattr: {
        run: async ([path, name, target]) => into(target as Buffer, await on.getxattr(path as string, name as string)),
        failed: ([, , target]) => [(target as Buffer).buffer],
      },
      listxattr: {
        run: async ([path, target]) => into(target as Buffer, await on.listxattr(path as string)),
        failed: ([, target]) => [(target as Buffer).buffer],
      },
      removexattr: { run: ([path, name]) => on.removexattr(path as string, name as string).then(done) },
    };
  }

  async #readdir(path: string): Promise<Answer> {
    const { entries, leftOut } = await this.#operations.readdir(path);
    if (leftOut.length > 0) this.#logger.error({ path, names: leftOut }, "names that are not UTF-8 cannot be shown by this front end, and were left out of a listing");
    // Of the attributes the library takes the file type alone.
    return { result: 0, values: [entries.map(({ name }) => name), entries.map(({ type }) => stats({ mode: type }))] };
  }
}

/** Linux's numbers are the filesystem's own; other systems count differently. */
function number(errno: ErrnoName): number {
  return (constants.errno as unknown as Record<string, number>)[errno] ?? ERRNO[errno];
}

function offset(low: unknown, high: unknown): number {
  return (low as number) + (high as number) * HIGH;
}

/** Size 0 asks for the length alone. */
function into(target: Buffer, value: Buffer): Answer {
  if (target.length > 0) {
    if (value.length > target.length) throw new FsError("ERANGE", "the buffer is too small for the value");
    value.copy(target);
  }
  return { result: value.length, values: [target.buffer] };
}

const stat = (attributes: Attributes): Answer => ({ result: 0, values: [stats(attributes)] });

/** populate_stat. Inode numbers are left to the library, which has its own: here they would be cut to 32 bits. */
function stats(of: Partial<Attributes>): Uint32Array {
  const words = new Uint32Array(18);
  words[0] = of.mode ?? 0;
  words[1] = of.uid ?? 0;
  words[2] = of.gid ?? 0;
  long(words, 3, of.size ?? 0);
  words[6] = of.nlink ?? 1;
  words[8] = of.rdev ?? 0;
  words[9] = of.blksize ?? 0;
  long(words, 10, of.blocks ?? 0);
  long(words, 12, milliseconds(of.atime));
  long(words, 14, milliseconds(of.mtime));
  long(words, 16, milliseconds(of.ctime));
  return words;
}

function long(words: Uint32Array, at: number, value: number): void {
  words[at] = value % HIGH;
  words[at + 1] = Math.floor(value / HIGH);
}

/** Times are unsigned milliseconds on the way to the library: what is before 1970 becomes 1970. */
function milliseconds(time: Timespec | undefined): number {
  return time === undefined ? 0 : Math.max(0, time.sec * 1000 + Math.floor(time.nsec / 1_000_000));
}

function timespec(ms: number): Timespec {
  return { sec: Math.floor(ms / 1000), nsec: (ms % 1000) * 1_000_000 };
}

/** fuse_thread_locals_t: op at 8; atime where the fields before it end, on Linux and on macOS; mtime behind it. */
const OPERATION_AT = 8;
const ATIME_AT = [104, 96];

/**
 * The addon hands over atime twice (fuse-native.c, utimens), but the thread's call has both. Where it is not laid out as expected,
 * mtime is atime.
 */
function modificationTime(call: Buffer, atime: number): number {
  for (const at of ATIME_AT) {
    if (call.length < at + 16 || call.readUInt32LE(OPERATION_AT) > OPERATIONS) continue;
    if (offset(call.readUInt32LE(at), call.readUInt32LE(at + 4)) === atime) return offset(call.readUInt32LE(at + 8), call.readUInt32LE(at + 12));
  }
  return atime;
}

/** populate_statvfs: every number has 32 bits, so blocks are counted in larger units where there are more. */
function statvfs(of: StatfsReply): Answer {
  let scale = 1;
  while (of.blocks / scale >= HIGH) scale *= 2;
  const words = new Uint32Array(11);
  words[0] = of.bsize;
  words[1] = of.frsize * scale;
  words[2] = of.blocks / scale;
  words[3] = of.bfree / scale;
  words[4] = of.bavail / scale;
  words[5] = Math.min(of.files, HIGH - 1);
  words[6] = Math.min(of.ffree, HIGH - 1);
  words[7] = words[6];
  words[10] = of.namelen;
  return { result: 0, values: [words] };
}

function described(values: readonly unknown[]): string {
  return values.map((value) => typeof value === "string" ? JSON.stringify(value) : value instanceof Uint8Array ? `${value.length} bytes` : String(value)).join(" ");
}
