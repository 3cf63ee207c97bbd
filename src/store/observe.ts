// What goes over the wire: counters per call for `status`, and a log line per request at debug.

import { systemClock, type Clock } from "../util/clock.js";
import { silentLogger, type Logger } from "../util/log.js";
import { isStoreError } from "./errors.js";
import type { Body, ObjectService, ObjectStore, ObjectStream } from "./objectStore.js";
import { ServiceWrapper, StoreWrapper, tapBody, type StoreCall } from "./wrapper.js";
import { objectStream } from "./objectStream.js";

/** Upper bounds of the latency classes, milliseconds; a last class is above them all. */
export const LATENCY_BOUNDS: readonly number[] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000];

export interface CallStats {
  count: number;
  /** By kind; of a `get` also what broke its stream. */
  readonly errors: Partial<Record<string, number>>;
  /** Bytes of bodies, as they were taken or arrived. */
  sent: number;
  received: number;
  running: number;
  /** Calls per latency class; of a `get` until its stream began. */
  readonly latency: number[];
}

/** Shared by all stores and services of a mount. `snapshot` is plain data. */
export class StoreMetrics {
  readonly #calls = new Map<StoreCall["name"], CallStats>();

  of(name: StoreCall["name"]): CallStats {
    let stats = this.#calls.get(name);
    if (stats === undefined) {
      stats = { count: 0, errors: {}, sent: 0, received: 0, running: 0, latency: Array.from({ length: LATENCY_BOUNDS.length + 1 }, () => 0) };
      this.#calls.set(name, stats);
    }
    return stats;
  }

  snapshot(): Readonly<Record<string, CallStats>> {
    return Object.fromEntries([...this.#calls].map(([name, stats]) => [name, structuredClone(stats)]));
  }
}

export interface ObserveOptions {
  readonly metrics?: StoreMetrics | undefined;
  readonly log?: Logger | undefined;
  readonly clock?: Clock | undefined;
}

class Observer {
  readonly metrics: StoreMetrics;
  readonly #log: Logger;
  readonly #clock: Clock;

  constructor(options: ObserveOptions) {
    this.metrics = options.metrics ?? new StoreMetrics();
    this.#log = options.log ?? silentLogger;
    this.#clock = options.clock ?? systemClock;
  }

  async call<T>(call: StoreCall, work: () => Promise<T>): Promise<T> {
    const stats = this.metrics.of(call.name);
    const started = this.#clock.monotonic();
    stats.count += 1;
    stats.running += 1;
    let error: unknown;
    try {
      return await work();
    } catch (caught) {
      error = caught;
      throw caught;
    } finally {
      const took = this.#clock.monotonic() - started;
      const bound = LATENCY_BOUNDS.findIndex((limit) => took <= limit);
      const at = bound < 0 ? LATENCY_BOUNDS.length : bound;
      stats.running -= 1;
      stats.latency[at] = (stats.latency[at] as number) + 1;
      if (error !== undefined) this.failed(call, error);
      this.#log.debug({ call: call.name, key: call.key, ms: Math.round(took * 10) / 10, sends: call.sends || undefined, ...factsOf(error) }, "store");
    }
  }

  failed(call: StoreCall, error: unknown): void {
    const { errors } = this.metrics.of(call.name);
    const kind = isStoreError(error) ? error.kind : "unexpected";
    errors[kind] = (errors[kind] ?? 0) + 1;
  }
}

function factsOf(error: unknown): object {
  if (error === undefined) return {};
  if (!isStoreError(error)) return { error: String(error as Error) };
  return { error: error.kind, status: error.status, code: error.code, requestId: error.requestId };
}

export class ObserveStore extends StoreWrapper {
  readonly #observer: Observer;

  constructor(inner: ObjectStore, options: ObserveOptions = {}) {
    super(inner);
    this.#observer = new Observer(options);
  }

  get metrics(): StoreMetrics { return this.#observer.metrics; }

  protected override onCall<T>(call: StoreCall, work: () => Promise<T>): Promise<T> {
    return this.#observer.call(call, work);
  }

  protected override async onGet(call: StoreCall, work: () => Promise<ObjectStream>): Promise<ObjectStream> {
    const stream = await this.#observer.call(call, work);
    return objectStream({
      info: stream.info, start: stream.start, length: stream.length, signal: call.signal,
      open: () => this.#watch(call, stream),
      free: (completed) => { if (!completed) stream.cancel(); },
    });
  }

  async *#watch(call: StoreCall, stream: ObjectStream): AsyncGenerator<Buffer> {
    const stats = this.#observer.metrics.of(call.name);
    try {
      for await (const piece of stream) {
        stats.received += piece.length;
        yield piece;
      }
    } catch (error) {
      // Leaving early is the reader's right, not a failure.
      if (!isStoreError(error, "aborted")) this.#observer.failed(call, error);
      throw error;
    }
  }

  protected override onBody(call: StoreCall, body: Body): Body {
    const stats = this.#observer.metrics.of(call.name);
    return tapBody(body, (piece) => { stats.sent += piece.length; });
  }
}

export class ObserveService extends ServiceWrapper {
  readonly #options: ObserveOptions;
  readonly #observer: Observer;

  constructor(inner: ObjectService, options: ObserveOptions = {}) {
    super(inner);
    this.#observer = new Observer(options);
    this.#options = { ...options, metrics: this.#observer.metrics };
  }

  get metrics(): StoreMetrics { return this.#observer.metrics; }

  protected override onCall<T>(call: StoreCall, work: () => Promise<T>): Promise<T> {
    return this.#observer.call(call, work);
  }

  protected override wrapStore(store: ObjectStore): ObjectStore {
    return new ObserveStore(store, this.#options);
  }
}
