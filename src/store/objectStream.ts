// The one implementation of ObjectStream: a backend gives it a source of bytes, it keeps the promises.

import { abortedError, orAborted } from "./abort.js";
import { StoreError } from "./errors.js";
import type { ObjectInfo, ObjectStream } from "./objectStore.js";

export interface StreamSource {
  readonly info: ObjectInfo;
  readonly start: number;
  readonly length: number;
  /** The bytes as they arrive; opened by the first step of the iteration, or by `cancel` never. */
  open(): AsyncIterable<Buffer> | Iterable<Buffer>;
  /** Frees what stands behind it (the connection, a slot). Called exactly once: at the end, on failure, on cancel. */
  free?: ((completed: boolean) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Exactly `length` bytes or a StoreError; iterated at most once; freed exactly once. */
export function objectStream(source: StreamSource): ObjectStream {
  return new CheckedStream(source);
}

class CheckedStream implements ObjectStream {
  readonly info: ObjectInfo;
  readonly start: number;
  readonly length: number;
  readonly #source: StreamSource;
  readonly #stop = new AbortController();
  #iterated = false;
  #freed = false;

  constructor(source: StreamSource) {
    this.info = source.info;
    this.start = source.start;
    this.length = source.length;
    this.#source = source;
    source.signal?.addEventListener("abort", this.#onAbort, { once: true });
    if (source.signal?.aborted === true) this.#onAbort();
  }

  // Frees at once, also when nobody iterates or the consumer is busy elsewhere.
  readonly #onAbort = (): void => this.#end(false, this.#source.signal);

  cancel(): void {
    this.#end(false, undefined);
  }

  #end(completed: boolean, signal: AbortSignal | undefined): void {
    if (this.#freed) return;
    this.#freed = true;
    this.#source.signal?.removeEventListener("abort", this.#onAbort);
    if (!completed) this.#stop.abort(signal?.reason ?? new Error("the stream was cancelled"));
    this.#source.free?.(completed);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer> {
    const { key } = this.info;
    if (this.#iterated) throw new StoreError("invalid", "an object's stream can be iterated once", { key });
    this.#iterated = true;
    const stop = this.#stop.signal;
    if (this.#freed) throw abortedError(stop, key);
    const opened = this.#source.open();
    const iterator = Symbol.asyncIterator in opened ? opened[Symbol.asyncIterator]() : opened[Symbol.iterator]();
    let arrived = 0;
    let ended = false;
    try {
      for (;;) {
        const step = await orAborted(Promise.resolve(iterator.next()), stop, key);
        if (step.done === true) {
          ended = true;
          break;
        }
        arrived += step.value.length;
        if (arrived > this.length) throw new StoreError("corrupt", `more than the promised ${this.length} bytes arrived`, { key });
        if (step.value.length > 0) yield step.value;
        // Cancelled while the consumer worked on the piece.
        if (this.#freed) throw abortedError(stop, key);
      }
      if (arrived < this.length) throw new StoreError("unavailable", `the body ended after ${arrived} of ${this.length} bytes`, { key });
    } catch (error) {
      if (error instanceof StoreError) throw error;
      ended = true;
      throw new StoreError("unavailable", `the body broke off after ${arrived} of ${this.length} bytes`, { key, cause: error });
    } finally {
      if (!ended) Promise.resolve(iterator.return?.()).catch(() => undefined);
      this.#end(ended && arrived === this.length, undefined);
    }
  }
}

/** Everything a stream yields, as one Buffer. */
export async function collectStream(stream: ObjectStream): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of stream) pieces.push(piece);
  return pieces.length === 1 ? pieces[0] as Buffer : Buffer.concat(pieces);
}
