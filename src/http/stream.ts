// The body of an answer. Pieces are handed on as they came from the socket, without a copy; when more than HIGH_WATER
// bytes wait for the reader, the socket is paused. Measured against undici's Readable: docs/DECISIONS.md, "HTTP".

import { HttpError } from "./errors.js";
import type { ResponseStream } from "./types.js";

const HIGH_WATER = 1024 * 1024;
const LOW_WATER = 256 * 1024;
/** What is cheaper to read away than to open a new connection for. */
const WORTH_DRAINING = 256 * 1024;

export interface FlowControl {
  pause(): void;
  resume(): void;
  abort(reason: Error): void;
}

type Result = IteratorResult<Buffer, undefined>;
const DONE: Result = { done: true, value: undefined };

export class BodyStream implements ResponseStream {
  readonly #flow: FlowControl;
  readonly #host: string;
  readonly #onSettled: () => void;
  #queue: Buffer[] = [];
  #head = 0;
  #waiting = 0;
  #paused = false;
  #state: "flowing" | "ended" | "failed" = "flowing";
  #error: HttpError | undefined;
  #reader: { readonly resolve: (result: Result) => void; readonly reject: (error: Error) => void } | undefined;

  /** @param onSettled called once, when the answer has come to its end in any way. */
  constructor(flow: FlowControl, host: string, onSettled: () => void) {
    this.#flow = flow;
    this.#host = host;
    this.#onSettled = onSettled;
  }

  push(chunk: Buffer): void {
    if (this.#state !== "flowing") return;
    const reader = this.#reader;
    if (reader !== undefined) {
      this.#reader = undefined;
      reader.resolve({ done: false, value: chunk });
      return;
    }
    this.#queue.push(chunk);
    this.#waiting += chunk.length;
    if (this.#waiting >= HIGH_WATER && !this.#paused) {
      this.#paused = true;
      this.#flow.pause();
    }
  }

  end(): void {
    if (this.#state !== "flowing") return;
    this.#state = "ended";
    this.#reader?.resolve(DONE);
    this.#reader = undefined;
    this.#onSettled();
  }

  /** Pieces that have arrived are still delivered before the error, unless the caller itself gave up. */
  fail(error: HttpError): void {
    if (this.#state !== "flowing") return;
    this.#state = "failed";
    this.#error = error;
    if (error.kind === "aborted") this.#drop();
    this.#reader?.reject(error);
    this.#reader = undefined;
    this.#onSettled();
  }

  cancel(): void {
    this.#drop();
    if (this.#state !== "flowing") return;
    const error = new HttpError("aborted", `the answer of ${this.#host} was not wanted any more`);
    this.fail(error);
    this.#flow.abort(error);
  }

  async bytes(limit: number): Promise<Buffer> {
    const pieces: Buffer[] = [];
    let length = 0;
    for await (const piece of this) {
      length += piece.length;
      if (length > limit) throw new HttpError("protocol", `the answer of ${this.#host} is longer than ${limit} bytes`);
      pieces.push(piece);
    }
    return pieces.length === 1 ? pieces[0] as Buffer : Buffer.concat(pieces, length);
  }

  async discard(): Promise<void> {
    let length = 0;
    try {
      for await (const piece of this) {
        length += piece.length;
        if (length > WORTH_DRAINING) return;
      }
    } catch {
      // Nobody wants these bytes, so nobody wants to hear that they did not come.
    }
  }

  [Symbol.asyncIterator](): AsyncIterator<Buffer, undefined> {
    return {
      next: () => this.#next(),
      return: () => {
        this.cancel();
        return Promise.resolve(DONE);
      },
    };
  }

  #next(): Promise<Result> {
    const chunk = this.#queue[this.#head];
    if (chunk !== undefined) {
      this.#head += 1;
      if (this.#head === this.#queue.length) {
        this.#queue = [];
        this.#head = 0;
      }
      this.#waiting -= chunk.length;
      if (this.#paused && this.#waiting <= LOW_WATER) {
        this.#paused = false;
        if (this.#state === "flowing") this.#flow.resume();
      }
      return Promise.resolve({ done: false, value: chunk });
    }
    if (this.#state === "ended") return Promise.resolve(DONE);
    if (this.#state === "failed") return Promise.reject(this.#error as HttpError);
    return new Promise<Result>((resolve, reject) => { this.#reader = { resolve, reject }; });
  }

  #drop(): void {
    this.#queue = [];
    this.#head = 0;
    this.#waiting = 0;
  }
}
