import { beforeEach, describe, expect, it } from "vitest";
import { openAccount, type AccountStore } from "../../../src/store/account.js";
import { mergeCapabilities } from "../../../src/store/accountCapabilities.js";
import { bodyOf } from "../../../src/store/body.js";
import { MEMORY_CAPABILITIES } from "../../../src/store/memory/memoryContainer.js";
import { MemoryService } from "../../../src/store/memory/memoryService.js";
import { collectStream } from "../../../src/store/objectStream.js";
import { compareUtf8 } from "../../../src/util/names.js";
import { failure, listAll } from "../../contract/harness.js";

let service: MemoryService;
let account: AccountStore;
const NAMES = ["a", "a-b", "a.b", "b", "\u00e9"];

beforeEach(async () => {
  service = new MemoryService();
  for (const name of NAMES) await service.createContainer(name);
  for (const name of ["a", "a-b", "\u00e9"]) {
    const store = await service.container(name);
    for (const key of ["x", "d/1", "d/2"]) await store.put(key, bodyOf(`${name} ${key}`));
  }
  account = await openAccount(service, { assumed: MEMORY_CAPABILITIES });
});

const ALL = NAMES.flatMap((name) => ["", ...["a", "a-b", "\u00e9"].includes(name) ? ["x", "d/1", "d/2"] : []].map((key) => `${name}/${key}`)).sort(compareUtf8);

describe("listings of an account", () => {
  it("show containers as common prefixes, in order, page by page", async () => {
    const prefixes = NAMES.map((name) => `${name}/`).sort(compareUtf8);
    for (const limit of [undefined, 1, 2, 3, 10]) {
      expect(await listAll(account, { prefix: "", delimiter: "/", limit })).toMatchObject({ prefixes, keys: [] });
    }
    expect((await listAll(account, { prefix: "a", delimiter: "/" })).prefixes).toEqual(["a-b/", "a.b/", "a/"]);
  });

  it("show a container's marker and what is in it", async () => {
    for (const limit of [undefined, 1, 2, 3]) {
      expect(await listAll(account, { prefix: "a/", delimiter: "/", limit })).toMatchObject({ prefixes: ["a/d/"], keys: ["a/", "a/x"] });
      expect(await listAll(account, { prefix: "b/", delimiter: "/", limit })).toMatchObject({ prefixes: [], keys: ["b/"] });
      expect(await listAll(account, { prefix: "a/d/", delimiter: "/", limit })).toMatchObject({ prefixes: [], keys: ["a/d/1", "a/d/2"] });
      expect(await listAll(account, { prefix: "none/", delimiter: "/", limit })).toMatchObject({ prefixes: [], keys: [] });
    }
  });

  it("are flat across containers, in order, in pages of any length", async () => {
    for (const limit of [undefined, 1, 2, 3, 4, 5]) {
      expect((await listAll(account, { prefix: "", limit })).keys).toEqual(ALL);
      expect((await listAll(account, { prefix: "a", limit })).keys).toEqual(ALL.filter((key) => key.startsWith("a")));
    }
  });

  it("start after any key", async () => {
    for (const after of [...ALL, "a", "a-", "a-b", "a0", "a/d", "a/zzz", "zzz", "!"]) {
      for (const limit of [undefined, 1, 2]) {
        expect((await listAll(account, { prefix: "", after, limit })).keys, after).toEqual(ALL.filter((key) => compareUtf8(key, after) > 0));
        expect((await listAll(account, { prefix: "a/", after, limit })).keys, after).toEqual(ALL.filter((key) => key.startsWith("a/") && compareUtf8(key, after) > 0));
      }
    }
  });
});

describe("containers of an account", () => {
  it("are created and deleted by their markers", async () => {
    await account.put("new/", bodyOf(""), { ifNoneMatch: "*" });
    expect((await service.containers()).map(({ name }) => name)).toContain("new");
    expect(await failure(account.put("new/", bodyOf(""), { ifNoneMatch: "*" }))).toMatchObject({ kind: "precondition" });
    await account.put("new/", bodyOf(""));
    expect(await account.head("new/")).toMatchObject({ key: "new/", size: 0 });
    expect((await collectStream(await account.get("new/"))).length).toBe(0);
    await account.put("new/x", bodyOf("x"));
    expect(await failure(account.delete("new/"))).toMatchObject({ kind: "not-empty" });
    await account.delete("new/x");
    await account.delete("new/");
    await account.delete("new/");
    expect(await failure(account.head("new/"))).toMatchObject({ kind: "not-found" });
    expect(await failure(account.put("new/x", bodyOf("x")))).toMatchObject({ kind: "no-container" });
  });

  it("that were deleted by others are missing, and found again when they come back", async () => {
    await account.head("b/");
    await service.deleteContainer("b");
    expect(await failure(account.head("b/"))).toMatchObject({ kind: "not-found" });
    expect(await failure(account.get("b/x"))).toMatchObject({ kind: "not-found" });
    expect((await account.list({ prefix: "b/" })).objects).toEqual([]);
    await service.createContainer("b");
    await account.put("b/x", bodyOf("again"));
    expect((await collectStream(await account.get("b/x"))).toString()).toBe("again");
  });

  it("take no bytes, and are the only thing at the top", async () => {
    expect(await failure(account.put("file", bodyOf("x")))).toMatchObject({ kind: "invalid" });
    expect(await failure(account.put("a/", bodyOf("x")))).toMatchObject({ kind: "invalid" });
    expect(await failure(account.head("a"))).toMatchObject({ kind: "not-found" });
    await account.delete("file");
  });

  it("are copied between, whole and by parts", async () => {
    await account.copy("a/x", "b/copy");
    expect((await collectStream(await account.get("b/copy"))).toString()).toBe("a x");
    const upload = await account.beginUpload("b/parts");
    expect(upload.key).toBe("b/parts");
    await upload.complete([await upload.copyPart(1, 0, "a-b/x", { start: 0, length: 3 }), await upload.copyPart(2, 3, "b/copy", { start: 1, length: 2 })]);
    expect((await collectStream(await account.get("b/parts"))).toString()).toBe("a-b x");
  });

  it("are emptied and deleted in one go", async () => {
    expect(await account.deleteMany(["a/", "a/x", "a/d/1", "a/d/2", "none/x", "a-b/x", "b/", "a.b/missing"])).toEqual([]);
    expect((await service.containers()).map(({ name }) => name)).toEqual(["a-b", "a.b", "\u00e9"]);
    expect(await account.deleteMany(["\u00e9/", "a.b/"])).toMatchObject([{ key: "\u00e9/", error: { kind: "not-empty" } }]);
  });
});

describe("capabilities of an account", () => {
  it("are the least of its containers'", () => {
    const weak = { ...MEMORY_CAPABILITIES, conditionalPut: "create" as const, copy: { maxSize: 5 }, listOrdered: false, checksums: ["md5" as const], maxKeyBytes: 300 };
    const other = { ...MEMORY_CAPABILITIES, list: "flat" as const, upload: false as const, checksums: ["md5" as const, "sha256" as const], rename: "atomic" as const };
    expect(mergeCapabilities([weak, other])).toMatchObject({
      conditionalPut: "create", conditionalComplete: "swap", copy: { maxSize: 5 }, listOrdered: false, list: "flat", upload: false, checksums: ["md5"], rename: "none", maxKeyBytes: 300,
    });
    expect(mergeCapabilities([MEMORY_CAPABILITIES])).toEqual(MEMORY_CAPABILITIES);
  });

  it("are assumed where there is no container yet", async () => {
    const assumed = { ...MEMORY_CAPABILITIES, maxPutSize: 123 };
    const empty = await openAccount(new MemoryService(), { assumed });
    expect(empty.capabilities.maxPutSize).toBe(123);
    expect(await empty.list({ prefix: "", delimiter: "/" })).toEqual({ objects: [], prefixes: [], next: undefined });
  });
});
