// From messages to calls and back. The only place where an errno leaves for the kernel, and where a failure is logged,
// once. Requests run concurrently; forgets, interrupts and INIT are handled before the next message is looked at.

import { type ErrnoName, type FsError, toFsError } from "../fs/errors.js";
import type { Fh, Filesystem, Ino } from "../fs/filesystem.js";
import type { Logger } from "../util/log.js";
import { InterruptedCallers } from "./callers.js";
import { describeError, levelOf } from "./failures.js";
import { Inputs } from "./inputs.js";
import { KernelNotifier } from "./notifier.js";
import { OpenModes } from "./openModes.js";
import type { Environment, Operation } from "./operations/operation.js";
import { opcodeName, rowOf, type NamedRow } from "./operations/table.js";
import { IN_HEADER_SIZE, OUT_HEADER_SIZE, UNIQUE_RESEND_HIGH } from "./protocol/constants.js";
import { hasNoFlush, hasPassthrough } from "./protocol/features.js";
import { type InitWishes, type Negotiated, negotiate, readInit, writeInit, writeOwnVersion } from "./protocol/init.js";
import { ProtocolError } from "./protocol/protocolError.js";
import { MessageReader } from "./protocol/reader.js";
import { Replies } from "./replies.js";
import { Request, uniqueKey } from "./request.js";
import type { Channel } from "./types.js";
import { describeRequest, describeResult } from "./wireLog.js";

export interface DispatcherOptions {
  readonly filesystem: Filesystem;
  readonly channel: Channel;
  /** The buffer that the channel reads into at first. */
  readonly input: Buffer;
  readonly logger: Logger;
  readonly wishes: InitWishes;
  /** Lines of the wire log go here; absent: there is none. */
  readonly wireLog?: ((line: string) => void) | undefined;
  readonly onNegotiated: (negotiated: Negotiated) => void;
  /** The kernel's version cannot be served. */
  readonly onRefused: (why: string) => void;
  /** The filesystem's `destroy`, called at most once by whoever owns the session. */
  readonly destroy: () => Promise<void>;
  /** Whether an interrupted caller is being ended; absent: asked of the kernel (callers.ts). */
  readonly isBeingEnded?: ((pid: number) => boolean) | undefined;
}

/** Interrupts that came before their request: with one reader there are none, and a few are kept in case. */
const EARLY_INTERRUPTS = 128;
const OPCODES = 64;

export class Dispatcher {
  readonly counts = new Float64Array(OPCODES);
  readonly failures = new Float64Array(OPCODES);
  interrupts = 0;
  readonly notifier: KernelNotifier;
  readonly #env: Environment;
  readonly #options: DispatcherOptions;
  readonly #message: MessageReader;
  readonly #inFlight = new Map<number, Request>();
  readonly #earlyInterrupts = new Set<number>();
  readonly #interrupted: InterruptedCallers<Request>;
  readonly #unknown = new Set<number>();
  #whenIdle: (() => void)[] = [];

  constructor(options: DispatcherOptions) {
    const { channel, filesystem, logger } = options;
    this.#options = options;
    this.#interrupted = new InterruptedCallers(options.isBeingEnded);
    this.#message = new MessageReader(options.input);
    this.notifier = new KernelNotifier(channel, this.#inFlight);
    this.#env = {
      filesystem,
      replies: new Replies(channel, logger),
      inputs: new Inputs(channel, this.#message),
      openModes: new OpenModes(channel, logger),
      negotiated: undefined,
      killed: new Set<Fh>(),
      bytesRead: 0,
      bytesWritten: 0,
      destroy: options.destroy,
      refusedNames: (ino: Ino, names) => logger.error({ ino, names }, "names that the kernel cannot take were left out of a listing"),
    };
  }

  get inFlight(): number { return this.#inFlight.size; }
  get bytesRead(): number { return this.#env.bytesRead; }
  get bytesWritten(): number { return this.#env.bytesWritten; }
  get openModes(): OpenModes { return this.#env.openModes; }
  get heldInputs(): number { return this.#env.inputs.held; }

  /** Goes on where another process stopped: its agreement holds, and no INIT comes. */
  resume(negotiated: Negotiated): void {
    this.#agreed(negotiated);
  }

  /** `length` bytes stand in the input buffer. Never throws. */
  message(length: number): void {
    const message = this.#message;
    const whole = length >= IN_HEADER_SIZE && message.headerU32(0) === length;
    if (!whole && length < OUT_HEADER_SIZE) {
      this.#options.logger.error({ length }, "a message from the kernel is too short to be answered");
      return;
    }
    const request = whole
      ? new Request(message.headerU32(4), message.headerLow(8), message.headerHigh(8), message.headerU64(16),
        message.headerU32(24), message.headerU32(28), message.headerU32(32), performance.now())
      : new Request(0, message.headerLow(8), message.headerHigh(8), 0, 0, 0, 0, performance.now());
    if (!whole) {
      this.#fail(request, new ProtocolError(`a message of ${length} bytes says that it has ${message.headerU32(0)}`, "EIO"));
      return;
    }
    message.begin(length);
    try {
      this.#accept(request, message, length);
    } catch (error) {
      this.#fail(request, error);
    }
  }

  #accept(request: Request, message: MessageReader, length: number): void {
    const { opcode } = request;
    const row = rowOf(opcode);
    if (opcode < OPCODES) this.counts[opcode] = (this.counts[opcode] as number) + 1;
    const extensions = message.headerU16(36);
    if (extensions !== 0) message.cutExtensions(extensions);
    if (this.#options.wireLog !== undefined) {
      request.line = describeRequest(request, message);
      message.begin(length);
      if (extensions !== 0) message.cutExtensions(extensions);
    }
    if (row === undefined) this.#refuseUnknown(request);
    else if (row.kind === "inline") this.#inline(row, request, message);
    else if (this.#env.negotiated === undefined) throw new ProtocolError(`${row.name} before INIT`, "EIO");
    else if (row.kind === "refused") this.#answerError(request, row.errno);
    else if (this.#begin(request)) void this.#run(row.operation, request);
  }

  /** Ops under way are known by their unique. False: it is under way already, and was handed over again. */
  #begin(request: Request): boolean {
    const { key } = request;
    if (request.uniqueHigh >= UNIQUE_RESEND_HIGH) {
      const first = this.#inFlight.get(key);
      if (first !== undefined) {
        first.uniqueHigh = request.uniqueHigh;
        return false;
      }
    }
    this.#inFlight.set(key, request);
    if (this.#earlyInterrupts.size > 0 && this.#earlyInterrupts.delete(key)) this.#interrupted.add(request);
    return true;
  }

  async #run(operation: Operation<unknown>, request: Request): Promise<void> {
    try {
      const result = await operation.call(this.#env, request, this.#message);
      this.#answer(operation, request, result);
    } catch (error) {
      this.#fail(request, error);
    }
    this.#end(request);
  }

  /** @throws what kept the result from becoming a reply; it is taken back then, as when nobody waits for it. */
  #answer(operation: Operation<unknown>, request: Request, result: unknown): void {
    let delivered = false;
    try {
      delivered = operation.reply(this.#env, request, result);
    } finally {
      if (!delivered) operation.undo?.(this.#env, request, result);
    }
    if (request.line !== undefined) this.#trace(request, delivered ? describeResult(result) : "nobody waited for it");
  }

  #end(request: Request): void {
    this.#inFlight.delete(request.key);
    this.#interrupted.delete(request);
    this.notifier.ended(request.key);
    if (this.#inFlight.size === 0 && this.#whenIdle.length > 0) {
      const waiting = this.#whenIdle;
      this.#whenIdle = [];
      for (const resolve of waiting) resolve();
    }
  }

  #inline(row: Extract<NamedRow, { kind: "inline" }>, request: Request, message: MessageReader): void {
    switch (row.does) {
      case "init":
        this.#init(request, message);
        return;
      case "forget":
        this.#env.filesystem.forget(request.ino, message.u64());
        break;
      case "batch-forget": {
        const count = message.u32();
        message.skip(4);
        for (let i = 0; i < count; i++) this.#env.filesystem.forget(message.u64() as Ino, message.u64());
        break;
      }
      case "interrupt":
        this.#interrupt(message);
        break;
      case "ignore":
        break;
    }
    if (request.line !== undefined) this.#trace(request, "no reply");
  }

  #init(request: Request, message: MessageReader): void {
    const { replies } = this.#env;
    const answer = negotiate(readInit(message), this.#options.wishes);
    if (answer.kind === "refused") {
      this.#answerError(request, "EPROTO");
      this.#options.onRefused(answer.why);
      return;
    }
    if (answer.kind === "again") writeOwnVersion(replies.begin());
    else writeInit(replies.begin(), answer.negotiated);
    const sent = replies.send(request);
    if (request.line !== undefined) this.#trace(request, answer.kind);
    if (answer.kind === "agreed" && sent) {
      this.#agreed(answer.negotiated);
      this.#options.onNegotiated(answer.negotiated);
    }
  }

  #agreed(negotiated: Negotiated): void {
    this.#env.negotiated = negotiated;
    this.#env.openModes.passthrough = hasPassthrough(negotiated);
    this.#env.openModes.noFlush = hasNoFlush(negotiated);
  }

  /** struct fuse_interrupt_in. It has no reply; its request gets one when it ends: EINTR where the caller is being ended. */
  #interrupt(message: MessageReader): void {
    this.interrupts += 1;
    const key = uniqueKey(...message.u64Halves());
    const request = this.#inFlight.get(key);
    if (request !== undefined) {
      this.#interrupted.add(request);
      return;
    }
    this.#earlyInterrupts.add(key);
    if (this.#earlyInterrupts.size > EARLY_INTERRUPTS) {
      for (const oldest of this.#earlyInterrupts) {
        this.#earlyInterrupts.delete(oldest);
        break;
      }
    }
  }

  #refuseUnknown(request: Request): void {
    if (!this.#unknown.has(request.opcode) && this.#unknown.size < OPCODES) {
      this.#unknown.add(request.opcode);
      this.#options.logger.info({ opcode: request.opcode }, "the kernel asks for an operation that this protocol version does not know");
    }
    this.#answerError(request, "ENOSYS");
  }

  /** Ends a request that failed: one line in the log, one errno to the kernel. */
  #fail(request: Request, thrown: unknown): void {
    const error = thrown instanceof ProtocolError ? undefined : toFsError(thrown, { ino: request.ino });
    // The kernel remembers ENOSYS, and would never flush, fsync or open again: only the table may say it.
    const errno: ErrnoName = error === undefined ? (thrown as ProtocolError).errno : error.errno === "ENOSYS" ? "EOPNOTSUPP" : error.errno;
    if (request.opcode < OPCODES) this.failures[request.opcode] = (this.failures[request.opcode] as number) + 1;
    this.#logFailure(request, errno, error, thrown);
    const row = rowOf(request.opcode);
    if (row?.kind === "inline" && row.does !== "init") return;
    this.#answerError(request, errno);
  }

  #logFailure(request: Request, errno: ErrnoName, error: FsError | undefined, thrown: unknown): void {
    const level = levelOf(errno, error);
    const { logger } = this.#options;
    if (!logger.isLevelEnabled(level)) return;
    logger[level]({
      op: opcodeName(request.opcode), unique: request.key, ino: request.ino, name: request.subject, key: error?.key, fh: request.fh, errno,
      ms: Math.round((performance.now() - request.started) * 100) / 100, causes: describeError(thrown),
    }, `${opcodeName(request.opcode)} failed: ${errno}`);
  }

  #answerError(request: Request, errno: ErrnoName): void {
    this.#env.replies.error(request, errno);
    if (request.line !== undefined) this.#trace(request, errno);
  }

  #trace(request: Request, result: string): void {
    this.#options.wireLog?.(`${request.line} -> ${result} ${(performance.now() - request.started).toFixed(2)} ms`);
  }

  /** The connection is gone: what only reads is cut short, what changes or lets go runs to its end. Resolves when nothing is under way. */
  async drain(reason: Error): Promise<void> {
    for (const request of this.#inFlight.values()) {
      const row = rowOf(request.opcode);
      if (row?.kind === "served" && row.operation.lasting !== true) request.abort(reason);
    }
    if (this.#inFlight.size > 0) await new Promise<void>((resolve) => { this.#whenIdle.push(resolve); });
  }
}
