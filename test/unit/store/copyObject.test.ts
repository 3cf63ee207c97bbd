import { describe, expect, it } from "vitest";
import { bodyOf } from "../../../src/store/body.js";
import { copyObject, piecesOf } from "../../../src/store/copyObject.js";
import type { MemoryOptions } from "../../../src/store/memory/memoryContainer.js";
import { MemoryStore } from "../../../src/store/memory/memoryStore.js";
import { collectStream } from "../../../src/store/objectStream.js";
import { bytes, failure } from "../../contract/harness.js";
import { CountingStore } from "../../stores/countingStore.js";
import { FaultyStore } from "../../stores/faultyStore.js";

const LIMITS = { minSize: 1000, maxSize: 50_000, maxParts: 100, maxObjectSize: 1 << 30, equalSizes: false };
const DATA = bytes(234_567);

const WAYS: Readonly<Record<string, { readonly options: MemoryOptions; readonly call: "copy" | "copyPart" | "put" | "putPart" }>> = {
  "one copy": { options: {}, call: "copy" },
  "parts that the service copies": { options: { capabilities: { copy: { maxSize: 100_000 }, upload: LIMITS } }, call: "copyPart" },
  "through this host, whole": { options: { capabilities: { copy: false, copyPart: false, upload: false } }, call: "put" },
  "through this host, by parts": { options: { capabilities: { copy: false, copyPart: false, upload: LIMITS, maxPutSize: 100_000 } }, call: "putPart" },
};

describe.each(Object.entries(WAYS))("a copy by %s", (_name, { options, call }) => {
  async function setup(): Promise<{ store: FaultyStore; counting: CountingStore; memory: MemoryStore }> {
    const memory = new MemoryStore({ ...options, capabilities: { ...options.capabilities, maxPutSize: 1 << 30 } });
    const limited = new MemoryStore(options);
    await memory.put("from", bodyOf(DATA), { metadata: { a: "1" }, contentType: "text/plain" });
    // The source was put without the limit of a single put; the copy is made under it.
    if (options.capabilities?.maxPutSize !== undefined) {
      const upload = await limited.beginUpload("from", { metadata: { a: "1" }, contentType: "text/plain" });
      const parts = await Promise.all([0, 1, 2, 3, 4].map((i) => upload.putPart(i + 1, i * 50_000, i === 4, bodyOf(DATA.subarray(i * 50_000, (i + 1) * 50_000)))));
      await upload.complete(parts);
    }
    const sound = options.capabilities?.maxPutSize === undefined ? memory : limited;
    const counting = new CountingStore(sound);
    return { store: new FaultyStore(counting), counting, memory: sound };
  }

  it("has everything of the source", async () => {
    const { store, counting, memory } = await setup();
    let done = 0;
    const receipt = await copyObject(store, "from", "to", { partSize: options.capabilities?.upload === false ? undefined : 10_000, onProgress: (n) => { done += n; } });
    expect(counting.count(call)).toBeGreaterThan(0);
    expect((await collectStream(await memory.get("to"))).equals(DATA)).toBe(true);
    expect(await memory.head("to")).toMatchObject({ etag: receipt.etag, metadata: { a: "1" }, contentType: "text/plain" });
    expect(done).toBe(DATA.length);
    expect(counting.openStreams).toBe(0);
  });

  it("takes other metadata, and an empty object", async () => {
    const { store, memory } = await setup();
    await copyObject(store, "from", "to", { metadata: { b: "2" }, contentType: "text/html" });
    expect(await memory.head("to")).toMatchObject({ metadata: { b: "2" }, contentType: "text/html", size: DATA.length });
    await memory.put("empty", bodyOf(""));
    await copyObject(store, "empty", "empty2");
    expect((await memory.head("empty2")).size).toBe(0);
  });

  it("keeps to conditions on both ends", async () => {
    const { store, memory } = await setup();
    const old = await memory.put("to", bodyOf("old"));
    expect(await failure(copyObject(store, "from", "to", { ifNoneMatch: "*" }))).toMatchObject({ kind: "precondition" });
    expect(await failure(copyObject(store, "from", "to", { ifMatch: "other" }))).toMatchObject({ kind: "precondition" });
    expect(await failure(copyObject(store, "from", "to", { sourceIfMatch: "other" }))).toMatchObject({ kind: "precondition" });
    expect((await memory.head("to")).etag).toBe(old.etag);
    await copyObject(store, "from", "to", { ifMatch: old.etag });
    expect((await memory.head("to")).size).toBe(DATA.length);
  });

  it("is of one version, though the source changes", async () => {
    const { store, memory } = await setup();
    const source = await memory.head("from");
    await memory.delete("from");
    await memory.put("from", bodyOf(bytes(50_000, 9)));
    expect(await failure(copyObject(store, "from", "to", { source }))).toMatchObject({ kind: "precondition" });
    expect(await failure(memory.head("to"))).toMatchObject({ kind: "not-found" });
  });

  it("leaves nothing behind when it fails or is aborted", async () => {
    const { store, memory } = await setup();
    store.fail({ call, nth: call === "copyPart" || call === "putPart" ? 3 : 1, fault: { kind: "throw", error: "quota" } });
    expect(await failure(copyObject(store, "from", "to"))).toMatchObject({ kind: "quota" });
    store.heal();
    const stall = store.fail({ call, fault: { kind: "stall" } });
    const controller = new AbortController();
    const copy = copyObject(store, "from", "to", { signal: controller.signal });
    copy.catch(() => undefined);
    await stall.hit;
    controller.abort();
    expect(await failure(copy)).toMatchObject({ kind: "aborted" });
    expect(memory.container.uploads.size).toBe(options.capabilities?.maxPutSize === undefined ? 0 : 1);
    expect(await failure(memory.head("to"))).toMatchObject({ kind: "not-found" });
  });
});

describe("pieces", () => {
  it("keep to the limits and make up the size", () => {
    for (const size of [1, 999, 1000, 1001, 49_999, 50_000, 50_001, 4_999_999, 5_000_000]) {
      const pieces = piecesOf(size, 1500, LIMITS, 1200);
      expect(pieces.reduce((sum, piece) => sum + piece.length, 0)).toBe(size);
      expect(pieces.length).toBeLessThanOrEqual(100);
      expect(pieces.every((piece) => piece.last || (piece.length >= 1200 && piece.length <= 50_000))).toBe(true);
      expect(pieces.filter((piece) => piece.last)).toEqual([pieces.at(-1)]);
    }
  });
});

describe("a copy of an empty object", () => {
  it("puts an empty object anew where the server refuses to copy it, as versitygw does with markers", async () => {
    const store = new MemoryStore();
    await store.put("d/", bodyOf(), { metadata: { mode: "16877" }, contentType: "application/x-directory" });
    const faults = new FaultyStore(store);
    faults.fail({ call: "copy", fault: { kind: "throw", error: "invalid" } });
    await copyObject(faults, "d/", "e/");
    expect(await store.head("e/")).toMatchObject({ size: 0, metadata: { mode: "16877" }, contentType: "application/x-directory" });
  });
});
