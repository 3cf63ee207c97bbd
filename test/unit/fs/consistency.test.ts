import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { errnoOf, O_RDONLY, O_RDWR, O_TRUNC, O_WRONLY, S3_LIKE, World } from "./world.js";

let world: World;
beforeEach(async () => { world = await World.open({ memory: { capabilities: S3_LIKE } }); });
afterEach(async () => { await world.close(); });

describe("open for reading", () => {
  it("pins the version: changed underneath is ESTALE, a new open sees the new one", async () => {
    await world.putOutside("a", "version one");
    const reader = await world.open("a");
    await world.putOutside("a", "version two!");
    world.later();
    expect(await errnoOf(world.readAt(reader))).toBe("ESTALE");
    expect(await world.cat("a")).toBe("version two!");
    // The pages of the old handle would stand beside the new ones in the kernel's cache.
    expect(await errnoOf(world.readAt(reader))).toBe("ESTALE");
    await world.close_(reader);
  });

  it("keeps the kernel's pages exactly while the etag is the same", async () => {
    await world.putOutside("a", "one");
    const first = await world.open("a");
    expect(first.keepCache).toBe(false);
    const second = await world.open("a");
    expect(second.keepCache).toBe(true);
    await world.putOutside("a", "two");
    world.later();
    const third = await world.open("a");
    expect(third.keepCache).toBe(false);
    expect(world.notices).toContain(`inode ${first.ino}`);
    for (const file of [first, second, third]) await world.close_(file);
  });

  it("of a file that is gone is ESTALE, so that the kernel looks again, and then ENOENT", async () => {
    await world.putOutside("a", "one");
    const ino = await world.resolve("a");
    await world.outside.delete("a");
    world.clock.advance(2000);
    expect(await errnoOf(world.fs.open(world.context, ino, O_RDONLY))).toBe("ESTALE");
    expect(await errnoOf(world.cat("a"))).toBe("ENOENT");
  });

  it("while another file is renamed onto it is ESTALE at the open itself, never at a read after it", async () => {
    await world.putOutside("a", "version one");
    await world.putOutside("b", "version two!");
    const ino = await world.resolve("a");
    const copying = world.faults.fail({ call: "copy", fault: { kind: "stall" } });
    const renamed = world.mv("b", "a");
    await copying.hit;
    const opened = errnoOf(world.fs.open(world.context, ino, O_RDONLY));
    copying.release();
    await renamed;
    expect(await opened).toBe("ESTALE");
    expect(await world.cat("a")).toBe("version two!");
  });

  it("of a name that has become a symbolic link leads to another inode", async () => {
    await world.putOutside("a", "one");
    const { ino } = await world.stat("a");
    await world.putOutside("a", "target", { mode: "41471" });
    world.later();
    const now = await world.stat("a");
    expect(now.ino).not.toBe(ino);
    expect(now.mode & 0o170000).toBe(0o120000);
    expect(await errnoOf(world.fs.getattr(world.context, ino, undefined))).toBe("ESTALE");
  });
});

describe("a directory made and changed here", () => {
  it("keeps its mode when the kernel has forgotten it, in listings and in lookups", async () => {
    const top = await world.mkdir("top");
    const { ino } = await world.mkdir("top/d", 0o700);
    await world.fs.setattr(world.context, ino, { mode: 0o750 });
    // A working directory stays known, with what it knows of its names.
    const { fh } = await world.fs.opendir(world.context, top.ino);
    world.forgetAll();
    expect((await world.list("top")).map((item) => (item.attributes?.mode ?? 0) & 0o777)).toEqual([0o750]);
    world.forgetAll();
    expect((await world.stat("top/d")).mode & 0o777).toBe(0o750);
    await world.fs.releasedir(world.context, top.ino, fh);
  });
});

describe("names that somebody else took away", () => {
  it("are new inodes when they are made again here, also by a rename", async () => {
    for (const name of ["a", "b", "d/x"]) await world.putOutside(name, "old");
    const inos = [await world.resolve("a"), await world.resolve("b"), await world.resolve("d")];
    for (const name of ["a", "b", "d/x"]) await world.outside.delete(name);
    world.later();
    await world.put("a", "new");
    await world.put("c", "moved");
    await world.mv("c", "b");
    await world.mkdir("d");
    world.fs.checkInvariants();
    expect(await world.cat("a")).toBe("new");
    expect(await world.cat("b")).toBe("moved");
    const now = [await world.resolve("a"), await world.resolve("b"), await world.resolve("d")];
    for (const ino of inos) expect(now).not.toContain(ino);
  });

  it("leave what is below them without a name: nothing is looked up at the root instead", async () => {
    await world.putOutside("d/e/x", "old");
    await world.putOutside("x", "the root's");
    const inside = await world.resolve("d/e");
    await world.outside.delete("d/e/x");
    world.later();
    expect(await errnoOf(world.stat("d"))).toBe("ENOENT");
    expect(await errnoOf(world.lookup(inside, "x"))).toBe("ESTALE");
  });

  it("removed here while they are open list nothing and take nothing", async () => {
    await world.mkdir("d");
    await world.putOutside("x", "the root's");
    const ino = await world.resolve("d");
    const { fh } = await world.fs.opendir(world.context, ino);
    await world.rmdir("d");
    expect(await world.drain(ino, fh)).toEqual([]);
    expect(await errnoOf(world.lookup(ino, "x"))).toBe("ENOENT");
    expect(await errnoOf(world.fs.create(world.context, ino, "y", 0o644, O_RDWR))).toBe("ENOENT");
    expect((await world.fs.getattr(world.context, ino, undefined)).attributes.nlink).toBe(0);
    await world.fs.releasedir(world.context, ino, fh);
  });
});

describe("two writers", () => {
  it("that are slow get ESTALE at close and overwrite nothing", async () => {
    await world.putOutside("a", "one");
    const file = await world.open("a", O_RDWR);
    await world.write(file, 0, "mine");
    await world.putOutside("a", "theirs");
    expect(await errnoOf(world.close_(file))).toBe("ESTALE");
    expect(await world.contentOf("a")).toBe("theirs");
    expect(await world.cat("a")).toBe("theirs");
    expect(world.writes.stats().pending).toHaveLength(1);
  });

  it("of one new name: the second learns it at close", async () => {
    const file = await world.create("new");
    await world.write(file, 0, "mine");
    await world.putOutside("new", "theirs");
    expect(await errnoOf(world.close_(file))).toBe("ESTALE");
    expect(await world.contentOf("new")).toBe("theirs");
    expect(await world.cat("new")).toBe("theirs");
  });

  it("with on-conflict=copy: the loser stands beside it, under a name of its own", async () => {
    const other = await World.open({ onConflict: "copy" });
    await other.putOutside("a", "one");
    const file = await other.open("a", O_RDWR);
    await other.write(file, 0, "mine");
    await other.putOutside("a", "theirs");
    await other.close_(file);
    expect(await other.cat("a")).toBe("theirs");
    const name = (await other.ls()).find((each) => each.includes("conflict")) as string;
    expect(await other.cat(name)).toBe("mine");
    await other.close();
  });
});

describe("failures of the store", () => {
  it("at close are its error, and the close that follows tries again", async () => {
    const file = await world.create("a");
    await world.write(file, 0, "x");
    world.faults.fail({ call: "put", fault: { kind: "throw", error: "denied" } });
    expect(await errnoOf(world.fs.flush(world.context, file.ino, file.fh))).toBe("EACCES");
    await world.close_(file);
    expect(await world.cat("a")).toBe("x");
  });

  it("of a new file leave no name behind when it is released", async () => {
    const file = await world.create("a");
    await world.write(file, 0, "x");
    const active = world.faults.fail({ call: "put", times: Infinity, fault: { kind: "throw", error: "denied" } });
    expect(await errnoOf(world.close_(file))).toBe("EACCES");
    active.remove();
    expect(await errnoOf(world.stat("a"))).toBe("ENOENT");
  });

  it("never make a name disappear: unreachable is EIO", async () => {
    await world.putOutside("a", "x");
    const active = world.faults.fail({ times: Infinity, fault: { kind: "throw", error: "unavailable" } });
    expect(await errnoOf(world.stat("a"))).toBe("EIO");
    expect(await errnoOf(world.ls())).toBe("EIO");
    active.remove();
    expect(await world.ls()).toEqual(["a"]);
  });
});

describe("unlink of an open file", () => {
  it("leaves a reader its bytes and brings nothing back", async () => {
    const bytes = "r".repeat(300_000);
    await world.putOutside("a", bytes);
    const reader = await world.open("a");
    await world.rm("a");
    expect(await world.keys()).toEqual([]);
    expect((await world.readAt(reader, 0, 1 << 20)).length).toBe(300_000);
    expect((await world.fs.getattr(world.context, reader.ino, reader.fh)).attributes.nlink).toBe(0);
    await world.close_(reader);
    expect(await world.keys()).toEqual([]);
  });

  it("leaves a writer its file, unwritten ranges of the old object too", async () => {
    await world.putOutside("a", "0123456789");
    const file = await world.open("a", O_RDWR);
    await world.write(file, 2, "xx");
    await world.rm("a");
    await world.write(file, 8, "yy");
    expect(await world.readAt(file)).toBe("01xx4567yy");
    await world.put("a", "another");
    await world.close_(file);
    expect(await world.contentOf("a")).toBe("another");
  });

  it("of a file never committed leaves nothing", async () => {
    const file = await world.create("a");
    await world.write(file, 0, "x");
    await world.rm("a");
    expect(await world.readAt(file)).toBe("x");
    await world.close_(file);
    expect(await world.keys()).toEqual([]);
    expect(await world.ls()).toEqual([]);
  });
});

describe("metadata of clean files", () => {
  it("changed at once by many is written for all of them", async () => {
    await world.put("a", "x");
    const ino = await world.resolve("a");
    world.store.reset();
    await Promise.all([
      world.fs.setattr(world.context, ino, { mode: 0o640 }),
      world.fs.setattr(world.context, ino, { uid: 7, gid: 8 }),
      world.fs.setattr(world.context, ino, { mtime: { sec: 9, nsec: 1 } }),
      world.fs.setxattr(world.context, ino, "user.k", Buffer.from("v"), 0),
    ]);
    expect(world.store.count("setMetadata")).toBeLessThanOrEqual(2);
    expect((await world.outside.head("a")).metadata).toMatchObject({ mode: String(0o100640), uid: "7", gid: "8", mtime: "9.000000001" });
    expect(await world.stat("a")).toMatchObject({ mode: 0o100640, uid: 7, gid: 8, mtime: { sec: 9, nsec: 1 } });
  });

  it("survives somebody else's new version", async () => {
    await world.putOutside("a", "one");
    const ino = await world.resolve("a");
    await world.putOutside("a", "two", { foreign: "kept" });
    await world.fs.setattr(world.context, ino, { mode: 0o600 });
    expect(await world.contentOf("a")).toBe("two");
    expect((await world.outside.head("a")).metadata).toMatchObject({ foreign: "kept", mode: String(0o100600) });
  });

  it("does not move a time that was the store's own", async () => {
    await world.putOutside("a", "one");
    const before = (await world.stat("a")).mtime;
    await world.fs.setattr(world.context, await world.resolve("a"), { mode: 0o600 });
    world.later();
    expect((await world.stat("a")).mtime).toEqual(before);
    expect(before.nsec).toBe(0);
  });

  it("of a file being written goes along with its commit", async () => {
    const file = await world.create("a");
    await world.write(file, 0, "x");
    world.store.reset();
    await world.fs.setattr(world.context, file.ino, { mode: 0o4711, mtime: { sec: 1, nsec: 2 }, uid: 3 });
    await world.close_(file);
    expect(world.store.count("setMetadata")).toBe(0);
    expect((await world.outside.head("a")).metadata).toMatchObject({ mode: String(0o104711), uid: "3", mtime: "1.000000002" });
  });

  it("changed alone while a file is open is written at its close", async () => {
    await world.put("a", "x");
    const file = await world.open("a", O_RDWR);
    await world.write(file, 0, "y");
    await world.fs.fsync(world.context, file.ino, file.fh, false);
    await world.fs.setattr(world.context, file.ino, { mode: 0o600, fh: file.fh });
    await world.close_(file);
    expect((await world.outside.head("a")).metadata?.["mode"]).toBe(String(0o100600));
  });
});

describe("options and capabilities", () => {
  it("read-only: every change is EROFS before the store is asked", async () => {
    await world.putOutside("a", "x");
    const other = await World.open({ world, fs: { readOnly: true } });
    const ino = await other.resolve("a");
    for (const work of [() => other.put("b", "x"), () => other.mkdir("d"), () => other.rm("a"), () => other.mv("a", "b"), () => other.rmdir("a"),
      () => other.open("a", O_WRONLY), () => other.open("a", O_TRUNC), () => other.fs.setattr(other.context, ino, { mode: 0 }),
      () => other.fs.setxattr(other.context, ino, "user.x", Buffer.alloc(1), 0)]) expect(await errnoOf(work())).toBe("EROFS");
    expect(await other.cat("a")).toBe("x");
    await other.close();
  });

  it("immutable stores: create and read; a second write is EEXIST, unlink EPERM", async () => {
    const other = await World.open({ memory: { capabilities: { immutable: true } } });
    await other.put("a", "x");
    expect(await errnoOf(other.open("a", O_WRONLY))).toBe("EEXIST");
    expect(await errnoOf(other.rm("a"))).toBe("EPERM");
    expect(await errnoOf(other.mv("a", "b"))).toBe("EPERM");
    expect(await other.cat("a")).toBe("x");
    await other.close();
  });

  it("foreign objects get sane owners and permissions", async () => {
    await world.putOutside("d/a", "x");
    expect(await world.stat("d/a")).toMatchObject({ mode: 0o100644, uid: 500, gid: 500 });
    expect(await world.stat("d")).toMatchObject({ mode: 0o040755, uid: 500, gid: 500 });
  });

  it("statfs is never zero and says 255", async () => {
    const { blocks, bavail, namelen } = await world.fs.statfs(world.context, await world.resolve(""));
    expect(blocks).toBeGreaterThan(0);
    expect(bavail).toBeGreaterThan(0);
    expect(namelen).toBe(255);
  });

  it("an interrupted lookup is EINTR, and the question goes on for others", async () => {
    await world.putOutside("a", "x");
    const stalled = world.faults.fail({ call: "head", key: "a", fault: { kind: "stall" } });
    const stop = new AbortController();
    const lookup = world.fs.lookup({ ...world.context, signal: stop.signal }, await world.resolve(""), "a");
    const other = world.stat("a");
    await stalled.hit;
    stop.abort();
    expect(await errnoOf(lookup)).toBe("EINTR");
    stalled.release();
    expect((await other).size).toBe(1);
  });
});

describe("ranges", () => {
  it("copies a whole file by the store, and leaves the rest to the kernel", async () => {
    const { fs, context } = world;
    await world.put("a", "0123456789");
    const from = await world.open("a");
    const to = await world.create("b");
    world.store.reset();
    expect(await errnoOf(fs.copyFileRange(context, from.ino, from.fh, 1, to.ino, to.fh, 0, 5))).toBe("EOPNOTSUPP");
    expect(await fs.copyFileRange(context, from.ino, from.fh, 0, to.ino, to.fh, 0, 10)).toBe(10);
    expect(world.store.count("copy")).toBe(1);
    expect(world.store.count("get")).toBe(0);
    expect(await world.readAt(to)).toBe("0123456789");
    await world.write(to, 9, "!");
    await world.close_(to);
    await world.close_(from);
    expect(await world.contentOf("b")).toBe("012345678!");
    expect(await world.contentOf("a")).toBe("0123456789");
  });

  it("fallocate extends, lseek finds data and holes", async () => {
    const { fs, context } = world;
    const file = await world.create("a");
    await world.write(file, 0, "abc");
    await fs.fallocate(context, file.ino, file.fh, 0, 10, 0);
    expect((await fs.getattr(context, file.ino, file.fh)).attributes.size).toBe(10);
    expect(await errnoOf(fs.fallocate(context, file.ino, file.fh, 0, 10, 3))).toBe("EOPNOTSUPP");
    expect(await fs.lseek(context, file.ino, file.fh, 0, 3)).toBe(0);
    expect(await fs.lseek(context, file.ino, file.fh, 0, 4)).toBeLessThanOrEqual(10);
    expect(await errnoOf(fs.lseek(context, file.ino, file.fh, 10, 3))).toBe("ENXIO");
    await world.close_(file);
    expect(await world.contentOf("a")).toBe("abc\0\0\0\0\0\0\0");
  });
});
