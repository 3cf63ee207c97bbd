import { lstat, mkdir, open, readdir, readFile, rename, rmdir, stat, unlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "vitest";
import type { Cases } from "../filesystem.js";
import { holds, make, python, refused } from "./support.js";

const AWKWARD = [
  "with space", " leading", "trailing ", "tab\there", "new\nline", "carriage\rreturn", "quo'te\"s", "back\\slash", "-dash", "--", "...", ".hidden", "..x", "a.", "~",
  "#?%&+=;:,@!$*()[]{}<>|^`", "%2F", "%00", "%", "a%20b", "\u{1f600}", "\u00e9", "e\u0301", "\u6f22\u5b57", "\ufffd", "\u200b", "\uffff", "\u{10ffff}", "con", "nul.txt", "_$folder$x", "\x01\x7f",
  "&amp;", "<xml>", "a//b".replaceAll("/", "\u2215"),
];

export function nameCases(it: Cases): void {
  it("awkward names are made, listed, read, renamed and removed like any other", async (directory) => {
    for (const name of AWKWARD) await writeFile(join(directory, name), name);
    expect((await readdir(directory)).sort()).toEqual([...AWKWARD].sort());
    for (const name of AWKWARD) await holds(join(directory, name), name);
    for (const name of AWKWARD) await rename(join(directory, name), join(directory, `${name}2`));
    expect((await readdir(directory)).sort()).toEqual(AWKWARD.map((name) => `${name}2`).sort());
    for (const name of AWKWARD) await unlink(join(directory, `${name}2`));
    expect(await readdir(directory)).toEqual([]);
  });

  it("awkward names name directories, too", async (directory) => {
    for (const name of AWKWARD) {
      await mkdir(join(directory, name));
      await writeFile(join(directory, name, name), name);
    }
    for (const name of AWKWARD) expect(await readdir(join(directory, name)), name).toEqual([name]);
  });

  it("names that are not UTF-8", async (directory) => {
    const names = [[0xff], [0x61, 0x80, 0x62], [0xc3, 0x28], [0xed, 0xa0, 0x80], [0xf8, 0x88]].map((bytes) => Buffer.from(bytes));
    const at = (name: Buffer): Buffer => Buffer.concat([Buffer.from(`${directory}/`), name]);
    for (const name of names) await writeFile(at(name), name);
    const listed = await readdir(directory, { encoding: "buffer" });
    expect(listed.map((name) => name.toString("hex")).sort()).toEqual(names.map((name) => name.toString("hex")).sort());
    for (const name of names) expect(await readFile(at(name))).toEqual(name);
    for (const name of names) await unlink(at(name));
  }, { needs: "any-name" });

  it("a name may have 255 bytes, and one more is ENAMETOOLONG", async (directory) => {
    for (const name of ["n".repeat(255), "\u6f22".repeat(85)]) {
      await writeFile(join(directory, name), "x");
      await holds(join(directory, name), "x");
      expect(await readdir(directory)).toContain(name);
    }
    await mkdir(join(directory, "d".repeat(255)));
    await refused(writeFile(join(directory, "n".repeat(256)), "x"), "ENAMETOOLONG");
    await refused(mkdir(join(directory, "n".repeat(256))), "ENAMETOOLONG");
    await refused(stat(join(directory, "n".repeat(256))), "ENAMETOOLONG");
    await refused(rename(join(directory, "n".repeat(255)), join(directory, "n".repeat(256))), "ENAMETOOLONG");
  });

  it("names differ by case and by how a letter is composed", async (directory) => {
    await make(directory, { a: "lower", A: "upper", "\u00e9": "one", "e\u0301": "two" });
    expect(await readdir(directory)).toHaveLength(4);
    await holds(join(directory, "A"), "upper");
    await holds(join(directory, "e\u0301"), "two");
  });

  it("rename replaces a file, and what was there is gone", async (directory) => {
    await make(directory, { a: "from a", b: "of b, and longer" });
    await rename(join(directory, "a"), join(directory, "b"));
    expect(await readdir(directory)).toEqual(["b"]);
    await holds(join(directory, "b"), "from a");
    await rename(join(directory, "b"), join(directory, "b"));
    await holds(join(directory, "b"), "from a");
  });

  it("rename moves a directory with all that is in it", async (directory) => {
    await mkdir(join(directory, "d/sub/deep"), { recursive: true });
    await make(directory, { "d/a": "a", "d/sub/b": "b", "d/sub/deep/c": "c" });
    await mkdir(join(directory, "to"));
    await rename(join(directory, "d"), join(directory, "to/e"));
    expect(await readdir(directory)).toEqual(["to"]);
    expect((await readdir(join(directory, "to/e"), { recursive: true })).sort()).toEqual(["a", "sub", "sub/b", "sub/deep", "sub/deep/c"]);
    await holds(join(directory, "to/e/sub/deep/c"), "c");
    await refused(stat(join(directory, "d/a")), "ENOENT");
  });

  it("rename over an empty directory replaces it", async (directory) => {
    await mkdir(join(directory, "a"));
    await mkdir(join(directory, "b"));
    await make(directory, { "a/f": "x" });
    await rename(join(directory, "a"), join(directory, "b"));
    expect(await readdir(directory)).toEqual(["b"]);
    expect(await readdir(join(directory, "b"))).toEqual(["f"]);
  });

  it("rename refuses with the errno that programs know, and changes nothing", async (directory) => {
    await mkdir(join(directory, "full/sub"), { recursive: true });
    await mkdir(join(directory, "d"));
    await make(directory, { f: "f", "full/x": "x" });
    const at = (name: string): string => join(directory, name);
    await refused(rename(at("missing"), at("g")), "ENOENT");
    await refused(rename(at("f"), at("missing/g")), "ENOENT");
    await refused(rename(at("f"), at("d")), "EISDIR");
    await refused(rename(at("d"), at("f")), "ENOTDIR");
    await refused(rename(at("d"), at("full")), "ENOTEMPTY", "EEXIST");
    await refused(rename(at("full"), at("full/sub/inside")), "EINVAL");
    await refused(rename(at("f"), at("f/g")), "ENOTDIR");
    await refused(rename(at("f/g"), at("g")), "ENOTDIR");
    await refused(rename(at("full/sub"), at("full")), "ENOTEMPTY", "EEXIST");
    expect((await readdir(directory, { recursive: true })).sort()).toEqual(["d", "f", "full", "full/sub", "full/x"]);
    await holds(at("f"), "f");
  });

  it("RENAME_NOREPLACE leaves what is there, and renames where nothing is", async (directory) => {
    await make(directory, { a: "a", b: "b" });
    await python(directory, `
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
def move(a, b, flags):
    return 0 if libc.renameat2(-100, a, -100, b, flags) == 0 else ctypes.get_errno()
assert move(b"a", b"b", 1) == errno.EEXIST
assert open("a").read() == "a" and open("b").read() == "b"
assert move(b"a", b"c", 1) == 0
assert sorted(os.listdir(".")) == ["b", "c"]
`);
  }, { tool: "python3", needs: "rename-noreplace" });

  it("unlink, rmdir and mkdir refuse with the errno that programs know", async (directory) => {
    await mkdir(join(directory, "d"));
    await make(directory, { f: "f", "d/x": "x" });
    const at = (name: string): string => join(directory, name);
    await refused(unlink(at("missing")), "ENOENT");
    await refused(unlink(at("d")), "EISDIR", "EPERM");
    await refused(unlink(at("f/x")), "ENOTDIR");
    await refused(rmdir(at("f")), "ENOTDIR");
    await refused(rmdir(at("d")), "ENOTEMPTY", "EEXIST");
    await refused(rmdir(at("missing")), "ENOENT");
    await refused(rmdir(at("d/.")), "EINVAL", "ENOTEMPTY");
    await refused(mkdir(at("d")), "EEXIST");
    await refused(mkdir(at("f")), "EEXIST");
    await refused(mkdir(at("missing/e")), "ENOENT");
    await refused(mkdir(at("f/e")), "ENOTDIR");
    await holds(at("d/x"), "x");
  });

  it("a name that is gone is gone at once, and made anew it is another file", async (directory) => {
    const path = join(directory, "f");
    for (let i = 0; i < 20; i++) {
      await refused(lstat(path), "ENOENT");
      await writeFile(path, `round ${i}`, { flag: "wx" });
      await holds(path, `round ${i}`);
      await unlink(path);
      await refused(open(path), "ENOENT");
    }
    await mkdir(path);
    expect((await stat(path)).isDirectory()).toBe(true);
    await rmdir(path);
    await writeFile(path, "a file again");
    expect((await stat(path)).isFile()).toBe(true);
  });
}
