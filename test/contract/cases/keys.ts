// Keys: any string of Unicode scalar values is one, and no two of them are the same object.

import assert from "node:assert/strict";
import { bodyOf } from "../../../src/store/body.js";
import { exists, listAll, parallel, putBytes, read, rejects, sameBytes, type ContractCase, type ContractContext } from "../harness.js";

/** Names that were lost, merged, refused or shown wrongly somewhere. */
const AWKWARD = [
  "space in name", " leading", "trailing ", "plus+sign", "percent%", "%", "%25", "%2F", "%zz", "a%20b", "question?mark", "hash#mark", "amp&amp;", "<tag>", "quote'\"`",
  "back\\slash", "semi;colon", "colon:", "comma,", "equals=", "at@", "dollar$", "excl!", "star*", "paren()", "brack[]", "brace{}", "pipe|", "caret^", "tilde~", "-dash",
  "_under", ".hidden", "dot.", "a//b", "a///b", "/lead", "trail/", "deep/er/trail/", "a/./b", "a/../b", "./x", "../x", "x/..", "x/.", "...", "new\nline", "tab\ttab",
  "cr\rcr", "bell\u0007", "escape\u001b", "delete\u007f", "\u0080c1", "\u00a0nbsp", "\u00e9", "e\u0301", "\u65e5\u672c\u8a9e", "\u202ertl", "\ufeffbom", "\ufffd",
  "\ue000private", "\u{1f600}", "\u{10ffff}", "Case", "case", "CON", "NUL.txt", "a:b", "=?utf-8?q?x?=", "$folder$", "undefined", "null", "__proto__", "constructor", "0", "s".repeat(300),
];

async function forEachKey(t: ContractContext, names: readonly string[], work: (key: string, index: number) => Promise<void>): Promise<void> {
  await parallel(names.length, 8, async (index) => {
    const key = t.key(names[index] as string);
    if (t.refuses(key)) await rejects(putBytes(t.store, key, "x"), "invalid");
    else await work(key, index);
  });
}

export const keyCases: readonly ContractCase[] = [
  {
    name: "awkward keys hold their own bytes",
    async run(t) {
      await forEachKey(t, AWKWARD, async (key, i) => { await putBytes(t.store, key, `${i}`); });
      await forEachKey(t, AWKWARD, async (key, i) => {
        sameBytes(await read(t.second, key), Buffer.from(`${i}`), JSON.stringify(key));
        assert.equal((await t.second.head(key)).key, key);
      });
    },
  },
  {
    name: "awkward keys are listed as they are",
    when: (c) => c.list !== "none",
    async run(t) {
      await forEachKey(t, AWKWARD, async (key) => { await putBytes(t.store, key, "x"); });
      const expected = AWKWARD.map(t.key).filter((key) => !t.refuses(key)).sort();
      assert.deepEqual([...(await listAll(t.store, { prefix: t.prefix })).keys].sort(), expected);
      assert.deepEqual([...(await listAll(t.store, { prefix: t.prefix, limit: 7 })).keys].sort(), expected, "in small pages");
      await forEachKey(t, AWKWARD, async (key) => {
        assert.ok((await listAll(t.store, { prefix: key })).keys.includes(key), `as a prefix: ${JSON.stringify(key)}`);
      });
      if (!t.capabilities.listOrdered) return;
      await forEachKey(t, AWKWARD, async (key) => {
        const after = (await listAll(t.store, { prefix: t.prefix, after: key, limit: 50 })).keys;
        assert.ok(!after.includes(key), `after: ${JSON.stringify(key)}`);
      });
    },
  },
  {
    name: "awkward keys are rolled up as they are",
    when: (c) => c.list === "delimiter",
    async run(t) {
      const names = AWKWARD.filter((name) => !t.refuses(t.key(`${name}/child`)) && !t.refuses(t.key(name)));
      await forEachKey(t, names.map((name) => `${name}/child`), async (key) => { await putBytes(t.store, key, "x"); });
      const expected = [...new Set(names.map((name) => t.key(`${name}/child`.slice(0, `${name}/child`.indexOf("/") + 1))))].sort();
      const { keys, prefixes } = await listAll(t.store, { prefix: t.prefix, delimiter: "/" });
      assert.deepEqual(keys, []);
      assert.deepEqual([...prefixes].sort(), expected);
      await parallel(names.length, 8, async (i) => {
        const found = await listAll(t.store, { prefix: t.key(`${names[i]}/`), delimiter: "/" });
        assert.ok(found.keys.includes(t.key(`${names[i]}/child`)), JSON.stringify(names[i]));
      });
    },
  },
  {
    name: "awkward keys can be deleted, one by one and many at once",
    when: (c) => !c.immutable,
    async run(t) {
      await forEachKey(t, AWKWARD, async (key) => { await putBytes(t.store, key, "x"); });
      const keys = AWKWARD.map(t.key).filter((key) => !t.refuses(key));
      const half = keys.length >>> 1;
      assert.deepEqual(await t.store.deleteMany(keys.slice(0, half)), []);
      await parallel(keys.length - half, 8, (i) => t.store.delete(keys[half + i] as string));
      for (const key of keys) assert.equal(await exists(t.store, key), false, JSON.stringify(key));
    },
  },
  {
    name: "awkward keys can be copied from and to",
    when: (c) => c.copy !== false,
    async run(t) {
      await forEachKey(t, AWKWARD, async (key, i) => {
        await putBytes(t.store, key, `${i}`);
        if (t.refuses(`${key}.copy`)) return;
        await t.store.copy(key, `${key}.copy`);
        sameBytes(await read(t.store, `${key}.copy`), Buffer.from(`${i}`), JSON.stringify(key));
      });
    },
  },
  {
    name: "awkward keys can be uploaded to by parts",
    when: (c) => c.upload !== false && c.upload.minSize < 1 << 20,
    async run(t) {
      await forEachKey(t, AWKWARD, async (key, i) => {
        const upload = await t.store.beginUpload(key);
        const part = await upload.putPart(1, 0, true, bodyOf(`${i}`));
        await upload.complete([part]);
        sameBytes(await read(t.store, key), Buffer.from(`${i}`), JSON.stringify(key));
      });
    },
  },
  {
    name: "a name, the name with a slash and names below it are different objects",
    async run({ store, key, refuses, capabilities }) {
      const names = ["d", "d/", "d/x", "d//", "d//x", "d/x/", "d/x/y"].map(key).filter((name) => !refuses(name));
      for (const name of names) await putBytes(store, name, name);
      for (const name of names) sameBytes(await read(store, name), Buffer.from(name), name);
      if (capabilities.immutable) return;
      for (const [i, name] of names.entries()) {
        await store.delete(name);
        for (const later of names.slice(i + 1)) assert.equal(await exists(store, later), true, `${later} after the deletion of ${name}`);
      }
    },
  },
  {
    name: "bare keys that look like paths stay in the container",
    async run({ store, refuses, alsoClean, prefix, capabilities }) {
      for (const name of [".", "..", "/", "//", "../objmount-contract", "/objmount-contract", "a/../../objmount-contract"]) {
        alsoClean(name);
        if (refuses(name)) {
          await rejects(putBytes(store, name, "x"), "invalid", "no-container");
          continue;
        }
        await putBytes(store, name, prefix + name);
        sameBytes(await read(store, name), Buffer.from(prefix + name), JSON.stringify(name));
        if (capabilities.list !== "none") assert.ok((await listAll(store, { prefix: name })).keys.includes(name), JSON.stringify(name));
        if (!capabilities.immutable) {
          await store.delete(name);
          assert.equal(await exists(store, name), false, JSON.stringify(name));
        }
      }
    },
  },
  {
    name: "the longest keys work, longer ones are invalid",
    when: (c) => c.maxKeyBytes <= 4096,
    async run({ store, key, prefix, refuses, capabilities }) {
      const room = capabilities.maxKeyBytes - Buffer.byteLength(prefix);
      const wide = "\u{1f600}".repeat(Math.floor(room / 4));
      const longest = ["x".repeat(room), "d/".repeat(Math.floor(room / 2)).padEnd(room, "x"), wide.padEnd(wide.length + room % 4, "y")];
      for (const name of longest) {
        assert.equal(Buffer.byteLength(key(name)), capabilities.maxKeyBytes);
        if (refuses(key(name))) continue;
        await putBytes(store, key(name), "long");
        sameBytes(await read(store, key(name)), Buffer.from("long"));
        if (capabilities.list !== "none") assert.deepEqual((await listAll(store, { prefix: key(name) })).keys, [key(name)]);
      }
      await rejects(putBytes(store, key("x".repeat(room + 1)), "x"), "invalid");
      await rejects(putBytes(store, key(`${wide}zzzz`), "x"), "invalid");
    },
  },
  {
    name: "what is no key is invalid",
    async run({ store, key }) {
      for (const bad of ["", key("lone\ud800"), key("lone\udc80x")]) {
        await rejects(putBytes(store, bad, "x"), "invalid");
        await rejects(store.head(bad), "invalid");
        await rejects(store.get(bad), "invalid");
        await rejects(store.delete(bad), "invalid");
      }
    },
  },
];
