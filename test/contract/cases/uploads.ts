// Staged uploads.

import assert from "node:assert/strict";
import { bodyOf } from "../../../src/store/body.js";
import type { Body, PartReceipt, Upload } from "../../../src/store/objectStore.js";
import {
  bytes, exists, failingBody, failure, limitsOf, listAll, partSize, putBytes, read, rejects, sameBytes, type ContractCase, type ContractContext,
} from "../harness.js";
import { race } from "./conditions.js";

interface Staged {
  readonly size: number;
  readonly part: (upload: Upload, number: number, last?: boolean, data?: Buffer) => Promise<PartReceipt>;
  /** The bytes of a part. */
  readonly of: (number: number) => Buffer;
}

function staged(t: ContractContext): Staged {
  const size = partSize(t.capabilities);
  const of = (number: number): Buffer => bytes(size, 100 + number);
  return { size, of, part: (upload, number, last = false, data = of(number)) => upload.putPart(number, (number - 1) * size, last, bodyOf(data)) };
}

async function listed(t: ContractContext): Promise<readonly string[]> {
  return t.capabilities.list === "none" ? [] : (await listAll(t.second, { prefix: t.prefix })).keys;
}

const has = (c: ContractContext["capabilities"]): boolean => c.upload !== false;

export const uploadCases: readonly ContractCase[] = [
  {
    name: "parts become one object when the upload completes",
    when: has,
    async run(t) {
      const { part, of } = staged(t);
      const metadata = t.capabilities.metadata === false ? undefined : { a: "1", b: "\u00e9" };
      const upload = await t.store.beginUpload(t.key("a"), { metadata, contentType: "text/plain" });
      assert.equal(upload.key, t.key("a"));
      assert.ok(upload.id.length > 0);
      const first = await part(upload, 1);
      const second = await part(upload, 2);
      const tail = bytes(77, 5);
      const third = await part(upload, 3, true, tail);
      assert.deepEqual([first.number, second.number, third.number, third.size], [1, 2, 3, 77]);
      assert.deepEqual(JSON.parse(JSON.stringify(second)), JSON.parse(JSON.stringify({ ...second })));
      assert.equal(await exists(t.second, t.key("a")), false, "visible before it is complete");
      assert.deepEqual(await listed(t), [], "listed before it is complete");
      // As it comes back from a journal.
      const receipt = await upload.complete(JSON.parse(JSON.stringify([first, second, third])) as PartReceipt[]);
      const whole = Buffer.concat([of(1), of(2), tail]);
      assert.equal(receipt.size, whole.length);
      const head = await t.second.head(t.key("a"));
      assert.equal(head.etag, receipt.etag);
      assert.equal(head.size, whole.length);
      assert.equal(head.contentType, "text/plain");
      assert.deepEqual(head.metadata, metadata ?? {});
      sameBytes(await read(t.second, t.key("a")), whole);
      assert.deepEqual(await listed(t), [t.key("a")]);
    },
  },
  {
    name: "parts may come in any order, and at once",
    when: has,
    async run(t) {
      const { part, of } = staged(t);
      const upload = await t.store.beginUpload(t.key("a"));
      const last = await part(upload, 4, true, bytes(9, 9));
      const rest = await Promise.all([3, 1, 2].map((number) => part(upload, number)));
      await upload.complete([...rest, last].sort((a, b) => a.number - b.number));
      sameBytes(await read(t.store, t.key("a")), Buffer.concat([of(1), of(2), of(3), bytes(9, 9)]));
    },
  },
  {
    name: "a single short part is an object",
    when: has,
    async run(t) {
      const upload = await t.store.beginUpload(t.key("a"));
      await upload.complete([await upload.putPart(1, 0, true, bodyOf("tiny"))]);
      sameBytes(await read(t.store, t.key("a")), Buffer.from("tiny"));
    },
  },
  {
    name: "a part sent again replaces the first",
    when: has,
    async run(t) {
      const { part, of, size } = staged(t);
      const upload = await t.store.beginUpload(t.key("a"));
      await part(upload, 1, false, bytes(size, 50));
      const last = await part(upload, 2, true, bytes(10, 51));
      const again = await part(upload, 1);
      await upload.complete([again, last]);
      sameBytes(await read(t.store, t.key("a")), Buffer.concat([of(1), bytes(10, 51)]));
    },
  },
  {
    name: "numbers may leave gaps, offsets may not",
    when: (c) => c.upload !== false && c.upload.maxParts >= 20,
    async run(t) {
      const { of, size } = staged(t);
      const upload = await t.store.beginUpload(t.key("a"));
      const put = (number: number, offset: number, last: boolean, data: Buffer): Promise<PartReceipt> => upload.putPart(number, offset, last, bodyOf(data));
      const parts = [await put(3, 0, false, of(1)), await put(7, size, false, of(2)), await put(20, 2 * size, true, bytes(5))];
      await rejects(upload.complete([parts[0] as PartReceipt, { ...parts[2] as PartReceipt }]), "invalid");
      await rejects(upload.complete([parts[1] as PartReceipt, parts[0] as PartReceipt, parts[2] as PartReceipt]), "invalid");
      await upload.complete(parts);
      sameBytes(await read(t.store, t.key("a")), Buffer.concat([of(1), of(2), bytes(5)]));
    },
  },
  {
    name: "the object is made of exactly the parts named",
    when: has,
    async run(t) {
      const { part, of } = staged(t);
      const upload = await t.store.beginUpload(t.key("a"));
      const first = await part(upload, 1);
      const second = await part(upload, 2, true);
      await part(upload, 3, true);
      await upload.complete([first, second]);
      sameBytes(await read(t.store, t.key("a")), Buffer.concat([of(1), of(2)]));
    },
  },
  {
    name: "completing with a part the store does not have fails",
    when: has,
    async run(t) {
      const { part, size } = staged(t);
      const upload = await t.store.beginUpload(t.key("a"));
      const first = await part(upload, 1);
      await rejects(upload.complete([first, { ...first, number: 2, offset: size }]), "invalid");
      assert.equal(await exists(t.store, t.key("a")), false);
      await rejects(upload.complete([]), "invalid");
      const last = await part(upload, 2, true);
      await rejects(upload.complete([first, { ...last, etag: "0123456789abcdef0123456789abcdef" }]), "invalid");
      assert.equal(await exists(t.store, t.key("a")), false);
      await upload.abort();
    },
  },
  {
    name: "a part that is too small and not the last fails",
    when: (c) => c.upload !== false && c.upload.minSize > 1,
    async run(t) {
      const { part } = staged(t);
      const small = bytes(limitsOf(t.capabilities).minSize - 1);
      const upload = await t.store.beginUpload(t.key("a"));
      await rejects((async () => {
        const first = await part(upload, 1, false, small);
        const last = await upload.putPart(2, small.length, true, bodyOf("x"));
        await upload.complete([first, last]);
      })(), "invalid");
      assert.equal(await exists(t.store, t.key("a")), false);
      await upload.abort();
    },
  },
  {
    name: "part numbers outside the limits are invalid",
    when: has,
    async run(t) {
      const upload = await t.store.beginUpload(t.key("a"));
      const { maxParts } = limitsOf(t.capabilities);
      for (const number of [0, -1, 1.5, ...Number.isSafeInteger(maxParts + 1) ? [maxParts + 1] : []]) {
        await rejects(upload.putPart(number, 0, true, bodyOf("x")), "invalid");
      }
      await upload.abort();
    },
  },
  {
    name: "a part whose body fails can be sent again",
    when: has,
    async run(t) {
      const { part, of } = staged(t);
      const upload = await t.store.beginUpload(t.key("a"));
      await failure(upload.putPart(1, 0, true, failingBody(of(1), new Error("gone")) satisfies Body));
      await upload.complete([await part(upload, 1, true)]);
      sameBytes(await read(t.store, t.key("a")), of(1));
    },
  },
  {
    name: "an aborted upload is gone, and aborting again is success",
    when: has,
    async run(t) {
      const { part } = staged(t);
      const upload = await t.store.beginUpload(t.key("a"));
      const first = await part(upload, 1, true);
      await upload.abort();
      await upload.abort();
      assert.equal(await exists(t.second, t.key("a")), false);
      assert.deepEqual(await listed(t), []);
      await rejects(part(upload, 2, true), "not-found");
      await rejects(upload.complete([first]), "not-found");
      assert.equal(await exists(t.second, t.key("a")), false);
    },
  },
  {
    name: "completing twice is one object, abort after it changes nothing",
    when: has,
    async run(t) {
      const { part, of } = staged(t);
      const upload = await t.store.beginUpload(t.key("a"));
      const parts = [await part(upload, 1), await part(upload, 2, true)];
      const receipt = await upload.complete(parts);
      const again = await upload.complete(parts);
      assert.deepEqual([again.etag, again.size], [receipt.etag, receipt.size]);
      await upload.abort();
      sameBytes(await read(t.store, t.key("a")), Buffer.concat([of(1), of(2)]));
    },
  },
  {
    name: "completing again does not bring back what was replaced",
    when: (c) => c.upload !== false && !c.immutable,
    async run(t) {
      const { part } = staged(t);
      const upload = await t.store.beginUpload(t.key("a"));
      const parts = [await part(upload, 1, true)];
      await upload.complete(parts);
      await putBytes(t.second, t.key("a"), "newer");
      await failure(upload.complete(parts));
      sameBytes(await read(t.store, t.key("a")), Buffer.from("newer"));
      await t.second.delete(t.key("a"));
      await failure(upload.complete(parts));
      assert.equal(await exists(t.store, t.key("a")), false);
    },
  },
  {
    name: "the old version is there until the upload completes",
    when: (c) => c.upload !== false && !c.immutable,
    async run(t) {
      const { part, of } = staged(t);
      const old = await putBytes(t.store, t.key("a"), "old");
      const upload = await t.store.beginUpload(t.key("a"));
      const parts = [await part(upload, 1, true)];
      sameBytes(await read(t.second, t.key("a")), Buffer.from("old"));
      const receipt = await upload.complete(parts);
      assert.notEqual(receipt.etag, old.etag);
      sameBytes(await read(t.second, t.key("a")), of(1));
    },
  },
  {
    name: "uploads of one key do not mix",
    when: (c) => c.upload !== false && !c.immutable,
    async run(t) {
      const { part, of } = staged(t);
      const one = await t.store.beginUpload(t.key("a"));
      const two = await t.second.beginUpload(t.key("a"));
      assert.notEqual(one.id, two.id);
      const p1 = await part(one, 1, true, of(1));
      const p2 = await part(two, 1, true, of(2));
      await one.complete([p1]);
      sameBytes(await read(t.store, t.key("a")), of(1));
      await two.complete([p2]);
      sameBytes(await read(t.store, t.key("a")), of(2));
    },
  },
  {
    name: "complete keeps to its conditions",
    when: (c) => c.upload !== false && !c.immutable,
    async run(t) {
      const { part, of } = staged(t);
      const make = async (number: number): Promise<[Upload, PartReceipt[]]> => {
        const upload = await t.store.beginUpload(t.key("a"));
        return [upload, [await part(upload, 1, true, of(number))]];
      };
      const [first, firstParts] = await make(1);
      const { etag } = await first.complete(firstParts, { ifNoneMatch: "*" });
      const [late, lateParts] = await make(2);
      await rejects(late.complete(lateParts, { ifNoneMatch: "*" }), "precondition");
      await late.abort();
      sameBytes(await read(t.second, t.key("a")), of(1));
      const [next, nextParts] = await make(3);
      await next.complete(nextParts, { ifMatch: etag });
      sameBytes(await read(t.second, t.key("a")), of(3));
      const [stale, staleParts] = await make(4);
      await rejects(stale.complete(staleParts, { ifMatch: etag }), "precondition");
      await stale.abort();
      sameBytes(await read(t.second, t.key("a")), of(3));
      await t.store.delete(t.key("a"));
      const [gone, goneParts] = await make(5);
      await rejects(gone.complete(goneParts, { ifMatch: etag }), "precondition");
      assert.equal(await exists(t.second, t.key("a")), false);
      await gone.abort();
    },
  },
  {
    name: "of uploads that create one key, exactly one completes",
    when: (c) => c.upload !== false && c.conditionalComplete !== "none",
    async run(t) {
      const { part, of } = staged(t);
      const all = await Promise.all([1, 2, 3, 4].map(async (number) => {
        const upload = await (number % 2 === 0 ? t.store : t.second).beginUpload(t.key("a"));
        return { upload, parts: [await part(upload, 1, true, of(number))] };
      }));
      const winners = await race(all.map(({ upload, parts }) => () => upload.complete(parts, { ifNoneMatch: "*" })));
      assert.equal(winners.length, 1, `${winners.length} winners`);
      sameBytes(await read(t.store, t.key("a")), of((winners[0] as number) + 1));
      await Promise.all(all.map(({ upload }) => upload.abort()));
      sameBytes(await read(t.store, t.key("a")), of((winners[0] as number) + 1));
    },
  },
  {
    name: "uploads that are not declared are unsupported",
    when: (c) => c.upload === false,
    run: ({ store, key }) => rejects(store.beginUpload(key("a")), "unsupported"),
  },
];
