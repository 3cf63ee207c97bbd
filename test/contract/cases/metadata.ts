// User metadata, content types, expiry.

import assert from "node:assert/strict";
import { bodyOf } from "../../../src/store/body.js";
import { metadataBytes } from "../../../src/store/checks.js";
import type { Metadata } from "../../../src/store/objectStore.js";
import { bytes, listAll, putBytes, read, rejects, sameBytes, type ContractCase } from "../harness.js";

/** In portions, since some services take 2 KiB of encoded metadata. */
const PORTIONS: readonly Metadata[] = [
  { a: "1", "with-dash": "x", with_underscore: "y", "with.dot": "z", "0digit": "0", mode: "33188", mtime: "1700000000.123456789" },
  { empty: "", space: " ", lead: "  two", trail: "two  ", tab: "a\tb", newline: "a\nb", crlf: "a\r\nb", quotes: "'\"`", percent: "%41%", plus: "a+b c", comma: "a, b;c=d" },
  { latin: "\u00e9\u00fc", japanese: "\u65e5\u672c\u8a9e", emoji: "\u{1f600}", control: "\u0001\u001f\u007f", bom: "\ufeffx" },
  { mime: "=?UTF-8?Q?=C3=A9?=", mime64: "=?utf-8?B?w6k=?=", url: "%C3%A9", json: '{"a":[1,2]}', xml: "<a>&amp;</a>", backslash: "C:\\x\\u00e9", proto: "__proto__" },
];

export const metadataCases: readonly ContractCase[] = [
  {
    name: "metadata comes back as it was put",
    when: (c) => c.metadata !== false,
    async run({ store, second, key }) {
      for (const [i, metadata] of PORTIONS.entries()) {
        await putBytes(store, key(`m${i}`), "x", { metadata });
        assert.deepEqual((await second.head(key(`m${i}`))).metadata, metadata);
        const stream = await second.get(key(`m${i}`));
        stream.cancel();
        assert.deepEqual(stream.info.metadata, metadata);
        const range = await second.get(key(`m${i}`), { start: 0, length: 1 });
        range.cancel();
        assert.deepEqual(range.info.metadata, metadata);
      }
    },
  },
  {
    name: "no metadata is an empty record, also after an overwrite",
    async run({ store, key, capabilities }) {
      await putBytes(store, key("none"), "x");
      assert.deepEqual((await store.head(key("none"))).metadata, {});
      if (capabilities.metadata === false || capabilities.immutable) return;
      await putBytes(store, key("over"), "x", { metadata: { a: "1", b: "2" } });
      await putBytes(store, key("over"), "y", { metadata: { b: "3" } });
      assert.deepEqual((await store.head(key("over"))).metadata, { b: "3" });
      await putBytes(store, key("over"), "z");
      assert.deepEqual((await store.head(key("over"))).metadata, {});
    },
  },
  {
    name: "metadata up to the limit is kept, beyond it is invalid",
    when: (c) => c.metadata !== false && c.metadata.maxBytes <= 65_536,
    async run({ store, key, capabilities }) {
      if (capabilities.metadata === false) return;
      const { maxBytes } = capabilities.metadata;
      const full: Record<string, string> = { a: "1" };
      for (let i = 0; metadataBytes(full) < maxBytes; i++) {
        const name = `n${i}`;
        full[name] = "v".repeat(Math.max(0, Math.min(500, maxBytes - metadataBytes(full) - name.length)));
        if (metadataBytes(full) > maxBytes) delete full[name];
        if (maxBytes - metadataBytes(full) <= 8) break;
      }
      await putBytes(store, key("full"), "x", { metadata: full });
      assert.deepEqual((await store.head(key("full"))).metadata, full);
      await rejects(putBytes(store, key("over"), "x", { metadata: { ...full, more: "v".repeat(16) } }), "invalid");
    },
  },
  {
    name: "what is no metadata is invalid",
    when: (c) => c.metadata !== false,
    async run({ store, key }) {
      for (const metadata of [{ Upper: "x" }, { "a b": "x" }, { "": "x" }, { "\u00e9": "x" }, { a: "nul\0" }, { "a:b": "x" }, { a: "lone\ud800" }]) {
        await rejects(putBytes(store, key("a"), "x", { metadata }), "invalid");
      }
    },
  },
  {
    name: "content types come back",
    async run({ store, key }) {
      for (const [i, contentType] of ["text/plain", "application/x-thing+json", "text/html; charset=utf-8"].entries()) {
        await putBytes(store, key(`t${i}`), "x", { contentType });
        assert.equal((await store.head(key(`t${i}`))).contentType, contentType);
      }
    },
  },
  {
    name: "listings carry metadata exactly where that is declared",
    when: (c) => c.list !== "none",
    async run({ store, key, prefix, capabilities }) {
      await putBytes(store, key("none"), "x");
      if (capabilities.metadata !== false) await putBytes(store, key("some"), "x", { metadata: { a: "1" } });
      const { objects } = await listAll(store, { prefix });
      for (const { key: name, metadata } of objects) {
        const want = name === key("some") ? { a: "1" } : {};
        if (capabilities.listMetadata) assert.deepEqual(metadata, want, name);
        else assert.equal(metadata, undefined, name);
      }
    },
  },
  {
    name: "setMetadata replaces the metadata and keeps the bytes",
    when: (c) => c.metadata !== false && c.metadata.update !== "none",
    async run({ store, second, key }) {
      const data = bytes(100_000);
      const put = await putBytes(store, key("a"), data, { metadata: { old: "1", both: "1" }, contentType: "text/plain" });
      const set = await store.setMetadata(key("a"), { both: "2", fresh: "\u00e9 " }, { ifMatch: put.etag });
      const head = await second.head(key("a"));
      assert.deepEqual(head.metadata, { both: "2", fresh: "\u00e9 " });
      assert.equal(head.etag, set.etag);
      assert.equal(head.size, data.length);
      assert.equal(head.contentType, "text/plain");
      sameBytes(await read(second, key("a")), data);
      await store.setMetadata(key("a"), {}, { contentType: "text/html" });
      const last = await second.head(key("a"));
      assert.deepEqual(last.metadata, {});
      assert.equal(last.contentType, "text/html");
      sameBytes(await read(second, key("a")), data);
    },
  },
  {
    name: "setMetadata is for exactly the version that was meant",
    when: (c) => c.metadata !== false && c.metadata.update !== "none",
    async run({ store, second, key }) {
      await rejects(store.setMetadata(key("none"), { a: "1" }), "not-found");
      const { etag } = await putBytes(store, key("a"), "one");
      await putBytes(second, key("a"), "two", { metadata: { of: "two" } });
      await rejects(store.setMetadata(key("a"), { a: "1" }, { ifMatch: etag }), "precondition");
      assert.deepEqual((await store.head(key("a"))).metadata, { of: "two" });
      sameBytes(await read(store, key("a")), Buffer.from("two"));
    },
  },
  {
    name: "metadata that is not kept is refused",
    when: (c) => c.metadata === false || c.metadata.update === "none",
    async run({ store, key, capabilities }) {
      if (capabilities.metadata === false) await rejects(putBytes(store, key("a"), "x", { metadata: { a: "1" } }), "unsupported");
      await putBytes(store, key("a"), "x");
      await rejects(store.setMetadata(key("a"), { a: "1" }), "unsupported");
    },
  },
  {
    name: "expiry comes back, and the object is there until then",
    when: (c) => c.ttl,
    async run({ store, key }) {
      const expires = Math.ceil(Date.now() / 1000) * 1000 + 3_600_000;
      await store.put(key("a"), bodyOf("x"), { expires });
      const info = await store.head(key("a"));
      assert.ok(Math.abs((info.expires ?? 0) - expires) <= 1000, `${info.expires} instead of ${expires}`);
    },
  },
];
