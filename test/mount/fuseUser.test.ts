// The native front end as an ordinary user: fusermount3 mounts, and hands the device over.

import { chmodSync, readFileSync, statSync } from "node:fs";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { findFusermount } from "../../src/fuse/fusermount.js";
import { compile, run, sh, type ServeOptions, ServedMount, whyNoMounts } from "./fixtures/servedMount.js";

const NAME = `objmount-t${process.pid}`;
const why = whyNoMounts() ?? (findFusermount() === undefined ? "fusermount3 is not installed" : undefined);
if (why !== undefined) console.log(`skipped: mount tests as an ordinary user, because ${why}`);

describe.skipIf(why !== undefined)("a mount by an ordinary user", () => {
  let user: { uid: number; gid: number };
  const started: ServedMount[] = [];

  // Every distribution lets all users open the device; a bare machine may not. fusermount3 opens it as its caller.
  const mode = why === undefined ? statSync("/dev/fuse").mode & 0o777 : 0;

  beforeAll(async () => {
    await compile();
    if ((mode & 0o006) !== 0o006) chmodSync("/dev/fuse", 0o666);
    const added = await run("useradd", ["--no-create-home", "--home-dir", "/nonexistent", NAME]);
    if (added.status !== 0) throw new Error(added.stderr);
    const id = async (flag: string): Promise<number> => Number((await run("id", [flag, NAME])).stdout);
    user = { uid: await id("-u"), gid: await id("-g") };
  });
  afterEach(async () => {
    for (const mount of started.splice(0)) await mount.stop();
  });
  afterAll(async () => {
    if ((mode & 0o006) !== 0o006) chmodSync("/dev/fuse", mode);
    await run("userdel", [NAME]);
  });

  async function serve(options: ServeOptions, directory?: string): Promise<ServedMount> {
    const mount = await ServedMount.start(options, { user, ...(directory !== undefined && { directory }) });
    started.push(mount);
    return mount;
  }

  it("serves, is refused to others, and unmounts by itself", async () => {
    const mount = await serve({ files: { "a.txt": "hello\n" }, fsname: "s3://bucket/a,b\\c" });
    const asUser = await run("sh", ["-c", 'cat "$1/a.txt" && echo new > "$1/b" && cat "$1/b"', "sh", mount.directory], user);
    expect(asUser).toEqual({ status: 0, stdout: "hello\nnew\n", stderr: "" });
    // Without allow_other not even root looks in.
    expect((await sh('cat "$1/a.txt"', mount.directory)).status).toBe(1);
    const line = (await sh("grep $1 /proc/self/mountinfo", mount.directory)).stdout;
    expect(line).toContain("fuse.objmount s3://bucket/a,b\\134c");
    expect(line).toContain("noatime");
    expect(line).toContain("default_permissions");
    expect((await mount.ask<{ passthrough: boolean }>("kernel")).passthrough).toBe(false);
    await mount.ask("unmount", false);
    expect(await mount.closed()).toMatchObject({ destroyed: 1 });
  });

  it("detaches lazily while a file is open", async () => {
    const mount = await serve({ files: { slow: "content" }, slow: ["slow"] });
    const reader = run("cat", [mount.path("slow")], user);
    await mount.until<{ waiting: number }>("census", ({ waiting }) => waiting > 0);
    await expect(mount.ask("unmount", false)).rejects.toMatchObject({ code: "busy" });
    await mount.ask("unmount", true);
    await mount.ask("wake");
    expect((await reader).stdout).toBe("content");
    expect(await mount.closed()).toMatchObject({ destroyed: 1 });
  });

  it("says what to do when allow_other is not permitted", async () => {
    if (/^\s*user_allow_other\s*$/m.test(readConfiguration())) return;
    await expect(serve({ allowOther: true })).rejects.toMatchObject({ code: "allow-other", message: expect.stringContaining("/etc/fuse.conf") as string });
  });

  it("says that the directory must be the user's own", async () => {
    const directory = ServedMount.directory();
    await expect(serve({}, directory)).rejects.toMatchObject({ code: expect.stringMatching(/denied|mountpoint/) as string });
  });
});

function readConfiguration(): string {
  try {
    return readFileSync("/etc/fuse.conf", "utf8");
  } catch {
    return "";
  }
}
