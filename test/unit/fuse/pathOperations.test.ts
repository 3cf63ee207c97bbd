// The path interface over a real filesystem: what it loses is made up for, and every count is given back.

import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { FsError } from "../../../src/fs/errors.js";
import type { Entry, Filesystem, Ino } from "../../../src/fs/filesystem.js";
import { PathOperations } from "../../../src/fuse/pathOperations.js";
import { World } from "../fs/world.js";

/** Counts what is handed out and given back, as a kernel would. `refusing`: methods that answer EACCES. */
function counted(filesystem: Filesystem, refusing: ReadonlySet<string>): { filesystem: Filesystem; counts: Map<Ino, number> } {
  const counts = new Map<Ino, number>();
  const add = (ino: Ino, by: number): void => {
    const now = (counts.get(ino) ?? 0) + by;
    if (now < 0) throw new Error(`inode ${ino} was forgotten more often than it was looked up`);
    if (now === 0) counts.delete(ino);
    else counts.set(ino, now);
  };
  const entry = <T extends Entry | { attributes: undefined }>(of: T): T => {
    if (of.attributes !== undefined) add(of.attributes.ino, 1);
    return of;
  };
  const handler: ProxyHandler<Filesystem> = {
    get(target, name: keyof Filesystem) {
      if (name === "forget") return (ino: Ino, count: number): void => { add(ino, -count); target.forget(ino, count); };
      if (refusing.has(name)) return () => Promise.reject(new FsError("EACCES"));
      const method = (target[name] as (...args: never[]) => unknown).bind(target);
      if (name === "create") return async (...args: Parameters<Filesystem["create"]>) => {
        const reply = await target.create(...args);
        entry(reply.entry);
        return reply;
      };
      if (["lookup", "mkdir", "mknod", "symlink", "link"].includes(name)) return async (...args: never[]) => entry(await method(...args) as Entry);
      return method;
    },
  };
  return { filesystem: new Proxy(filesystem, handler), counts };
}

let world: World;
let counts: Map<Ino, number>;
let on: PathOperations;
const late: string[] = [];
const refusing = new Set<string>();

beforeEach(async () => {
  world = await World.open();
  const watched = counted(world.fs, refusing);
  counts = watched.counts;
  on = new PathOperations(watched.filesystem, { uid: 500, gid: 500 }, new AbortController().signal,
    (path, error) => { late.push(`${path}: ${String(error)}`); });
});

afterEach(async () => {
  await on.close();
  expect([...counts], "inodes still counted").toEqual([]);
  expect(on.openFiles).toBe(0);
  expect(late.splice(0)).toEqual([]);
  await world.close();
});

async function write(path: string, text: string): Promise<void> {
  const handle = await on.create(path, 0o644);
  await on.write(handle, Buffer.from(text), 0);
  await on.flush(handle);
  await on.release(handle);
}

async function read(handle: number, length = 100): Promise<string> {
  const target = Buffer.alloc(length);
  return target.toString("utf8", 0, await on.read(handle, target, 0));
}

const names = async (path: string): Promise<string[]> => (await on.readdir(path)).entries.map(({ name }) => name).filter((name) => !/^\.\.?$/.test(name)).sort();

describe("the path interface", () => {
  it("makes, reads, lists, moves and removes, with every count given back", async () => {
    await on.mkdir("/d", 0o755);
    await write("/d/f", "text");
    expect(await names("/d")).toEqual(["f"]);
    const handle = await on.open("/d/f", 0);
    expect(await read(handle)).toBe("text");
    await on.release(handle);
    await on.rename("/d/f", "/g");
    await on.symlink("g", "/d/l");
    expect(await on.readlink("/d/l")).toBe("g");
    await expect(on.getattr("/d/f")).rejects.toMatchObject({ errno: "ENOENT" });
    await expect(on.getattr("/g/x")).rejects.toMatchObject({ errno: "ENOTDIR" });
    await expect(on.rmdir("/d")).rejects.toMatchObject({ errno: "ENOTEMPTY" });
    await on.unlink("/d/l");
    await on.rmdir("/d");
    expect(await names("/")).toEqual(["g"]);
  });

  it("chown and utimens change what they are told, and chown's all-ones leave the rest", async () => {
    await write("/f", "x");
    await on.chown("/f", 0xffff_ffff, 77);
    await on.chmod("/f", 0o100_600);
    await on.utimens("/f", { sec: 5, nsec: 0 }, { sec: 7, nsec: 8_000_000 });
    expect(await on.getattr("/f")).toMatchObject({ uid: 500, gid: 77, mode: 0o100_600, mtime: { sec: 7, nsec: 8_000_000 } });
  });

  it("a file unlinked while open goes on under the name that libfuse makes up, which nobody else sees", async () => {
    await write("/f", "text");
    const handle = await on.open("/f", 2);
    await on.rename("/f", "/.fuse_hidden0000000200000001");
    expect(await names("/")).toEqual([]);
    expect(world.outside.container.size).toBe(0);
    expect(await read(handle)).toBe("text");
    await write("/f", "another");
    expect(await on.getattr("/.fuse_hidden0000000200000001")).toMatchObject({ nlink: 0, size: 4 });
    await on.ftruncate(handle, 2);
    expect(await on.getattr("/whatever", handle)).toMatchObject({ size: 2 });
    await on.release(handle);
    await on.unlink("/.fuse_hidden0000000200000001");
    // The kernel may still be on its way there; ESTALE makes it look the name up again.
    await expect(on.getattr("/.fuse_hidden0000000200000001")).rejects.toMatchObject({ errno: "ESTALE" });
    await expect(on.open("/.fuse_hidden0000000200000001", 0)).rejects.toMatchObject({ errno: "ESTALE" });
    await expect(on.getattr("/.fuse_hidden0000000200000002"), "a name that libfuse tries").rejects.toMatchObject({ errno: "ENOENT" });
    expect(await names("/")).toEqual(["f"]);
  });

  it("a rename onto an open file is one step: the name always leads to the old file or to the new one", async () => {
    await write("/f", "old");
    await write("/new", "new");
    const handle = await on.open("/f", 0);
    await on.rename("/f", "/.fuse_hidden0000000200000001");
    // As libfuse does: the rename comes at once. Whoever asks in between waits, and finds the new file.
    const between = [on.getattr("/f"), names("/"), on.open("/f", 0)] as const;
    await on.rename("/new", "/f");
    const [attributes, listed, opened] = await Promise.all(between);
    expect(attributes.size).toBe(3);
    expect(listed).toEqual(["f"]);
    expect(await read(opened)).toBe("new");
    expect(await read(handle)).toBe("old");
    expect((await on.getattr("/.fuse_hidden0000000200000001")).nlink).toBe(0);
    await on.release(opened);
    await on.release(handle);
    await on.unlink("/.fuse_hidden0000000200000001");
    expect(await names("/")).toEqual(["f"]);
    expect(world.store.calls.filter(({ name, key }) => name === "delete" && key === "f")).toEqual([]);
  });

  it("when such a rename fails, what was to be replaced stays", async () => {
    await write("/f", "old");
    await write("/new", "new");
    const handle = await on.open("/f", 0);
    refusing.add("rename");
    await on.rename("/f", "/.fuse_hidden0000000200000001");
    await expect(on.rename("/new", "/f")).rejects.toMatchObject({ errno: "EACCES" });
    refusing.clear();
    await on.release(handle);
    await on.unlink("/.fuse_hidden0000000200000001");
    const again = await on.open("/f", 0);
    expect(await read(again)).toBe("old");
    await on.release(again);
  });

  it("an unlink of an open file that fails later is told to the log, and the file is still there", async () => {
    await write("/f", "x");
    const handle = await on.open("/f", 0);
    refusing.add("unlink");
    await on.rename("/f", "/.fuse_hidden0000000200000001");
    expect(await names("/")).toEqual(["f"]);
    expect(late.splice(0)).toEqual([expect.stringContaining("/f: ")]);
    refusing.clear();
    await on.release(handle);
    await on.unlink("/.fuse_hidden0000000200000001");
  });

  it("the end of the mount does not forget an unlink that was just answered", async () => {
    await write("/f", "x");
    const handle = await on.open("/f", 0);
    await on.rename("/f", "/.fuse_hidden0000000200000001");
    void handle;
    await on.close();
    expect(world.outside.container.size).toBe(0);
  });

  it("such a name given by a person to a file that nobody has open is a name like any other", async () => {
    await write("/f", "kept");
    await on.rename("/f", "/.fuse_hidden0123456789abcdef");
    expect(await names("/")).toEqual([".fuse_hidden0123456789abcdef"]);
    await on.unlink("/.fuse_hidden0123456789abcdef");
    expect(await names("/")).toEqual([]);
  });

  it("create where there is something by now is ESTALE: the kernel looks again", async () => {
    await write("/f", "theirs");
    await expect(on.create("/f", 0o644)).rejects.toMatchObject({ errno: "ESTALE" });
    expect((await on.getattr("/f")).size).toBe(6);
  });

  it("keeps numbers of handles apart, and refuses one that is closed", async () => {
    await write("/f", "x");
    const handles = [await on.open("/f", 0), await on.open("/f", 0)];
    expect(new Set(handles).size).toBe(2);
    for (const handle of handles) await on.release(handle);
    await expect(on.flush(handles[0] as number)).rejects.toMatchObject({ errno: "EBADF" });
  });

  it("asks the store no more for a walk through a directory than the directory's listing", async () => {
    await on.mkdir("/d", 0o755);
    for (let i = 0; i < 20; i++) await write(`/d/f${i}`, "x");
    await on.readdir("/d");
    world.store.reset();
    for (let i = 0; i < 20; i++) await on.getattr(`/d/f${i}`);
    expect(world.store.count()).toBe(0);
  });
});
