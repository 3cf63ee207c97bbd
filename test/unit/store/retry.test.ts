import { describe, expect, it } from "vitest";
import { bodyOf } from "../../../src/store/body.js";
import { StoreError, type StoreErrorKind } from "../../../src/store/errors.js";
import type { MemoryOptions } from "../../../src/store/memory/memoryContainer.js";
import { MemoryService } from "../../../src/store/memory/memoryService.js";
import { MemoryStore } from "../../../src/store/memory/memoryStore.js";
import type { ByteRange, GetOptions, ObjectStream } from "../../../src/store/objectStore.js";
import { collectStream } from "../../../src/store/objectStream.js";
import { RetryBudget, RetryService, RetryStore, type RetryOptions } from "../../../src/store/retry.js";
import { ServiceWrapper, StoreWrapper } from "../../../src/store/wrapper.js";
import { bytes, failure } from "../../contract/harness.js";
import { CountingStore } from "../../stores/countingStore.js";
import { FaultyStore } from "../../stores/faultyStore.js";
import { TestClock } from "../../stores/testClock.js";

function setup(options: RetryOptions = {}, memory: MemoryOptions = {}): { store: RetryStore; faulty: FaultyStore; counting: CountingStore; sound: MemoryStore; clock: TestClock } {
  const sound = new MemoryStore(memory);
  const faulty = new FaultyStore(sound);
  const counting = new CountingStore(faulty);
  const clock = new TestClock();
  return { store: new RetryStore(counting, { clock, ...options }), faulty, counting, sound, clock };
}

const unavailable = { kind: "throw", error: "unavailable" } as const;

describe("when to ask again", () => {
  it("doubles the waits up to the bound, below which they are uniform", async () => {
    const { store, faulty, clock } = setup();
    faulty.fail({ call: "head", times: Infinity, fault: unavailable });
    expect(await failure(store.head("a"))).toMatchObject({ kind: "unavailable" });
    expect(clock.sleeps).toEqual([100, 200, 400, 800, 1600, 3200, 6400, 12_800, 20_000]);
    const halved = setup({ clock: new TestClock(() => 0.5) });
    halved.faulty.fail({ call: "head", times: 1, fault: unavailable });
    expect(await failure(halved.store.head("a"))).toMatchObject({ kind: "not-found" });
  });

  it("waits harder when throttled, and as long as the server says", async () => {
    const { store, faulty, sound, clock } = setup();
    await sound.put("a", bodyOf("x"));
    faulty.fail({ call: "head", fault: { kind: "throw", error: "throttled" } });
    faulty.fail({ call: "head", nth: 2, fault: { kind: "throw", error: "throttled", details: { retryAfterMs: 7000 } } });
    await store.head("a");
    expect(clock.sleeps).toEqual([500, 7000]);
  });

  it("refreshed credentials are tried once, at once", async () => {
    const { store, faulty, sound, clock, counting } = setup();
    await sound.put("a", bodyOf("x"));
    faulty.fail({ call: "head", times: 1, fault: { kind: "throw", error: "denied", details: { retry: "credentials" } } });
    await store.head("a");
    expect(clock.sleeps).toEqual([]);
    faulty.fail({ call: "head", times: 5, fault: { kind: "throw", error: "denied", details: { retry: "credentials" } } });
    counting.reset();
    expect(await failure(store.head("a"))).toMatchObject({ kind: "denied" });
    expect(counting.count("head")).toBe(2);
  });

  it.each(["not-found", "denied", "exists", "precondition", "range", "unsupported", "quota", "invalid", "unexpected"] as StoreErrorKind[])("%s is final", async (kind) => {
    const { store, faulty, counting } = setup();
    faulty.fail({ call: "head", times: Infinity, fault: { kind: "throw", error: kind } });
    expect(await failure(store.head("a"))).toMatchObject({ kind });
    expect(counting.count()).toBe(1);
  });

  it("ends at the deadline, before a wait that would be too long", async () => {
    const { store, faulty, clock } = setup({ deadline: 1000 });
    faulty.fail({ call: "head", times: Infinity, fault: unavailable });
    expect(await failure(store.head("a"))).toMatchObject({ kind: "unavailable" });
    expect(clock.sleeps).toEqual([100, 200, 400]);
    expect(store.stats.exhausted).toBe(1);
  });

  it("waits longest when the budget is used up, and earns it back by successes", async () => {
    const budget = new RetryBudget(10);
    const { store, faulty, sound, clock } = setup({ budget, maxAttempts: 5 });
    await sound.put("a", bodyOf("x"));
    const rule = faulty.fail({ call: "head", times: Infinity, fault: unavailable });
    await failure(store.head("a"));
    expect(clock.sleeps).toEqual([100, 200, 20_000, 20_000]);
    rule.remove();
    for (let i = 0; i < 5; i++) await store.head("a");
    expect(budget.tokens).toBe(5);
  });

  it("fails at once when the budget is used up and there is no time for the longest wait", async () => {
    const { store, faulty, counting } = setup({ budget: new RetryBudget(10), deadline: 10_000 });
    faulty.fail({ call: "head", times: Infinity, fault: unavailable });
    await failure(store.head("a"));
    expect(counting.count("head")).toBe(3);
    counting.reset();
    await failure(store.head("a"));
    expect(counting.count("head")).toBe(1);
  });

  it("calls that fail side by side for a while all get through", async () => {
    const { store, faulty, sound } = setup();
    faulty.fail({ call: "put", times: 200, fault: { kind: "throw", error: "throttled" } });
    await Promise.all(Array.from({ length: 40 }, (_, i) => store.put(`k${i}`, bodyOf("x"))));
    expect((await sound.list({ prefix: "" })).objects).toHaveLength(40);
  });

  it("a signal ends the wait", async () => {
    const controller = new AbortController();
    class Endless extends TestClock {
      override sleep(_milliseconds: number, signal?: AbortSignal): Promise<void> {
        return new Promise((_resolve, reject) => {
          signal?.addEventListener("abort", () => reject(signal.reason as Error), { once: true });
          controller.abort();
        });
      }
    }
    const { store, faulty, counting } = setup({ clock: new Endless() });
    faulty.fail({ call: "head", times: Infinity, fault: unavailable });
    expect(await failure(store.head("a", { signal: controller.signal }))).toMatchObject({ kind: "aborted" });
    expect(counting.count("head")).toBe(1);
  });
});

describe("streams", () => {
  it("go on from where they broke, in the same version", async () => {
    const { store, faulty, sound, counting } = setup();
    const data = bytes(1_000_000);
    await sound.put("a", bodyOf(data));
    faulty.fail({ call: "get", at: { received: 123_456 }, fault: unavailable });
    faulty.fail({ call: "get", nth: 2, at: { received: 300_000 }, fault: { kind: "short" } });
    expect((await collectStream(await store.get("a"))).equals(data)).toBe(true);
    expect(counting.count("get")).toBe(3);
    expect(store.stats.resumed).toBe(2);
    expect(counting.openStreams).toBe(0);
  });

  it("a range goes on to its own end", async () => {
    const { store, faulty, sound } = setup();
    const data = bytes(500_000);
    await sound.put("a", bodyOf(data));
    faulty.fail({ call: "get", at: { received: 70_000 }, fault: unavailable });
    expect((await collectStream(await store.get("a", { start: 1000, length: 200_000 }))).equals(data.subarray(1000, 201_000))).toBe(true);
  });

  it.each([[true], [false]])("end with precondition when the object changed meanwhile (conditionalGet %s)", async (conditionalGet) => {
    const { store, faulty, sound } = setup({}, { capabilities: { conditionalGet } });
    await sound.put("a", bodyOf(bytes(500_000, 1)));
    faulty.fail({ call: "get", at: { received: 200_000 }, fault: unavailable });
    const received: Buffer[] = [];
    const error = await failure((async () => {
      for await (const piece of await store.get("a")) {
        if (received.length === 0) await sound.put("a", bodyOf(bytes(500_000, 2)));
        received.push(piece);
      }
    })());
    expect(error).toMatchObject({ kind: "precondition" });
    expect(Buffer.concat(received).equals(bytes(500_000, 1).subarray(0, Buffer.concat(received).length))).toBe(true);
  });

  it("do not go on after corrupt bytes", async () => {
    const { store, faulty, sound, counting } = setup();
    await sound.put("a", bodyOf(bytes(500_000)));
    faulty.fail({ call: "get", at: { received: 200_000 }, fault: { kind: "throw", error: "corrupt" } });
    expect(await failure(collectStream(await store.get("a")))).toMatchObject({ kind: "corrupt" });
    expect(counting.count("get")).toBe(1);
  });

  it("that are cancelled while they are asked for again free what arrives then", async () => {
    const { store, faulty, sound, counting } = setup();
    await sound.put("a", bodyOf(bytes(500_000)));
    faulty.fail({ call: "get", at: { received: 100_000 }, fault: unavailable });
    const stall = faulty.fail({ call: "get", nth: 2, at: "after", fault: { kind: "stall" } });
    faulty.fail({ call: "get", nth: 2, at: { received: 0 }, fault: { kind: "stall" } });
    const stream = await store.get("a");
    const reading = failure(collectStream(stream));
    await stall.hit;
    stream.cancel();
    expect(await reading).toMatchObject({ kind: "aborted" });
    stall.release();
    for (let turn = 0; turn < 50; turn++) await new Promise<void>(setImmediate);
    expect(counting.openStreams).toBe(0);
  });

  it("asks for the rest of the version it began with", async () => {
    const asked: unknown[] = [];
    class Listening extends StoreWrapper {
      override get(key: string, range?: ByteRange, options?: GetOptions): Promise<ObjectStream> {
        asked.push([range, options?.ifMatch]);
        return super.get(key, range, options);
      }
    }
    const { faulty, sound, clock } = setup();
    const { etag } = await sound.put("a", bodyOf(bytes(1000)));
    faulty.fail({ call: "get", at: { received: 300 }, fault: unavailable });
    await collectStream(await new RetryStore(new Listening(faulty), { clock }).get("a"));
    expect(asked).toEqual([[undefined, undefined], [{ start: 300, length: 700 }, etag]]);
  });

  it("a checksum that fails behind the last byte is not passed over, a reset there is", async () => {
    const { store, faulty, sound } = setup();
    await sound.put("a", bodyOf(bytes(1000)));
    const rule = faulty.fail({ call: "get", at: { received: 1000 }, fault: { kind: "throw", error: "corrupt" } });
    expect(await failure(collectStream(await store.get("a")))).toMatchObject({ kind: "corrupt" });
    rule.remove();
    faulty.fail({ call: "get", at: { received: 1000 }, fault: unavailable });
    expect((await collectStream(await store.get("a"))).length).toBe(1000);
    expect(store.stats.resumed).toBe(0);
  });

  it("give up after as many breaks without a byte as a call may have tries", async () => {
    const { store, faulty, sound, counting } = setup({ maxAttempts: 3 });
    await sound.put("a", bodyOf(bytes(500_000)));
    faulty.fail({ call: "get", times: Infinity, at: { received: 0 }, fault: unavailable });
    expect(await failure(collectStream(await store.get("a")))).toMatchObject({ kind: "unavailable" });
    expect(counting.count("get")).toBe(3);
    expect(counting.openStreams).toBe(0);
  });

  it("free the connection that is open when they are cancelled", async () => {
    const { store, faulty, sound, counting } = setup();
    await sound.put("a", bodyOf(bytes(500_000)));
    faulty.fail({ call: "get", at: { received: 100_000 }, fault: unavailable });
    let seen = 0;
    for await (const piece of await store.get("a")) {
      seen += piece.length;
      if (seen > 200_000) break;
    }
    expect(counting.openStreams).toBe(0);
  });
});

describe("writes whose answer was lost", () => {
  const lost = { at: "after", fault: unavailable } as const;

  it("an unconditional put is sent again", async () => {
    const { store, faulty, counting } = setup();
    faulty.fail({ call: "put", ...lost });
    await store.put("a", bodyOf("x"));
    expect(counting.count("put")).toBe(2);
  });

  for (const etags of ["md5", "unique"] as const) {
    it(`a conditional put that happened is recognised, not repeated (${etags})`, async () => {
      const { store, faulty, sound, counting } = setup({}, { etags });
      const { etag } = await sound.put("a", bodyOf("old"));
      faulty.fail({ call: "put", times: 2, ...lost });
      const receipt = await store.put("a", bodyOf("new"), { ifMatch: etag, metadata: { m: "1" } });
      expect(receipt.etag).toBe((await sound.head("a")).etag);
      const created = await store.put("b", bodyOf("created"), { ifNoneMatch: "*" });
      expect(created.etag).toBe((await sound.head("b")).etag);
      expect(counting.count("put")).toBe(2);
    });
  }

  it("a conditional put that did not happen is sent again", async () => {
    const { store, faulty, sound, counting } = setup();
    const { etag } = await sound.put("a", bodyOf("old"));
    faulty.fail({ call: "put", times: 2, at: "before", fault: unavailable });
    await store.put("a", bodyOf("new"), { ifMatch: etag });
    expect(counting.count("put")).toBe(3);
    expect((await collectStream(await sound.get("a"))).toString()).toBe("new");
  });

  it("what somebody else wrote meanwhile is theirs", async () => {
    for (const [theirs, metadata] of [["theirs", undefined], ["mine", { by: "them" }], ["size", undefined]] as const) {
      const { store, faulty, sound, counting } = setup();
      const rule = faulty.fail({ call: "put", at: "before", fault: unavailable });
      const put = store.put("a", bodyOf("mine"), { ifNoneMatch: "*", metadata: { by: "me" } });
      put.catch(() => undefined);
      await rule.hit;
      await sound.put("a", bodyOf(theirs), { metadata });
      expect(await failure(put)).toMatchObject({ kind: "precondition" });
      expect(counting.count("put")).toBe(1);
      expect((await collectStream(await sound.get("a"))).toString()).toBe(theirs);
    }
  });

  it("does not replace what was written between, though its bytes are the old ones", async () => {
    const { store, faulty, sound } = setup({}, { etags: "unique" });
    const { etag } = await sound.put("a", bodyOf("old"));
    const rule = faulty.fail({ call: "put", ...lost });
    const put = store.put("a", bodyOf("new"), { ifMatch: etag });
    put.catch(() => undefined);
    await rule.hit;
    await sound.put("a", bodyOf("old"));
    expect(await failure(put)).toMatchObject({ kind: "precondition" });
    expect((await collectStream(await sound.get("a"))).toString()).toBe("old");
  });

  it("a first try that arrives late is recognised by the second's refusal", async () => {
    const { store, faulty, sound } = setup();
    const rule = faulty.fail({ call: "put", at: "before", fault: unavailable });
    const second = faulty.fail({ call: "put", nth: 2, at: "before", fault: { kind: "stall" } });
    const put = store.put("a", bodyOf("mine"), { ifNoneMatch: "*" });
    await rule.hit;
    await second.hit;
    await sound.put("a", bodyOf("mine"));
    second.release();
    expect((await put).etag).toBe((await sound.head("a")).etag);
  });

  it("says so when it cannot be known", async () => {
    const { store, faulty, counting } = setup({ compareBytes: 10 }, { etags: "unique" });
    faulty.fail({ call: "put", ...lost });
    expect(await failure(store.put("a", bodyOf(bytes(100)), { ifNoneMatch: "*" }))).toMatchObject({ kind: "unavailable", retry: "never" });
    expect(counting.count("put")).toBe(1);
  });

  it("throttled is an answer: the put did not happen, and nobody is asked", async () => {
    const { store, faulty, counting } = setup();
    faulty.fail({ call: "put", fault: { kind: "throw", error: "throttled" } });
    await store.put("a", bodyOf("x"), { ifNoneMatch: "*" });
    expect([counting.count("put"), counting.count("head")]).toEqual([2, 0]);
  });

  it("a conditional copy that happened is recognised", async () => {
    for (const etags of ["md5", "unique"] as const) {
      const { store, faulty, sound, counting } = setup({}, { etags });
      await sound.put("from", bodyOf("x"), { metadata: { a: "1" } });
      faulty.fail({ call: "copy", ...lost });
      const receipt = await store.copy("from", "to", { ifNoneMatch: "*" });
      expect(receipt.etag).toBe((await sound.head("to")).etag);
      expect(counting.count("copy")).toBe(1);
      faulty.fail({ call: "copy", ...lost });
      await sound.put("other", bodyOf("y"));
      await store.copy("from", "other", { ifMatch: (await sound.head("other")).etag, metadata: { b: "2" } });
      expect((await sound.head("other")).metadata).toEqual({ b: "2" });
      expect(counting.count("copy")).toBe(2);
    }
  });

  it("a metadata change that happened is recognised", async () => {
    const { store, faulty, sound, counting } = setup({}, { etags: "unique" });
    const { etag } = await sound.put("a", bodyOf("x"));
    faulty.fail({ call: "setMetadata", ...lost });
    const receipt = await store.setMetadata("a", { m: "1" }, { ifMatch: etag });
    expect(receipt.etag).toBe((await sound.head("a")).etag);
    expect(counting.count("setMetadata")).toBe(1);
  });

  it("a rename that happened is recognised, one that did not is repeated", async () => {
    const { store, faulty, sound, counting } = setup({}, { capabilities: { rename: "atomic" } });
    await sound.put("a", bodyOf("x"));
    faulty.fail({ call: "rename", ...lost });
    await store.rename("a", "b");
    expect(counting.count("rename")).toBe(1);
    faulty.fail({ call: "rename", at: "before", fault: unavailable });
    await store.rename("b", "c");
    expect(counting.count("rename")).toBe(3);
    faulty.fail({ call: "rename", at: "before", fault: unavailable });
    expect(await failure(store.rename("none", "d"))).toMatchObject({ kind: "not-found" });
  });

  for (const etags of ["md5", "unique"] as const) {
    it(`a conditional complete that happened is recognised (${etags})`, async () => {
      const { store, faulty, sound } = setup({}, { etags });
      // Of a store that forgets completed uploads: the memory store would remember.
      const upload = await store.beginUpload("a");
      const part = await upload.putPart(1, 0, true, bodyOf("x"));
      faulty.fail({ call: "complete", ...lost });
      faulty.fail({ call: "complete", nth: 2, at: "before", fault: { kind: "throw", error: "precondition" } });
      const receipt = await upload.complete([part], { ifNoneMatch: "*" });
      expect(receipt.etag).toBe((await sound.head("a")).etag);
    });
  }

  it("a complete that lost its answer and the race is a precondition", async () => {
    const { store, faulty, sound } = setup();
    const upload = await store.beginUpload("a");
    const part = await upload.putPart(1, 0, true, bodyOf("mine"));
    const rule = faulty.fail({ call: "complete", at: "before", fault: unavailable });
    const complete = upload.complete([part], { ifNoneMatch: "*" });
    complete.catch(() => undefined);
    await rule.hit;
    await sound.put("a", bodyOf("them"));
    expect(await failure(complete)).toMatchObject({ kind: "precondition" });
    expect((await collectStream(await sound.get("a"))).toString()).toBe("them");
  });

  it("a precondition at the first try is one", async () => {
    const { store, sound, counting } = setup();
    await sound.put("a", bodyOf("mine"));
    expect(await failure(store.put("a", bodyOf("mine"), { ifNoneMatch: "*" }))).toMatchObject({ kind: "precondition" });
    expect(counting.count()).toBe(1);
  });

  it("uploads that may have been begun unheard are told", async () => {
    const leaks: string[] = [];
    const { store, faulty } = setup({ onLeak: ({ key }) => leaks.push(key) });
    faulty.fail({ call: "beginUpload", times: 2, ...lost });
    faulty.fail({ call: "beginUpload", nth: 3, at: "before", fault: { kind: "throw", error: "throttled" } });
    await store.beginUpload("a");
    expect(leaks).toEqual(["a", "a"]);
    expect(store.stats.leaks).toBe(2);
  });

  it("deleteMany asks again for the keys that failed, and tells those that keep failing", async () => {
    const sound = new MemoryStore();
    const asked: (readonly string[])[] = [];
    class Picky extends CountingStore {
      override deleteMany(keys: readonly string[]): Promise<{ readonly key: string; readonly error: unknown }[]> {
        asked.push(keys);
        return Promise.resolve(keys.flatMap((key) => key === "denied" ? [{ key, error: new StoreError("denied", "no") }]
          : key === "never" || asked.length === 1 ? [{ key, error: new StoreError("unavailable", "no") }] : []));
      }
    }
    const store = new RetryStore(new Picky(sound), { clock: new TestClock(), maxAttempts: 3 });
    const failed = await store.deleteMany(["a", "denied", "never"]);
    expect(failed.map(({ key }) => key).sort()).toEqual(["denied", "never"]);
    expect(asked).toEqual([["a", "denied", "never"], ["a", "never"], ["never"]]);
  });

  it("a container that was created unheard is ours", async () => {
    let calls = 0;
    class Lossy extends ServiceWrapper {
      override async createContainer(name: string): Promise<void> {
        calls += 1;
        await this.inner.createContainer(name);
        if (calls === 1) throw new StoreError("unavailable", "lost");
      }
    }
    const service = new RetryService(new Lossy(new MemoryService()), { clock: new TestClock() });
    await service.createContainer("a");
    expect(calls).toBe(2);
    expect(await failure(service.createContainer("a"))).toMatchObject({ kind: "exists" });
  });
});
