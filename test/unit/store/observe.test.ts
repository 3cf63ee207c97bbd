import { describe, expect, it } from "vitest";
import { bodyOf } from "../../../src/store/body.js";
import { MemoryService } from "../../../src/store/memory/memoryService.js";
import { MemoryStore } from "../../../src/store/memory/memoryStore.js";
import { LATENCY_BOUNDS, ObserveService, ObserveStore } from "../../../src/store/observe.js";
import { collectStream } from "../../../src/store/objectStream.js";
import { bytes, failure } from "../../contract/harness.js";
import { FaultyStore } from "../../stores/faultyStore.js";
import { SlowStore } from "../../stores/slowStore.js";
import { TestClock } from "../../stores/testClock.js";

describe("observe", () => {
  it("counts calls, errors by kind, bytes and latencies", async () => {
    const clock = new TestClock();
    const faulty = new FaultyStore(new SlowStore(new MemoryStore(), { latency: 30, clock }));
    const store = new ObserveStore(faulty, { clock });
    await store.put("a", bodyOf(bytes(100_000)));
    await collectStream(await store.get("a"));
    for await (const piece of await store.get("a")) if (piece.length > 0) break;
    await failure(store.head("none"));
    faulty.fail({ call: "get", at: { received: 1000 }, fault: { kind: "throw", error: "unavailable" } });
    await failure(collectStream(await store.get("a")));
    const { put, get, head } = store.metrics.snapshot();
    expect(put).toMatchObject({ count: 1, sent: 100_000, errors: {}, running: 0 });
    expect(get).toMatchObject({ count: 3, received: 100_000 + 65_536 + 1000, errors: { unavailable: 1 }, running: 0 });
    expect(head).toMatchObject({ count: 1, errors: { "not-found": 1 } });
    // 30 ms for what succeeds; a failure comes before the answer's half.
    expect(put?.latency[LATENCY_BOUNDS.indexOf(50)]).toBe(1);
    expect(get?.latency.reduce((sum, n) => sum + n)).toBe(3);
  });

  it("a service and its stores share their counters", async () => {
    const service = new ObserveService(new MemoryService());
    await service.createContainer("a");
    const store = await service.container("a");
    await store.put("x", bodyOf("x"));
    expect(Object.keys(service.metrics.snapshot()).sort()).toEqual(["container", "createContainer", "put"]);
  });
});
