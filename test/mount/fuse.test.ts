// The native front end in this machine's kernel, over a small filesystem in memory.

import { closeSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { spawn } from "node:child_process";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeAll, describe, expect, it } from "vitest";
import { mountAt } from "../../src/fuse/mount.js";
import { whyNoAddon } from "../../src/fuse/channel.js";
import { compile, run, sh, type ServeOptions, ServedMount, whyNoMounts } from "./fixtures/servedMount.js";

const why = whyNoMounts() ?? whyNoAddon();
if (why !== undefined) console.log(`skipped: mount tests of the native front end, because ${why}`);

describe.skipIf(why !== undefined)("a mount of the native front end", () => {
  const started: ServedMount[] = [];
  beforeAll(compile);
  afterEach(async () => {
    for (const mount of started.splice(0)) await mount.stop();
  });

  async function serve(options: ServeOptions = {}, how?: Parameters<typeof ServedMount.start>[1]): Promise<ServedMount> {
    const mount = await ServedMount.start(options, how);
    started.push(mount);
    return mount;
  }

  it("serves files and directories through mount(2)", async () => {
    const mount = await serve({ files: { "a.txt": "hello\n", "d/b": "x" }, fsname: "memory://a,b\\c d" });
    expect((await sh('cat "$1/a.txt" && ls "$1/d"', mount.directory)).stdout).toBe("hello\nb\n");
    const script = 'cd "$1" && mkdir new && cp a.txt new/copy && echo more >> new/copy && mv new/copy moved && ln -s moved link && cat link'
      + " && chmod 640 moved && stat -c %a moved && truncate -s 3 moved && cat moved && rm moved link && rmdir new && ls";
    const done = await sh(script, mount.directory);
    expect(done).toEqual({ status: 0, stdout: "hello\nmore\n640\nhela.txt\nd\n", stderr: "" });
    const line = (await sh("grep $1 /proc/self/mountinfo", mount.directory)).stdout;
    expect(line).toContain("fuse.objmount memory://a,b\\134c\\040d");
    expect(line).toContain("nosuid,nodev,noatime");
    expect(line).toContain("default_permissions");
  });

  it("moves large data whole, both ways, in requests of a megabyte", async () => {
    const mount = await serve({ files: { big: 64 << 20 }, wire: true });
    const sums = await sh('cat "$1/big" | sha256sum; yes "objmount pattern " | tr -d "\\n" | head -c 1048576 > "$2/block"; '
      + 'for i in $(seq 64); do cat "$2/block"; done | sha256sum; dd if="$2/block" of="$1/copy" bs=1M 2>/dev/null; cmp "$1/copy" "$2/block"; rm "$2/block"',
    mount.directory, tmpdir());
    const [first, second] = sums.stdout.split("\n");
    expect(first).toBe(second);
    expect(sums.status).toBe(0);
    const wire = await mount.ask<string[]>("wire");
    expect(wire.some((line) => / READ .*size=1048576 .*-> 1048576 bytes/.test(line))).toBe(true);
    expect(wire.some((line) => / WRITE .*size=1048576 .*-> 1048576 /.test(line))).toBe(true);
  });

  it("raises the kernel's read-ahead", async () => {
    const mount = await serve();
    const device = (await sh('awk -v m="$1" \'$5==m{print $3}\' /proc/self/mountinfo', mount.directory)).stdout.trim();
    expect(readFileSync(`/sys/class/bdi/${device}/read_ahead_kb`, "latin1").trim()).toBe("4096");
  });

  it("answers the attributes of a listing with the listing", async () => {
    const files = Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`file ${i}`, "content"]));
    const mount = await serve({ files });
    const listed = await sh('ls -lU "$1" | wc -l', mount.directory);
    expect(listed.stdout.trim()).toBe("501");
    const { operations } = await mount.ask<{ operations: Record<string, number> }>("stats");
    expect(operations["READDIRPLUS"]).toBeGreaterThan(0);
    expect(operations["LOOKUP"] ?? 0).toBeLessThan(10);
    expect((await mount.ask<string[]>("calls"))[0]).toBe("readdirplus");
  });

  it("gives every lookup and handle back", async () => {
    const mount = await serve({ files: { "a/b/c": "1", "a/d": "2" } });
    expect((await sh('ls -lR "$1" && cat "$1/a/b/c" "$1/a/d" && echo x > "$1/new" && mkdir "$1/dir"', mount.directory)).status).toBe(0);
    expect((await mount.census()).lookups).toBeGreaterThanOrEqual(5);
    // The kernel forgets what is removed, and what it is asked to.
    expect((await sh('rm -r "$1"/*; mount -o remount "$1" 2>/dev/null; true', mount.directory)).status).toBe(0);
    const after = await mount.until<{ lookups: number; handles: number }>("census", ({ lookups, handles }) => lookups === 0 && handles === 0);
    expect(after).toMatchObject({ lookups: 0, handles: 0 });
  });

  it("interrupts a read whose process was killed", async () => {
    const mount = await serve({ files: { slow: "never" }, slow: ["slow"], direct: ["slow"] });
    // Past the page cache: reads into it belong to the kernel, which lets the reader die and does not interrupt them.
    const reader = spawn("cat", [mount.path("slow")], { stdio: "ignore" });
    const ended = new Promise((done) => { reader.on("close", (_code, signal) => { done(signal); }); });
    await mount.until<{ waiting: number }>("census", ({ waiting }) => waiting > 0);
    reader.kill("SIGKILL");
    expect(await ended).toBe("SIGKILL");
    const { signals, waiting } = await mount.until<{ signals: number; waiting: number }>("census", (census) => census.waiting === 0);
    expect([signals > 0, waiting]).toEqual([true, 0]);
    expect((await mount.ask<{ interrupts: number }>("stats")).interrupts).toBeGreaterThan(0);
  });

  it("lets a reader of the page cache be killed while the store is silent", async () => {
    const mount = await serve({ files: { slow: "never" }, slow: ["slow"] });
    const reader = spawn("cat", [mount.path("slow")], { stdio: "ignore" });
    const ended = new Promise((done) => { reader.on("close", (_code, signal) => { done(signal); }); });
    await mount.until<{ waiting: number }>("census", ({ waiting }) => waiting > 0);
    reader.kill("SIGKILL");
    expect(await ended).toBe("SIGKILL");
    await mount.ask("wake");
  });

  it("tells the error of a flush to close(2)", async () => {
    const mount = await serve({ files: { full: "" }, failFlush: ["full"] });
    const done = await sh('dd if=/dev/zero of="$1/full" bs=10 count=1', mount.directory);
    expect(done.status).toBe(1);
    expect(done.stderr).toContain("Disk quota exceeded");
  });

  it("invalidates what the kernel keeps, when it is told", async () => {
    const mount = await serve({ files: { f: "one", gone: "x" }, keepCache: true, timeoutMs: 3_600_000 });
    const read = async (): Promise<string> => (await sh('cat "$1/f"', mount.directory)).stdout;
    expect(await read()).toBe("one");
    await mount.ask("put", ["f", "two"]);
    // Kept: EXPLICIT_INVAL_DATA and a long timeout.
    expect(await read()).toBe("one");
    await mount.ask("change", ["f", "three"]);
    await expect.poll(read).toBe("three");

    const exists = async (): Promise<number | null> => (await sh('test -e "$1/gone"', mount.directory)).status;
    expect(await exists()).toBe(0);
    await mount.ask("drop", "gone");
    expect(await exists()).toBe(0);
    await mount.ask("put", ["gone", "again"]);
    await mount.ask("tellDropped", "gone");
    // DELETE names the new inode, which the kernel has not seen: it keeps what it has until the entry itself is invalidated.
    await mount.ask("put", ["gone", "x"]);
    await mount.ask("drop", "gone");
    await mount.ask("put", ["other", "x"]);
    await mount.ask("tellEntry", "gone");
    await expect.poll(exists).toBe(1);
  });

  it("a notification for a file with a read under way does not stop the session", async () => {
    const mount = await serve({ files: { slow: "content", other: "fine" }, slow: ["slow"], keepCache: true });
    const reader = sh('cat "$1/slow"', mount.directory);
    await mount.until<{ waiting: number }>("census", ({ waiting }) => waiting > 0);
    // The kernel waits for the locked page of that very read; written from the event loop this would be the end.
    await mount.ask("change", ["slow", "content"]);
    expect((await sh('cat "$1/other"', mount.directory)).stdout).toBe("fine");
    await mount.ask("wake");
    expect((await reader).stdout).toBe("content");
  });

  it("refuses to unmount while a file is open, detaches lazily, and ends when the last user goes", async () => {
    const mount = await serve({ files: { slow: "content" }, slow: ["slow"] });
    const reader = sh('cat "$1/slow"', mount.directory);
    await mount.until<{ waiting: number }>("census", ({ waiting }) => waiting > 0);
    await expect(mount.ask("unmount", false)).rejects.toMatchObject({ code: "busy", message: expect.stringContaining("is in use") as string });
    await mount.ask("unmount", true);
    expect((await sh('ls "$1"', mount.directory)).stdout).toBe("");
    await mount.ask("wake");
    expect((await reader).stdout).toBe("content");
    expect(await mount.closed()).toMatchObject({ destroyed: 1 });
  });

  it("unmounts, after pages dirtied through mmap have been written", async () => {
    const mount = await serve({ files: { m: "0".repeat(8192) } });
    const script = "import mmap,sys; f=open(sys.argv[1],'r+b'); m=mmap.mmap(f.fileno(),0); m[4096:4100]=b'mmap'";
    expect((await run("python3", ["-c", script, mount.path("m")])).status).toBe(0);
    await mount.ask("unmount", false);
    expect(await mount.closed()).toMatchObject({ destroyed: 1 });
    expect((await sh("grep -c $1 /proc/mounts", mount.directory)).stdout.trim()).toBe("0");
  });

  it("says what is wrong with a mountpoint", async () => {
    await expect(serve({}, { directory: "/nonexistent/place" })).rejects.toMatchObject({ code: "mountpoint", message: expect.stringContaining("does not exist") as string });
    await expect(serve({}, { directory: "/etc/hostname" })).rejects.toMatchObject({ code: "mountpoint", message: expect.stringContaining("is not a directory") as string });
    const dead = await serve();
    dead.child.kill("SIGKILL");
    await new Promise((done) => { dead.child.once("close", done); });
    await expect(serve({}, { directory: dead.directory })).rejects.toMatchObject({ code: "dead" });
  });

  it("lets the kernel serve a file with a backing file", async () => {
    const mount = await serve({ files: { f: "from memory", plain: "from memory" } });
    const kernel = await mount.ask<{ passthrough: boolean }>("kernel");
    if (!kernel.passthrough) return;
    const folder = mkdtempSync(join(tmpdir(), "objmount-backing-"));
    try {
      writeFileSync(join(folder, "local"), "from the local file");
      await mount.ask("back", join(folder, "local"));
      const before = await mount.ask<{ operations: Record<string, number> }>("stats");
      // The size comes from the attributes, which are the memory's: 11 bytes.
      expect((await sh('head -c 11 "$1/f"; printf FROM | dd of="$1/f" conv=notrunc 2>/dev/null', mount.directory)).stdout).toBe("from the lo");
      expect(readFileSync(join(folder, "local"), "latin1")).toBe("FROM the local file");
      const after = await mount.ask<{ operations: Record<string, number> }>("stats");
      expect(after.operations["READ"]).toBe(before.operations["READ"]);
      expect(after.operations["WRITE"]).toBe(before.operations["WRITE"]);
      expect(await mount.ask("backedOpens")).toBeGreaterThanOrEqual(2);
      await mount.until<number>("openHandles", (handles) => handles === 0);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it("serves a descriptor that was handed in, and a successor takes over what a killed one left unanswered", async () => {
    const directory = ServedMount.directory();
    const { device } = await mountAt(directory, { fsname: "memory://handed-in", readOnly: false, allowOther: false });
    try {
      const files = { slow: "all the bytes", f: "fine" };
      const first = await serve({ files, slow: ["slow"] }, { device, directory });
      expect((await sh('cat "$1/f"', directory)).stdout).toBe("fine");
      const resume = await first.ask("negotiated");
      const reader = sh('cat "$1/slow"', directory);
      await first.until<{ waiting: number }>("census", ({ waiting }) => waiting > 0);
      first.child.kill("SIGKILL");
      await new Promise((done) => { first.child.once("close", done); });
      const second = await serve({ files, resume, wire: true }, { device, directory });
      expect((await reader).stdout).toBe("all the bytes");
      expect((await sh('cat "$1/f"', directory)).stdout).toBe("fine");
      await second.ask("unmount", false);
      expect(await second.closed()).toMatchObject({ destroyed: 1 });
    } finally {
      closeSync(device);
    }
  });

  it("does not do a request twice when the kernel is asked to hand it over again", async () => {
    const mount = await serve({ files: { slow: "content" }, slow: ["slow"] });
    const reader = sh('cat "$1/slow"', mount.directory);
    await mount.until<{ waiting: number }>("census", ({ waiting }) => waiting > 0);
    expect(await mount.ask("resend")).toBe(true);
    // The repeated READ has been seen: it is counted, but not begun.
    const { operations } = await mount.until<{ operations: Record<string, number> }>("stats", (stats) => (stats.operations["READ"] ?? 0) >= 2);
    expect(operations["READ"]).toBe(2);
    expect((await mount.census()).waiting).toBe(1);
    await mount.ask("wake");
    expect((await reader).stdout).toBe("content");
  });
});
