// One budget of bytes for the whole mount: cached blocks, ranges in flight, parts, listings. Whoever holds bytes holds a
// lease. What can be dropped at once (cached blocks) is offered by reclaimers, so a waiting caller is never starved by
// a cache. Back-pressure instead of failure: `acquire` waits, first come first served.

/** Bytes held. `release` is idempotent. */
export interface Lease {
  /** What is still held by this lease. */
  readonly bytes: number;
  release(): void;
  /** Moves `bytes` of it into a lease of their own, so that a range that arrived as several blocks is given back block by block. */
  split(bytes: number): Lease;
}

/** Asked to free about `wanted` bytes now, synchronously, by releasing leases; answers how many it released. */
export type Reclaimer = (wanted: number) => number;

interface Waiter {
  readonly bytes: number;
  readonly grant: (lease: Lease) => void;
  cancelled: boolean;
}

export class ByteBudget {
  readonly limit: number;
  #used = 0;
  #peak = 0;
  #granting = false;
  readonly #waiters: Waiter[] = [];
  readonly #reclaimers = new Set<Reclaimer>();

  constructor(limit: number) {
    this.limit = limit;
  }

  get used(): number { return this.#used; }
  get peak(): number { return this.#peak; }
  get waiting(): number { return this.#waiters.length; }

  /** Registers a cache that can give bytes back; returns the function that takes it out again. */
  addReclaimer(reclaimer: Reclaimer): () => void {
    this.#reclaimers.add(reclaimer);
    return () => this.#reclaimers.delete(reclaimer);
  }

  /** A cache holds something more that it could give back: whoever waits is considered again. */
  offer(): void {
    if (this.#waiters.length > 0) this.#grant();
  }

  /** At once or not at all, and never before somebody who waits: for what is merely useful (prefetch). `reclaim`: may push cached bytes out. */
  tryAcquire(bytes: number, reclaim = true): Lease | undefined {
    if (this.#waiters.length > 0 || !this.#fits(bytes, reclaim)) return undefined;
    return this.#lease(bytes);
  }

  /** Waits until the bytes are free. A single request above the limit is granted when nothing else is held. */
  acquire(bytes: number, signal?: AbortSignal): Promise<Lease> {
    signal?.throwIfAborted();
    if (this.#waiters.length === 0 && this.#fits(bytes, true)) return Promise.resolve(this.#lease(bytes));
    return new Promise<Lease>((resolve, reject) => {
      const onAbort = (): void => {
        waiter.cancelled = true;
        const at = this.#waiters.indexOf(waiter);
        if (at >= 0) this.#waiters.splice(at, 1);
        reject(signal?.reason as Error);
        this.#grant();
      };
      const waiter: Waiter = {
        bytes, cancelled: false,
        grant: (lease) => { signal?.removeEventListener("abort", onAbort); resolve(lease); },
      };
      signal?.addEventListener("abort", onAbort, { once: true });
      this.#waiters.push(waiter);
    });
  }

  #fits(bytes: number, reclaim: boolean): boolean {
    if (this.#used + bytes <= this.limit) return true;
    if (reclaim) {
      for (const reclaimer of this.#reclaimers) {
        reclaimer(this.#used + bytes - this.limit);
        if (this.#used + bytes <= this.limit) return true;
      }
    }
    return this.#used === 0;
  }

  #lease(bytes: number): Lease {
    this.#used += bytes;
    if (this.#used > this.#peak) this.#peak = this.#used;
    return this.#held(bytes);
  }

  #held(bytes: number): Lease {
    let left = bytes;
    return {
      get bytes() { return left; },
      release: () => {
        if (left === 0) return;
        this.#used -= left;
        left = 0;
        this.#grant();
      },
      split: (part) => {
        if (part > left) throw new RangeError(`a lease of ${left} bytes cannot give ${part}`);
        left -= part;
        return this.#held(part);
      },
    };
  }

  #grant(): void {
    // A reclaimer releases leases, which comes back here: the loop that is running sees to it.
    if (this.#granting) return;
    this.#granting = true;
    try {
      for (;;) {
        const first = this.#waiters[0];
        if (first === undefined || !this.#fits(first.bytes, true)) return;
        this.#waiters.shift();
        first.grant(this.#lease(first.bytes));
      }
    } finally {
      this.#granting = false;
    }
  }
}
