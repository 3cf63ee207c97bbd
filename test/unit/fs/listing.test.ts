import { afterEach, describe, expect, it } from "vitest";
import { ROOT_INO } from "../../../src/fs/filesystem.js";
import type { DirectoryEntry } from "../../../src/fs/filesystem.js";
import { mkdtemp, readFile, rm, appendFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../../src/util/clock.js";
import { S3_LIKE, World, type WorldOptions } from "./world.js";

let world: World;
afterEach(async () => { await world.close(); });
const open = async (options: WorldOptions): Promise<World> => { world = await World.open(options); return world; };
const MODE = { mode: String(0o100600), mtime: "1000000000.5" };

describe("readdir", () => {
  it.each([
    ["ordered pages", {}],
    ["empty pages in between", { emptyPages: true }],
    ["no order", { capabilities: { listOrdered: false } }],
    ["flat", { capabilities: { list: "flat" } }],
    ["flat without order", { capabilities: { list: "flat", listOrdered: false } }],
  ] as const)("shows every name once: %s", async (_, memory) => {
    await open({ memory: { ...memory, pageSize: 3 } });
    const keys = ["a", "a-", "a-/x", "a.b", "a/", "a/1", "a/2", "a0", "b/c/d", "b/c/e", "b/f", "c", "c c", "c!/z", "d/e", "d0", "zz"];
    for (const key of keys) await world.putOutside(key, key === "a/" ? "" : key);
    const expected = ["a", "a%^f", "a-", "a-%^f", "a.b", "a0", "b", "c", "c c", "c!", "d", "d0", "zz"].sort();
    for (const take of [1, 2, 5, Infinity]) {
      world.later();
      const names = (await world.list("", { take })).map((item) => item.name);
      expect([...names].sort()).toEqual(expected);
      expect((await world.list("", { take, plus: false })).map((item) => item.name).sort()).toEqual(expected);
    }
    expect(await world.ls("a")).toEqual(["1", "2"]);
    expect(await world.cat("a%^f")).toBe("a");
    expect(await world.cat("a-%^f")).toBe("a-");
  });

  it("answers the first entries before the last page has come, and asks one page ahead", async () => {
    await open({ memory: { pageSize: 10 } });
    for (let i = 0; i < 100; i++) await world.putOutside(`k${String(i).padStart(3, "0")}`, "x");
    const { fh } = await world.fs.opendir(world.context, ROOT_INO);
    world.store.reset();
    const first: string[] = [];
    await world.fs.readdir(world.context, ROOT_INO, fh, 0, { add: ({ name }) => first.length < 5 && first.push(name) > 0 });
    expect(first).toEqual([".", "..", "k000", "k001", "k002"]);
    expect(world.store.count("list")).toBeLessThanOrEqual(2);
    await world.fs.releasedir(world.context, ROOT_INO, fh);
  });

  it("can be read again from any cookie, old pages included", async () => {
    await open({ memory: { pageSize: 5 } });
    for (let i = 0; i < 60; i++) await world.putOutside(`k${String(i).padStart(3, "0")}`, "x");
    const { fh } = await world.fs.opendir(world.context, ROOT_INO);
    const all = await world.drain(ROOT_INO, fh, { plus: false });
    expect(all).toHaveLength(60);
    for (const at of [0, 3, 27, 58]) {
      const from = (all[at] as DirectoryEntry).offset;
      expect((await world.drain(ROOT_INO, fh, { plus: false, from })).map((item) => item.name)).toEqual(all.slice(at + 1).map((item) => item.name));
    }
    await world.putOutside("later", "x");
    world.later();
    expect(await world.drain(ROOT_INO, fh, { plus: false })).toHaveLength(61);
    await world.fs.releasedir(world.context, ROOT_INO, fh);
  });

  it("shows files being written, also when they are committed in the middle of it", async () => {
    await open({ memory: { pageSize: 5 } });
    for (let i = 0; i < 20; i++) await world.putOutside(`k${String(i).padStart(3, "0")}`, "x");
    const file = await world.create("a-first");
    const { fh } = await world.fs.opendir(world.context, ROOT_INO);
    const seen: string[] = [];
    let offset = 0;
    await world.fs.readdir(world.context, ROOT_INO, fh, 0, { add: (item) => { if (seen.length >= 8) return false; seen.push(item.name); ({ offset } = item); return true; } });
    await world.close_(file);
    seen.push(...(await world.drain(ROOT_INO, fh, { plus: false, from: offset })).map((item) => item.name));
    expect(seen.filter((name) => name === "a-first")).toHaveLength(1);
    await world.fs.releasedir(world.context, ROOT_INO, fh);
  });

  it("does not bring back what was removed since its page came", async () => {
    await open({ memory: { pageSize: 50 } });
    for (const name of ["a", "b", "c"]) await world.putOutside(name, name);
    const { fh } = await world.fs.opendir(world.context, ROOT_INO);
    let offset = 0;
    let taken = 0;
    await world.fs.readdirplus(world.context, ROOT_INO, fh, 0, { add: (item) => { if (taken >= 2) return false; taken += 1; ({ offset } = item); return true; } });
    await world.rm("b");
    await world.mv("c", "d");
    expect((await world.drain(ROOT_INO, fh, { from: offset })).map((item) => item.name)).toEqual(["a"]);
    await world.fs.releasedir(world.context, ROOT_INO, fh);
    expect(await world.ls()).toEqual(["a", "d"]);
  });

  it("of more names than are kept is still whole", async () => {
    await open({ memory: { pageSize: 10 }, fs: { maxListingEntries: 25 } });
    for (let i = 0; i < 90; i++) await world.putOutside(`k${i}`, "x");
    expect(await world.list("")).toHaveLength(90);
    expect(await world.list("")).toHaveLength(90);
    expect((await world.stat("k77")).size).toBe(1);
  });
});

describe("what lookups cost", () => {
  it("after a listing nothing, present or absent, nor does a second listing", async () => {
    await open({});
    for (let i = 0; i < 30; i++) await world.putOutside(`d/k${i}`, "x");
    await world.list("d");
    world.store.reset();
    for (let i = 0; i < 30; i++) await world.stat(`d/k${i}`);
    await expect(world.stat("d/none")).rejects.toMatchObject({ errno: "ENOENT" });
    await world.list("d");
    expect(world.store.count()).toBe(0);
  });

  it("without one a HEAD and a one-key LIST, shared by all who ask at once", async () => {
    await open({});
    await world.putOutside("a", "x");
    await Promise.all([1, 2, 3, 4].map(() => world.stat("a")));
    expect(world.store.count("head")).toBe(1);
    expect(world.store.count("list")).toBe(1);
    await expect(world.stat("none")).rejects.toMatchObject({ errno: "ENOENT" });
    await expect(world.stat("none")).rejects.toMatchObject({ errno: "ENOENT" });
    expect(world.store.count("head")).toBe(2);
  });

  it("sees what others made once the time is over, and own changes at once", async () => {
    await open({});
    expect(await world.ls()).toEqual([]);
    await world.putOutside("theirs", "x");
    expect(await world.ls()).toEqual([]);
    await world.put("mine", "x");
    expect(await world.ls()).toEqual(["mine"]);
    world.later();
    expect(await world.ls()).toEqual(["mine", "theirs"]);
  });
});

describe("attributes where a listing carries none", () => {
  const fill = async (count: number, metadata: Record<string, string> | undefined): Promise<void> => {
    for (let i = 0; i < count; i++) await world.putOutside(`k${i}`, "x", metadata);
  };

  it("auto: a sample shows that nobody keeps any, and no more is asked", async () => {
    await open({ memory: { capabilities: S3_LIKE, pageSize: 1000 } });
    await fill(60, undefined);
    await world.list("");
    expect(world.store.count("head")).toBeLessThanOrEqual(8);
    world.store.reset();
    world.later();
    await world.list("");
    expect(world.store.count("head")).toBeLessThanOrEqual(8);
  });

  it("auto: where the sample carries them, all are asked, once, in parallel within the bound", async () => {
    await open({ memory: { capabilities: S3_LIKE, pageSize: 1000 }, fs: { concurrency: 4 } });
    await fill(40, MODE);
    const items = await world.list("");
    expect(items.every((item) => item.attributes?.mode === 0o100600 && item.attributes.mtime.nsec === 500_000_000)).toBe(true);
    expect(world.store.count("head")).toBe(40);
    expect(world.store.peakRunning).toBeLessThanOrEqual(5);
    world.store.reset();
    world.later();
    await world.list("");
    expect(world.store.count("head")).toBe(0);
  });

  it("listing: never asks; full: always", async () => {
    await open({ memory: { capabilities: S3_LIKE }, fs: { attributes: "listing" } });
    await fill(20, MODE);
    expect((await world.list("")).every((item) => item.attributes?.mode === 0o100644)).toBe(true);
    expect(world.store.count("head")).toBe(0);
    const full = await World.open({ world, fs: { attributes: "full" } });
    expect((await full.list("")).every((item) => item.attributes?.mode === 0o100600)).toBe(true);
    expect(full.store.count("head")).toBe(20);
    await full.close();
  });

  it("are free where listings carry metadata", async () => {
    await open({});
    await fill(20, MODE);
    expect((await world.list("")).every((item) => item.attributes?.mode === 0o100600)).toBe(true);
    expect(world.store.count("head")).toBe(0);
  });

  it("of subdirectories are asked too, where a listing carries the objects' own", async () => {
    await open({});
    await world.mkdir("d", 0o700);
    await world.putOutside("implied/x", "x");
    const other = await World.open({ world });
    expect((await other.list("")).map((item) => item.attributes?.mode)).toEqual([0o040700, 0o040755]);
    await other.close();
  });

  it("of a directory: its time moves when a name comes or goes, not with what is in its files", async () => {
    await open({ memory: { capabilities: S3_LIKE } });
    await world.mkdir("d");
    await world.put("d/a", "x");
    const time = { sec: 1000, nsec: 5 };
    const ino = await world.resolve("d");
    await world.fs.setattr(world.context, ino, { mtime: time });
    await world.put("d/a", "other");
    await world.fs.setattr(world.context, await world.resolve("d/a"), { mode: 0o600 });
    expect((await world.stat("d")).mtime).toEqual(time);
    await world.rm("d/a");
    expect((await world.stat("d")).mtime).not.toEqual(time);
  });

  it("see somebody else's chmod, although the etag stays", async () => {
    let storeTime = 1_700_000_000_000;
    await open({ memory: { capabilities: S3_LIKE, pageSize: 1000, clock: { ...systemClock, now: () => storeTime } } });
    await fill(3, MODE);
    await world.list("");
    world.later();
    storeTime += 5000;
    const { etag } = await world.outside.head("k1");
    await world.outside.setMetadata("k1", { ...MODE, mode: String(0o100640) }, { ifMatch: etag });
    const modes = (await world.list("")).map((item) => item.attributes?.mode);
    expect(modes).toEqual([0o100600, 0o100640, 0o100600]);
  });

  it("survive a remount in a file, damage included", async () => {
    const directory = await mkdtemp(join(tmpdir(), "objmount-attributes-"));
    const attributeFile = join(directory, "attributes");
    try {
      await open({ memory: { capabilities: S3_LIKE, pageSize: 1000 } });
      await fill(20, MODE);
      const first = await World.open({ world, fs: { attributeFile } });
      await first.list("");
      await first.close();
      await appendFile(attributeFile, "damaged line\n12345678 {\"k\":\"cut");
      const second = await World.open({ world, fs: { attributeFile } });
      expect((await second.list("")).every((item) => item.attributes?.mode === 0o100600)).toBe(true);
      expect(second.store.count("head")).toBe(0);
      await second.close();
      expect(await readFile(attributeFile, "utf8")).not.toContain("damaged");
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  });
});
