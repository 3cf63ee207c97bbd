// Stands for a store far away or on a thin line: latency before every answer, and so many bytes a second per stream and in all.

import { abortedError } from "../../src/store/abort.js";
import type { Body, ObjectStore, ObjectStream } from "../../src/store/objectStore.js";
import { StoreWrapper, tapBody, tapStream, type StoreCall } from "../../src/store/wrapper.js";
import { systemClock, type Clock } from "../../src/util/clock.js";

export interface SlowOptions {
  /** Milliseconds of every call: half before the store acts, half before its answer arrives. */
  readonly latency?: number | undefined;
  /** Bytes per second of one body, sent or received. */
  readonly bandwidth?: number | undefined;
  /** Bytes per second of all bodies together. */
  readonly totalBandwidth?: number | undefined;
  readonly clock?: Clock | undefined;
}

/** A line that is busy until some time: bytes are sent one after the other. */
class Line {
  readonly #perSecond: number;
  readonly #clock: Clock;
  #busyUntil = 0;

  constructor(perSecond: number, clock: Clock) {
    this.#perSecond = perSecond;
    this.#clock = clock;
  }

  /** Milliseconds until these bytes are through. */
  wait(bytes: number): number {
    const now = this.#clock.monotonic();
    this.#busyUntil = Math.max(now, this.#busyUntil) + bytes * 1000 / this.#perSecond;
    return this.#busyUntil - now;
  }
}

export class SlowStore extends StoreWrapper {
  readonly #latency: number;
  readonly #bandwidth: number;
  readonly #clock: Clock;
  readonly #total: Line;

  constructor(inner: ObjectStore, options: SlowOptions = {}) {
    super(inner);
    this.#latency = options.latency ?? 0;
    this.#bandwidth = options.bandwidth ?? Infinity;
    this.#clock = options.clock ?? systemClock;
    this.#total = new Line(options.totalBandwidth ?? Infinity, this.#clock);
  }

  protected override async onCall<T>(call: StoreCall, work: () => Promise<T>): Promise<T> {
    await this.#sleep(this.#latency / 2, call);
    const result = await work();
    await this.#sleep(this.#latency / 2, call);
    return result;
  }

  protected override async onGet(call: StoreCall, work: () => Promise<ObjectStream>): Promise<ObjectStream> {
    return tapStream(await this.onCall(call, work), call.signal, this.#pace(call));
  }

  protected override onBody(call: StoreCall, body: Body): Body {
    return tapBody(body, this.#pace(call));
  }

  #pace(call: StoreCall): (piece: Buffer) => Promise<void> {
    const own = new Line(this.#bandwidth, this.#clock);
    return (piece) => this.#sleep(Math.max(own.wait(piece.length), this.#total.wait(piece.length)), call);
  }

  async #sleep(milliseconds: number, call: StoreCall): Promise<void> {
    if (milliseconds <= 0) return;
    try {
      await this.#clock.sleep(milliseconds, call.signal);
    } catch {
      throw abortedError(call.signal, call.key);
    }
  }
}
