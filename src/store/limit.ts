// How many requests are under way at once. Streams hold their place until their end. `get` has places of its own: a put whose body
// is another object's stream (a copy through this host) needs one of each, and puts that waited for gets that wait for puts would
// wait for ever.

import { abortedError } from "./abort.js";
import type { ObjectService, ObjectStore, ObjectStream } from "./objectStore.js";
import { ServiceWrapper, StoreWrapper, tapStream, type StoreCall } from "./wrapper.js";

export interface LimitOptions {
  /** `get` streams at once, 64. */
  readonly streams?: number | undefined;
  /** All other calls at once, 64. */
  readonly calls?: number | undefined;
  /** Places of each kind that background calls leave free, a quarter. */
  readonly reserved?: number | undefined;
}

interface Waiting {
  readonly take: () => void;
}

/** Places of one kind: foreground first, then background, each first come first served. */
export class Places {
  readonly limit: number;
  readonly reserved: number;
  #held = 0;
  readonly #foreground: Waiting[] = [];
  readonly #background: Waiting[] = [];

  constructor(limit: number, reserved: number) {
    this.limit = limit;
    // At least one place is for background calls too, or they would never have a turn.
    this.reserved = Math.min(reserved, limit - 1);
  }

  get held(): number { return this.#held; }
  get waiting(): number { return this.#foreground.length + this.#background.length; }

  /** @returns the function that gives the place back (idempotent). */
  async take(background: boolean, signal: AbortSignal | undefined, key?: string): Promise<() => void> {
    if (signal?.aborted === true) throw abortedError(signal, key);
    if (!this.#free(background)) await this.#wait(background ? this.#background : this.#foreground, signal, key);
    else this.#held += 1;
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      this.#held -= 1;
      this.#next();
    };
  }

  #free(background: boolean): boolean {
    if (this.#foreground.length > 0 || (background && this.#background.length > 0)) return false;
    return this.#held < this.limit - (background ? this.reserved : 0);
  }

  #wait(queue: Waiting[], signal: AbortSignal | undefined, key: string | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        queue.splice(queue.indexOf(waiting), 1);
        reject(abortedError(signal, key));
        // It may have been the one that kept background calls waiting.
        this.#next();
      };
      const waiting: Waiting = {
        take: () => {
          signal?.removeEventListener("abort", leave);
          resolve();
        },
      };
      signal?.addEventListener("abort", leave, { once: true });
      queue.push(waiting);
    });
  }

  #next(): void {
    for (;;) {
      const queue = this.#foreground.length > 0 ? this.#foreground : this.#background;
      const free = this.#held < this.limit - (queue === this.#background ? this.reserved : 0);
      const first = queue[0];
      if (!free || first === undefined) return;
      queue.shift();
      // Counted here, not when the waiter runs: nobody else can take it meanwhile.
      this.#held += 1;
      first.take();
    }
  }
}

/** Shared by all stores and services of a mount. */
export class RequestLimit {
  readonly streams: Places;
  readonly calls: Places;

  constructor(options: LimitOptions = {}) {
    const { streams = 64, calls = 64 } = options;
    this.streams = new Places(streams, options.reserved ?? streams >> 2);
    this.calls = new Places(calls, options.reserved ?? calls >> 2);
  }

  async run<T>(call: StoreCall, work: () => Promise<T>): Promise<T> {
    const release = await this.calls.take(call.background, call.signal, call.key);
    try {
      return await work();
    } finally {
      release();
    }
  }
}

export class LimitStore extends StoreWrapper {
  readonly #limit: RequestLimit;

  constructor(inner: ObjectStore, limit: RequestLimit) {
    super(inner);
    this.#limit = limit;
  }

  protected override onCall<T>(call: StoreCall, work: () => Promise<T>): Promise<T> {
    return this.#limit.run(call, work);
  }

  protected override async onGet(call: StoreCall, work: () => Promise<ObjectStream>): Promise<ObjectStream> {
    const release = await this.#limit.streams.take(call.background, call.signal, call.key);
    try {
      return tapStream(await work(), call.signal, undefined, release);
    } catch (error) {
      release();
      throw error;
    }
  }
}

export class LimitService extends ServiceWrapper {
  readonly #limit: RequestLimit;

  constructor(inner: ObjectService, limit: RequestLimit) {
    super(inner);
    this.#limit = limit;
  }

  protected override onCall<T>(call: StoreCall, work: () => Promise<T>): Promise<T> {
    return this.#limit.run(call, work);
  }

  protected override wrapStore(store: ObjectStore): ObjectStore {
    return new LimitStore(store, this.#limit);
  }
}
