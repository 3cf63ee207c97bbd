/** At most `limit` holders at once, first come first served. */
export class Semaphore {
  readonly limit: number;
  #held = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(limit: number) {
    this.limit = limit;
  }

  get held(): number { return this.#held; }
  get waiting(): number { return this.#waiting.length; }

  /** @returns the function that gives the place back (idempotent). Rejects with the signal's reason. */
  async acquire(signal?: AbortSignal): Promise<() => void> {
    signal?.throwIfAborted();
    if (this.#held < this.limit) {
      this.#held += 1;
    } else {
      // The place is handed over by the releaser, so `#held` stays as it is.
      await new Promise<void>((resolve, reject) => {
        const take = (): void => { signal?.removeEventListener("abort", onAbort); resolve(); };
        const onAbort = (): void => {
          const at = this.#waiting.indexOf(take);
          if (at >= 0) this.#waiting.splice(at, 1);
          reject(signal?.reason as Error);
        };
        signal?.addEventListener("abort", onAbort, { once: true });
        this.#waiting.push(take);
      });
    }
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      const next = this.#waiting.shift();
      if (next === undefined) this.#held -= 1;
      else next();
    };
  }

  async run<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    const release = await this.acquire(signal);
    try {
      return await work();
    } finally {
      release();
    }
  }
}
