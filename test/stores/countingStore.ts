// Stands for the bill: how often each call was made, and how many bytes went each way.

import type { Body, ObjectStream } from "../../src/store/objectStore.js";
import { StoreWrapper, tapBody, tapStream, type StoreCall } from "../../src/store/wrapper.js";

export class CountingStore extends StoreWrapper {
  /** Calls by name, and the keys they were about, in order. */
  readonly calls: StoreCall[] = [];
  sent = 0;
  received = 0;
  /** Streams handed out and neither ended nor cancelled. */
  openStreams = 0;
  /** Calls that have not settled. */
  running = 0;
  peakRunning = 0;

  count(name?: StoreCall["name"]): number {
    return name === undefined ? this.calls.length : this.calls.filter((call) => call.name === name).length;
  }

  reset(): void {
    this.calls.length = 0;
    this.sent = 0;
    this.received = 0;
    this.peakRunning = this.running;
  }

  protected override async onCall<T>(call: StoreCall, work: () => Promise<T>): Promise<T> {
    this.calls.push(call);
    this.running += 1;
    this.peakRunning = Math.max(this.peakRunning, this.running);
    try {
      return await work();
    } finally {
      this.running -= 1;
    }
  }

  protected override async onGet(call: StoreCall, work: () => Promise<ObjectStream>): Promise<ObjectStream> {
    const stream = await this.onCall(call, work);
    this.openStreams += 1;
    return tapStream(stream, call.signal, (piece) => { this.received += piece.length; }, () => { this.openStreams -= 1; });
  }

  protected override onBody(_call: StoreCall, body: Body): Body {
    return tapBody(body, (piece) => { this.sent += piece.length; });
  }
}
