// Ranges, versions and streams of `get`.

import assert from "node:assert/strict";
import { bytes, failure, parallel, putBytes, read, rejects, sameBytes, type ContractCase } from "../harness.js";
import { isStoreError } from "../../../src/store/errors.js";

const SIZE = 150_001;

export const rangeCases: readonly ContractCase[] = [
  {
    name: "ranges are exact, and cut at the end",
    async run({ store, key }) {
      const data = bytes(SIZE);
      await putBytes(store, key("a"), data);
      const ranges: [number, number][] = [
        [0, 1], [0, 2], [1, 1], [0, SIZE], [SIZE - 1, 1], [SIZE - 2, 2], [65_535, 2], [65_536, 65_536], [1000, 100_000],
        [SIZE - 1, 100], [SIZE - 10, 2 ** 40], [0, SIZE + 1], [0, 2 ** 50],
      ];
      for (const [start, length] of ranges) {
        const stream = await store.get(key("a"), { start, length });
        const expected = data.subarray(start, start + length);
        assert.equal(stream.start, start);
        assert.equal(stream.length, expected.length, `length of ${length} bytes from ${start}`);
        assert.equal(stream.info.size, SIZE, "info tells the whole object's size");
        const pieces: Buffer[] = [];
        for await (const piece of stream) pieces.push(piece);
        sameBytes(Buffer.concat(pieces), expected, `${length} bytes from ${start}`);
      }
    },
  },
  {
    name: "a range outside the object is range",
    async run({ store, key }) {
      await putBytes(store, key("a"), bytes(100));
      await putBytes(store, key("empty"), "");
      await rejects(store.get(key("a"), { start: 100, length: 1 }), "range");
      await rejects(store.get(key("a"), { start: 2 ** 40, length: 10 }), "range");
      await rejects(store.get(key("empty"), { start: 0, length: 1 }), "range");
    },
  },
  {
    name: "what is no range is invalid",
    async run({ store, key }) {
      await putBytes(store, key("a"), bytes(100));
      for (const [start, length] of [[0, 0], [10, 0], [-1, 5], [0, -5], [0.5, 1], [0, Number.NaN]] as const) {
        await rejects(store.get(key("a"), { start, length }), "invalid");
      }
    },
  },
  {
    name: "parallel ranges make up the object",
    async run({ store, key }) {
      const data = bytes(1 << 20);
      await putBytes(store, key("a"), data);
      const pieces = await parallel(64, 16, (i) => read(store, key("a"), { start: i << 14, length: 1 << 14 }));
      sameBytes(Buffer.concat(pieces), data);
    },
  },
  {
    name: "get of a version that is gone is precondition",
    when: (c) => c.conditionalGet && !c.immutable,
    async run({ store, second, key }) {
      const { etag } = await putBytes(store, key("a"), bytes(1000, 1));
      sameBytes(await read(store, key("a"), undefined, { ifMatch: etag }), bytes(1000, 1));
      sameBytes(await read(store, key("a"), { start: 10, length: 10 }, { ifMatch: etag }), bytes(1000, 1).subarray(10, 20));
      await putBytes(second, key("a"), bytes(1000, 2));
      await rejects(read(store, key("a"), undefined, { ifMatch: etag }), "precondition");
      await rejects(read(store, key("a"), { start: 10, length: 10 }, { ifMatch: etag }), "precondition");
      await second.delete(key("a"));
      await rejects(read(store, key("a"), undefined, { ifMatch: etag }), "precondition", "not-found");
    },
  },
  {
    name: "streams that are left or cancelled free what they hold",
    async run({ store, key, concurrency }) {
      const data = bytes(1 << 20);
      await putBytes(store, key("a"), data);
      for (let round = 0; round < 3; round++) {
        // All open at once: fewer than any sensible number of connections.
        const streams = await Promise.all(Array.from({ length: Math.min(concurrency, 16) }, () => store.get(key("a"))));
        await Promise.all(streams.map(async (stream, i) => {
          if (i % 2 === 0) {
            stream.cancel();
            stream.cancel();
          } else {
            for await (const piece of stream) if (piece.length > 0) break;
            stream.cancel();
          }
        }));
      }
      sameBytes(await read(store, key("a")), data);
    },
  },
  {
    name: "a stream that is cancelled while it is read ends with aborted",
    async run({ store, key }) {
      await putBytes(store, key("a"), bytes(4 << 20));
      const stream = await store.get(key("a"));
      let received = 0;
      const error = await failure((async () => {
        for await (const piece of stream) {
          received += piece.length;
          stream.cancel();
        }
      })());
      assert.ok(isStoreError(error, "aborted"), String(error));
      assert.ok(received < 4 << 20);
    },
  },
  {
    name: "a slow reader gets everything",
    async run({ store, key }) {
      const data = bytes(600_000);
      await putBytes(store, key("a"), data);
      const pieces: Buffer[] = [];
      for await (const piece of await store.get(key("a"))) {
        pieces.push(piece);
        for (let turn = 0; turn < 20; turn++) await new Promise<void>(setImmediate);
      }
      sameBytes(Buffer.concat(pieces), data);
    },
  },
];
