// The stores that tests stand on: what they claim to do they do.

import { describe, expect, it } from "vitest";
import { bodyOf } from "../../../src/store/body.js";
import { MemoryStore } from "../../../src/store/memory/memoryStore.js";
import { collectStream } from "../../../src/store/objectStream.js";
import { bytes, failure } from "../../contract/harness.js";
import { CountingStore } from "../../stores/countingStore.js";
import { FaultyStore } from "../../stores/faultyStore.js";
import { SlowStore } from "../../stores/slowStore.js";
import { TestClock } from "../../stores/testClock.js";

async function received(store: FaultyStore): Promise<[number, unknown]> {
  let count = 0;
  try {
    for await (const piece of await store.get("a")) count += piece.length;
    return [count, undefined];
  } catch (error) {
    return [count, error];
  }
}

describe("a faulty store", () => {
  async function setup(): Promise<{ store: FaultyStore; memory: MemoryStore; data: Buffer }> {
    const memory = new MemoryStore({ chunkSize: 1000 });
    const data = bytes(10_000);
    await memory.put("a", bodyOf(data));
    return { store: new FaultyStore(memory), memory, data };
  }

  it("strikes by name, key and count", async () => {
    const { store, memory } = await setup();
    await memory.put("b", bodyOf("x"));
    const rule = store.fail({ call: ["head", "get"], key: /^b/, nth: 2, times: 2, fault: { kind: "throw", error: "denied" } });
    await store.head("a");
    await store.head("b");
    expect(await failure(store.head("b"))).toMatchObject({ kind: "denied", key: "b" });
    expect(await failure(store.get("b"))).toMatchObject({ kind: "denied" });
    await store.head("b");
    expect(rule.hits).toBe(2);
    await rule.hit;
  });

  it("before the store has acted, and after", async () => {
    const { store, memory } = await setup();
    store.fail({ call: "put", at: "before", fault: { kind: "throw", error: "unavailable" } });
    store.fail({ call: "put", nth: 2, at: "after", fault: { kind: "throw", error: "unavailable" } });
    await failure(store.put("n", bodyOf("x")));
    expect(await failure(memory.head("n"))).toMatchObject({ kind: "not-found" });
    await failure(store.put("n", bodyOf("x")));
    expect((await memory.head("n")).size).toBe(1);
  });

  it("at a position of what is received", async () => {
    const { store, data } = await setup();
    for (const position of [0, 1, 999, 1000, 1001, 10_000]) {
      const rule = store.fail({ call: "get", at: { received: position }, fault: { kind: "throw", error: "unavailable" } });
      const [count, error] = await received(store);
      expect([position, count, (error as { kind?: string } | undefined)?.kind]).toEqual([position, position, "unavailable"]);
      rule.remove();
    }
    store.fail({ call: "get", at: { received: 2500 }, fault: { kind: "short" } });
    expect(await received(store)).toEqual([2500, undefined]);
    store.heal();
    store.fail({ call: "get", at: { received: 10_000 }, fault: { kind: "extra" } });
    expect((await received(store))[0]).toBeGreaterThan(10_000);
    store.heal();
    store.fail({ call: "get", at: { received: 2000 }, fault: { kind: "wrong" } });
    const wrong = await collectStream(await store.get("a"));
    expect(wrong.length).toBe(10_000);
    expect([...wrong.keys()].filter((i) => wrong[i] !== data[i])).toEqual([2000]);
  });

  it("at a position of what is sent", async () => {
    const { store, memory, data } = await setup();
    store.fail({ call: "put", at: { sent: 3000 }, fault: { kind: "throw", error: "unavailable" } });
    expect(await failure(store.put("n", bodyOf(data)))).toMatchObject({ kind: "unavailable" });
    expect(await failure(memory.head("n"))).toMatchObject({ kind: "not-found" });
    store.heal();
    store.fail({ call: "put", at: { sent: 3000 }, fault: { kind: "wrong" } });
    await store.put("n", bodyOf(data));
    const wrong = await collectStream(await memory.get("n"));
    expect([...wrong.keys()].filter((i) => wrong[i] !== data[i])).toEqual([3000]);
  });

  it("stalls until it is released, aborted, cancelled or closed", async () => {
    const { store, data } = await setup();
    const released = store.fail({ call: "head", fault: { kind: "stall" } });
    const head = store.head("a");
    await released.hit;
    released.release();
    expect((await head).size).toBe(10_000);
    const controller = new AbortController();
    const aborted = store.fail({ call: "get", at: { received: 500 }, fault: { kind: "stall" } });
    const reading = failure((async () => collectStream(await store.get("a", undefined, { signal: controller.signal })))());
    await aborted.hit;
    controller.abort();
    expect(await reading).toMatchObject({ kind: "aborted" });
    const cancelled = store.fail({ call: "get", at: { received: 500 }, fault: { kind: "stall" } });
    const stream = await store.get("a");
    const cancelling = failure(collectStream(stream));
    await cancelled.hit;
    stream.cancel();
    expect(await cancelling).toMatchObject({ kind: "aborted" });
    const closed = store.fail({ call: "put", at: { sent: 5 }, fault: { kind: "stall" } });
    const putting = failure(store.put("n", bodyOf(data)));
    await closed.hit;
    await store.close();
    expect(await putting).toMatchObject({ kind: "aborted" });
  });
});

describe("a slow store", () => {
  it("takes its time per call and per byte", async () => {
    const clock = new TestClock();
    const store = new SlowStore(new MemoryStore({ chunkSize: 1000 }), { latency: 20, bandwidth: 100_000, clock });
    await store.put("a", bodyOf(bytes(1000), bytes(1000)));
    expect(clock.sleeps).toEqual([10, 10, 10, 10]);
    clock.sleeps.length = 0;
    await collectStream(await store.get("a"));
    expect(clock.sleeps).toEqual([10, 10, 10, 10]);
  });

  it("shares its line among all streams", async () => {
    const clock = new TestClock();
    const start = clock.monotonic();
    const store = new SlowStore(new MemoryStore(), { totalBandwidth: 1000, clock });
    await store.put("a", bodyOf(bytes(1000)));
    await Promise.all([1, 2, 3].map(async () => collectStream(await store.get("a"))));
    expect(clock.monotonic() - start).toBeGreaterThanOrEqual(4000);
    expect(await failure(store.get("a", undefined, { signal: AbortSignal.abort() }))).toMatchObject({ kind: "aborted" });
  });
});

describe("a counting store", () => {
  it("keeps the bill", async () => {
    const store = new CountingStore(new MemoryStore());
    await store.put("a", bodyOf(bytes(500)));
    const stream = await store.get("a");
    expect(store.openStreams).toBe(1);
    await collectStream(stream);
    await failure(store.head("none"));
    expect([store.count(), store.count("put"), store.sent, store.received, store.openStreams, store.running]).toEqual([3, 1, 500, 500, 0, 0]);
    store.reset();
    expect([store.count(), store.sent]).toEqual([0, 0]);
  });
});
