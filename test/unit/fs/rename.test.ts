import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { errnoOf, O_RDWR, S3_LIKE, World } from "./world.js";

let world: World;
beforeEach(async () => { world = await World.open({ memory: { capabilities: S3_LIKE } }); });
afterEach(async () => { await world.close(); });

describe("rename of a file", () => {
  it("moves the object with its metadata, keeps the inode and open readers", async () => {
    await world.put("a", "content", 0o640);
    const reader = await world.open("a");
    const before = await world.stat("a");
    await world.mv("a", "b");
    expect(await world.keys()).toEqual(["b"]);
    expect(await world.stat("b")).toMatchObject({ ino: before.ino, mode: 0o100640, mtime: before.mtime });
    expect(await world.readAt(reader)).toBe("content");
    expect(await errnoOf(world.stat("a"))).toBe("ENOENT");
    await world.close_(reader);
  });

  it("replaces another, whose open handles go on", async () => {
    await world.put("a", "new");
    await world.put("b", "old");
    const reader = await world.open("b");
    await world.mv("a", "b");
    expect(await world.readAt(reader)).toBe("old");
    expect(await world.cat("b")).toBe("new");
    await world.close_(reader);
    expect(await world.contentOf("b")).toBe("new");
  });

  it("of one that is being written takes the staged bytes along", async () => {
    const file = await world.create("a");
    await world.write(file, 0, "staged");
    await world.mv("a", "b");
    await world.write(file, 6, " more");
    expect(await world.ls()).toEqual(["b"]);
    await world.close_(file);
    expect(await world.keys()).toEqual(["b"]);
    expect(await world.contentOf("b")).toBe("staged more");
  });

  it("of an object that is being changed takes both along", async () => {
    await world.putOutside("a", "0123456789");
    await world.putOutside("b", "gone");
    const file = await world.open("a", O_RDWR);
    await world.write(file, 0, "x");
    await world.mv("a", "b");
    expect(await world.contentOf("b")).toBe("0123456789");
    expect(await world.readAt(file)).toBe("x123456789");
    await world.close_(file);
    expect(await world.contentOf("b")).toBe("x123456789");
    expect(await world.keys()).toEqual(["b"]);
  });

  it("of a new file onto an object replaces it at its commit", async () => {
    await world.putOutside("b", "old");
    const file = await world.create("a");
    await world.write(file, 0, "new");
    await world.mv("a", "b");
    expect(await world.cat("b")).toBe("new");
    await world.close_(file);
    expect(await world.contentOf("b")).toBe("new");
    expect(await world.keys()).toEqual(["b"]);
  });

  it("knows its flags", async () => {
    await world.put("a", "a");
    await world.put("b", "b");
    expect(await errnoOf(world.mv("a", "b", 1))).toBe("EEXIST");
    expect(await errnoOf(world.mv("a", "b", 2))).toBe("EINVAL");
    expect(await errnoOf(world.mv("a", "c", 4))).toBe("EINVAL");
    await world.mv("a", "c", 1);
    expect(await world.keys()).toEqual(["b", "c"]);
    await world.mv("c", "c");
    expect(await errnoOf(world.mv("none", "x"))).toBe("ENOENT");
  });

  it("with NOREPLACE does not replace what somebody else has just made", async () => {
    await world.put("a", "a");
    expect(await errnoOf(world.stat("b"))).toBe("ENOENT");
    await world.putOutside("b", "theirs");
    expect(await errnoOf(world.mv("a", "b", 1))).toBe("EEXIST");
    expect(await world.contentOf("b")).toBe("theirs");
    expect(await world.contentOf("a")).toBe("a");
  });

  it("takes a version that somebody else wrote since it was looked at", async () => {
    await world.putOutside("a", "one");
    await world.stat("a");
    await world.putOutside("a", "two");
    await world.mv("a", "b");
    expect(await world.contentOf("b")).toBe("two");
    expect(await world.keys()).toEqual(["b"]);
  });

  it("that fails leaves the old name", async () => {
    await world.put("a", "a");
    const active = world.faults.fail({ call: "copy", times: Infinity, fault: { kind: "throw", error: "unavailable" } });
    expect(await errnoOf(world.mv("a", "b"))).toBe("EIO");
    active.remove();
    expect(await world.ls()).toEqual(["a"]);
    expect(await world.cat("a")).toBe("a");
  });

  it("keeps the directory it was the last of", async () => {
    await world.putOutside("d/a", "a");
    await world.mv("d/a", "a");
    expect(await world.ls("d")).toEqual([]);
    expect(await world.keys()).toEqual(["a", "d/"]);
  });
});

describe("rename of a directory", () => {
  it("moves everything below it, awkward keys too", async () => {
    const names = ["x/", "x/a", "x/b/c", "x//empty", "x/./dot", "x/\0nul"];
    for (const key of names) await world.putOutside(key, key === "x/" ? "" : key);
    const { ino } = await world.stat("x/b");
    await world.mv("x", "y");
    expect(await world.keys()).toEqual(names.map((key) => `y${key.slice(1)}`).sort());
    expect(await world.cat("y/b/c")).toBe("x/b/c");
    expect((await world.stat("y/b")).ino).toBe(ino);
    expect(await errnoOf(world.stat("x"))).toBe("ENOENT");
  });

  it("takes files along that are open, staged or new", async () => {
    await world.mkdir("x");
    await world.put("x/clean", "clean");
    await world.put("x/dirty", "0123456789");
    const clean = await world.open("x/clean");
    const dirty = await world.open("x/dirty", O_RDWR);
    await world.write(dirty, 0, "D");
    const fresh = await world.create("x/new");
    await world.write(fresh, 0, "new");
    await world.mv("x", "y");
    expect(await world.readAt(clean)).toBe("clean");
    expect(await world.readAt(dirty)).toBe("D123456789");
    for (const file of [clean, dirty, fresh]) await world.close_(file);
    expect(await world.keys()).toEqual(["y/", "y/clean", "y/dirty", "y/new"]);
    expect(await world.contentOf("y/dirty")).toBe("D123456789");
    expect(await world.contentOf("y/new")).toBe("new");
  });

  it("replaces an empty directory and nothing else", async () => {
    await world.mkdir("x");
    await world.put("x/a", "a");
    await world.mkdir("empty");
    await world.mkdir("full");
    await world.put("full/f", "f");
    await world.put("file", "f");
    expect(await errnoOf(world.mv("x", "full"))).toBe("ENOTEMPTY");
    expect(await errnoOf(world.mv("x", "file"))).toBe("ENOTDIR");
    expect(await errnoOf(world.mv("file", "x"))).toBe("EISDIR");
    expect(await errnoOf(world.mv("x", "x/sub"))).toBe("EINVAL");
    expect(await errnoOf(world.mv("x/a", "x"))).toBe("EISDIR");
    await world.mv("x", "empty");
    expect(await world.ls()).toEqual(["empty", "file", "full"]);
    expect(await world.ls("empty")).toEqual(["a"]);
  });

  it("into a directory below its target is refused as not empty", async () => {
    await world.mkdir("a");
    await world.mkdir("a/b");
    expect(await errnoOf(world.mv("a/b", "a"))).toBe("ENOTEMPTY");
  });

  it("of many objects never leaves one under neither name when it fails", async () => {
    for (let i = 0; i < 30; i++) await world.putOutside(`x/${i}`, `c${i}`);
    const active = world.faults.fail({ call: "copy", nth: 12, times: Infinity, fault: { kind: "throw", error: "unavailable" } });
    expect(await errnoOf(world.mv("x", "y"))).toBe("EIO");
    active.remove();
    expect((await world.keys("x/")).length).toBe(30);
    expect(await world.keys("y/")).toEqual([]);
    await world.mv("x", "y");
    expect((await world.keys("y/")).length).toBe(30);
    expect(await world.keys("x/")).toEqual([]);
  });

  it("copies again what somebody else changes meanwhile", async () => {
    await world.putOutside("x/a", "one");
    await world.putOutside("x/b", "b");
    const stalled = world.faults.fail({ call: "copy", key: /^[xy]\/b$/, fault: { kind: "stall" } });
    const move = world.mv("x", "y");
    await stalled.hit;
    await world.putOutside("x/a", "two");
    await world.putOutside("x/late", "late");
    stalled.release();
    await move;
    expect(await world.keys()).toEqual(["y/a", "y/b", "y/late"]);
    expect(await world.contentOf("y/a")).toBe("two");
  });

  it("of an empty one, marker and all", async () => {
    await world.mkdir("x", 0o700);
    await world.mv("x", "y");
    expect(await world.keys()).toEqual(["y/"]);
    expect((await world.stat("y")).mode).toBe(0o040700);
  });
});

describe("rename where the store renames atomically", () => {
  it("of a directory moves no bytes, keeps open readers, and goes back when it fails", async () => {
    const other = await World.open({ memory: { capabilities: { rename: "atomic" } } });
    for (let i = 0; i < 20; i++) await other.putOutside(`x/${i}`, `content ${i}`);
    const reader = await other.open("x/7");
    const failing = other.faults.fail({ call: "rename", nth: 9, fault: { kind: "throw", error: "denied" } });
    expect(await errnoOf(other.mv("x", "y"))).toBe("EACCES");
    failing.remove();
    expect(await other.keys("y/")).toEqual([]);
    expect(await other.keys("x/")).toHaveLength(20);
    await other.mv("x", "y");
    expect(await other.keys("x/")).toEqual([]);
    expect(await other.keys("y/")).toHaveLength(20);
    expect(other.store.count("copy") + other.store.count("put")).toBe(0);
    expect(await other.readAt(reader)).toBe("content 7");
    await other.close_(reader);
    await other.close();
  });

  it.each(["atomic", "none"] as const)("of a marker's content leaves the marker: %s", async (rename) => {
    const other = await World.open({ memory: { capabilities: { rename } } });
    await other.putOutside("d/", "content");
    await other.mv("d/%^m", "file");
    expect(await other.keys()).toEqual(["d/", "file"]);
    expect(await other.cat("file")).toBe("content");
    expect(await other.ls("d")).toEqual([]);
    await other.close();
  });

  it("onto an empty directory that fails leaves the empty directory", async () => {
    await world.mkdir("x");
    await world.put("x/a", "a");
    await world.mkdir("empty");
    const failing = world.faults.fail({ call: "copy", key: /a$/, times: Infinity, fault: { kind: "throw", error: "denied" } });
    expect(await errnoOf(world.mv("x", "empty"))).toBe("EACCES");
    failing.remove();
    world.later();
    expect(await world.ls()).toEqual(["empty", "x"]);
    expect(await world.keys()).toEqual(["empty/", "x/", "x/a"]);
  });
});
