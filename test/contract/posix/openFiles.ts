import { constants } from "node:fs";
import { mkdir, open, readdir, rename, stat, unlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "vitest";
import { run, sh } from "../../mount/harness.js";
import type { Cases } from "../filesystem.js";
import { bytesOf, holds, make, python, refused } from "./support.js";

export function openFileCases(it: Cases): void {
  it("what one handle has written another sees before any close", async (directory) => {
    const path = join(directory, "f");
    const writer = await open(path, "w");
    const reader = await open(path);
    try {
      await writer.write("first");
      expect((await reader.read(Buffer.alloc(10), 0, 10, 0)).buffer.subarray(0, 5).toString()).toBe("first");
      await writer.write(" second");
      expect((await stat(path)).size).toBe(12);
      expect((await reader.read(Buffer.alloc(20), 0, 20, 5)).buffer.subarray(0, 7).toString()).toBe(" second");
    } finally {
      await writer.close();
      await reader.close();
    }
  });

  it("a file goes on after fsync and fdatasync", async (directory) => {
    const path = join(directory, "f");
    const file = await open(path, "w+");
    await file.write("one");
    await file.sync();
    await file.write("two");
    await file.datasync();
    await file.write("three");
    await file.close();
    await holds(path, "onetwothree");
  });

  it("a file unlinked while open is read, written and measured as before, and its name is free", async (directory) => {
    const path = join(directory, "f");
    await writeFile(path, bytesOf(200_000));
    const file = await open(path, "r+");
    try {
      await unlink(path);
      expect(await readdir(directory)).toEqual([]);
      await refused(stat(path), "ENOENT");
      expect((await file.stat()).nlink).toBe(0);
      expect((await file.read(Buffer.alloc(200_000), 0, 200_000, 0)).buffer.equals(bytesOf(200_000))).toBe(true);
      await file.write("more", 200_000);
      expect((await file.stat()).size).toBe(200_004);
      await writeFile(path, "another");
      expect((await file.read(Buffer.alloc(4), 0, 4, 200_000)).buffer.toString()).toBe("more");
    } finally {
      await file.close();
    }
    await holds(path, "another");
    expect(await readdir(directory)).toEqual(["f"]);
  });

  it("a file unlinked while it is being written leaves nothing behind", async (directory) => {
    const path = join(directory, "f");
    const file = await open(path, "w");
    await file.write("never to be seen");
    await unlink(path);
    await file.write("nor this");
    await file.close();
    expect(await readdir(directory)).toEqual([]);
    await refused(stat(path), "ENOENT");
  });

  it("a file renamed while it is written has all its bytes under the new name", async (directory) => {
    const file = await open(join(directory, "old"), "w");
    await file.write("before ");
    await rename(join(directory, "old"), join(directory, "new"));
    await file.write("after");
    await file.close();
    expect(await readdir(directory)).toEqual(["new"]);
    await holds(join(directory, "new"), "before after");
  });

  it("a directory renamed while a file in it is written takes the file along", async (directory) => {
    await mkdir(join(directory, "d"));
    const file = await open(join(directory, "d/f"), "w");
    await file.write("before ");
    await rename(join(directory, "d"), join(directory, "e"));
    await file.write("after");
    await file.close();
    expect(await readdir(directory)).toEqual(["e"]);
    await holds(join(directory, "e/f"), "before after");
  });

  it("a file replaced while open: the old bytes for who has it open, the new ones for who opens it", async (directory) => {
    const path = join(directory, "f");
    await writeFile(path, "old bytes");
    const old = await open(path);
    try {
      await writeFile(join(directory, "g"), "new");
      await rename(join(directory, "g"), path);
      await holds(path, "new");
      expect((await old.read(Buffer.alloc(9), 0, 9, 0)).buffer.toString()).toBe("old bytes");
      expect((await old.stat()).nlink).toBe(0);
    } finally {
      await old.close();
    }
    await holds(path, "new");
  }, { needs: "replaced-while-open" });

  it("a descriptor handed on to children is one file: all that they write is there", async (directory) => {
    await sh("exec 3>f; (printf one >&3); printf two >&3; exec 4>&3; exec 3>&-; printf three >&4; exec 4>&-; [ \"$(cat f)\" = onetwothree ]", { cwd: directory });
  });

  it("O_EXCL: created once, and only one of many at once", async (directory) => {
    const path = join(directory, "f");
    const tries = await Promise.allSettled(Array.from({ length: 12 }, async () => (await open(path, "wx")).close()));
    expect(tries.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    for (const one of tries) if (one.status === "rejected") expect(one.reason).toMatchObject({ code: "EEXIST" });
    await refused(open(path, "wx"), "EEXIST");
    await mkdir(join(directory, "d"));
    await refused(open(join(directory, "d"), "wx"), "EEXIST");
  });

  it("open refuses with the errno that programs know", async (directory) => {
    await make(directory, { f: "x" });
    await mkdir(join(directory, "d"));
    await refused(open(join(directory, "missing")), "ENOENT");
    await refused(open(join(directory, "missing/f"), "w"), "ENOENT");
    await refused(open(join(directory, "f/x")), "ENOTDIR");
    await refused(open(join(directory, "f/x"), "w"), "ENOTDIR");
    await refused(open(join(directory, "d"), "r+"), "EISDIR");
    await refused(open(join(directory, "d"), "w"), "EISDIR");
    await refused(open(join(directory, "f"), constants.O_RDONLY | constants.O_DIRECTORY), "ENOTDIR");
  });

  it("a handle does only what it was opened for", async (directory) => {
    await make(directory, { f: "x" });
    const reader = await open(join(directory, "f"), "r");
    const writer = await open(join(directory, "f"), "a");
    try {
      await refused(reader.write("y"), "EBADF");
      await refused(reader.truncate(0), "EINVAL", "EBADF");
      await refused(writer.read(Buffer.alloc(1), 0, 1, 0), "EBADF");
    } finally {
      await reader.close();
      await writer.close();
    }
    await holds(join(directory, "f"), "x");
  });

  it("flock keeps others out until it is given up", async (directory) => {
    await make(directory, { lock: "" });
    await sh("exec 3<>lock; flock -x 3; ! flock -n -x lock true; flock -u 3; flock -n -x lock true", { cwd: directory });
  }, { tool: "flock" });

  it("fcntl locks keep other processes out, by ranges", async (directory) => {
    await make(directory, { lock: "0123456789" });
    await python(directory, `
import fcntl, subprocess
child = """
import fcntl, sys
f = open("lock", "r+b")
try:
    fcntl.lockf(f, fcntl.LOCK_EX | fcntl.LOCK_NB, 5, int(sys.argv[1]))
except OSError:
    sys.exit(3)
"""
with open("lock", "r+b") as f:
    fcntl.lockf(f, fcntl.LOCK_EX, 5, 0)
    assert subprocess.run([sys.executable, "-c", child, "0"]).returncode == 3
    assert subprocess.run([sys.executable, "-c", child, "5"]).returncode == 0
    fcntl.lockf(f, fcntl.LOCK_UN, 5, 0)
    assert subprocess.run([sys.executable, "-c", child, "0"]).returncode == 0
`);
  }, { tool: "python3" });

  it("a program can be run from it, and read while it runs", async (directory) => {
    await writeFile(join(directory, "run"), "#!/bin/sh\necho ran \"$1\"\n", { mode: 0o755 });
    expect(await run(join(directory, "run"), ["well"])).toBe("ran well\n");
  });
}
