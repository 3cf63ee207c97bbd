// The other side of the device, for tests: hands messages to a dispatcher and keeps what it answers.

import type { Context, Filesystem } from "../../../src/fs/filesystem.js";
import { Dispatcher } from "../../../src/fuse/dispatch.js";
import { Inputs } from "../../../src/fuse/inputs.js";
import type { InitWishes, Negotiated } from "../../../src/fuse/protocol/init.js";
import type { Channel } from "../../../src/fuse/types.js";
import { type Logger, silentLogger } from "../../../src/util/log.js";

/**
 * Bytes from rows of hexadecimal pairs, each row followed by words about it: `01 00 00 00 00 00 00 00  fh`. A row of text
 * stands in double quotes, with \0 for NUL.
 */
export function bytes(rows: string): Buffer {
  return Buffer.concat(rows.split("\n").map((row) => {
    const text = /^\s*"([^"]*)"/.exec(row)?.[1];
    if (text !== undefined) return Buffer.from(text.replaceAll("\\0", "\0"), "latin1");
    const pairs = /^\s*((?:[0-9a-f]{2} ?)*)/.exec(row)?.[1] ?? "";
    return Buffer.from(pairs.replaceAll(" ", ""), "hex");
  }));
}

export interface Reply { readonly unique: bigint; readonly error: number; readonly body: Buffer }

export interface Header {
  readonly unique?: bigint;
  readonly ino?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly pid?: number;
}

/** A whole message: header and body. */
export function message(opcode: number, body: Buffer, { unique = 2n, ino = 5, uid = 1000, gid = 100, pid = 77 }: Header = {}): Buffer {
  const header = Buffer.alloc(40);
  header.writeUInt32LE(40 + body.length, 0);
  header.writeUInt32LE(opcode, 4);
  header.writeBigUInt64LE(unique, 8);
  header.writeBigUInt64LE(BigInt(ino), 16);
  header.writeUInt32LE(uid, 24);
  header.writeUInt32LE(gid, 28);
  header.writeUInt32LE(pid, 32);
  return Buffer.concat([header, body]);
}

/** What a kernel of 7.45 that offers everything agrees to. */
export const AGREED: Negotiated = {
  kernelMajor: 7, kernelMinor: 45, minor: 45, maxReadahead: 131_072, maxBackground: 64, flags: -1, flags2: ~(1 << 5),
};

export class FakeKernel implements Channel {
  readonly output = Buffer.alloc(64 * 1024);
  readonly replies: Reply[] = [];
  readonly notices: Buffer[] = [];
  readonly dispatcher: Dispatcher;
  readonly wire: string[] = [];
  negotiated: Negotiated | undefined;
  refused: string | undefined;
  destroyed = 0;
  /** What the next writes answer: 0, or a negative errno. */
  answer = 0;
  backings: number[] = [];
  /** Whether callers that are interrupted are being ended. */
  callersEnd = true;
  #input = Inputs.allocate();
  #waiting: (() => void)[] = [];

  constructor(filesystem: Filesystem, options: { readonly agreed?: Negotiated | null; readonly wishes?: InitWishes; readonly logger?: Logger; readonly wire?: boolean } = {}) {
    this.dispatcher = new Dispatcher({
      isBeingEnded: () => this.callersEnd,
      filesystem, channel: this, input: this.#input, logger: options.logger ?? silentLogger,
      wishes: options.wishes ?? { passthrough: true, maxBackground: 64 },
      wireLog: options.wire === true ? (line) => { this.wire.push(line); } : undefined,
      onNegotiated: (negotiated) => { this.negotiated = negotiated; },
      onRefused: (why) => { this.refused = why; },
      destroy: async () => { this.destroyed += 1; },
    });
    if (options.agreed !== null) this.dispatcher.resume(options.agreed ?? AGREED);
  }

  /** Puts the bytes into the input buffer, as the channel would. */
  deliver(bytes: Buffer): void {
    bytes.copy(this.#input);
    this.dispatcher.message(bytes.length);
  }

  /** Delivers a request and waits for its answer. */
  async ask(opcode: number, body: Buffer = Buffer.alloc(0), header: Header = {}): Promise<Reply> {
    const before = this.replies.length;
    this.deliver(message(opcode, body, header));
    return this.reply(before);
  }

  /** The reply of that index, once it has come. */
  async reply(index: number): Promise<Reply> {
    while (this.replies.length <= index) await new Promise<void>((next) => { this.#waiting.push(next); });
    return this.replies[index] as Reply;
  }

  useInput(input: Buffer): void { this.#input = input; }
  get input(): Buffer { return this.#input; }

  send(length: number): number { return this.#take([this.output.subarray(0, length)]); }
  sendWith(length: number, slices: readonly Buffer[]): number { return this.#take([this.output.subarray(0, length), ...slices]); }
  notify(message: Buffer): void { this.notices.push(message); }
  openBacking(fd: number): number { return this.backings.push(fd); }
  closeBacking(id: number): number { return (this.backings[id - 1] = 0); }
  close(): void { this.answer = -9; }

  #take(parts: readonly Buffer[]): number {
    const reply = Buffer.concat(parts);
    // The kernel checks the same (fs/fuse/dev.c, fuse_dev_do_write).
    if (reply.readUInt32LE(0) !== reply.length) throw new Error("a reply whose length is not its own");
    const error = reply.readInt32LE(4);
    if (error > 0 || error <= -512 || (error !== 0 && reply.length > 16)) throw new Error("a reply that the kernel would not take");
    this.replies.push({ unique: reply.readBigUInt64LE(8), error, body: Buffer.from(reply.subarray(16)) });
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const next of waiting) next();
    return this.answer;
  }
}

export interface Call { readonly method: string; readonly context: Context | undefined; readonly arguments: readonly unknown[] }

/** A filesystem that notes every call, and answers what it was given for the method: a value, or a function of the arguments. */
export function recordingFilesystem(results: Partial<Record<keyof Filesystem, unknown>>): { filesystem: Filesystem; calls: Call[] } {
  const calls: Call[] = [];
  const filesystem = new Proxy({}, {
    get: (_target, property) => (...all: unknown[]): unknown => {
      const method = String(property);
      const bare = method === "forget" || method === "setNotifier";
      calls.push({ method, context: bare ? undefined : (all[0] as Context), arguments: bare ? all : all.slice(1) });
      const result: unknown = results[property as keyof Filesystem];
      if (bare) return undefined;
      return typeof result === "function" ? (result as (...all: unknown[]) => unknown)(...all) : Promise.resolve(result);
    },
  }) as Filesystem;
  return { filesystem, calls };
}
