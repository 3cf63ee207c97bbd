// What happens between a question and its answer: interrupted callers, refusals of the store in the middle of a change, and
// operations that meet on one file.

import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Context } from "../../../src/fs/filesystem.js";
import { errnoOf, O_RDWR, O_WRONLY, S3_LIKE, World } from "./world.js";

let world: World;
beforeEach(async () => { world = await World.open({ memory: { capabilities: S3_LIKE } }); });
afterEach(async () => { await world.close(); });

function interrupted(): Context {
  return { ...world.context, signal: AbortSignal.abort(new Error("a signal")) };
}

function interruptible(): { context: Context; interrupt: () => void } {
  const stop = new AbortController();
  return { context: { ...world.context, signal: stop.signal }, interrupt: () => { stop.abort(new Error("a signal")); } };
}

describe("an interrupted flush", () => {
  it("of a new file, its signal fired before it came: the file is committed by release, under its name", async () => {
    const file = await world.create("a");
    await world.write(file, 0, "written by somebody who was killed");
    expect(await errnoOf(world.fs.flush(interrupted(), file.ino, file.fh))).toBe("EINTR");
    await world.fs.release(world.context, file.ino, file.fh);
    expect(await world.contentOf("a")).toBe("written by somebody who was killed");
    expect(await world.stat("a")).toMatchObject({ ino: file.ino, size: 34, nlink: 1 });
    expect(await world.cat("a")).toBe("written by somebody who was killed");
  });

  it("and a rename while its commit is still on the way: everything is under the new name", async () => {
    const file = await world.create("a");
    await world.write(file, 0, "content");
    const put = world.faults.fail({ call: "put", fault: { kind: "stall" } });
    const { context, interrupt } = interruptible();
    const flushed = errnoOf(world.fs.flush(context, file.ino, file.fh));
    await put.hit;
    interrupt();
    expect(await flushed).toBe("EINTR");
    const renamed = world.mv("a", "b");
    put.release();
    await renamed;
    await world.close_(file);
    expect(await world.keys()).toEqual(["b"]);
    expect(await world.contentOf("b")).toBe("content");
    expect(await world.cat("b")).toBe("content");
  });

  it("and an unlink while its commit is still on the way: nothing comes back", async () => {
    const file = await world.create("a");
    await world.write(file, 0, "content");
    const put = world.faults.fail({ call: "put", fault: { kind: "stall" } });
    const { context, interrupt } = interruptible();
    const flushed = errnoOf(world.fs.flush(context, file.ino, file.fh));
    await put.hit;
    interrupt();
    await flushed;
    const removed = world.rm("a");
    put.release();
    await removed;
    expect(await world.keys()).toEqual([]);
    await world.close_(file);
    expect(await world.keys()).toEqual([]);
  });

  it("or fsync of an object: what is written next is no conflict with it", async () => {
    await world.put("a", "one");
    const file = await world.open("a", O_RDWR);
    await world.write(file, 0, "two, longer");
    expect(await errnoOf(world.fs.fsync(interrupted(), file.ino, file.fh, false))).toBe("EINTR");
    await world.close_(file);
    expect((await world.stat("a")).size).toBe(11);
    expect(await world.cat("a")).toBe("two, longer");
    const again = await world.open("a", O_RDWR);
    await world.write(again, 0, "three");
    await world.close_(again);
    expect(await world.contentOf("a")).toBe("threelonger");
  });
});

describe("an interrupted copy by the store", () => {
  it("is waited for: its object is no conflict at the close", async () => {
    await world.put("a", "0123456789");
    const from = await world.open("a");
    const to = await world.create("b");
    const copying = world.faults.fail({ call: "copy", at: "after", fault: { kind: "stall" } });
    const { context, interrupt } = interruptible();
    const copied = world.fs.copyFileRange(context, from.ino, from.fh, 0, to.ino, to.fh, 0, 10).catch(() => -1);
    await copying.hit;
    interrupt();
    copying.release();
    expect(await copied).toBe(10);
    await world.close_(to);
    await world.close_(from);
    expect(await world.contentOf("b")).toBe("0123456789");
  });
});

describe("syncfs", () => {
  it("while a file is renamed waits for the rename, and everything is under the new name", async () => {
    await world.put("a", "0123456789");
    const file = await world.open("a", O_RDWR);
    await world.write(file, 0, "new");
    const copying = world.faults.fail({ call: "copy", at: "after", fault: { kind: "stall" } });
    const renamed = world.mv("a", "b");
    await copying.hit;
    const synced = world.fs.syncfs(world.context);
    for (let i = 0; i < 50; i++) await Promise.resolve();
    copying.release();
    await Promise.all([renamed, synced]);
    await world.close_(file);
    expect(await world.keys()).toEqual(["b"]);
    expect(await world.contentOf("b")).toBe("new3456789");
  });
});

describe("an unlink that the store refuses", () => {
  it("leaves unsaved bytes to the close that follows", async () => {
    await world.put("a", "old");
    const file = await world.open("a", O_RDWR);
    await world.write(file, 0, "new");
    world.faults.fail({ call: "delete", fault: { kind: "throw", error: "denied" } });
    expect(await errnoOf(world.rm("a"))).toBe("EACCES");
    await world.write(file, 3, "er");
    await world.close_(file);
    expect(await world.contentOf("a")).toBe("newer");
    expect(await world.cat("a")).toBe("newer");
  });

  it("of a file that is open for reading leaves it as it was, for writers too", async () => {
    await world.put("a", "old");
    const reader = await world.open("a");
    world.faults.fail({ call: "delete", fault: { kind: "throw", error: "unavailable" } });
    expect(await errnoOf(world.rm("a"))).toBe("EIO");
    const puts = world.store.count("put");
    await world.close_(await world.open("a"));
    expect(world.store.count("put")).toBe(puts);
    await world.put("a", "new content");
    expect(await world.contentOf("a")).toBe("new content");
    expect(await world.readAt(reader)).toBe("new content");
    await world.close_(reader);
    expect(await world.contentOf("a")).toBe("new content");
  });

  it("because the old bytes cannot be brought here leaves the file, and what is written to it", async () => {
    await world.putOutside("a", "0123456789");
    const file = await world.open("a", O_RDWR);
    await world.write(file, 0, "x");
    world.faults.fail({ call: "get", fault: { kind: "throw", error: "unavailable" } });
    expect(await errnoOf(world.rm("a"))).toBe("EIO");
    await world.close_(file);
    expect(await world.contentOf("a")).toBe("x123456789");
  });
});

describe("a rename onto a file that the store refuses", () => {
  it("leaves the unsaved bytes of the target to its close", async () => {
    await world.put("a", "source");
    await world.put("b", "old");
    const file = await world.open("b", O_RDWR);
    await world.write(file, 0, "new");
    world.faults.fail({ call: "copy", fault: { kind: "throw", error: "unavailable" } });
    expect(await errnoOf(world.mv("a", "b"))).toBe("EIO");
    await world.close_(file);
    expect(await world.contentOf("a")).toBe("source");
    expect(await world.contentOf("b")).toBe("new");
  });
});

describe("bytes brought here before an unlink", () => {
  it("never overwrite what is written meanwhile", async () => {
    await world.putOutside("a", "0123456789");
    const file = await world.open("a", O_RDWR);
    await world.write(file, 9, "!");
    const get = world.faults.fail({ call: "get", fault: { kind: "stall" } });
    const removed = world.rm("a");
    await get.hit;
    const written = world.write(file, 0, "new");
    get.release();
    await Promise.all([removed, written]);
    expect(await world.readAt(file)).toBe("new345678!");
    await world.close_(file);
  });
});

describe("after a failed commit", () => {
  it("nothing of the lost version is left in the kernel's cache", async () => {
    await world.put("a", "old");
    const before = await world.open("a");
    await world.close_(before);
    const file = await world.open("a", O_RDWR);
    await world.write(file, 0, "NEW");
    const fault = world.faults.fail({ call: "put", times: Infinity, fault: { kind: "throw", error: "denied" } });
    expect(await errnoOf(world.close_(file))).toBe("EACCES");
    fault.remove();
    expect(world.notices).toContain(`inode ${file.ino}`);
    const after = await world.open("a");
    expect(after.keepCache).toBe(false);
    expect(await world.readAt(after)).toBe("old");
    await world.close_(after);
    expect(world.writes.stats().pending).toHaveLength(1);
  });

  it("writing is refused with its errno, reading shows what was written, and closing says it again", async () => {
    await world.put("a", "old");
    const file = await world.open("a", O_RDWR);
    await world.write(file, 0, "new");
    const fault = world.faults.fail({ call: "put", times: Infinity, fault: { kind: "throw", error: "quota" } });
    expect(await errnoOf(world.fs.flush(world.context, file.ino, file.fh))).toBe("EDQUOT");
    expect(await errnoOf(world.write(file, 3, "more"))).toBe("EDQUOT");
    expect(await world.readAt(file)).toBe("new");
    expect(await errnoOf(world.fs.flush(world.context, file.ino, file.fh))).toBe("EDQUOT");
    fault.remove();
    await world.close_(file);
    expect(await world.contentOf("a")).toBe("new");
  });
});

describe("a close that meets a conflict", () => {
  it("fails for every descriptor, also for one that was closed at the same moment", async () => {
    await world.put("a", "one");
    const file = await world.open("a", O_RDWR);
    await world.write(file, 0, "mine");
    await world.putOutside("a", "theirs");
    const flushes = [1, 2].map(() => errnoOf(world.fs.flush(world.context, file.ino, file.fh)));
    expect(await Promise.all(flushes)).toEqual(["ESTALE", "ESTALE"]);
    await world.fs.release(world.context, file.ino, file.fh);
    expect(await world.contentOf("a")).toBe("theirs");
  });
});

describe("set-id bits", () => {
  it("that are not there cost nothing to clear", async () => {
    await world.putOutside("foreign", "x");
    await world.put("own", "x");
    for (const name of ["foreign", "own"]) {
      const file = await world.open(name, O_RDWR);
      world.store.reset();
      await world.fs.setattr(world.context, file.ino, { fh: file.fh, killSuidGid: true });
      expect(world.store.calls.filter((call) => call.name !== "head")).toEqual([]);
      await world.close_(file);
      expect(world.store.calls.filter((call) => call.name !== "head")).toEqual([]);
    }
    expect((await world.outside.head("foreign")).metadata).toEqual({});
  });

  it("that cannot be kept at all do not stop a write", async () => {
    const other = await World.open({ memory: { capabilities: { metadata: false } } });
    await other.putOutside("a", "old");
    const file = await other.open("a", O_WRONLY);
    expect(await errnoOf(other.fs.setattr(other.context, file.ino, { fh: file.fh, killSuidGid: true }))).toBe(undefined);
    await other.write(file, 0, "new");
    await other.close_(file);
    expect(await other.contentOf("a")).toBe("new");
    await other.close();
  });

  it("go with a write and with a new owner", async () => {
    await world.put("a", "x", 0o6755);
    const file = await world.open("a", O_RDWR);
    await world.fs.setattr(world.context, file.ino, { fh: file.fh, killSuidGid: true });
    expect((await world.stat("a")).mode & 0o7777).toBe(0o755);
    await world.fs.setattr(world.context, file.ino, { mode: 0o6755 });
    await world.fs.setattr(world.context, file.ino, { uid: 1 });
    expect((await world.stat("a")).mode & 0o7777).toBe(0o755);
    await world.close_(file);
    expect((await world.outside.head("a")).metadata).toMatchObject({ mode: String(0o100755), uid: "1" });
  });
});

describe("metadata", () => {
  it("changed by path while a writer has the file open and saved is at the store when it is answered", async () => {
    const file = await world.create("a");
    await world.write(file, 0, "x");
    await world.fs.fsync(world.context, file.ino, file.fh, false);
    await world.fs.setattr(world.context, file.ino, { mode: 0o600 });
    expect((await world.outside.head("a")).metadata?.["mode"]).toBe(String(0o100600));
    world.faults.fail({ call: "setMetadata", fault: { kind: "throw", error: "denied" } });
    expect(await errnoOf(world.fs.setattr(world.context, file.ino, { mode: 0o640 }))).toBe("EACCES");
    await world.close_(file);
  });

  it("of a file streamed by parts is right when it was changed before its close, at once after it, and later", async () => {
    const bytes = Buffer.alloc(400_000, 7);
    const file = await world.create("a");
    for (let at = 0; at < bytes.length; at += 50_000) await world.write(file, at, bytes.subarray(at, at + 50_000));
    await world.fs.setattr(world.context, file.ino, { mode: 0o640, mtime: { sec: 5, nsec: 6 }, fh: file.fh });
    await world.fs.flush(world.context, file.ino, file.fh);
    expect((await world.outside.head("a")).metadata).toMatchObject({ mode: String(0o100640), mtime: "5.000000006" });
    await world.fs.setattr(world.context, file.ino, { mode: 0o600 });
    await world.fs.release(world.context, file.ino, file.fh);
    expect((await world.outside.head("a")).metadata).toMatchObject({ mode: String(0o100600), mtime: "5.000000006" });
    await world.fs.setattr(world.context, file.ino, { mtime: { sec: 7, nsec: 8 } });
    world.later();
    expect(await world.stat("a")).toMatchObject({ mode: 0o100600, mtime: { sec: 7, nsec: 8 }, size: 400_000 });
  });

  it("a write that meets a commit has its own time, not that of the content before", async () => {
    await world.putOutside("a", "x", { mtime: "1.000000000" });
    const file = await world.open("a", O_RDWR);
    await Promise.all([world.write(file, 0, "y"), world.fs.fsync(world.context, file.ino, file.fh, false)]);
    await world.close_(file);
    expect(Number((await world.outside.head("a")).metadata?.["mtime"])).toBeGreaterThan(1);
  });
});

describe("a directory's rename", () => {
  it("that fails with one lost answer leaves nothing under the new name and says which errno", async () => {
    for (let i = 0; i < 200; i++) await world.putOutside(`d/${i}`, "x");
    world.faults.fail({ call: "copy", key: "e/100", at: "after", fault: { kind: "throw", error: "unavailable" } });
    expect(await errnoOf(world.mv("d", "e"))).toBe("EIO");
    expect(await world.keys("e")).toEqual([]);
    expect(await world.keys("d/")).toHaveLength(200);
    expect(await world.ls("d")).toHaveLength(200);
    expect(await errnoOf(world.stat("e"))).toBe("ENOENT");
  });

  it("stops copying soon after a failure", async () => {
    for (let i = 0; i < 400; i++) await world.putOutside(`d/${i}`, "x");
    world.faults.fail({ call: "copy", fault: { kind: "throw", error: "denied" } });
    world.store.reset();
    expect(await errnoOf(world.mv("d", "e"))).toBe("EACCES");
    expect(world.store.count("copy")).toBeLessThan(200);
  });

  it("that cannot delete the old objects has everything under the new name, and shows what is left of the old", async () => {
    for (let i = 0; i < 1500; i++) await world.putOutside(`d/${i}`, "x");
    world.faults.fail({ call: "deleteMany", fault: { kind: "throw", error: "denied" } });
    expect(await errnoOf(world.mv("d", "e"))).toBe("EACCES");
    expect(await world.keys("e/")).toHaveLength(1500);
    // The other batch was tried all the same.
    expect(await world.keys("d/")).toHaveLength(1000);
    expect(await world.ls("d")).toHaveLength(1000);
    expect(await world.ls("e")).toHaveLength(1500);
  });

  it("takes open, unsaved, saved and new files along", async () => {
    await world.putOutside("d/read", "read");
    await world.putOutside("d/changed", "0123456789");
    const reader = await world.open("d/read");
    expect(await world.readAt(reader, 0, 2)).toBe("re");
    const changed = await world.open("d/changed", O_RDWR);
    await world.write(changed, 0, "x");
    const fresh = await world.create("d/fresh");
    await world.write(fresh, 0, "fresh");
    const failed = await world.create("d/failed");
    await world.write(failed, 0, "failed");
    const fault = world.faults.fail({ call: "put", key: "d/failed", times: Infinity, fault: { kind: "throw", error: "denied" } });
    expect(await errnoOf(world.fs.flush(world.context, failed.ino, failed.fh))).toBe("EACCES");
    await world.mv("d", "e");
    fault.remove();
    expect(await world.readAt(reader)).toBe("read");
    for (const file of [reader, changed, fresh, failed]) await world.close_(file);
    expect((await world.keys()).filter((key) => !key.endsWith("/"))).toEqual(["e/changed", "e/failed", "e/fresh", "e/read"]);
    expect(await world.contentOf("e/changed")).toBe("x123456789");
    expect(await world.contentOf("e/failed")).toBe("failed");
  });
});

describe("a listing", () => {
  it("asks for the last of a page's objects as well as for the first", async () => {
    const other = await World.open({ memory: { capabilities: S3_LIKE, pageSize: 1000 } });
    for (let i = 10; i < 29; i++) await other.putOutside(`d/${i}`, "x");
    await other.putOutside("d/29", "target", { mode: String(0o120777) });
    const listed = await other.list("d");
    expect((listed.at(-1)?.attributes?.mode ?? 0) & 0o170000).toBe(0o120000);
    await other.close();
  });

  it("shows a file once when it is renamed while the listing goes on", async () => {
    for (let i = 0; i < 20; i++) await world.putOutside(`d/m${i + 10}`, "x");
    const file = await world.create("d/a");
    await world.write(file, 0, "x");
    const ino = await world.resolve("d");
    const { fh } = await world.fs.opendir(world.context, ino);
    const first = await world.drain(ino, fh, { take: 3 }).then(() => world.mv("d/a", "d/z"));
    expect(first).toBe(undefined);
    await world.close_(file);
    const names = (await world.drain(ino, fh, { from: 5 })).map((item) => item.name);
    expect(new Set(names).size).toBe(names.length);
    await world.fs.releasedir(world.context, ino, fh);
  });

  it("keeps a name whose commit failed while the listing goes on", async () => {
    for (let i = 0; i < 20; i++) await world.putOutside(`d/m${i + 10}`, "x");
    const file = await world.open("d/m25", O_RDWR);
    await world.write(file, 0, "y");
    const listing = world.faults.fail({ call: "list", key: /^d\//, fault: { kind: "stall" } });
    const listed = world.list("d");
    await listing.hit;
    world.faults.fail({ call: "put", times: 2, fault: { kind: "throw", error: "denied" } });
    expect(await errnoOf(world.close_(file))).toBe("EACCES");
    listing.release();
    expect((await listed).map((item) => item.name)).toContain("m25");
  });
});

describe("what it costs", () => {
  it("a new file in a directory made or listed here is one put, its stat nothing, mv a copy and a delete, rm a delete", async () => {
    await world.mkdir("made");
    await world.putOutside("listed/x", "x");
    await world.ls("listed");
    for (const directory of ["made", "listed"]) {
      world.store.reset();
      await world.put(`${directory}/new`, "content");
      expect(world.store.calls.map((call) => call.name)).toEqual(["put"]);
      world.store.reset();
      expect((await world.stat(`${directory}/new`)).size).toBe(7);
      expect(world.store.calls.map((call) => call.name)).toEqual([]);
      await world.mv(`${directory}/new`, `${directory}/moved`);
      expect(world.store.calls.map((call) => call.name)).toEqual(["copy", "delete"]);
      world.store.reset();
      await world.rm(`${directory}/moved`);
      expect(world.store.calls.map((call) => call.name)).toEqual(["delete"]);
    }
  });
});
