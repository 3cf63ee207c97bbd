// The bytes of a small staged file while they stay in memory: one Buffer that doubles, every byte of it leased.

import type { ByteBudget } from "../util/byteBudget.js";

const SMALLEST = 16 * 1024;

interface PooledLease { release(): void }

/** What all small files of a mount may hold together; asked, never waited for: the disk is the other way. */
export class MemoryPool {
  readonly #budget: ByteBudget;
  readonly #limit: number;
  #used = 0;

  constructor(budget: ByteBudget, limit: number) {
    this.#budget = budget;
    this.#limit = limit;
  }

  get used(): number { return this.#used; }

  take(bytes: number): PooledLease | undefined {
    if (this.#used + bytes > this.#limit) return undefined;
    const lease = this.#budget.tryAcquire(bytes);
    if (lease === undefined) return undefined;
    this.#used += bytes;
    let held = true;
    return {
      release: () => {
        if (!held) return;
        held = false;
        this.#used -= bytes;
        lease.release();
      },
    };
  }
}

export class MemoryBytes {
  readonly #pool: MemoryPool;
  #bytes: Buffer = Buffer.alloc(0);
  #leases: PooledLease[] = [];

  constructor(pool: MemoryPool) {
    this.#pool = pool;
  }

  /** @returns false, with nothing changed, when the memory for it is not to be had. */
  write(offset: number, data: Buffer): boolean {
    const end = offset + data.length;
    if (end > this.#bytes.length) {
      const capacity = Math.max(end, Math.min(this.#bytes.length * 2, end + 64 * 1024), end <= SMALLEST ? Math.min(SMALLEST, end * 2) : 0);
      const lease = this.#pool.take(capacity - this.#bytes.length);
      if (lease === undefined) return false;
      this.#leases.push(lease);
      const grown = Buffer.allocUnsafeSlow(capacity);
      this.#bytes.copy(grown);
      this.#bytes = grown;
    }
    data.copy(this.#bytes, offset);
    return true;
  }

  /** Not a copy. */
  view(start: number, end: number): Buffer {
    return this.#bytes.subarray(start, end);
  }

  free(): void {
    for (const lease of this.#leases) lease.release();
    this.#leases = [];
    this.#bytes = Buffer.alloc(0);
  }
}
