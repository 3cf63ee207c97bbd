// Stands for bad days: a store that fails when and where a test says, by call and by position in the bytes that come and go.

import { abortedError, orAborted } from "../../src/store/abort.js";
import { StoreError, type StoreErrorDetails, type StoreErrorKind } from "../../src/store/errors.js";
import type { Body, ObjectStream } from "../../src/store/objectStore.js";
import { StoreWrapper, type StoreCall } from "../../src/store/wrapper.js";

export type Fault =
  /** Throws a StoreError (or what is given). */
  | { readonly kind: "throw"; readonly error: StoreErrorKind | Error; readonly details?: StoreErrorDetails }
  /** Nothing more happens until the call is aborted, the stream cancelled, the store closed, or the test calls `release`. */
  | { readonly kind: "stall" }
  /** The bytes received end here, and nobody says so. */
  | { readonly kind: "short" }
  /** One byte, received or sent, is another. */
  | { readonly kind: "wrong" }
  /** After the bytes received come more. */
  | { readonly kind: "extra" };

export interface FaultRule {
  /** Which calls; absent: all. */
  readonly call?: StoreCall["name"] | readonly StoreCall["name"][] | undefined;
  readonly key?: string | RegExp | undefined;
  /** The first matching call that fails, 1-based; default 1. */
  readonly nth?: number | undefined;
  /** How many matching calls fail from then on; default 1. */
  readonly times?: number | undefined;
  /**
   * `before` (default): the store has not acted. `after`: it has, and the answer is lost. `received`: when so many bytes of a
   * get's stream were handed on. `sent`: when so many bytes of a body were taken.
   */
  readonly at?: "before" | "after" | { readonly received: number } | { readonly sent: number } | undefined;
  readonly fault: Fault;
}

/** A rule at work. */
export interface ActiveFault {
  /** Calls it has hit. */
  readonly hits: number;
  /** Resolves when it is hit for the first time. */
  readonly hit: Promise<void>;
  /** Lets stalled calls go on; later ones are not stalled. */
  release(): void;
  /** Takes the rule away. */
  remove(): void;
}

class Active implements ActiveFault {
  readonly rule: FaultRule;
  hits = 0;
  readonly hit: Promise<void>;
  readonly released: Promise<void>;
  #matched = 0;
  #onHit!: () => void;
  #onRelease!: () => void;
  readonly #remove: (active: Active) => void;

  constructor(rule: FaultRule, remove: (active: Active) => void) {
    this.rule = rule;
    this.#remove = remove;
    this.hit = new Promise((resolve) => { this.#onHit = resolve; });
    this.released = new Promise((resolve) => { this.#onRelease = resolve; });
  }

  release(): void { this.#onRelease(); }
  remove(): void { this.#remove(this); }

  struck(): void {
    this.hits += 1;
    this.#onHit();
  }

  /** Counts the call when the rule is about it, and says whether it is one that fails. */
  takes(call: StoreCall): boolean {
    const { call: names, key, nth = 1, times = 1 } = this.rule;
    if (names !== undefined && !(typeof names === "string" ? names === call.name : names.includes(call.name))) return false;
    if (key !== undefined && !(typeof key === "string" ? key === call.key : key.test(call.key ?? ""))) return false;
    this.#matched += 1;
    return this.#matched >= nth && this.#matched < nth + times;
  }
}

export class FaultyStore extends StoreWrapper {
  readonly #active: Active[] = [];
  readonly #closing = new AbortController();
  /** Rules that struck the call: a `sent` rule is taken when the call starts, and meets its body later. */
  readonly #taken = new WeakMap<StoreCall, Active[]>();

  /** Adds a rule. All rules that match apply, in the order they were added. */
  fail(rule: FaultRule): ActiveFault {
    const active = new Active(rule, (gone) => {
      const at = this.#active.indexOf(gone);
      if (at >= 0) this.#active.splice(at, 1);
    });
    this.#active.push(active);
    return active;
  }

  /** Takes all rules away. */
  heal(): void {
    for (const active of this.#active.splice(0)) active.release();
  }

  protected override async onCall<T>(call: StoreCall, work: () => Promise<T>): Promise<T> {
    const taken = this.#active.filter((active) => active.takes(call));
    this.#taken.set(call, taken);
    for (const active of taken) if ((active.rule.at ?? "before") === "before") await this.#strike(active, call);
    const result = await work();
    for (const active of taken) if (active.rule.at === "after") await this.#strike(active, call);
    return result;
  }

  protected override async onGet(call: StoreCall, work: () => Promise<ObjectStream>): Promise<ObjectStream> {
    const stream = await this.onCall(call, work);
    const placed = this.#placed(call, "received");
    if (placed.length === 0) return stream;
    const cancelled = new AbortController();
    return {
      info: stream.info, start: stream.start, length: stream.length,
      cancel: () => {
        cancelled.abort();
        stream.cancel();
      },
      [Symbol.asyncIterator]: () => this.#bend(stream, placed, { ...call, signal: anyOf(call.signal, cancelled.signal) }),
    };
  }

  protected override onBody(call: StoreCall, body: Body): Body {
    const placed = this.#placed(call, "sent");
    return placed.length === 0 ? body : { length: body.length, open: () => this.#bend(body.open(), placed, call) };
  }

  override close(): Promise<void> {
    this.#closing.abort();
    return super.close();
  }

  #placed(call: StoreCall, where: "received" | "sent"): { readonly at: number; readonly active: Active }[] {
    const found: { readonly at: number; readonly active: Active }[] = [];
    for (const active of this.#taken.get(call) ?? []) {
      const { at } = active.rule;
      if (typeof at !== "object") continue;
      const position = where === "received" ? ("received" in at ? at.received : undefined) : "sent" in at ? at.sent : undefined;
      if (position !== undefined) found.push({ at: position, active });
    }
    return found.sort((a, b) => a.at - b.at);
  }

  async *#bend(source: AsyncIterable<Buffer> | Iterable<Buffer>, placed: readonly { readonly at: number; readonly active: Active }[],
    call: StoreCall): AsyncGenerator<Buffer> {
    const left = [...placed];
    let passed = 0;
    for await (const piece of source) {
      let rest = piece;
      for (;;) {
        const next = left[0];
        if (next === undefined || next.at > passed + rest.length || (next.at === passed + rest.length && next.active.rule.fault.kind === "wrong")) break;
        const head = rest.subarray(0, next.at - passed);
        if (head.length > 0) yield head;
        passed += head.length;
        rest = rest.subarray(head.length);
        left.shift();
        const { fault } = next.active.rule;
        if (fault.kind === "short") {
          next.active.struck();
          return;
        }
        if (fault.kind === "extra") {
          next.active.struck();
          yield Buffer.from("more than was asked for");
        } else if (fault.kind === "wrong") {
          next.active.struck();
          rest = Buffer.from(rest);
          rest[0] = (rest[0] as number) ^ 0x55;
        } else {
          await this.#strike(next.active, call);
        }
      }
      passed += rest.length;
      if (rest.length > 0) yield rest;
    }
    for (const { active } of left) {
      if (active.rule.fault.kind !== "extra") continue;
      active.struck();
      yield Buffer.from("more than was asked for");
    }
  }

  async #strike(active: Active, call: StoreCall): Promise<void> {
    active.struck();
    const { fault } = active.rule;
    if (fault.kind === "stall") {
      const signal = anyOf(call.signal, this.#closing.signal);
      if (signal.aborted) throw abortedError(signal, call.key);
      await orAborted(active.released, signal, call.key);
    } else if (fault.kind === "throw") {
      throw typeof fault.error === "string"
        ? new StoreError(fault.error, `injected: ${fault.error} in ${call.name}`, { key: call.key, ...fault.details })
        : fault.error;
    }
  }
}

function anyOf(a: AbortSignal | undefined, b: AbortSignal): AbortSignal {
  return a === undefined ? b : AbortSignal.any([a, b]);
}
