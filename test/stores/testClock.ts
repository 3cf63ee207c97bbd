// Stands for time: nobody waits, and every wait is written down.

import type { Clock } from "../../src/util/clock.js";

export class TestClock implements Clock {
  /** Milliseconds of every sleep, in order. */
  readonly sleeps: number[] = [];
  #now: number;
  readonly #random: () => number;

  /** @param random what `random` gives; just below 1 makes every jittered wait its upper bound. */
  constructor(random: () => number = () => 0.999_999, now = 1_700_000_000_000) {
    this.#random = random;
    this.#now = now;
  }

  now(): number { return this.#now; }
  monotonic(): number { return this.#now; }
  random(): number { return this.#random(); }
  advance(milliseconds: number): void { this.#now += milliseconds; }

  async sleep(milliseconds: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    this.sleeps.push(Math.round(milliseconds));
    this.#now += milliseconds;
    await new Promise<void>(setImmediate);
    signal?.throwIfAborted();
  }
}
