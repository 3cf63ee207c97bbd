// What the embedded store promises beyond the contract.

import { open, readdir, readFile, stat, symlink, truncate, unlink, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { ContainerPaths } from "../../../src/backends/file/layout.js";
import { QuickReads } from "../../../src/backends/file/quick.js";
import { bodyOf } from "../../../src/store/body.js";
import { collectStream } from "../../../src/store/objectStream.js";
import type { ObjectStore } from "../../../src/store/objectStore.js";
import { compareUtf8 } from "../../../src/util/names.js";
import { findLeftovers } from "./fsck.js";
import { Place } from "./tools.js";

let place: Place;
let store: ObjectStore;
beforeEach(async () => {
  place = await Place.make();
  store = await place.store({ sync: false });
});
afterEach(async () => { await place.remove(); });

const MiB = 1 << 20;
const within = (...path: string[]): string => join(place.root, "c", ...path);
const dataFiles = async (): Promise<string[]> => (await readdir(within("data"), { recursive: true })).filter((path) => path.split("/").length === 3);

async function list(request: Parameters<ObjectStore["list"]>[0]): Promise<string[]> {
  const found: string[] = [];
  for (let cursor: string | undefined;;) {
    const page = await store.list({ ...request, cursor, ...(cursor === undefined ? {} : { after: undefined }) });
    found.push(...[...page.objects.map(({ key }) => key), ...page.prefixes].sort(compareUtf8));
    if (page.next === undefined) return found;
    cursor = page.next;
  }
}

describe("bytes are not moved", () => {
  it("by a copy, by new metadata, or by parts copied around one changed byte", async () => {
    await store.put("big", bodyOf(Buffer.alloc(8 * MiB, "a")));
    const { ino } = await stat(within("objects", "big="));
    await store.copy("big", "copy");
    const upload = await store.beginUpload("big");
    await upload.complete([await upload.copyPart(1, 0, "big", { start: 0, length: 4 * MiB }), await upload.putPart(2, 4 * MiB, false, bodyOf("b")),
      await upload.copyPart(3, 4 * MiB + 1, "big", { start: 4 * MiB + 1, length: 4 * MiB - 1 })]);
    await store.setMetadata("copy", { a: "1" });
    const inodes = await Promise.all((await dataFiles()).map(async (path) => (await stat(within("data", path))).ino));
    expect(inodes.filter((one) => one === ino)).toHaveLength(3);
    expect(inodes).toHaveLength(4);
    const bytes = await collectStream(await store.get("big"));
    expect(bytes.equals(Buffer.concat([Buffer.alloc(4 * MiB, "a"), Buffer.from("b"), Buffer.alloc(4 * MiB - 1, "a")]))).toBe(true);
    for (const key of ["big", "copy"]) await store.delete(key);
    expect(await dataFiles()).toEqual([]);
  });

  it("and tiny pieces are gathered, so that an object does not fall to pieces", async () => {
    await store.put("a", bodyOf(Buffer.alloc(MiB, "a")));
    for (let turn = 0; turn < 5; turn++) {
      const upload = await store.beginUpload("a");
      const parts = [];
      for (let n = 0; n < 8; n++) parts.push(await upload.copyPart(n + 1, n * 100, "a", { start: n * 100, length: 100 }));
      parts.push(await upload.copyPart(9, 800, "a", { start: 800, length: MiB - 800 }));
      await upload.complete(parts);
    }
    expect(await dataFiles()).toHaveLength(9);
    expect((await collectStream(await store.get("a"))).equals(Buffer.alloc(MiB, "a"))).toBe(true);
  });
});

describe("etags", () => {
  it("stay with the bytes through setMetadata and rename, and are new for everything else", async () => {
    const { etag } = await store.put("a", bodyOf("x"));
    const changed = await store.setMetadata("a", { k: "v" });
    expect(changed.etag).toBe(etag);
    expect(changed.lastModified).toBeGreaterThan(0);
    await store.rename("a", "b");
    expect((await store.head("b")).etag).toBe(etag);
    expect((await store.copy("b", "c")).etag).not.toBe(etag);
    expect((await store.put("b", bodyOf("x"))).etag).not.toBe(etag);
  });
});

describe("a reader", () => {
  it("of a version that is replaced and swept away reads on, or is told; never a mix", async () => {
    const upload = await store.beginUpload("a");
    const parts = [];
    for (let n = 0; n < 12; n++) parts.push(await upload.putPart(n + 1, n * 2 * MiB, n === 11, bodyOf(Buffer.alloc(2 * MiB, "o"))));
    await upload.complete(parts);
    const stream = await store.get("a");
    await store.put("a", bodyOf(Buffer.alloc(24 * MiB, "n")));
    let seen = 0;
    await expect((async () => {
      for await (const chunk of stream) {
        expect(chunk.every((byte) => byte === 0x6f)).toBe(true);
        seen += chunk.length;
      }
    })()).rejects.toMatchObject({ kind: "precondition" });
    // The segments that were open already.
    expect(seen).toBe(8 * MiB);
  });

  it("gets corrupt for bytes that were changed on the disk, in small and large objects and in parts", async () => {
    await store.put("small", bodyOf("some bytes"));
    await store.put("large", bodyOf(Buffer.alloc(2 * MiB, "l")));
    const upload = await store.beginUpload("parts");
    await upload.complete([await upload.putPart(1, 0, true, bodyOf(Buffer.alloc(2 * MiB, "p")))]);
    for (const path of [within("objects", "small="), within("objects", "large="), within("data", (await dataFiles())[0] as string)]) {
      const file = await open(path, "r+");
      await file.write("?", (await file.stat()).size - 1);
      await file.close();
    }
    for (const key of ["small", "large", "parts"]) {
      await expect((async () => collectStream(await store.get(key)))(), key).rejects.toMatchObject({ kind: "corrupt" });
    }
  });

  it("finds a damaged object in the listing; it can be read by nobody, replaced and deleted", async () => {
    await store.put("a", bodyOf("x"));
    await store.put("b", bodyOf("x"));
    await truncate(within("objects", "a="), 20);
    expect(await list({ prefix: "" })).toEqual(["a", "b"]);
    await expect(store.head("a")).rejects.toMatchObject({ kind: "corrupt" });
    await store.put("a", bodyOf("y"));
    expect((await store.head("a")).size).toBe(1);
    await truncate(within("objects", "b="), 0);
    await store.delete("b");
    expect(await list({ prefix: "" })).toEqual(["a"]);
  });
});

describe("listings", () => {
  const part = fc.constantFrom("a", "a-", "a.b", "a/", "/", "b", "=", "&", "%", ".", "..", "\u00e9", "\uffee", "\u{1f600}", "z".repeat(300));
  const keys = fc.uniqueArray(fc.array(part, { minLength: 1, maxLength: 4 }).map((parts) => parts.join("")).filter((key) => Buffer.byteLength(key) <= 1024), { minLength: 1, maxLength: 25 });

  it("are the sorted keys, by any prefix, page length and start", async () => {
    await fc.assert(fc.asyncProperty(keys, fc.constantFrom("", "a", "a/", "/", "z", "\u{1f600}"), fc.integer({ min: 1, max: 5 }), fc.boolean(), part, async (all, prefix, limit, rolledUp, after) => {
      try {
        await Promise.all(all.map((key) => store.put(key, bodyOf(key))));
        const matching = all.filter((key) => key.startsWith(prefix)).sort(compareUtf8);
        if (rolledUp) {
          const cut = (key: string): string => (key.includes("/", prefix.length) ? key.slice(0, key.indexOf("/", prefix.length) + 1) : key);
          expect(await list({ prefix, delimiter: "/", limit })).toEqual([...new Set(matching.map(cut))]);
        } else {
          expect(await list({ prefix, limit })).toEqual(matching);
          expect(await list({ prefix, limit, after })).toEqual(matching.filter((key) => compareUtf8(key, after) > 0));
        }
      } finally {
        await store.deleteMany(all);
      }
      expect(await readdir(within("objects"))).toEqual([]);
    }), { numRuns: 60 });
  });

  it("see what another instance changed, though the directory was read before", async () => {
    const other = await place.store();
    for (let turn = 0; turn < 20; turn++) {
      await other.put(`d/${turn}`, bodyOf("x"));
      expect(await list({ prefix: "d/", delimiter: "/" })).toHaveLength(turn + 1);
    }
    await other.delete("d/7");
    expect(await list({ prefix: "d/", delimiter: "/" })).toHaveLength(19);
  });
});

describe("what is left behind", () => {
  it("unfinished uploads go when nobody has touched them for long enough, others stay", async () => {
    const old = await store.beginUpload("a");
    await old.putPart(1, 0, true, bodyOf("x"));
    const young = await store.beginUpload("a");
    await utimes(within("uploads", old.id), new Date(0), new Date(0));
    const later = await place.store();
    await expect(later.resumeUpload("a", old.id)).rejects.toMatchObject({ kind: "not-found" });
    await later.resumeUpload("a", young.id);
    expect(await findLeftovers(place.root)).toEqual([]);
  });

  it("a lock of a process that no longer exists is broken, one of a living process is waited for", async () => {
    const owners = join(place.root, ".objmount-store/owners");
    const self = JSON.parse(await readFile(join(owners, (await readdir(owners))[0] as string), "utf8")) as Record<string, unknown>;
    // Above the largest pid of Linux (PID_MAX_LIMIT, 2^22).
    const dead = { ...self, token: "00000000000000aa", pid: 2 ** 22 + 1 };
    const lock = new ContainerPaths(place.root, "c", false, new QuickReads(true)).lock("a");
    await writeFile(lock, JSON.stringify(dead));
    await writeFile(join(owners, dead.token), JSON.stringify(dead));
    await store.put("a", bodyOf("y"));
    expect((await collectStream(await store.get("a"))).toString()).toBe("y");

    await writeFile(lock, JSON.stringify(self));
    const waiting = new AbortController();
    const put = store.put("a", bodyOf("z"), { signal: waiting.signal });
    waiting.abort();
    await expect(put).rejects.toMatchObject({ kind: "aborted" });
    const second = store.put("a", bodyOf("z"));
    await unlink(lock);
    await second;
  });

  it("files that are not the store's are no keys", async () => {
    await store.put("a", bodyOf("x"));
    await symlink("/nowhere", within("objects", ".hidden"));
    await writeFile(within("objects", "%zz="), "");
    expect(await list({ prefix: "" })).toEqual(["a"]);
  });
});

describe("quick reads", () => {
  it("pause after a slow one", () => {
    const quick = new QuickReads(true);
    expect(quick.allowed).toBe(true);
    quick.run(() => 1);
    expect(quick.allowed).toBe(true);
    vi.spyOn(performance, "now").mockReturnValueOnce(1000).mockReturnValueOnce(1003);
    quick.run(() => 1);
    vi.restoreAllMocks();
    const answers = Array.from({ length: 65 }, () => quick.allowed);
    expect(answers).toEqual([...Array.from({ length: 64 }, () => false), true]);
    expect(new QuickReads(false).allowed).toBe(false);
  });
});
