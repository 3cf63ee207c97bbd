// Server-side copies and renames.

import assert from "node:assert/strict";
import { bytes, exists, putBytes, read, rejects, sameBytes, type ContractCase } from "../harness.js";
import { race } from "./conditions.js";

export const copyCases: readonly ContractCase[] = [
  {
    name: "a copy has the bytes, the metadata and the content type",
    when: (c) => c.copy !== false,
    async run({ store, second, key, capabilities }) {
      const metadata = capabilities.metadata === false ? undefined : { a: "1", b: "\u00e9" };
      for (const size of [0, 1, 200_000]) {
        await putBytes(store, key(`from${size}`), bytes(size), { metadata, contentType: "text/plain" });
        const receipt = await store.copy(key(`from${size}`), key(`to${size}`));
        const head = await second.head(key(`to${size}`));
        assert.equal(head.etag, receipt.etag);
        assert.equal(receipt.size, size);
        assert.equal(head.size, size);
        assert.deepEqual(head.metadata, metadata ?? {});
        assert.equal(head.contentType, "text/plain");
        sameBytes(await read(second, key(`to${size}`)), bytes(size));
        assert.equal(await exists(store, key(`from${size}`)), true);
      }
    },
  },
  {
    name: "a copy can be given other metadata, also onto itself",
    when: (c) => c.copy !== false && c.metadata !== false && !c.immutable,
    async run({ store, key }) {
      await putBytes(store, key("a"), bytes(1000), { metadata: { old: "1" }, contentType: "text/plain" });
      await store.copy(key("a"), key("b"), { metadata: { fresh: "2" }, contentType: "text/html" });
      const copied = await store.head(key("b"));
      assert.deepEqual(copied.metadata, { fresh: "2" });
      assert.equal(copied.contentType, "text/html");
      await store.copy(key("a"), key("a"), { metadata: { self: "3" }, contentType: "text/plain" });
      assert.deepEqual((await store.head(key("a"))).metadata, { self: "3" });
      sameBytes(await read(store, key("a")), bytes(1000));
      await store.copy(key("a"), key("b"), { metadata: {} });
      assert.deepEqual((await store.head(key("b"))).metadata, {});
    },
  },
  {
    name: "a copy replaces its target, and needs its source",
    when: (c) => c.copy !== false && !c.immutable,
    async run({ store, key }) {
      await putBytes(store, key("a"), "new");
      await putBytes(store, key("b"), "old bytes");
      await store.copy(key("a"), key("b"));
      sameBytes(await read(store, key("b")), Buffer.from("new"));
      await rejects(store.copy(key("none"), key("b")), "not-found");
      sameBytes(await read(store, key("b")), Buffer.from("new"));
      // A copy is an object of its own.
      await putBytes(store, key("a"), "changed");
      await store.delete(key("a"));
      sameBytes(await read(store, key("b")), Buffer.from("new"));
    },
  },
  {
    name: "a copy keeps to the conditions on its target",
    when: (c) => c.copy !== false && !c.immutable,
    async run({ store, second, key }) {
      await putBytes(store, key("from"), "source");
      await store.copy(key("from"), key("to"), { ifNoneMatch: "*" });
      await rejects(second.copy(key("from"), key("to"), { ifNoneMatch: "*" }), "precondition");
      const { etag } = await putBytes(store, key("to"), "target");
      await rejects(store.copy(key("from"), key("to"), { ifMatch: "0123456789abcdef0123456789abcdef" }), "precondition");
      sameBytes(await read(store, key("to")), Buffer.from("target"));
      await store.copy(key("from"), key("to"), { ifMatch: etag });
      sameBytes(await read(store, key("to")), Buffer.from("source"));
      await rejects(store.copy(key("from"), key("none"), { ifMatch: etag }), "precondition");
      assert.equal(await exists(store, key("none")), false);
    },
  },
  {
    name: "a copy takes only the source version that was meant",
    when: (c) => c.copy !== false && !c.immutable,
    async run({ store, second, key }) {
      const { etag } = await putBytes(store, key("from"), "one");
      await store.copy(key("from"), key("to"), { sourceIfMatch: etag });
      sameBytes(await read(store, key("to")), Buffer.from("one"));
      await putBytes(second, key("from"), "two");
      await rejects(store.copy(key("from"), key("to"), { sourceIfMatch: etag }), "precondition");
      sameBytes(await read(store, key("to")), Buffer.from("one"));
    },
  },
  {
    name: "copies that are not declared are unsupported",
    when: (c) => c.copy === false,
    async run({ store, key }) {
      await putBytes(store, key("a"), "x");
      await rejects(store.copy(key("a"), key("b")), "unsupported");
    },
  },
  {
    name: "a rename moves at once",
    when: (c) => c.rename === "atomic",
    async run({ store, second, key, capabilities }) {
      const metadata = capabilities.metadata === false ? undefined : { a: "1" };
      await putBytes(store, key("from"), bytes(5000), { metadata });
      await putBytes(store, key("to"), "old");
      await store.rename(key("from"), key("to"));
      assert.equal(await exists(second, key("from")), false);
      sameBytes(await read(second, key("to")), bytes(5000));
      assert.deepEqual((await second.head(key("to"))).metadata, metadata ?? {});
      await rejects(store.rename(key("from"), key("to")), "not-found");
      sameBytes(await read(second, key("to")), bytes(5000));
      await putBytes(store, key("other"), "other");
      await rejects(store.rename(key("other"), key("to"), { ifNoneMatch: "*" }), "precondition");
      assert.equal(await exists(store, key("other")), true);
      await store.rename(key("other"), key("free"), { ifNoneMatch: "*" });
      sameBytes(await read(second, key("free")), Buffer.from("other"));
      await store.rename(key("free"), key("free"));
      sameBytes(await read(second, key("free")), Buffer.from("other"));
    },
  },
  {
    name: "of many renames to one free name, one wins",
    when: (c) => c.rename === "atomic",
    async run({ store, second, key }) {
      for (let i = 0; i < 8; i++) await putBytes(store, key(`from${i}`), `body ${i}`);
      const winners = await race(Array.from({ length: 8 }, (_, i) => () => (i % 2 === 0 ? store : second).rename(key(`from${i}`), key("to"), { ifNoneMatch: "*" })));
      assert.equal(winners.length, 1);
      sameBytes(await read(store, key("to")), Buffer.from(`body ${winners[0]}`));
      for (let i = 0; i < 8; i++) assert.equal(await exists(store, key(`from${i}`)), i !== winners[0]);
    },
  },
  {
    name: "renames that are not declared are unsupported",
    when: (c) => c.rename === "none",
    async run({ store, key }) {
      await putBytes(store, key("a"), "x");
      await rejects(store.rename(key("a"), key("b")), "unsupported");
      assert.equal(await exists(store, key("a")), true);
    },
  },
];
