import { describe, expect, it } from "vitest";
import { bodyOf } from "../../../src/store/body.js";
import { LimitStore, Places, RequestLimit } from "../../../src/store/limit.js";
import { MemoryStore } from "../../../src/store/memory/memoryStore.js";
import { copyObject } from "../../../src/store/copyObject.js";
import { collectStream } from "../../../src/store/objectStream.js";
import { bytes, failure } from "../../contract/harness.js";
import { CountingStore } from "../../stores/countingStore.js";
import { FaultyStore } from "../../stores/faultyStore.js";

describe("places", () => {
  it("go to foreground calls first, each kind in its order", async () => {
    const places = new Places(1, 0);
    const order: string[] = [];
    const release = await places.take(false, undefined);
    const waiting = ["b1", "b2", "f1", "f2"].map((name) => places.take(name.startsWith("b"), undefined).then((give) => {
      order.push(name);
      give();
    }));
    expect(places.waiting).toBe(4);
    release();
    await Promise.all(waiting);
    expect(order).toEqual(["f1", "f2", "b1", "b2"]);
    expect([places.held, places.waiting]).toEqual([0, 0]);
  });

  it("background calls leave the reserved ones free", async () => {
    const places = new Places(4, 2);
    await places.take(true, undefined);
    await places.take(true, undefined);
    const third = places.take(true, undefined);
    expect(places.waiting).toBe(1);
    const give = await places.take(false, undefined);
    give();
    give();
    expect([places.held, places.waiting]).toEqual([2, 1]);
    await places.take(false, undefined);
    expect(places.held).toBe(3);
    void third;
  });

  it("a wait that is aborted frees its turn", async () => {
    const places = new Places(2, 1);
    const first = await places.take(false, undefined);
    const second = await places.take(false, undefined);
    const controller = new AbortController();
    const third = places.take(false, controller.signal);
    const fourth = places.take(false, undefined);
    controller.abort();
    expect(await failure(third)).toMatchObject({ kind: "aborted" });
    first();
    const last = await fourth;
    expect(places.held).toBe(2);
    second();
    last();
    expect(places.held).toBe(0);
  });
});

describe("limit", () => {
  it("streams hold their place until they end, are left, are cancelled or fail", async () => {
    const limit = new RequestLimit({ streams: 2, calls: 2 });
    const faulty = new FaultyStore(new MemoryStore());
    const store = new LimitStore(faulty, limit);
    await store.put("a", bodyOf(bytes(300_000)));
    const one = await store.get("a");
    const two = await store.get("a");
    const third = store.get("a");
    expect([limit.streams.held, limit.streams.waiting]).toEqual([2, 1]);
    one.cancel();
    const three = await third;
    for await (const piece of two) if (piece.length > 0) break;
    expect(limit.streams.held).toBe(1);
    await collectStream(three);
    expect(limit.streams.held).toBe(0);
    faulty.fail({ call: "get", at: { received: 1000 }, fault: { kind: "throw", error: "unavailable" } });
    await failure(collectStream(await store.get("a")));
    await failure(store.get("none"));
    expect(limit.streams.held).toBe(0);
    const controller = new AbortController();
    await store.get("a", undefined, { signal: controller.signal });
    controller.abort();
    expect(limit.streams.held).toBe(0);
  });

  it("never lets more through than there are places", async () => {
    const counting = new CountingStore(new MemoryStore());
    const store = new LimitStore(counting, new RequestLimit({ calls: 3 }));
    await Promise.all(Array.from({ length: 40 }, (_, i) => store.put(`k${i}`, bodyOf("x"))));
    expect(counting.peakRunning).toBe(3);
  });

  it("copies through this host do not wait for themselves", async () => {
    const memory = new MemoryStore({ capabilities: { copy: false, copyPart: false } });
    const store = new LimitStore(memory, new RequestLimit({ streams: 2, calls: 2 }));
    await Promise.all(Array.from({ length: 10 }, (_, i) => store.put(`k${i}`, bodyOf(bytes(200_000, i)))));
    await Promise.all(Array.from({ length: 10 }, (_, i) => copyObject(store, `k${i}`, `c${i}`)));
    expect((await collectStream(await store.get("c7"))).equals(bytes(200_000, 7))).toBe(true);
  });
});
