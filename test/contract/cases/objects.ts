// Objects: bytes in, the same bytes out, whole or not at all.

import assert from "node:assert/strict";
import { bodyOf } from "../../../src/store/body.js";
import { isStoreError, StoreError } from "../../../src/store/errors.js";
import {
  bytes, causes, exists, failingBody, failure, haltingBody, listAll, parallel, putBytes, read, rejects, sameBytes, type ContractCase,
} from "../harness.js";

export const objectCases: readonly ContractCase[] = [
  {
    name: "capabilities are frozen, plain, and make sense",
    async run({ store, capabilities }) {
      assert.ok(Object.isFrozen(store.capabilities));
      assert.deepEqual(JSON.parse(JSON.stringify(capabilities)), capabilities);
      const { upload, maxKeyBytes, maxPutSize } = capabilities;
      assert.ok(maxKeyBytes >= 255 && maxPutSize > 0);
      if (upload !== false) assert.ok(upload.minSize >= 1 && upload.minSize <= upload.maxSize && upload.maxParts >= 1);
      assert.ok(store.label.length > 0);
    },
  },
  {
    name: "what was put comes back, and head agrees",
    async run({ store, key }) {
      const data = bytes(1000);
      const receipt = await putBytes(store, key("a"), data);
      assert.equal(receipt.size, 1000);
      const info = await store.head(key("a"));
      assert.equal(info.key, key("a"));
      assert.equal(info.size, 1000);
      assert.equal(info.etag, receipt.etag);
      assert.ok(info.etag.length > 0 && !info.etag.includes('"'));
      assert.ok(Number.isFinite(info.lastModified) && info.lastModified > 1e12, "lastModified is in milliseconds");
      const stream = await store.get(key("a"));
      assert.equal(stream.info.key, key("a"));
      assert.equal(stream.info.size, 1000);
      assert.equal(stream.info.etag, receipt.etag);
      assert.equal(stream.start, 0);
      assert.equal(stream.length, 1000);
      const pieces: Buffer[] = [];
      for await (const piece of stream) pieces.push(piece);
      sameBytes(Buffer.concat(pieces), data);
    },
  },
  {
    name: "an empty object is an object",
    async run({ store, key }) {
      await putBytes(store, key("empty"), "");
      assert.equal((await store.head(key("empty"))).size, 0);
      const stream = await store.get(key("empty"));
      assert.equal(stream.length, 0);
      let pieces = 0;
      for await (const piece of stream) pieces += piece.length;
      assert.equal(pieces, 0);
    },
  },
  {
    name: "bodies of many sizes, in many pieces, arrive whole",
    async run({ store, key }) {
      for (const [index, size] of [1, 2, 255, 65_535, 65_536, 65_537, 1_048_583].entries()) {
        const data = bytes(size, index + 1);
        const pieces: Buffer[] = [];
        for (let at = 0, step = 1; at < size; at += step, step = step * 3 + 1) pieces.push(data.subarray(at, at + step));
        // An empty piece is allowed anywhere.
        pieces.splice(1, 0, Buffer.alloc(0));
        await store.put(key(`s${size}`), bodyOf(...pieces));
        sameBytes(await read(store, key(`s${size}`)), data, `${size} bytes`);
      }
    },
  },
  {
    name: "a body that arrives asynchronously is awaited",
    async run({ store, key }) {
      const data = bytes(300_000);
      await store.put(key("a"), {
        length: data.length,
        async *open() {
          for (let at = 0; at < data.length; at += 10_000) {
            await new Promise<void>(setImmediate);
            yield data.subarray(at, at + 10_000);
          }
        },
      });
      sameBytes(await read(store, key("a")), data);
    },
  },
  {
    name: "a missing key is not-found",
    async run({ store, key }) {
      await rejects(store.head(key("none")), "not-found");
      await rejects(store.get(key("none")), "not-found");
      await rejects(store.get(key("none"), { start: 5, length: 5 }), "not-found");
      await putBytes(store, key("none/below"), "x");
      await rejects(store.head(key("none")), "not-found");
      await rejects(store.head(key("none/")), "not-found");
    },
  },
  {
    name: "an overwrite replaces bytes and etag",
    when: (c) => !c.immutable,
    async run({ store, key }) {
      const first = await putBytes(store, key("a"), bytes(500, 1));
      const second = await putBytes(store, key("a"), bytes(500, 2));
      assert.notEqual(first.etag, second.etag, "other bytes need another etag");
      sameBytes(await read(store, key("a")), bytes(500, 2));
      assert.equal((await store.head(key("a"))).etag, second.etag);
      const third = await putBytes(store, key("a"), "short");
      assert.equal((await store.head(key("a"))).size, 5);
      assert.notEqual(third.etag, second.etag);
    },
  },
  {
    name: "objects of an immutable store cannot be replaced or deleted",
    when: (c) => c.immutable,
    async run({ store, key }) {
      await putBytes(store, key("a"), "first");
      await rejects(putBytes(store, key("a"), "second"), "exists");
      await rejects(store.delete(key("a")), "unsupported", "denied");
      sameBytes(await read(store, key("a")), Buffer.from("first"));
    },
  },
  {
    name: "delete removes, and deleting what is missing is success",
    when: (c) => !c.immutable,
    async run({ store, key, capabilities }) {
      await putBytes(store, key("a"), "x");
      await store.delete(key("a"));
      await rejects(store.head(key("a")), "not-found");
      await rejects(store.get(key("a")), "not-found");
      if (capabilities.list !== "none") assert.deepEqual((await listAll(store, { prefix: key("") })).keys, []);
      await store.delete(key("a"));
      await store.delete(key("never was/there"));
    },
  },
  {
    name: "deleteMany removes all of many, missing ones too",
    when: (c) => !c.immutable,
    async run({ store, key }) {
      assert.deepEqual(await store.deleteMany([]), []);
      const real = ["a", "b&<>'\"", "c d", "e/f"].map(key);
      for (const one of real) await putBytes(store, one, "x");
      const missing = Array.from({ length: 1100 }, (_, i) => key(`missing-${i}`));
      assert.deepEqual(await store.deleteMany([...missing.slice(0, 1050), ...real, ...missing.slice(1050)]), []);
      for (const one of real) assert.equal(await exists(store, one), false, one);
    },
  },
  {
    name: "the buffers of a body are neither changed nor kept",
    async run({ store, key }) {
      const data = bytes(100_000);
      const mine = Buffer.from(data);
      await store.put(key("a"), bodyOf(mine));
      sameBytes(mine, data, "the body's buffer");
      mine.fill(0);
      sameBytes(await read(store, key("a")), data);
    },
  },
  {
    name: "the buffers received belong to the receiver",
    async run({ store, key }) {
      const data = bytes(100_000);
      await putBytes(store, key("a"), data);
      const kept: Buffer[] = [];
      for await (const piece of await store.get(key("a"))) kept.push(piece);
      sameBytes(Buffer.concat(kept), data, "pieces kept until the end");
      for (const piece of kept) piece.fill(0);
      sameBytes(await read(store, key("a")), data);
    },
  },
  {
    name: "a body that is shorter or longer than it said is refused",
    async run({ store, key }) {
      await rejects(store.put(key("short"), { length: 100, open: () => [bytes(99)] }), "invalid");
      await rejects(store.put(key("long"), { length: 100, open: () => [bytes(60), bytes(60)] }), "invalid");
      assert.equal(await exists(store, key("short")), false);
      assert.equal(await exists(store, key("long")), false);
    },
  },
  {
    name: "a body that fails leaves nothing, or what was there",
    async run({ store, key, capabilities }) {
      const broken = new Error("the disk is gone");
      const error = await failure(store.put(key("a"), failingBody(bytes(200_000), broken)));
      assert.ok(isStoreError(error) && causes(error).includes(broken), "the cause is kept");
      assert.equal(await exists(store, key("a")), false);
      const passed = new StoreError("quota", "from the other store");
      assert.equal(await failure(store.put(key("a"), failingBody(bytes(200_000), passed))), passed, "a StoreError passes as it is");
      assert.equal(await exists(store, key("a")), false);
      if (capabilities.immutable) return;
      await putBytes(store, key("b"), bytes(10));
      await failure(store.put(key("b"), failingBody(bytes(200_000), broken)));
      sameBytes(await read(store, key("b")), bytes(10));
    },
  },
  {
    name: "a put is not visible before it is whole",
    async run({ store, second, key, capabilities }) {
      const data = bytes(400_000);
      const halting = haltingBody(data);
      const put = store.put(key("new"), halting.body);
      await Promise.race([halting.reached, put]);
      assert.equal(await exists(second, key("new")), false, "head sees half an object");
      if (capabilities.list !== "none") assert.deepEqual((await listAll(second, { prefix: key("") })).keys, [], "list sees half an object");
      halting.go();
      await put;
      sameBytes(await read(second, key("new")), data);
    },
  },
  {
    name: "during a replacement the old version is there, whole",
    when: (c) => !c.immutable,
    async run({ store, second, key }) {
      const old = bytes(300_000, 1);
      const fresh = bytes(350_000, 2);
      const before = await putBytes(store, key("a"), old);
      const halting = haltingBody(fresh);
      const put = store.put(key("a"), halting.body);
      await Promise.race([halting.reached, put]);
      assert.equal((await second.head(key("a"))).etag, before.etag);
      sameBytes(await read(second, key("a")), old, "the old version");
      halting.go();
      const after = await put;
      assert.equal((await second.head(key("a"))).etag, after.etag);
      sameBytes(await read(second, key("a")), fresh, "the new version");
    },
  },
  {
    name: "a reader of the old version gets it whole, or an error",
    when: (c) => !c.immutable,
    async run({ store, second, key }) {
      const old = bytes(4 << 20, 1);
      for (const change of ["replace", "delete", "shrink"] as const) {
        await putBytes(store, key(change), old);
        const stream = await store.get(key(change));
        const pieces: Buffer[] = [];
        try {
          for await (const piece of stream) {
            pieces.push(piece);
            if (pieces.length !== 1) continue;
            if (change === "delete") await second.delete(key(change));
            else await putBytes(second, key(change), bytes(change === "replace" ? old.length : 100, 2));
          }
          sameBytes(Buffer.concat(pieces), old, `what was read during ${change}`);
        } catch (error) {
          if (!isStoreError(error)) throw error;
        }
      }
    },
  },
  {
    name: "what is acknowledged is seen by everybody at once",
    async run({ store, second, key, capabilities }) {
      await parallel(10, 5, async (i) => {
        const name = key(`n${i}`);
        const receipt = await putBytes(store, name, bytes(100, i));
        assert.equal((await second.head(name)).etag, receipt.etag);
        sameBytes(await read(second, name), bytes(100, i));
        if (capabilities.list !== "none") assert.deepEqual((await listAll(second, { prefix: name })).keys, [name]);
        if (capabilities.immutable) return;
        await store.delete(name);
        assert.equal(await exists(second, name), false);
        if (capabilities.list !== "none") assert.deepEqual((await listAll(second, { prefix: name })).keys, []);
      });
    },
  },
  {
    name: "a body beyond the limit is refused before it is opened",
    when: (c) => Number.isSafeInteger(c.maxPutSize + 1),
    async run({ store, key, capabilities }) {
      await rejects(store.put(key("a"), {
        length: capabilities.maxPutSize + 1,
        open: () => { throw new Error("opened"); },
      }), "invalid");
    },
  },
];
