import { chmod, link, lstat, mkdir, readdir, readFile, readlink, rename, rm, stat, symlink, unlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "vitest";
import type { Cases } from "../filesystem.js";
import { holds, make, python, refused } from "./support.js";

export function linkCases(it: Cases): void {
  it("a symbolic link says exactly what it was told, wherever that leads", async (directory) => {
    const targets = ["f", "../up", "/absolute/path", "with space/\u6f22", "x".repeat(1000), "./a//b/../c", "%2F%"];
    for (const [i, target] of targets.entries()) {
      await symlink(target, join(directory, `l${i}`));
      expect(await readlink(join(directory, `l${i}`))).toBe(target);
      const status = await lstat(join(directory, `l${i}`));
      expect(status.isSymbolicLink()).toBe(true);
      expect(status.size).toBe(Buffer.byteLength(target));
    }
  });

  it("a symbolic link is followed to files and directories, and through directories", async (directory) => {
    await mkdir(join(directory, "d"));
    await make(directory, { f: "file", "d/g": "inside" });
    await symlink("f", join(directory, "lf"));
    await symlink("d", join(directory, "ld"));
    await symlink("ld/g", join(directory, "lg"));
    await holds(join(directory, "lf"), "file");
    await holds(join(directory, "lg"), "inside");
    expect(await readdir(join(directory, "ld"))).toEqual(["g"]);
    await writeFile(join(directory, "ld/new"), "through");
    await holds(join(directory, "d/new"), "through");
    await chmod(join(directory, "lf"), 0o600);
    expect((await lstat(join(directory, "f"))).mode & 0o777).toBe(0o600);
  });

  it("a link to nothing, and links in a circle, fail as they should", async (directory) => {
    await symlink("nowhere", join(directory, "dangling"));
    await refused(stat(join(directory, "dangling")), "ENOENT");
    expect((await lstat(join(directory, "dangling"))).isSymbolicLink()).toBe(true);
    await symlink("b", join(directory, "a"));
    await symlink("a", join(directory, "b"));
    await refused(stat(join(directory, "a")), "ELOOP");
    await refused(readFile(join(directory, "b")), "ELOOP");
    await writeFile(join(directory, "dangling"), "made through the link");
    await holds(join(directory, "nowhere"), "made through the link");
  });

  it("removing and renaming a link leaves what it leads to", async (directory) => {
    await make(directory, { f: "kept" });
    await symlink("f", join(directory, "l"));
    await rename(join(directory, "l"), join(directory, "m"));
    expect(await readlink(join(directory, "m"))).toBe("f");
    await unlink(join(directory, "m"));
    await holds(join(directory, "f"), "kept");
    await symlink("f", join(directory, "l"));
    await make(directory, { g: "over" });
    await rename(join(directory, "g"), join(directory, "l"));
    expect((await lstat(join(directory, "l"))).isFile()).toBe(true);
    await holds(join(directory, "f"), "kept");
  });

  it("symlink and readlink refuse with the errno that programs know", async (directory) => {
    await make(directory, { f: "x" });
    await symlink("f", join(directory, "l"));
    await refused(symlink("f", join(directory, "l")), "EEXIST");
    await refused(symlink("f", join(directory, "f")), "EEXIST");
    await refused(symlink("f", join(directory, "missing/l")), "ENOENT");
    await refused(readlink(join(directory, "f")), "EINVAL");
    await refused(readlink(join(directory, "missing")), "ENOENT");
  });

  it(it.lacks("hard-links") ? "a hard link is refused with EPERM, on which programs fall back" : "a hard link is the same file under another name", async (directory) => {
    await make(directory, { f: "x" });
    if (it.lacks("hard-links")) {
      await refused(link(join(directory, "f"), join(directory, "g")), "EPERM");
      expect(await readdir(directory)).toEqual(["f"]);
      return;
    }
    await link(join(directory, "f"), join(directory, "g"));
    expect((await stat(join(directory, "g"))).nlink).toBe(2);
    await unlink(join(directory, "f"));
    await holds(join(directory, "g"), "x");
  });

  it("a FIFO and a socket are what they are, and can be removed", async (directory) => {
    await python(directory, `
import socket, stat
os.mkfifo("fifo", 0o640)
assert stat.S_ISFIFO(os.lstat("fifo").st_mode) and os.lstat("fifo").st_mode & 0o777 == 0o640
os.chdir(".")
s = socket.socket(socket.AF_UNIX)
s.bind("socket")
assert stat.S_ISSOCK(os.lstat("socket").st_mode)
s.close()
os.mknod("plain", 0o600 | stat.S_IFREG)
assert stat.S_ISREG(os.lstat("plain").st_mode)
assert sorted(os.listdir(".")) == ["fifo", "plain", "socket"]
os.unlink("fifo")
os.unlink("socket")
assert os.listdir(".") == ["plain"]
`);
  }, { tool: "python3" });

  it("a FIFO joins two processes", async (directory) => {
    await python(directory, `
import subprocess
os.mkfifo("fifo")
reader = subprocess.Popen(["cat", "fifo"], stdout=subprocess.PIPE)
with open("fifo", "wb") as f:
    f.write(b"through the pipe")
assert reader.communicate(timeout=20)[0] == b"through the pipe"
`);
  }, { tool: "python3" });

  it(it.lacks("devices") ? "a device is refused with EPERM" : "a device can be made by root", async (directory) => {
    await python(directory, `
import stat
try:
    os.mknod("null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    print("made")
except OSError as e:
    print(errno.errorcode[e.errno])
`).then((said) => expect(said.trim()).toBe(it.lacks("devices") ? "EPERM" : "made"));
    await rm(join(directory, "null"), { force: true });
  }, { tool: "python3", root: true });
}
