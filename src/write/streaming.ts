// Sending full parts while a sequential writer goes on. A part is sent when all of it is staged and the writer has moved
// past its end; the last part is left for the commit, which knows that it is the last.

import { isStoreError } from "../store/errors.js";
import type { WriteContext } from "./context.js";
import type { PartSizes } from "./partSizes.js";
import type { StagedData } from "./stagedData.js";
import type { UploadSession } from "./uploadSession.js";

/** Rewritten parts after which the writer counts as a random one: what is left is sent by the commit. */
const MAX_REWRITES = 8;

export class Streaming {
  readonly session: UploadSession;
  readonly sizes: PartSizes;
  readonly #context: WriteContext;
  readonly #data: StagedData;
  #next = 1;
  #flying = 0;
  #stopped = false;
  #rewrites = 0;
  #wake: (() => void)[] = [];

  constructor(session: UploadSession, sizes: PartSizes, context: WriteContext, data: StagedData) {
    this.session = session;
    this.sizes = sizes;
    this.#context = context;
    this.#data = data;
    data.parts.follow(sizes);
  }

  /** Called after every write. */
  advance(): void {
    const staged = this.#data.contiguous;
    while (!this.#stopped) {
      const offset = this.sizes.offset(this.#next);
      const length = this.sizes.length(this.#next);
      if (offset + length >= staged || offset + length > this.sizes.capacity) return;
      const part = { number: this.#next, offset, length, copy: false };
      this.#next += 1;
      this.#flying += 1;
      this.session.send(part, false).catch((error: unknown) => {
        if (isStoreError(error, "aborted")) return;
        // The commit sends it again, and its error is the one that counts.
        this.stop();
        this.#context.logger.warn({ key: this.session.key, part: part.number, err: error }, "a part could not be sent while the file is written");
      }).finally(() => {
        this.#flying -= 1;
        this.#notify();
      });
    }
  }

  /** The bytes are about to change; see UploadSession.invalidate. */
  async invalidate(start: number, end: number): Promise<void> {
    this.#rewrites += await this.session.invalidate(start, end);
    if (this.#rewrites > MAX_REWRITES) this.stop();
  }

  /** Sends nothing more; what is on its way goes on. */
  stop(): void {
    this.#stopped = true;
    this.#data.parts.follow(undefined);
    this.#notify();
  }

  /** Waits until the store has caught up to within `maxUnsent` bytes, or nothing is on its way any more. */
  async room(signal?: AbortSignal): Promise<void> {
    while (!this.#stopped && this.#flying > 0 && this.#data.contiguous - this.session.acknowledged > this.#context.options.maxUnsent) {
      await new Promise<void>((resolve, reject) => {
        const wake = (): void => { signal?.removeEventListener("abort", onAbort); resolve(); };
        const onAbort = (): void => {
          this.#wake = this.#wake.filter((one) => one !== wake);
          reject(signal?.reason as Error);
        };
        signal?.throwIfAborted();
        signal?.addEventListener("abort", onAbort, { once: true });
        this.#wake.push(wake);
      });
    }
  }

  #notify(): void {
    const waiting = this.#wake;
    this.#wake = [];
    for (const wake of waiting) wake();
  }
}
