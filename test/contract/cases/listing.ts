// Listings: everything once, in order where that is declared, page by page.

import assert from "node:assert/strict";
import { compareUtf8 } from "../../../src/util/names.js";
import type { ObjectStore } from "../../../src/store/objectStore.js";
import { listAll, parallel, putBytes, rejects, type ContractCase, type Listing } from "../harness.js";

const TREE = [
  "a", "a.txt", "a/", "a/1", "a/2", "a/deep/er/x", "a/deep/er/y", "a0", "b/only", "c//double", "c//double2", "c/x", "d", "d-", "d-/x", "d.", "d/", "d0/x", "e/f/g/h",
  "z\u{1f600}", "z\ue000", "z\uffee", "z\u{1f600}/x", "z\ue000/x", "z\u00e9", "zz",
];

async function plant(store: ObjectStore, prefix: string, names: readonly string[] = TREE): Promise<void> {
  await parallel(names.length, 16, (i) => putBytes(store, prefix + names[i], names[i] as string).then(() => undefined));
}

function sorted(texts: readonly string[]): string[] {
  return [...texts].sort(compareUtf8);
}

/** What a listing of `names` must answer, worked out from its definition. */
function expected(names: readonly string[], prefix: string, delimiter: boolean): { keys: string[]; prefixes: string[] } {
  const keys: string[] = [];
  const prefixes = new Set<string>();
  for (const name of names) {
    if (!name.startsWith(prefix)) continue;
    const cut = delimiter ? name.indexOf("/", prefix.length) : -1;
    if (cut < 0) keys.push(name);
    else prefixes.add(name.slice(0, cut + 1));
  }
  return { keys: sorted(keys), prefixes: sorted([...prefixes]) };
}

function same(found: Listing, prefix: string, names: readonly string[], ordered: boolean, delimiter: boolean, what: string): void {
  const want = expected(names.map((name) => prefix + name), what, delimiter);
  const order = ordered ? (texts: readonly string[]): string[] => [...texts] : sorted;
  assert.deepEqual(order(found.keys), want.keys, `keys below ${what}`);
  assert.deepEqual(order(found.prefixes), want.prefixes, `prefixes below ${what}`);
}

export const listingCases: readonly ContractCase[] = [
  {
    name: "a listing has every key once, with the facts of head",
    when: (c) => c.list !== "none",
    async run({ store, second, key, prefix, capabilities }) {
      await plant(store, prefix);
      const found = await listAll(second, { prefix });
      same(found, prefix, TREE, capabilities.listOrdered, false, prefix);
      assert.deepEqual(found.prefixes, []);
      for (const info of found.objects.slice(0, 8)) {
        const head = await store.head(info.key);
        assert.equal(info.size, head.size, info.key);
        assert.equal(info.etag, head.etag, info.key);
        // Listings and heads may round differently, to a second at most.
        assert.ok(Math.abs(info.lastModified - head.lastModified) <= 1000, `${info.lastModified} and ${head.lastModified}`);
      }
      assert.deepEqual((await listAll(store, { prefix: key("nothing here") })).keys, []);
    },
  },
  {
    name: "prefixes cut anywhere, not at slashes only",
    when: (c) => c.list !== "none",
    async run({ store, key, prefix, capabilities }) {
      await plant(store, prefix);
      for (const name of ["a", "a/", "a/d", "a/deep/", "b", "c/", "c//", "d", "d-", "z", "z\u{1f600}", "zzz", "a/1"]) {
        same(await listAll(store, { prefix: key(name) }), prefix, TREE, capabilities.listOrdered, false, key(name));
      }
    },
  },
  {
    name: "a delimiter rolls up, each common prefix once",
    when: (c) => c.list === "delimiter",
    async run({ store, key, prefix, capabilities }) {
      await plant(store, prefix);
      for (const name of ["", "a", "a/", "a/d", "a/deep/", "b/", "c/", "c//", "d", "d/", "e", "e/f/", "z", "nothing"]) {
        same(await listAll(store, { prefix: key(name), delimiter: "/" }), prefix, TREE, capabilities.listOrdered, true, key(name));
      }
    },
  },
  {
    name: "pages of every length make up the same listing",
    when: (c) => c.list !== "none",
    async run({ store, prefix, capabilities }) {
      await plant(store, prefix);
      const delimiters = capabilities.list === "delimiter" ? [undefined, "/"] : [undefined];
      await parallel(TREE.length + 2, 4, async (i) => {
        for (const delimiter of delimiters) {
          same(await listAll(store, { prefix, delimiter, limit: i + 1 }), prefix, TREE, capabilities.listOrdered, delimiter !== undefined, prefix);
        }
      });
      if (capabilities.list !== "delimiter") return;
      for (const limit of [1, 2, 3]) {
        const found = await listAll(store, { prefix: `${prefix}a/`, delimiter: "/", limit });
        same(found, prefix, TREE, capabilities.listOrdered, true, `${prefix}a/`);
      }
    },
  },
  {
    name: "many objects need many pages and are all there",
    when: (c) => c.list !== "none",
    async run({ store, prefix, many, capabilities }) {
      const names = Array.from({ length: many }, (_, i) => `many/${(i * 7919) % many}${i % 3 === 0 ? "/x" : ""}`);
      await plant(store, prefix, names);
      same(await listAll(store, { prefix }), prefix, names, capabilities.listOrdered, false, prefix);
      if (capabilities.list === "delimiter") {
        same(await listAll(store, { prefix: `${prefix}many/`, delimiter: "/" }), prefix, names, capabilities.listOrdered, true, `${prefix}many/`);
      }
    },
  },
  {
    name: "listings are in UTF-8 byte order",
    when: (c) => c.list !== "none" && c.listOrdered,
    async run({ store, prefix }) {
      const names = ["B", "a", "a!", "a-", "a/", "a0", "aa", "\u00e9", "\u07ff", "\u0800", "\ud7ff", "\ue000", "\uffee", "\u{10000}", "\u{1f600}", "\u{10ffff}", "~", "Z", "_", "10", "9"];
      await plant(store, prefix, names);
      for (const limit of [undefined, 1, 4]) {
        const { keys } = await listAll(store, { prefix, limit });
        assert.deepEqual(keys, sorted(names.map((name) => prefix + name)));
      }
    },
  },
  {
    name: "after starts strictly behind a key",
    when: (c) => c.list !== "none" && c.listOrdered,
    async run({ store, key, prefix }) {
      await plant(store, prefix);
      const all = sorted(TREE.map(key));
      for (const after of [...all, key(""), key("a/deep"), key("b/zzz"), key("z\ud7ff"), key("zzz"), "\u0001"]) {
        const want = all.filter((name) => compareUtf8(name, after) > 0);
        assert.deepEqual((await listAll(store, { prefix, after })).keys, want, `after ${JSON.stringify(after)}`);
        const first = await store.list({ prefix, after, limit: 1 });
        if (want.length > 0) assert.deepEqual(first.objects.map((object) => object.key), want.slice(0, 1));
      }
      assert.deepEqual((await listAll(store, { prefix: key("a/"), after: key("a/1"), limit: 2 })).keys, [key("a/2"), key("a/deep/er/x"), key("a/deep/er/y")]);
    },
  },
  {
    name: "what stays during a listing is listed exactly once",
    when: (c) => c.list !== "none" && c.listOrdered && !c.immutable,
    async run({ store, second, key, prefix }) {
      const stay = Array.from({ length: 20 }, (_, i) => key(`k${String(i).padStart(2, "0")}`));
      await parallel(stay.length, 8, (i) => putBytes(store, stay[i] as string, "x").then(() => undefined));
      const seen: string[] = [];
      let cursor: string | undefined;
      let round = 0;
      do {
        const page = await store.list({ prefix, limit: 3, cursor });
        seen.push(...page.objects.map((object) => object.key));
        cursor = page.next;
        // Something appears before and after the position, something that was listed goes.
        await putBytes(second, key(`a${round}`), "x");
        await putBytes(second, `${seen.at(-1)}-new`, "x");
        if (round > 0) await second.delete(key(`a${round - 1}`));
        round += 1;
        assert.ok(round < 200, "the listing does not end");
      } while (cursor !== undefined);
      for (const name of stay) assert.equal(seen.filter((one) => one === name).length, 1, name);
      assert.equal(new Set(seen).size, seen.length, "a key was listed twice");
    },
  },
  {
    name: "a listing follows every put and delete",
    when: (c) => c.list !== "none" && !c.immutable,
    async run({ store, second, key, prefix }) {
      for (const name of ["m", "a", "z", "m/x"]) {
        const { etag } = await putBytes(store, key(name), name);
        const found = (await listAll(second, { prefix })).objects.find((object) => object.key === key(name));
        assert.equal(found?.etag, etag);
      }
      const { etag } = await putBytes(store, key("m"), "other bytes");
      const found = (await listAll(second, { prefix })).objects.find((object) => object.key === key("m"));
      assert.equal(found?.etag, etag);
      assert.equal(found?.size, 11);
      await store.delete(key("m"));
      assert.deepEqual(sorted((await listAll(second, { prefix })).keys), sorted(["a", "z", "m/x"].map(key)));
    },
  },
  {
    name: "listings that are not declared are unsupported",
    when: (c) => c.list !== "delimiter" || !c.listOrdered,
    async run({ store, prefix, capabilities }) {
      if (capabilities.list === "none") await rejects(store.list({ prefix }), "unsupported");
      if (capabilities.list !== "delimiter") await rejects(store.list({ prefix, delimiter: "/" }), "unsupported");
      if (!capabilities.listOrdered) await rejects(store.list({ prefix, after: prefix }), "unsupported");
    },
  },
];
