// When to ask again, and when no longer.

import { systemClock, type Clock } from "../util/clock.js";
import { silentLogger, type Logger } from "../util/log.js";
import { abortedError } from "./abort.js";
import { isStoreError, type StoreError } from "./errors.js";

export interface RetryOptions {
  /** Tries of one call in all, 10. A stream that has delivered something since its last break starts counting again. */
  readonly maxAttempts?: number | undefined;
  /** Milliseconds: upper bound of the first wait, 100; it doubles with each further one up to `maxDelay`, 20,000. The wait is uniform below it. */
  readonly baseDelay?: number | undefined;
  readonly maxDelay?: number | undefined;
  /** The same for `throttled`, 500. */
  readonly throttledDelay?: number | undefined;
  /** Milliseconds of one call with all its tries; no wait begins that would end later. Absent: none. */
  readonly deadline?: number | undefined;
  /** Shared by all stores of a mount, so that a store that is down is not asked ten times as often as one that is up. */
  readonly budget?: RetryBudget | undefined;
  /** The largest object that is read back to find out whether a write whose answer was lost has happened, 64 MiB. */
  readonly compareBytes?: number | undefined;
  /** An upload that may have been begun and that nobody knows the id of. */
  readonly onLeak?: ((leak: { readonly key: string; readonly error: StoreError }) => void) | undefined;
  readonly clock?: Clock | undefined;
  readonly log?: Logger | undefined;
}

/**
 * Retries cost tokens, successes bring them back. When most calls fail and the tokens are used up, every further try waits about
 * `maxDelay`: a service that is down is not stormed, a call with less time than that fails at once, and one with more of it (a
 * file being saved) still gets what it was promised.
 */
export class RetryBudget {
  readonly capacity: number;
  #tokens: number;

  constructor(capacity = 500) {
    this.capacity = capacity;
    this.#tokens = capacity;
  }

  get tokens(): number { return this.#tokens; }

  take(tokens: number): boolean {
    if (tokens > this.#tokens) return false;
    this.#tokens -= tokens;
    return true;
  }

  give(tokens: number): void {
    this.#tokens = Math.min(this.capacity, this.#tokens + tokens);
  }
}

const RETRY_COST = 5;

export interface RetryStats {
  retries: number;
  /** Streams that went on after a break. */
  resumed: number;
  /** Calls that failed although asking again might have helped: tries or deadline were used up. */
  exhausted: number;
  /** Uploads that may have been begun unheard. */
  leaks: number;
}

export class RetryPolicy {
  readonly maxAttempts: number;
  readonly baseDelay: number;
  readonly maxDelay: number;
  readonly throttledDelay: number;
  readonly deadline: number;
  readonly budget: RetryBudget;
  readonly clock: Clock;
  readonly log: Logger;
  readonly stats: RetryStats = { retries: 0, resumed: 0, exhausted: 0, leaks: 0 };

  constructor(options: RetryOptions) {
    this.maxAttempts = options.maxAttempts ?? 10;
    this.baseDelay = options.baseDelay ?? 100;
    this.maxDelay = options.maxDelay ?? 20_000;
    this.throttledDelay = options.throttledDelay ?? 500;
    this.deadline = options.deadline ?? Infinity;
    this.budget = options.budget ?? new RetryBudget();
    this.clock = options.clock ?? systemClock;
    this.log = options.log ?? silentLogger;
  }

  attempts(call: string, key: string | undefined, signal: AbortSignal | undefined): Attempts {
    return new Attempts(this, call, key, signal);
  }

  /** Calls `work` until it succeeds or there is no point. `failed` is told of each failure that will be followed by another try. */
  async run<T>(call: string, key: string | undefined, signal: AbortSignal | undefined, work: (attempt: number) => Promise<T>,
    failed?: (error: StoreError) => void): Promise<T> {
    const attempts = this.attempts(call, key, signal);
    for (;;) {
      try {
        const result = await work(attempts.made + 1);
        attempts.succeeded();
        return result;
      } catch (error) {
        const retryable = attempts.mayRepeat(error);
        failed?.(retryable);
        await attempts.wait(retryable);
      }
    }
  }
}

/** The tries of one call. */
export class Attempts {
  /** Failed so far. */
  made = 0;
  readonly #policy: RetryPolicy;
  readonly #call: string;
  readonly #key: string | undefined;
  readonly #signal: AbortSignal | undefined;
  #started: number;
  #refreshed = false;
  #paid = 0;

  constructor(policy: RetryPolicy, call: string, key: string | undefined, signal: AbortSignal | undefined) {
    this.#policy = policy;
    this.#call = call;
    this.#key = key;
    this.#signal = signal;
    this.#started = policy.clock.monotonic();
  }

  /** The error, when asking again is the thing to do by its class; throws it otherwise. */
  mayRepeat(error: unknown): StoreError {
    if (!isStoreError(error) || error.retry === "never") throw error;
    if (this.#signal?.aborted === true) throw abortedError(this.#signal, this.#key);
    if (error.retry === "credentials" && this.#refreshed) throw error;
    return error;
  }

  /** Waits before the next try; throws the error when there shall be none. */
  async wait(error: StoreError): Promise<void> {
    const policy = this.#policy;
    this.made += 1;
    const paid = policy.budget.take(RETRY_COST);
    const delay = paid || error.retry === "credentials" ? this.#delay(error) : Math.max(this.#delay(error), policy.maxDelay * (0.5 + policy.clock.random() / 2));
    const late = policy.clock.monotonic() + delay - this.#started > policy.deadline;
    if (this.made >= policy.maxAttempts || late) {
      if (paid) policy.budget.give(RETRY_COST);
      policy.stats.exhausted += 1;
      policy.log.debug({ call: this.#call, key: this.#key, attempts: this.made, kind: error.kind }, "not asked again");
      throw error;
    }
    if (paid) this.#paid += RETRY_COST;
    policy.stats.retries += 1;
    policy.log.debug({ call: this.#call, key: this.#key, attempt: this.made, kind: error.kind, code: error.code, delay: Math.round(delay) }, "asked again");
    if (delay === 0) return;
    try {
      await policy.clock.sleep(delay, this.#signal);
    } catch {
      throw abortedError(this.#signal, this.#key);
    }
  }

  #delay(error: StoreError): number {
    if (error.retry === "credentials") {
      this.#refreshed = true;
      return 0;
    }
    const { baseDelay, throttledDelay, maxDelay, clock } = this.#policy;
    const base = error.retry === "throttled" ? throttledDelay : baseDelay;
    const jittered = clock.random() * Math.min(maxDelay, base * 2 ** (this.made - 1));
    return Math.max(jittered, error.retryAfterMs ?? 0);
  }

  /** Something arrived: the next break is a first one, and the deadline starts again. */
  progressed(): void {
    this.made = 0;
    this.#started = this.#policy.clock.monotonic();
    this.#refreshed = false;
  }

  succeeded(): void {
    this.#policy.budget.give(this.#paid === 0 ? 1 : this.#paid);
    this.#paid = 0;
  }
}
