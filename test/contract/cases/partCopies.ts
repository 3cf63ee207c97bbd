// Parts that the service copies, and uploads that are resumed.

import assert from "node:assert/strict";
import { bodyOf } from "../../../src/store/body.js";
import type { PartReceipt } from "../../../src/store/objectStore.js";
import { bytes, exists, partSize, putBytes, read, rejects, sameBytes, type ContractCase } from "../harness.js";

export const partCopyCases: readonly ContractCase[] = [
  {
    name: "parts copied from ranges make up the object",
    when: (c) => c.upload !== false && c.copyPart !== false,
    async run({ store, second, key, capabilities }) {
      const size = partSize(capabilities);
      const source = bytes(3 * size + 1234, 7);
      await putBytes(store, key("from"), source);
      const upload = await store.beginUpload(key("to"));
      const { etag } = await second.head(key("from"));
      // Unaligned, in another order, with a part of new bytes between.
      const parts = await Promise.all([
        upload.copyPart(1, 0, key("from"), { start: size + 17, length: size }, { sourceIfMatch: etag }),
        upload.putPart(2, size, false, bodyOf(bytes(size, 8))),
        upload.copyPart(3, 2 * size, key("from"), { start: 0, length: size }),
      ]);
      const last = await upload.putPart(4, 3 * size, true, bodyOf("end"));
      assert.deepEqual(parts.map((part) => [part.number, part.offset, part.size]), [[1, 0, size], [2, size, size], [3, 2 * size, size]]);
      await upload.complete([...parts, last]);
      sameBytes(await read(second, key("to")), Buffer.concat([source.subarray(size + 17, 2 * size + 17), bytes(size, 8), source.subarray(0, size), Buffer.from("end")]));
    },
  },
  {
    name: "an object can be changed by copying its own other parts",
    when: (c) => c.upload !== false && c.copyPart !== false && !c.immutable,
    async run({ store, key, capabilities }) {
      const size = partSize(capabilities);
      const old = bytes(3 * size, 7);
      const { etag } = await putBytes(store, key("a"), old);
      const upload = await store.beginUpload(key("a"));
      const parts = [
        await upload.copyPart(1, 0, key("a"), { start: 0, length: size }, { sourceIfMatch: etag }),
        await upload.putPart(2, size, false, bodyOf(bytes(size, 9))),
        await upload.copyPart(3, 2 * size, key("a"), { start: 2 * size, length: size }, { sourceIfMatch: etag }),
      ];
      await upload.complete(parts, { ifMatch: etag });
      sameBytes(await read(store, key("a")), Buffer.concat([old.subarray(0, size), bytes(size, 9), old.subarray(2 * size)]));
    },
  },
  {
    name: "an object made by an upload can be copied, described anew and changed in part, pinned to its version",
    when: (c) => c.upload !== false && c.copyPart !== false && c.copy !== false && c.metadata !== false && c.metadata.update !== "none" && !c.immutable,
    async run({ store, second, key, capabilities }) {
      const size = partSize(capabilities);
      const data = bytes(size + 1000, 3);
      const made = await store.beginUpload(key("from"));
      const { etag } = await made.complete([
        await made.putPart(1, 0, false, bodyOf(data.subarray(0, size))), await made.putPart(2, size, true, bodyOf(data.subarray(size))),
      ]);
      await store.copy(key("from"), key("copied"), { sourceIfMatch: etag });
      sameBytes(await read(second, key("copied")), data);
      await rejects(store.copy(key("from"), key("copied"), { sourceIfMatch: `${etag.slice(0, -1)}9` }), "precondition");
      const upload = await store.beginUpload(key("to"));
      await upload.complete([
        await upload.copyPart(1, 0, key("from"), { start: 0, length: size }, { sourceIfMatch: etag }), await upload.putPart(2, size, true, bodyOf("tail")),
      ], { ifNoneMatch: "*" });
      sameBytes(await read(second, key("to")), Buffer.concat([data.subarray(0, size), Buffer.from("tail")]));
      const described = await store.setMetadata(key("from"), { a: "1" }, { ifMatch: etag });
      assert.deepEqual((await second.head(key("from"))).metadata, { a: "1" });
      assert.equal((await second.head(key("from"))).etag, described.etag);
      sameBytes(await read(second, key("from")), data);
    },
  },
  {
    name: "a part copy needs its source, in the version that was meant",
    when: (c) => c.upload !== false && c.copyPart !== false && !c.immutable,
    async run({ store, second, key, capabilities }) {
      const size = partSize(capabilities);
      const upload = await store.beginUpload(key("to"));
      await rejects(upload.copyPart(1, 0, key("none"), { start: 0, length: size }), "not-found");
      const { etag } = await putBytes(store, key("from"), bytes(size, 1));
      await putBytes(second, key("from"), bytes(size, 2));
      await rejects(upload.copyPart(1, 0, key("from"), { start: 0, length: size }, { sourceIfMatch: etag }), "precondition");
      await rejects(upload.copyPart(1, 0, key("from"), { start: 2 * size, length: size }), "range", "invalid");
      await upload.abort();
    },
  },
  {
    name: "part copies that are not declared are unsupported",
    when: (c) => c.upload !== false && c.copyPart === false,
    async run({ store, key, capabilities }) {
      await putBytes(store, key("from"), bytes(partSize(capabilities)));
      const upload = await store.beginUpload(key("to"));
      await rejects(upload.copyPart(1, 0, key("from"), { start: 0, length: 1 }), "unsupported");
      await upload.abort();
    },
  },
  {
    name: "an upload is resumed from the parts the store has",
    when: (c) => c.upload !== false && c.resume,
    async run({ store, second, key, capabilities }) {
      const size = partSize(capabilities);
      const options = { metadata: capabilities.metadata === false ? undefined : { a: "1" }, contentType: "text/plain" };
      const begun = await store.beginUpload(key("a"), options);
      assert.deepEqual(await begun.parts(), []);
      const third = await begun.putPart(3, 2 * size, true, bodyOf("tail"));
      await begun.putPart(1, 0, false, bodyOf(bytes(size, 9)));
      const first = await begun.putPart(1, 0, false, bodyOf(bytes(size, 1)));
      const resumed = await second.resumeUpload(key("a"), begun.id, options);
      assert.equal(resumed.id, begun.id);
      const found = await resumed.parts();
      const facts = (parts: readonly PartReceipt[]): unknown[] => parts.map(({ number, size: length, etag }) => [number, length, etag]);
      assert.deepEqual(facts(found), facts([first, third]));
      const middle = await resumed.putPart(2, size, false, bodyOf(bytes(size, 2)));
      await resumed.complete([{ ...found[0] as PartReceipt, offset: 0 }, middle, { ...found[1] as PartReceipt, offset: 2 * size }]);
      sameBytes(await read(store, key("a")), Buffer.concat([bytes(size, 1), bytes(size, 2), Buffer.from("tail")]));
      const head = await store.head(key("a"));
      assert.deepEqual(head.metadata, options.metadata ?? {});
      assert.equal(head.contentType, "text/plain");
    },
  },
  {
    name: "an upload that is not there cannot be resumed",
    when: (c) => c.upload !== false && c.resume,
    async run({ store, second, key }) {
      const begun = await store.beginUpload(key("a"));
      await begun.abort();
      await rejects((async () => { await (await second.resumeUpload(key("a"), begun.id)).parts(); })(), "not-found");
      const done = await store.beginUpload(key("b"));
      const part = await done.putPart(1, 0, true, bodyOf("x"));
      await done.complete([part]);
      await rejects((async () => { await (await second.resumeUpload(key("b"), done.id)).parts(); })(), "not-found");
    },
  },
  {
    name: "an upload whose completion was not heard completes again after a restart",
    when: (c) => c.upload !== false && c.resume,
    async run({ store, second, key }) {
      const begun = await store.beginUpload(key("a"));
      const part = await begun.putPart(1, 0, true, bodyOf(bytes(500)));
      const receipt = await begun.complete([part]);
      let again: string | undefined;
      try {
        again = (await (await second.resumeUpload(key("a"), begun.id)).complete([part])).etag;
      } catch (error) {
        await rejects(Promise.reject(error as Error), "not-found");
      }
      if (again !== undefined) assert.equal(again, receipt.etag);
      assert.equal(await exists(store, key("a")), true);
      sameBytes(await read(store, key("a")), bytes(500));
    },
  },
];
