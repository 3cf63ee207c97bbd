// How calls end early: aborts, closing, unreachable servers. And the small services: usage, presigned URLs.

import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { bodyOf } from "../../../src/store/body.js";
import { isStoreError } from "../../../src/store/errors.js";
import type { ObjectStore, PartReceipt, Upload } from "../../../src/store/objectStore.js";
import { bytes, exists, failure, haltingBody, limitsOf, partSize, putBytes, read, rejects, sameBytes, type ContractCase, type ContractContext } from "../harness.js";

type Trait = readonly [name: string, call: (store: ObjectStore, signal?: AbortSignal) => Promise<unknown>];

/** Every call, so that what is true for all is tested on all. */
function everyCall(t: ContractContext): Trait[] {
  const { capabilities: c, key } = t;
  const calls: Trait[] = [
    ["head", (store, signal) => store.head(key("there"), { signal })],
    ["get", (store, signal) => store.get(key("there"), undefined, { signal })],
    ["get of a range", (store, signal) => store.get(key("there"), { start: 1, length: 1 }, { signal })],
    ["put", (store, signal) => store.put(key("fresh"), bodyOf("x"), { signal })],
  ];
  if (!c.immutable) {
    calls.push(["delete", (store, signal) => store.delete(key("there"), { signal })]);
    calls.push(["deleteMany", (store, signal) => store.deleteMany([key("there")], { signal })]);
  }
  if (c.list !== "none") calls.push(["list", (store, signal) => store.list({ prefix: t.prefix, signal })]);
  if (c.copy !== false) calls.push(["copy", (store, signal) => store.copy(key("there"), key("fresh"), { signal })]);
  if (c.rename === "atomic") calls.push(["rename", (store, signal) => store.rename(key("there"), key("fresh"), { signal })]);
  if (c.metadata !== false && c.metadata.update !== "none") calls.push(["setMetadata", (store, signal) => store.setMetadata(key("there"), { a: "1" }, { signal })]);
  if (c.upload !== false) calls.push(["beginUpload", (store, signal) => store.beginUpload(key("fresh"), { signal })]);
  if (c.usage) calls.push(["usage", (store, signal) => store.usage({ signal })]);
  return calls;
}

function uploadCalls(t: ContractContext, upload: Upload, part: PartReceipt): (readonly [string, (signal: AbortSignal) => Promise<unknown>])[] {
  const calls: [string, (signal: AbortSignal) => Promise<unknown>][] = [
    ["putPart", (signal) => upload.putPart(2, part.size, true, bodyOf("x"), { signal })],
    ["complete", (signal) => upload.complete([part], { signal })],
    ["abort", (signal) => upload.abort({ signal })],
  ];
  if (t.capabilities.resume) calls.push(["parts", (signal) => upload.parts({ signal })]);
  if (t.capabilities.copyPart !== false) calls.push(["copyPart", (signal) => upload.copyPart(2, part.size, t.key("there"), { start: 0, length: part.size }, { signal })]);
  return calls;
}

export const endCases: readonly ContractCase[] = [
  {
    name: "a call whose signal has fired is aborted and does nothing",
    async run(t) {
      await putBytes(t.store, t.key("there"), "untouched");
      const reason = new Error("enough");
      const signal = AbortSignal.abort(reason);
      for (const [name, call] of everyCall(t)) {
        const error = await failure(call(t.store, signal));
        assert.ok(isStoreError(error, "aborted"), `${name}: ${String(error)}`);
      }
      assert.equal(await exists(t.store, t.key("fresh")), false);
      sameBytes(await read(t.store, t.key("there")), Buffer.from("untouched"));
      assert.deepEqual((await t.store.head(t.key("there"))).metadata, {});
    },
  },
  {
    name: "an upload's call whose signal has fired is aborted and does nothing",
    when: (c) => c.upload !== false,
    async run(t) {
      const size = partSize(t.capabilities);
      await putBytes(t.store, t.key("there"), bytes(size));
      const upload = await t.store.beginUpload(t.key("a"));
      const part = await upload.putPart(1, 0, true, bodyOf(bytes(size)));
      for (const [name, call] of uploadCalls(t, upload, part)) {
        const error = await failure(call(AbortSignal.abort()));
        assert.ok(isStoreError(error, "aborted"), `${name}: ${String(error)}`);
      }
      assert.equal(await exists(t.store, t.key("a")), false);
      await upload.complete([part]);
      sameBytes(await read(t.store, t.key("a")), bytes(size));
    },
  },
  {
    name: "a put that is aborted while its body is on the way leaves nothing",
    async run({ store, key }) {
      const halting = haltingBody(bytes(300_000));
      const controller = new AbortController();
      const put = store.put(key("a"), halting.body, { signal: controller.signal });
      put.catch(() => undefined);
      await Promise.race([halting.reached, put]);
      controller.abort();
      // Without waiting for the body, which would never end.
      await rejects(put, "aborted");
      halting.go();
      assert.equal(await exists(store, key("a")), false);
    },
  },
  {
    name: "a part that is aborted while its body is on the way can be sent again",
    when: (c) => c.upload !== false,
    async run({ store, key, capabilities }) {
      const upload = await store.beginUpload(key("a"));
      const data = bytes(Math.min(300_000, limitsOf(capabilities).maxSize));
      const halting = haltingBody(data);
      const controller = new AbortController();
      const part = upload.putPart(1, 0, true, halting.body, { signal: controller.signal });
      part.catch(() => undefined);
      await Promise.race([halting.reached, part]);
      controller.abort();
      await rejects(part, "aborted");
      halting.go();
      await upload.complete([await upload.putPart(1, 0, true, bodyOf(data))]);
      sameBytes(await read(store, key("a")), data);
    },
  },
  {
    name: "a stream whose signal fires ends with aborted",
    async run({ store, key }) {
      await putBytes(store, key("a"), bytes(4 << 20));
      const controller = new AbortController();
      const stream = await store.get(key("a"), undefined, { signal: controller.signal });
      let received = 0;
      await rejects((async () => {
        for await (const piece of stream) {
          received += piece.length;
          controller.abort();
        }
      })(), "aborted");
      assert.ok(received < 4 << 20);
      const idle = new AbortController();
      const unread = await store.get(key("a"), undefined, { signal: idle.signal });
      idle.abort();
      await rejects((async () => { for await (const piece of unread) assert.ok(piece); })(), "aborted");
      assert.equal((await read(store, key("a"), { start: 0, length: 10 })).length, 10);
    },
  },
  {
    name: "a signal that lives long is left without listeners",
    async run(t) {
      const { signal } = new AbortController();
      await putBytes(t.store, t.key("a"), bytes(100_000), { signal });
      await t.store.head(t.key("a"), { signal });
      for await (const piece of await t.store.get(t.key("a"), undefined, { signal })) assert.ok(piece);
      (await t.store.get(t.key("a"), undefined, { signal })).cancel();
      await failure(t.store.head(t.key("none"), { signal }));
      for (let turn = 0; turn < 200 && getEventListeners(signal, "abort").length > 0; turn++) await new Promise<void>(setImmediate);
      assert.equal(getEventListeners(signal, "abort").length, 0);
    },
  },
  {
    name: "after close every call is aborted",
    async run(t) {
      if (t.openSecond === undefined) return;
      await putBytes(t.store, t.key("there"), "x");
      const store = await t.openSecond();
      sameBytes(await read(store, t.key("there")), Buffer.from("x"));
      await store.close();
      await store.close();
      for (const [name, call] of everyCall(t)) {
        const error = await failure(call(store));
        assert.ok(isStoreError(error, "aborted"), `${name}: ${String(error)}`);
      }
      assert.equal(await exists(t.store, t.key("fresh")), false);
      sameBytes(await read(t.store, t.key("there")), Buffer.from("x"), "the other store goes on");
    },
  },
  {
    name: "a server that cannot be reached is unavailable, never not-found",
    async run(t) {
      if (t.openUnreachable === undefined) return;
      let store: ObjectStore;
      try {
        store = await t.openUnreachable();
      } catch (error) {
        assert.ok(isStoreError(error, "unavailable"), String(error));
        return;
      }
      try {
        for (const [name, call] of everyCall(t)) {
          if (name === "deleteMany") continue;
          const error = await failure(call(store));
          assert.ok(isStoreError(error, "unavailable"), `${name}: ${String(error)}`);
        }
      } finally {
        await store.close();
      }
    },
  },
  {
    name: "usage counts",
    async run({ store, key, capabilities }) {
      if (!capabilities.usage) {
        await rejects(store.usage(), "unsupported");
        return;
      }
      await putBytes(store, key("a"), bytes(1000));
      const { usedBytes, quotaBytes, objects } = await store.usage();
      assert.ok(usedBytes !== undefined || quotaBytes !== undefined || objects !== undefined);
      for (const count of [usedBytes, quotaBytes, objects]) assert.ok(count === undefined || (Number.isFinite(count) && count >= 0));
    },
  },
  {
    name: "a presigned URL can be fetched by anybody",
    async run({ store, key, refuses, capabilities }) {
      if (!capabilities.presign) {
        await rejects(store.presign(key("a"), 60), "unsupported");
        return;
      }
      for (const name of ["plain", "awkward &+%\u00e9 'x'"].map(key)) {
        if (refuses(name)) continue;
        await putBytes(store, name, "for all");
        const url = await store.presign(name, 60);
        if (!url.startsWith("http")) continue;
        const answer = await fetch(url);
        assert.equal(answer.status, 200);
        assert.equal(await answer.text(), "for all");
      }
    },
  },
];
