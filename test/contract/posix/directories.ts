import { mkdir, opendir, readdir, rm, rmdir, stat, symlink, unlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "vitest";
import { sh } from "../../mount/harness.js";
import type { Cases } from "../filesystem.js";
import { make, python } from "./support.js";

const MANY = 5000;

async function fill(directory: string, count: number): Promise<string[]> {
  const names = Array.from({ length: count }, (_, i) => `entry-${String(i).padStart(5, "0")}`);
  let next = 0;
  await Promise.all(Array.from({ length: 16 }, async () => {
    while (next < names.length) await writeFile(join(directory, names[next++] as string), "");
  }));
  return names;
}

export function directoryCases(it: Cases): void {
  it("a listing has every name once, with its type", async (directory) => {
    await mkdir(join(directory, "d"));
    await make(directory, { f: "x", "d/inner": "y" });
    await symlink("f", join(directory, "l"));
    const entries = await readdir(directory, { withFileTypes: true });
    const type = (entry: typeof entries[number]): string => entry.isDirectory() ? "directory" : entry.isSymbolicLink() ? "link" : entry.isFile() ? "file" : "?";
    expect(entries.map((entry) => `${entry.name}: ${type(entry)}`).sort()).toEqual(["d: directory", "f: file", "l: link"]);
  });

  it("an empty directory is empty, and can be entered", async (directory) => {
    await mkdir(join(directory, "d"));
    expect(await readdir(join(directory, "d"))).toEqual([]);
    await sh("cd d; pwd >/dev/null; [ \"$(ls -A)\" = '' ]; [ -d .. ]", { cwd: directory });
  });

  it("5,000 entries are listed completely, each with its attributes, and removed completely", async (directory) => {
    const names = await fill(directory, MANY);
    expect((await readdir(directory)).sort()).toEqual(names);
    const listed = await sh("ls -l | tail -n +2 | wc -l; find . -type f | wc -l; find . -size 0 -name 'entry-*9' | wc -l", { cwd: directory });
    expect(listed.trim().split("\n").map(Number)).toEqual([MANY, MANY, MANY / 10]);
    await rm(join(directory, "entry-00007"));
    expect(await readdir(directory)).toHaveLength(MANY - 1);
    await sh("rm -r ./*", { cwd: directory });
    expect(await readdir(directory)).toEqual([]);
  }, { limit: 240_000 });

  it("a listing that is under way goes on to its end while names come and go", async (directory) => {
    const names = await fill(directory, 600);
    const seen = new Set<string>();
    const listing = await opendir(directory, { bufferSize: 16 });
    for await (const { name } of listing) {
      expect(seen.has(name), name).toBe(false);
      seen.add(name);
      if (seen.size % 50 === 0) {
        await writeFile(join(directory, `new-${seen.size}`), "");
        await unlink(join(directory, names[599 - seen.size / 50] as string));
      }
    }
    for (const name of names.slice(0, 580)) expect(seen.has(name), name).toBe(true);
  });

  it("rm -r takes a tree away while it lists it", async (directory) => {
    await sh("for d in a b c; do mkdir -p t/$d/x/y; for i in $(seq 60); do : > t/$d/f$i; : > t/$d/x/y/g$i; done; done; rm -r t; [ ! -e t ]; [ -z \"$(ls -A)\" ]", { cwd: directory });
  });

  it("telldir, seekdir and rewinddir lead back to where they say", async (directory) => {
    await fill(directory, 700);
    await python(directory, `
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
class Dirent(ctypes.Structure):
    _fields_ = [("ino", ctypes.c_ulong), ("off", ctypes.c_long), ("reclen", ctypes.c_ushort), ("type", ctypes.c_ubyte), ("name", ctypes.c_char * 256)]
libc.opendir.restype = ctypes.c_void_p
libc.readdir.argtypes = libc.telldir.argtypes = libc.rewinddir.argtypes = libc.closedir.argtypes = [ctypes.c_void_p]
libc.readdir.restype = ctypes.POINTER(Dirent)
libc.telldir.restype = ctypes.c_long
libc.seekdir.argtypes = [ctypes.c_void_p, ctypes.c_long]
d = libc.opendir(b".")
def rest():
    names = []
    while True:
        e = libc.readdir(d)
        if not e:
            return names
        names.append(e.contents.name)
places = []
order = []
while True:
    places.append(libc.telldir(d))
    e = libc.readdir(d)
    if not e:
        break
    order.append(e.contents.name)
assert len(order) == 702 and len(set(order)) == 702, len(order)
assert b"." in order and b".." in order
for i in (0, 1, 350, 699, 2, 701, 100):
    libc.seekdir(d, places[i])
    assert rest() == order[i:], i
libc.rewinddir(d)
assert rest() == order
libc.closedir(d)
`);
  }, { tool: "python3" });

  it("directories go deep", async (directory) => {
    const path = join(directory, ...Array.from({ length: 40 }, (_, i) => `level${i}`));
    await mkdir(path, { recursive: true });
    await writeFile(join(path, "f"), "deep");
    expect((await stat(join(path, "f"))).size).toBe(4);
    expect((await readdir(directory, { recursive: true })).length).toBe(41);
  });

  it("a directory does not vanish with its last child", async (directory) => {
    await mkdir(join(directory, "d/e"), { recursive: true });
    await writeFile(join(directory, "d/e/f"), "x");
    await unlink(join(directory, "d/e/f"));
    expect(await readdir(join(directory, "d"))).toEqual(["e"]);
    await rmdir(join(directory, "d/e"));
    expect(await readdir(directory)).toEqual(["d"]);
    expect((await stat(join(directory, "d"))).isDirectory()).toBe(true);
  });

  it("mkdir -p by many at once makes each directory once", async (directory) => {
    await sh("for i in $(seq 8); do mkdir -p a/b/c/d & done; wait; [ \"$(find . | wc -l)\" = 5 ]", { cwd: directory });
  });
}
