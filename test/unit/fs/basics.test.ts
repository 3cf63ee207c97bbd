import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { errnoOf, O_APPEND, O_EXCL, O_RDONLY, O_RDWR, O_TRUNC, O_WRONLY, S3_LIKE, World } from "./world.js";

let world: World;
beforeEach(async () => { world = await World.open({ memory: { capabilities: S3_LIKE } }); });
afterEach(async () => { await world.close(); });

describe("files", () => {
  it("are written, read back, listed and found at the store", async () => {
    await world.put("a", "hello");
    expect(await world.cat("a")).toBe("hello");
    expect(await world.ls()).toEqual(["a"]);
    expect(await world.contentOf("a")).toBe("hello");
    expect(await world.stat("a")).toMatchObject({ size: 5, mode: 0o100644, uid: 1000, gid: 1000, nlink: 1, blocks: 1 });
  });

  it("keep their mtime to the nanosecond over a close and a fresh mount", async () => {
    await world.put("a", "hello");
    const ino = await world.resolve("a");
    await world.fs.setattr(world.context, ino, { mtime: { sec: 1_700_000_000, nsec: 123_456_789 }, mode: 0o600 });
    const other = await World.open({ world });
    expect(await other.stat("a")).toMatchObject({ mtime: { sec: 1_700_000_000, nsec: 123_456_789 }, mode: 0o100600 });
    await other.close();
    expect((await world.outside.head("a")).metadata).toMatchObject({ mode: "33152", mtime: "1700000000.123456789", uid: "1000" });
  });

  it("show the same implicit mtime before and after the close, and on another mount", async () => {
    const file = await world.create("a");
    await world.write(file, 0, "x");
    const before = (await world.fs.getattr(world.context, file.ino, file.fh)).attributes.mtime;
    await world.close_(file);
    world.later();
    expect((await world.stat("a")).mtime).toEqual(before);
    const other = await World.open({ world });
    expect((await other.list(""))[0]?.attributes?.mtime).toEqual(before);
    await other.close();
  });

  it("streamed by parts cost no metadata update and show the store's time", async () => {
    const file = await world.create("big");
    for (let i = 0; i < 16; i++) await world.write(file, i * 65_536, Buffer.alloc(65_536, i));
    await world.close_(file);
    expect(world.store.count("setMetadata")).toBe(0);
    world.later();
    const seen = await world.outside.head("big");
    const shown = seen.metadata?.["mtime"] ?? `${Math.floor(seen.lastModified / 1000)}.000000000`;
    const { mtime } = await world.stat("big");
    expect(`${mtime.sec}.${String(mtime.nsec).padStart(9, "0")}`).toBe(shown);
  });

  it("that are empty are committed at close", async () => {
    await world.close_(await world.create("empty"));
    expect(await world.contentOf("empty")).toBe("");
  });

  it("refuse O_EXCL where the name is, and open it without", async () => {
    await world.put("a", "one");
    expect(await errnoOf(world.create("a", O_RDWR | O_EXCL))).toBe("EEXIST");
    const file = await world.create("a", O_RDWR);
    expect(await world.readAt(file)).toBe("one");
    await world.close_(file);
  });

  it("are truncated at open and at a path, committed before the answer", async () => {
    await world.put("a", "hello");
    await world.close_(await world.open("a", O_WRONLY | O_TRUNC));
    expect(await world.contentOf("a")).toBe("");
    await world.put("a", "hello");
    await world.fs.setattr(world.context, await world.resolve("a"), { size: 2 });
    expect(await world.contentOf("a")).toBe("he");
    await world.fs.setattr(world.context, await world.resolve("a"), { size: 4 });
    expect(await world.contentOf("a")).toBe("he\0\0");
  });

  it("append from several handles", async () => {
    await world.put("log", "0");
    const handles = await Promise.all([1, 2, 3].map(() => world.open("log", O_WRONLY | O_APPEND)));
    await Promise.all(handles.map((handle, i) => world.write(handle, 0, String(i + 1))));
    await Promise.all(handles.map((handle) => world.close_(handle)));
    const text = await world.contentOf("log");
    expect(text.split("").sort().join("")).toBe("0123");
    expect(text[0]).toBe("0");
  });

  it("show staged bytes to readers opened before", async () => {
    await world.put("a", "old!");
    const reader = await world.open("a");
    expect(await world.readAt(reader)).toBe("old!");
    const writer = await world.open("a", O_WRONLY);
    await world.write(writer, 0, "new");
    expect(await world.readAt(reader)).toBe("new!");
    await world.close_(writer);
    expect(await world.readAt(reader)).toBe("new!");
    await world.close_(reader);
  });

  it("are EBADF for the wrong direction and after release", async () => {
    await world.put("a", "x");
    const reader = await world.open("a", O_RDONLY);
    expect(await errnoOf(world.write(reader, 0, "y"))).toBe("EBADF");
    const writer = await world.open("a", O_WRONLY);
    expect(await errnoOf(world.readAt(writer))).toBe("EBADF");
    await world.close_(writer);
    await world.close_(reader);
    expect(await errnoOf(world.readAt(reader))).toBe("EBADF");
  });
});

describe("names", () => {
  it("with Latin-1 bytes come back as the same bytes", async () => {
    await world.put("caf\udce9", "x");
    expect(await world.ls()).toEqual(["caf\udce9"]);
    expect(await world.keys()).toEqual(["caf%^xe9"]);
    world.later();
    world.forgetAll();
    expect(await world.cat("caf\udce9")).toBe("x");
  });

  it("reach every awkward key, and break no listing", async () => {
    const awkward = ["a//b", "/lead", "x/./y", "x/../z", "nul\0key", `${"l".repeat(400)}`, "both", "both/child", "m/", "%^f", "both%^f", "50%^60"];
    for (const key of awkward) await world.putOutside(key, `of ${key}`);
    const walk = async (path: string): Promise<string[]> => {
      const contents: string[] = [];
      for (const item of await world.list(path)) {
        const below = `${path}/${item.name}`;
        if ((item.type & 0o170000) === 0o040000) contents.push(...await walk(below));
        else contents.push(await world.cat(below));
      }
      return contents;
    };
    const expected = awkward.map((key) => Buffer.from(`of ${key}`).toString("latin1")).sort();
    expect((await walk("")).sort()).toEqual(expected);
    expect(await world.ls()).toEqual(["%^%f", "%^e", "50%^60", "a", "both", "both%^%f", "both%^f", expect.stringMatching(/^l{220}%\^l[0-9a-f]{32}$/), "m", "nul%^0key", "x"]);
    const other = await World.open({ world });
    expect(await other.cat((await world.ls()).find((name) => name.startsWith("ll")) as string)).toBe(`of ${"l".repeat(400)}`);
    expect(await other.cat("both%^f")).toBe("of both");
    await other.close();
  });

  it("over 255 bytes are ENAMETOOLONG, and so are keys the store cannot take", async () => {
    expect(await errnoOf(world.create("n".repeat(256)))).toBe("ENAMETOOLONG");
    let path = "";
    let last: string | undefined;
    for (let depth = 0; depth < 8 && last === undefined; depth++) {
      path += `/${"d".repeat(250)}`;
      last = await errnoOf(world.mkdir(path));
    }
    expect(last).toBe("ENAMETOOLONG");
  });

  it("that read as escapes of nothing are refused", async () => {
    expect(await errnoOf(world.create("%^x41"))).toBe("EINVAL");
    expect(await errnoOf(world.stat("%^x41"))).toBe("ENOENT");
    expect(await errnoOf(world.create("nodir%^f"))).toBe("EINVAL");
  });
});

describe("directories", () => {
  it("are made with a marker, and removed", async () => {
    await world.mkdir("d", 0o750);
    expect(await world.stat("d")).toMatchObject({ mode: 0o040750, uid: 1000, nlink: 2 });
    expect(await world.keys()).toEqual(["d/"]);
    expect(await errnoOf(world.mkdir("d"))).toBe("EEXIST");
    await world.rmdir("d");
    expect(await world.keys()).toEqual([]);
    expect(await errnoOf(world.stat("d"))).toBe("ENOENT");
  });

  it("are not removed while they hold a key or a file being written", async () => {
    await world.mkdir("d");
    const file = await world.create("d/new");
    expect(await errnoOf(world.rmdir("d"))).toBe("ENOTEMPTY");
    await world.close_(file);
    expect(await errnoOf(world.rmdir("d"))).toBe("ENOTEMPTY");
    await world.rm("d/new");
    await world.rmdir("d");
    await world.putOutside("e/f/g", "x");
    expect(await errnoOf(world.rmdir("e"))).toBe("ENOTEMPTY");
    await world.putOutside("m/", "content");
    expect(await errnoOf(world.rmdir("m"))).toBe("ENOTEMPTY");
    expect(await errnoOf(world.rmdir("m/%^m"))).toBe("ENOTDIR");
  });

  it("stay when their last child goes", async () => {
    await world.putOutside("d/e/f", "x");
    await world.rm("d/e/f");
    expect(await world.ls("d/e")).toEqual([]);
    expect(await world.keys()).toEqual(["d/e/"]);
    await world.rmdir("d/e");
    expect(await world.keys()).toEqual(["d/"]);
    await world.rmdir("d");
    expect(await world.keys()).toEqual([]);
  });

  it("are seen in the forms of other tools", async () => {
    await world.putOutside("hadoop_$folder$", "");
    await world.putOutside("blob", "", { hdi_isfolder: "true" });
    await world.putOutside("typed", "", undefined, "application/x-directory");
    const types = (await world.list("")).map((item) => [item.name, item.type & 0o170000]);
    expect(types).toContainEqual(["hadoop", 0o040000]);
    expect((await world.stat("blob")).mode & 0o170000).toBe(0o040000);
    expect((await world.stat("typed")).mode & 0o170000).toBe(0o040000);
    for (const name of ["hadoop", "blob", "typed"]) await world.rmdir(name);
    expect(await world.keys()).toEqual([]);
  });

  it("keep chmod and utimens in a marker, also when they are implied", async () => {
    await world.putOutside("d/f", "x");
    await world.fs.setattr(world.context, await world.resolve("d"), { mode: 0o700, mtime: { sec: 5, nsec: 7 } });
    const other = await World.open({ world });
    expect(await other.stat("d")).toMatchObject({ mode: 0o040700, mtime: { sec: 5, nsec: 7 } });
    expect(await other.ls("d")).toEqual(["f"]);
    await other.close();
  });

  it("whose marker some tool wrote with a file's mode become directories by a chmod", async () => {
    await world.putOutside("d/", "", { mode: String(0o100640) });
    await world.fs.setattr(world.context, await world.resolve("d"), { uid: 9 });
    expect((await world.outside.head("d/")).metadata).toMatchObject({ mode: String(0o040755), uid: "9" });
    expect((await world.stat("d")).mode).toBe(0o040755);
  });

  it("made here are known to be empty: creating files in them asks nothing", async () => {
    await world.mkdir("d");
    world.store.reset();
    for (const name of ["a", "b", "c"]) await world.put(`d/${name}`, name);
    expect(world.store.count("head")).toBe(0);
    expect(world.store.count("list")).toBe(0);
    expect(world.store.count("put")).toBe(3);
  });
});

describe("special files", () => {
  it("are kept as s3fs keeps them", async () => {
    const entry = world.counted(await world.fs.symlink(world.context, await world.resolve(""), "link", "../target \udcff"));
    expect(entry.attributes).toMatchObject({ mode: 0o120777 });
    expect(await world.fs.readlink(world.context, entry.attributes.ino)).toBe("../target \udcff");
    expect((await world.outside.head("link")).metadata?.["mode"]).toBe(String(0o120777));
    const other = await World.open({ world });
    expect((await other.list(""))[0]).toMatchObject({ name: "link", type: 0o120000 });
    expect(await other.fs.readlink(other.context, await other.resolve("link"))).toBe("../target \udcff");
    await other.close();
    const fifo = world.counted(await world.fs.mknod(world.context, await world.resolve(""), "fifo", 0o010644, 0));
    expect(fifo.attributes.mode).toBe(0o010644);
  });

  it("that cannot be kept are EPERM", async () => {
    const root = await world.resolve("");
    expect(await errnoOf(world.fs.mknod(world.context, root, "null", 0o020666, 259))).toBe("EPERM");
    await world.put("a", "x");
    expect(await errnoOf(world.fs.link(world.context, await world.resolve("a")))).toBe("EPERM");
  });
});

describe("extended attributes", () => {
  it("of the user namespace are kept, flags and all", async () => {
    await world.put("a", "x");
    const ino = await world.resolve("a");
    const { fs, context } = world;
    await fs.setxattr(context, ino, "user.colour", Buffer.from("blue"), 0);
    expect((await fs.getxattr(context, ino, "user.colour")).toString()).toBe("blue");
    expect(await errnoOf(fs.setxattr(context, ino, "user.colour", Buffer.from("red"), 1))).toBe("EEXIST");
    expect(await errnoOf(fs.setxattr(context, ino, "user.other", Buffer.from("red"), 2))).toBe("ENODATA");
    expect(await fs.listxattr(context, ino)).toEqual(["user.colour"]);
    expect(await errnoOf(fs.getxattr(context, ino, "user.none"))).toBe("ENODATA");
    for (const name of ["security.selinux", "system.posix_acl_access", "trusted.x"]) {
      expect(await errnoOf(fs.getxattr(context, ino, name))).toBe("EOPNOTSUPP");
      expect(await errnoOf(fs.setxattr(context, ino, name, Buffer.alloc(1), 0))).toBe("EOPNOTSUPP");
    }
    await fs.removexattr(context, ino, "user.colour");
    expect(await fs.listxattr(context, ino)).toEqual([]);
    expect(await errnoOf(fs.removexattr(context, ino, "user.colour"))).toBe("ENODATA");
    expect(await errnoOf(fs.setxattr(context, ino, "user.big", Buffer.alloc(60_000), 0))).toBe("ENOSPC");
    expect(await errnoOf(fs.setxattr(context, ino, "user.big", Buffer.alloc(70_000), 0))).toBe("E2BIG");
  });

  it("tell the store's facts by name and are not listed", async () => {
    await world.put("a", "x");
    const ino = await world.resolve("a");
    const { fs, context } = world;
    expect((await fs.getxattr(context, ino, "user.objmount.key")).toString()).toBe("a");
    expect((await fs.getxattr(context, ino, "user.objmount.etag")).toString()).toBe((await world.outside.head("a")).etag);
    expect(await fs.listxattr(context, ino)).toEqual([]);
    expect(await errnoOf(fs.setxattr(context, ino, "user.objmount.etag", Buffer.from("x"), 0))).toBe("EPERM");
    await fs.setxattr(context, ino, "user.objmount.content_type", Buffer.from("text/plain"), 0);
    expect((await world.outside.head("a")).contentType).toBe("text/plain");
  });
});
