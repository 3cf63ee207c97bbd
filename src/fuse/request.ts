// One request under way. It is the Context that the filesystem sees, and what its reply needs. Objects of this class are
// made for every message, so they hold numbers only; an AbortController comes into being when somebody asks for the signal.

import type { Context, Fh, Ino } from "../fs/filesystem.js";
import { UNIQUE_RESEND_HIGH } from "./protocol/constants.js";

const TWO_32 = 0x1_0000_0000;

export class Request implements Context {
  readonly opcode: number;
  readonly ino: Ino;
  readonly uid: number;
  readonly gid: number;
  readonly pid: number;
  readonly uniqueLow: number;
  /** Changes when the kernel hands the request over again while it is under way: the answer must carry the new one. */
  uniqueHigh: number;
  /** Of a clock that never jumps, in milliseconds. */
  readonly started: number;
  /** Most bytes that the kernel takes as an answer (READ, GETXATTR, READDIR). */
  size = 0;
  /** The other directory or file that the request is about (rename, link); 0: there is none. */
  secondIno = 0;
  /** For the log. */
  subject: string | undefined;
  /** The handle of the request, where it has one. */
  fh: Fh | undefined;
  /** What the wire log says of the request; set only while it is on. */
  line: string | undefined;
  #controller: AbortController | undefined;
  #reason: Error | undefined;

  constructor(opcode: number, uniqueLow: number, uniqueHigh: number, ino: number, uid: number, gid: number, pid: number, started: number) {
    this.opcode = opcode;
    this.uniqueLow = uniqueLow;
    this.uniqueHigh = uniqueHigh;
    this.ino = ino as Ino;
    this.uid = uid;
    this.gid = gid;
    this.pid = pid;
    this.started = started;
  }

  /** The same for a request and for its repetition. The kernel counts up from 0, so 2^53 is not in sight. */
  get key(): number { return uniqueKey(this.uniqueLow, this.uniqueHigh); }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#reason !== undefined) this.#controller.abort(this.#reason);
    }
    return this.#controller.signal;
  }

  get aborted(): boolean { return this.#reason !== undefined; }

  /** The same caller, for what has to be done after the request is over: its signal does not fire. */
  detached(): Context {
    return new Request(this.opcode, this.uniqueLow, this.uniqueHigh, this.ino, this.uid, this.gid, this.pid, this.started);
  }

  abort(reason: Error): void {
    this.#reason ??= reason;
    this.#controller?.abort(reason);
  }
}

export function uniqueKey(low: number, high: number): number {
  return (high & ~UNIQUE_RESEND_HIGH) * TWO_32 + low;
}
