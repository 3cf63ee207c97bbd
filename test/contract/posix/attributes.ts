import { chmod, chown, lstat, lutimes, mkdir, open, readFile, stat, statfs, symlink, truncate, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "vitest";
import { sh } from "../../mount/harness.js";
import type { Cases } from "../filesystem.js";
import { bytesOf, holds, make, MiB, python } from "./support.js";

export function attributeCases(it: Cases): void {
  it("new files and directories get the mode asked for, less the umask", async (directory) => {
    await sh("umask 027; : > f; mkdir d; [ \"$(stat -c %a f)\" = 640 ]; [ \"$(stat -c %a d)\" = 750 ]; umask 0; : > g; [ \"$(stat -c %a g)\" = 666 ]", { cwd: directory });
    await (await open(join(directory, "x"), "w", 0o700)).close();
    expect((await stat(join(directory, "x"))).mode & 0o7777).toBe(0o700 & ~process.umask());
  });

  it("chmod keeps every bit, of files and directories", async (directory) => {
    await make(directory, { f: "x" });
    await mkdir(join(directory, "d"));
    for (const mode of [0o600, 0o755, 0o000, 0o777, 0o4755, 0o2755, 0o444]) {
      await chmod(join(directory, "f"), mode);
      expect((await stat(join(directory, "f"))).mode & 0o7777).toBe(mode);
    }
    for (const mode of [0o700, 0o1777, 0o2750]) {
      await chmod(join(directory, "d"), mode);
      expect((await stat(join(directory, "d"))).mode & 0o7777).toBe(mode);
    }
    await holds(join(directory, "f"), "x");
  });

  it("chmod of an open file is kept over its close", async (directory) => {
    const file = await open(join(directory, "f"), "w");
    await file.write("before");
    await file.chmod(0o640);
    await file.write("after");
    await file.close();
    expect((await stat(join(directory, "f"))).mode & 0o7777).toBe(0o640);
    await holds(join(directory, "f"), "beforeafter");
  });

  it("root gives files to others, and that is kept", async (directory) => {
    await make(directory, { f: "x" });
    await chown(join(directory, "f"), 1234, 5678);
    expect(await stat(join(directory, "f"))).toMatchObject({ uid: 1234, gid: 5678 });
    await chown(join(directory, "f"), -1, 99);
    expect(await stat(join(directory, "f"))).toMatchObject({ uid: 1234, gid: 99 });
  }, { root: true });

  it("utimes sets access and modification time, each its own", async (directory) => {
    await make(directory, { f: "x" });
    await mkdir(join(directory, "d"));
    for (const name of ["f", "d"]) {
      await utimes(join(directory, name), 1_000_000_000.25, 1_500_000_000.125);
      expect((await stat(join(directory, name))).mtimeMs, name).toBe(1_500_000_000_125);
    }
    expect((await stat(join(directory, "f"))).atimeMs).toBe(1_000_000_000_250);
    await utimes(join(directory, "f"), 4_200_000_000, 4_300_000_000);
    expect((await stat(join(directory, "f"))).mtimeMs).toBe(4_300_000_000_000);
  });

  it("times have nanoseconds", async (directory) => {
    await make(directory, { f: "x" });
    await python(directory, `
os.utime("f", ns=(1_000_000_000_000_000_001, 1_500_000_000_123_456_789))
assert os.stat("f").st_mtime_ns == 1_500_000_000_123_456_789, os.stat("f").st_mtime_ns
`);
  }, { tool: "python3", needs: "nanoseconds" });

  it("one of the two times is set, and the other stays", async (directory) => {
    await make(directory, { f: "x" });
    await utimes(join(directory, "f"), 1_000_000_000, 1_000_000_000);
    await sh("touch -m -d @1400000000 f; touch -a -d @1200000000 f", { cwd: directory });
    expect(await stat(join(directory, "f"))).toMatchObject({ mtimeMs: 1_400_000_000_000, atimeMs: 1_200_000_000_000 });
  }, { needs: "single-time" });

  it("a time before 1970", async (directory) => {
    await make(directory, { f: "x" });
    // Not utimes: Node takes a negative time for now.
    await sh("touch -d @-86400.75 f; [ \"$(stat -c %.2Y f)\" = -86400.75 ]", { cwd: directory });
  }, { needs: "times-before-1970" });

  it("the time set on an open file is kept over its close, when nothing is written afterwards", async (directory) => {
    const file = await open(join(directory, "f"), "w");
    await file.write("x");
    await file.utimes(1_300_000_000, 1_300_000_000);
    await file.close();
    expect((await stat(join(directory, "f"))).mtimeMs).toBe(1_300_000_000_000);
  });

  it("a symbolic link has a time of its own", async (directory) => {
    await make(directory, { f: "x" });
    await symlink("f", join(directory, "l"));
    const before = (await stat(join(directory, "f"))).mtimeMs;
    await lutimes(join(directory, "l"), 1_100_000_000, 1_100_000_000);
    expect((await lstat(join(directory, "l"))).mtimeMs).toBe(1_100_000_000_000);
    expect((await stat(join(directory, "f"))).mtimeMs).toBe(before);
  });

  it("writing and truncating set the modification time, reading does not", async (directory) => {
    const path = join(directory, "f");
    await writeFile(path, "x");
    const old = async (): Promise<void> => { await utimes(path, 1_000_000_000, 1_000_000_000); };
    await old();
    await readFile(path);
    expect((await stat(path)).mtimeMs).toBe(1_000_000_000_000);
    await writeFile(path, "more", { flag: "a" });
    expect((await stat(path)).mtimeMs).toBeGreaterThan(1_600_000_000_000);
    await old();
    await truncate(path, 1);
    expect((await stat(path)).mtimeMs).toBeGreaterThan(1_600_000_000_000);
  });

  it("size and blocks agree with the bytes", async (directory) => {
    await writeFile(join(directory, "f"), bytesOf(MiB + 1));
    const file = await stat(join(directory, "f"));
    expect(file.size).toBe(MiB + 1);
    expect(file.blocks * 512).toBeGreaterThanOrEqual(MiB);
    expect(file.blocks * 512).toBeLessThan(2 * MiB);
  });

  it("a file is the same by its name and by its handle, and two files are two", async (directory) => {
    await make(directory, { a: "a", b: "b" });
    const file = await open(join(directory, "a"));
    try {
      expect((await file.stat()).ino).toBe((await stat(join(directory, "a"))).ino);
      expect((await file.stat()).ino).not.toBe((await stat(join(directory, "b"))).ino);
      expect((await stat(join(directory, "a"))).dev).toBe((await stat(directory)).dev);
    } finally {
      await file.close();
    }
  });

  it("extended attributes are set, read, listed, replaced and removed", async (directory) => {
    await make(directory, { f: "x" });
    await mkdir(join(directory, "d"));
    await python(directory, `
for name in ("f", "d"):
    os.setxattr(name, "user.one", b"first")
    os.setxattr(name, "user.two", bytes(range(256)))
    os.setxattr(name, "user.empty", b"")
    assert os.getxattr(name, "user.one") == b"first"
    assert os.getxattr(name, "user.two") == bytes(range(256))
    assert os.getxattr(name, "user.empty") == b""
    assert {"user.one", "user.two", "user.empty"} <= set(os.listxattr(name))
    os.setxattr(name, "user.one", b"second, longer", os.XATTR_REPLACE)
    assert os.getxattr(name, "user.one") == b"second, longer"
    os.removexattr(name, "user.one")
    assert "user.one" not in os.listxattr(name)
def refused(code, work, *args):
    try:
        work(*args)
    except OSError as e:
        assert e.errno == code, (e, errno.errorcode[e.errno])
    else:
        raise SystemExit(f"not refused with {errno.errorcode[code]}: {work.__name__} {args}")
refused(errno.ENODATA, os.getxattr, "f", "user.one")
refused(errno.ENODATA, os.removexattr, "f", "user.one")
refused(errno.ENODATA, os.setxattr, "f", "user.one", b"", os.XATTR_REPLACE)
refused(errno.EEXIST, os.setxattr, "f", "user.two", b"", os.XATTR_CREATE)
refused(errno.ENOENT, os.getxattr, "missing", "user.one")
assert open("f").read() == "x"
`);
  }, { tool: "python3" });

  it("extended attributes move with their file", async (directory) => {
    await make(directory, { f: "x" });
    await python(directory, `
os.setxattr("f", "user.kept", b"along")
os.rename("f", "g")
assert os.getxattr("g", "user.kept") == b"along"
with open("g", "a") as f:
    f.write("y")
assert os.getxattr("g", "user.kept") == b"along"
`);
  }, { tool: "python3" });

  it("statfs tells sizes that make sense, and the longest name", async (directory) => {
    const found = await statfs(directory);
    expect(found.bsize).toBeGreaterThanOrEqual(512);
    expect(found.blocks).toBeGreaterThan(0);
    expect(found.bavail).toBeLessThanOrEqual(found.blocks);
    await sh("[ \"$(stat -f -c %l .)\" = 255 ]; df . >/dev/null", { cwd: directory });
  });
}
