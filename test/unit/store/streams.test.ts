import { mkdtemp, open, rm, writeFile } from "node:fs/promises";
import { getEventListeners } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { orAborted } from "../../../src/store/abort.js";
import { bodyFromFile, bodyOf, collectBody, readBody, sliceBody } from "../../../src/store/body.js";
import { StoreError } from "../../../src/store/errors.js";
import { collectStream, objectStream, type StreamSource } from "../../../src/store/objectStream.js";
import { bytes, failure } from "../../contract/harness.js";

let folder = "";
beforeAll(async () => { folder = await mkdtemp(join(tmpdir(), "objmount-body-")); });
afterAll(async () => { await rm(folder, { recursive: true }); });

describe("bodies", () => {
  it("come from buffers and strings, and can be opened again", async () => {
    const body = bodyOf("\u00e9", Buffer.from("x"), "");
    expect(body.length).toBe(3);
    expect((await collectBody(body)).toString()).toBe("\u00e9x");
    expect((await collectBody(body)).toString()).toBe("\u00e9x");
  });

  it("come from a part of a file, by path and by descriptor", async () => {
    const file = join(folder, "f");
    const data = bytes(100_000);
    await writeFile(file, data);
    const handle = await open(file);
    try {
      for (const source of [file, handle.fd]) {
        const body = bodyFromFile(source, 1000, 50_000, 4096);
        for (let round = 0; round < 2; round++) expect((await collectBody(body)).equals(data.subarray(1000, 51_000))).toBe(true);
        expect((await collectBody(bodyFromFile(source, 7, 0))).length).toBe(0);
        expect(await failure(collectBody(bodyFromFile(source, 90_000, 20_000)))).toMatchObject({ kind: "unexpected" });
      }
      expect((await handle.stat()).size).toBe(100_000);
    } finally {
      await handle.close();
    }
    expect(await failure(collectBody(bodyFromFile(join(folder, "none"), 0, 1)))).toMatchObject({ kind: "unexpected", cause: { code: "ENOENT" } });
  });

  it("can be cut", async () => {
    const data = bytes(1000);
    const body = bodyOf(data.subarray(0, 300), data.subarray(300, 301), data.subarray(301));
    for (const [offset, length] of [[0, 1000], [0, 0], [299, 3], [301, 10], [999, 1], [0, 300]] as const) {
      expect((await collectBody(sliceBody(body, offset, length))).equals(data.subarray(offset, offset + length))).toBe(true);
    }
  });

  it("are ended when they are left, fail or are aborted", async () => {
    let ended = 0;
    const body = {
      length: 10,
      async *open() {
        try {
          yield Buffer.alloc(5);
          yield Buffer.alloc(6);
        } finally {
          ended += 1;
        }
      },
    };
    expect(await failure(collectBody(body))).toMatchObject({ kind: "invalid" });
    for await (const piece of readBody(body)) if (piece.length > 0) break;
    const controller = new AbortController();
    expect(await failure((async () => { for await (const piece of readBody(body, controller.signal)) controller.abort(piece); })())).toMatchObject({ kind: "aborted" });
    for (let turn = 0; turn < 10; turn++) await new Promise<void>(setImmediate);
    expect(ended).toBe(3);
    expect(getEventListeners(controller.signal, "abort")).toEqual([]);
  });
});

describe("an object's stream", () => {
  function make(pieces: readonly Buffer[], more: Partial<StreamSource> = {}): { stream: ReturnType<typeof objectStream>; freed: boolean[] } {
    const freed: boolean[] = [];
    const stream = objectStream({
      info: { key: "k", size: 10, etag: "e", lastModified: 0 }, start: 0, length: 10, open: () => pieces, free: (completed) => freed.push(completed), ...more,
    });
    return { stream, freed };
  }

  it("is freed once, however it ends", async () => {
    const whole = make([Buffer.alloc(4), Buffer.alloc(0), Buffer.alloc(6)]);
    expect((await collectStream(whole.stream)).length).toBe(10);
    whole.stream.cancel();
    expect(whole.freed).toEqual([true]);
    const left = make([Buffer.alloc(4), Buffer.alloc(6)]);
    for await (const piece of left.stream) if (piece.length > 0) break;
    left.stream.cancel();
    expect(left.freed).toEqual([false]);
    const unread = make([]);
    unread.stream.cancel();
    unread.stream.cancel();
    expect(unread.freed).toEqual([false]);
    expect(await failure(collectStream(unread.stream))).toMatchObject({ kind: "aborted" });
  });

  it("says when it is short, long or broken", async () => {
    const short = make([Buffer.alloc(4)]);
    expect(await failure(collectStream(short.stream))).toMatchObject({ kind: "unavailable" });
    expect(short.freed).toEqual([false]);
    expect(await failure(collectStream(make([Buffer.alloc(11)]).stream))).toMatchObject({ kind: "corrupt" });
    const reset = new Error("reset");
    const broken = make([], { open: async function* open() { yield Buffer.alloc(1); throw reset; } });
    expect(await failure(collectStream(broken.stream))).toMatchObject({ kind: "unavailable", cause: reset });
    expect(broken.freed).toEqual([false]);
    const own = new StoreError("denied", "x");
    expect(await failure(collectStream(make([], { open: async function* open() { yield Buffer.alloc(1); throw own; } }).stream))).toBe(own);
  });

  it("is iterated once", async () => {
    const { stream } = make([Buffer.alloc(10)]);
    await collectStream(stream);
    expect(await failure(collectStream(stream))).toMatchObject({ kind: "invalid" });
  });

  it("ends a source that hangs when it is aborted or cancelled", async () => {
    for (const how of ["signal", "cancel"]) {
      const controller = new AbortController();
      const { stream, freed } = make([], { signal: controller.signal, open: async function* open() { yield Buffer.alloc(1); await new Promise<void>(() => undefined); } });
      const reading = failure(collectStream(stream));
      await new Promise<void>(setImmediate);
      if (how === "signal") controller.abort();
      else stream.cancel();
      expect(await reading).toMatchObject({ kind: "aborted" });
      expect(freed).toEqual([false]);
      expect(getEventListeners(controller.signal, "abort")).toEqual([]);
    }
  });

  it("is freed at once when it is aborted and nobody reads", () => {
    const controller = new AbortController();
    const { freed } = make([], { signal: controller.signal });
    controller.abort();
    expect(freed).toEqual([false]);
  });
});

describe("orAborted", () => {
  it("leaves no listener and no unhandled rejection", async () => {
    const controller = new AbortController();
    const late = new Promise<void>((_resolve, reject) => { setImmediate(() => reject(new Error("late"))); });
    const waiting = failure(orAborted(late, controller.signal, "k"));
    controller.abort(new Error("why"));
    expect(await waiting).toMatchObject({ kind: "aborted", key: "k", cause: { message: "why" } });
    await new Promise<void>(setImmediate);
    expect(getEventListeners(controller.signal, "abort")).toEqual([]);
  });
});
