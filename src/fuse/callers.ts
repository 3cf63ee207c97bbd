// Which interrupted requests are given up. The kernel sends INTERRUPT for every signal that a waiting caller gets, also for one
// with a handler; were those answered EINTR, git's progress timer and Go's preemption would see close, mkdir and open fail.
// A local disk does not do that. So a request is given up when its caller is being ended, and goes on otherwise.

import { readFileSync } from "node:fs";

/** Default actions that do not end a process: SIGCHLD, SIGCONT, SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU, SIGURG, SIGWINCH (signal(7)). */
const HARMLESS = [17, 18, 19, 20, 21, 22, 23, 28].reduce((mask, signal) => mask | (1n << BigInt(signal - 1)), 0n);

/**
 * Whether the thread has a signal pending that will end it: one that it neither catches, ignores nor blocks (proc(5), status).
 * A thread that is gone counts as ended. `pid` 0 is a caller that the kernel does not tell (FLUSH, another pid namespace): no.
 */
export function isBeingEnded(pid: number): boolean {
  if (pid === 0) return false;
  let status: string;
  try {
    status = readFileSync(`/proc/${pid}/status`, "latin1");
  } catch {
    return true;
  }
  const mask = (name: string): bigint => BigInt(`0x${new RegExp(`^${name}:\\s*([0-9a-f]+)`, "m").exec(status)?.[1] ?? "0"}`);
  const deadly = (mask("SigPnd") | mask("ShdPnd")) & ~mask("SigBlk") & ~mask("SigIgn") & ~mask("SigCgt") & ~HARMLESS;
  return deadly !== 0n;
}

interface Interruptible {
  readonly pid: number;
  abort(reason: Error): void;
}

/** How often a caller that got some other signal is looked at again: the kernel tells of the first one only. */
const AGAIN_MS = 500;

/** Interrupted requests that go on. */
export class InterruptedCallers<R extends Interruptible> {
  readonly #waiting = new Set<R>();
  readonly #isBeingEnded: (pid: number) => boolean;
  #timer: NodeJS.Timeout | undefined;

  constructor(ended: (pid: number) => boolean = isBeingEnded) {
    this.#isBeingEnded = ended;
  }

  /** Aborts it now, or as soon as its caller is being ended. */
  add(request: R): void {
    if (request.pid === 0 || this.#abortIfEnded(request)) return;
    this.#waiting.add(request);
    this.#timer ??= setInterval(() => { this.#look(); }, AGAIN_MS).unref();
  }

  /** It has been answered. */
  delete(request: R): void {
    if (this.#waiting.delete(request) && this.#waiting.size === 0) {
      clearInterval(this.#timer);
      this.#timer = undefined;
    }
  }

  #look(): void {
    for (const request of this.#waiting) if (this.#abortIfEnded(request)) this.delete(request);
  }

  #abortIfEnded(request: R): boolean {
    const ended = this.#isBeingEnded(request.pid);
    if (ended) request.abort(new DOMException("the caller was interrupted", "AbortError"));
    return ended;
  }
}
