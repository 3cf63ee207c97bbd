// Mounts over the embedded store, through the real program.

import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { MountStatus } from "../../src/control/protocol.js";
import { whyNoAddon } from "../../src/fuse/channel.js";
import { whyMissing } from "../mount/harness.js";
import { BIN, Daemon, isMounted, ROOT, run, Sandbox, until, whyNoMount } from "./harness.js";

const why = whyNoMount();
if (why !== undefined) console.log(`test/cli/mount: ${why}`);
const notListening = whyMissing("python3") ?? whyNoAddon();
if (notListening !== undefined) console.log(`test/cli/mount, the service manager: ${notListening}`);
const box = new Sandbox();
afterAll(() => box.dispose());

const read = (file: string): Promise<string> => run("cat", [file], { limit: 20_000 });
const write = (file: string, text: string): Promise<string> => run("sh", ["-c", "printf %s \"$1\" > \"$0\"", file, text], { limit: 20_000 });
const status = async (dir: string): Promise<MountStatus> => JSON.parse(await box.ok("status", dir, "--json")) as MountStatus;

describe.skipIf(why !== undefined)("objmount", () => {
  let url: string;
  beforeAll(async () => { url = await box.store(); });

  it("mounts in the background, tells its status, and unmounts", async () => {
    const dir = box.directory("mnt");
    expect(await box.objmount("mount", url, dir)).toEqual({ code: 0, out: "", err: "" });
    // The command has come back: the mount answers now, not soon.
    await write(join(dir, "hello"), "hello");
    expect(await read(join(dir, "hello"))).toBe("hello");
    const found = await status(dir);
    expect(found).toMatchObject({ url, mountpoint: dir, state: "mounted", readOnly: false, pending: [], log: { level: "info" } });
    expect(found.writes.committed).toBeGreaterThan(0);
    expect(found.requests["put"]?.count ?? 0).toBeGreaterThan(0);
    if (found.driver === "native") expect(found.kernelProtocol).toMatch(/^7\.\d+$/);
    expect(JSON.parse(await box.ok("status", "--json"))).toHaveLength(1);
    expect(await box.ok("status")).toContain(`${dir}  ${url}  mounted`);
    const daemon = found.pid;
    expect(await box.objmount("unmount", dir)).toEqual({ code: 0, out: "", err: "" });
    expect(isMounted(dir)).toBe(false);
    await until("the daemon has ended", () => !existsSync(`/proc/${daemon}`));
    expect(readdirSync(join(box.base, "run"))).toEqual([]);
    expect(readdirSync(found.log.file === undefined ? "" : join(box.base, "state/log")).length).toBeGreaterThan(0);
  });

  it("refuses a container that is not there, and makes it when asked", async () => {
    const dir = box.directory("mnt");
    const missing = url.replace(/photos$/, "letters");
    expect(await box.objmount("mount", missing, dir)).toMatchObject({ code: 22, err: expect.stringMatching(/^objmount: The container letters is not there: .*--create-container.*\n$/) as string });
    expect(isMounted(dir)).toBe(false);
    await box.ok("mount", missing, dir, "--create-container", "-o", "umask=0077");
    await write(join(dir, "x"), "1");
    expect((await run("stat", ["-c", "%a", dir], { limit: 10_000 })).trim()).toBe("700");
    await box.ok("unmount", dir);
  });

  it("makes the embedded store and its container when neither is there", async () => {
    const dir = box.directory("mnt");
    const fresh = `file://${box.directory("fresh")}/store/photos`;
    await box.ok("mount", fresh, dir, "--create-container");
    await write(join(dir, "x"), "1");
    await box.ok("unmount", dir);
    await box.ok("mount", fresh, dir, "--create-container");
    expect(await read(join(dir, "x"))).toBe("1");
    await box.ok("unmount", dir);
  });

  it("shows an account's containers as directories", async () => {
    const dir = box.directory("mnt");
    await box.ok("mount", url.replace(/\/photos$/, ""), dir);
    expect((await run("ls", [dir], { limit: 10_000 })).split("\n")).toContain("photos");
    await run("sh", ["-c", "cd \"$0\" && mkdir books && echo 1 > books/a && cat books/a && rm books/a && rmdir books", dir], { limit: 20_000 });
    await box.ok("unmount", dir);
  });

  it("refuses to mount twice", async () => {
    const dir = box.directory("mnt");
    await box.ok("mount", url, dir);
    const again = await box.objmount("mount", url, dir);
    expect(again).toMatchObject({ code: 33, err: `objmount: ${url} (fuse.objmount) is already mounted on ${dir}: run "objmount unmount ${dir}" first.\n` });
    expect((await status(dir)).state).toBe("mounted");
    await box.ok("unmount", dir);
  });

  it("cleans up a mount that a crash left dead, at mount and at unmount", async () => {
    const dir = box.directory("mnt");
    await box.ok("mount", url, dir);
    const kill = async (): Promise<void> => {
      const { pid } = await status(dir);
      process.kill(pid, "SIGKILL");
      await until("the daemon is gone", () => !existsSync(`/proc/${pid}`) || readFileSync(`/proc/${pid}/stat`, "utf8").includes(") Z "));
    };
    await kill();
    await until("the mount is dead", () => run("ls", [dir], { limit: 10_000 }).then(() => false, (error: Error) => error.message.includes("Transport endpoint is not connected")));
    expect(await box.objmount("mount", url, dir)).toEqual({ code: 0, out: "", err: `objmount: ${dir} was a dead mount of ${url}, left by a daemon that ended: cleaned up.\n` });
    await run("ls", [dir], { limit: 10_000 });
    await kill();
    expect(await box.objmount("unmount", dir)).toEqual({ code: 0, out: "", err: `objmount: ${dir} was a dead mount of ${url}, left by a daemon that ended: cleaned up.\n` });
    expect(isMounted(dir)).toBe(false);
  });

  it("says who uses a mount that it cannot unmount, and detaches it when asked", async () => {
    const dir = box.directory("mnt");
    await box.ok("mount", url, dir);
    const { pid } = await status(dir);
    const writer = await box.writer(join(dir, "busy"), "kept");
    const refused = await box.objmount("unmount", dir);
    expect(refused.code).toBe(41);
    expect(refused.err).toContain(`${dir} is in use by `);
    expect(refused.err).toContain(`(${writer.pid})`);
    expect((await status(dir)).state).toBe("mounted");
    await box.ok("unmount", "--lazy", dir);
    expect(isMounted(dir)).toBe(false);
    // Its last user goes on, and then the daemon ends.
    writer.stdin?.end();
    await until("the daemon has ended", () => !existsSync(`/proc/${pid}`));
    await box.ok("mount", url, dir);
    expect(await read(join(dir, "busy"))).toBe("kept");
    await box.ok("unmount", dir);
  });

  it("saves what is dirty when it is told to end, also while it is in use", async () => {
    const dir = box.directory("mnt");
    const daemon = await box.foreground([url, dir]);
    const writer = await box.writer(join(dir, "dirty"), "not yet closed");
    expect(await daemon.stop("SIGTERM")).toBe(0);
    expect(isMounted(dir)).toBe(false);
    writer.stdin?.end();
    await box.ok("mount", url, dir, "-o", "ro,noexec");
    expect(await read(join(dir, "dirty"))).toBe("not yet closed");
    await expect(write(join(dir, "dirty"), "x")).rejects.toThrow("Read-only file system");
    expect((await status(dir)).readOnly).toBe(true);
    expect(readFileSync("/proc/self/mountinfo", "utf8").split("\n").find((line) => line.includes(` ${dir} `))).toMatch(/ ro,nosuid,nodev,noexec,noatime /);
    await box.ok("unmount", dir);
  });

  it("names what could not be saved, keeps it, and says so by its exit code", async () => {
    const own = await box.store();
    const dir = box.directory("mnt");
    const daemon = await box.foreground([own, dir, "--retries", "0"]);
    const writer = await box.writer(join(dir, "lost"), "precious");
    rmSync(fileURLToPath(own), { recursive: true });
    expect(await daemon.stop("SIGINT")).toBe(40);
    writer.kill("SIGKILL");
    const kept = /\bfile=(\S+)/.exec(daemon.text)?.[1] ?? "";
    expect(daemon.text).toContain("key=lost");
    expect(readFileSync(kept, "utf8")).toBe("precious");
  });

  it("goes at a second signal, and says what is left", async () => {
    const dir = box.directory("mnt");
    const daemon = await box.foreground([url, dir]);
    // Saving this takes many seconds; almost all of it is a hole.
    const writer = await box.writer(join(dir, "huge"), "x", 8 * 2 ** 30);
    daemon.child.kill("SIGTERM");
    await until("it drains", () => daemon.text.includes("draining"));
    // One Ctrl-C under npm arrives twice: that is no second wish.
    daemon.child.kill("SIGTERM");
    await box.ok("status", dir);
    expect(daemon.text).not.toContain("ended at once");
    expect(await daemon.stop("SIGINT")).toBe(130);
    expect(daemon.text).toMatch(/objmount: ended at once, with \d+ unsaved files?\n/);
    const kept = /"huge" is not in the store; its bytes are in (\S+)/.exec(daemon.text)?.[1] ?? "";
    expect((await run("head", ["-c", "1", kept], { limit: 10_000 }))).toBe("x");
    expect(isMounted(dir)).toBe(false);
    writer.kill("SIGKILL");
  });

  it("stops waiting after --drain-timeout, and keeps what is left", async () => {
    const dir = box.directory("mnt");
    const daemon = await box.foreground([url, dir, "--drain-timeout", "100ms"]);
    const writer = await box.writer(join(dir, "huge"), "x", 8 * 2 ** 30);
    expect(await daemon.stop("SIGTERM")).toBe(40);
    expect(isMounted(dir)).toBe(false);
    expect(readdirSync(join(box.base, "state/staging"), { recursive: true }).filter((name) => String(name).endsWith(".data"))).not.toEqual([]);
    writer.kill("SIGKILL");
  });

  it("changes the log level while it runs", async () => {
    const dir = box.directory("mnt");
    const daemon = await box.foreground([url, dir]);
    await run("ls", [join(dir, "nothing-here")], { limit: 10_000 }).catch(() => undefined);
    expect(daemon.text).not.toContain("DEBUG");
    await box.ok("log-level", dir, "debug");
    expect((await status(dir)).log.level).toBe("debug");
    await run("ls", [join(dir, "nothing-there")], { limit: 10_000 }).catch(() => undefined);
    await until("a debug line is logged", () => daemon.text.includes("DEBUG"));
    expect(await daemon.stop()).toBe(0);
  });

  it("shows no secret in ps, in its log or in its status", async () => {
    const dir = box.directory("mnt");
    const env = { AWS_SECRET_ACCESS_KEY: "hunter2-vendor", OBJMOUNT_SECRET_ACCESS_KEY: "hunter2-own" };
    const daemon = await box.foreground([url, dir, "--log-level", "trace"], env);
    const pid = daemon.child.pid as number;
    const shown = [readFileSync(`/proc/${pid}/cmdline`, "utf8"), await box.ok("status"), await box.ok("status", "--json")].join("\n");
    expect(await daemon.stop()).toBe(0);
    expect(shown + daemon.text).not.toContain("hunter2");
    expect(daemon.text).toContain("unmounted");
  });

  it.skipIf(notListening !== undefined)("tells a service manager that it is ready, alive, and stopping", async () => {
    const dir = box.directory("mnt");
    const socket = join(box.base, "notify.sock");
    const listener = await listen(socket);
    const daemon = await box.foreground([url, dir], { NOTIFY_SOCKET: socket, WATCHDOG_USEC: "400000" });
    await until("READY=1 arrives", () => listener.heard().includes("READY=1"));
    expect(isMounted(dir)).toBe(true);
    expect(listener.heard()).toContain(`MAINPID=${daemon.child.pid as number}`);
    expect(listener.heard()).toContain(`STATUS=${url} on ${dir}`);
    expect(listener.heard()).not.toContain("STOPPING=1");
    await until("the watchdog is answered", () => listener.heard().includes("WATCHDOG=1"));
    expect(await daemon.stop()).toBe(0);
    await until("STOPPING=1 arrives", () => listener.heard().includes("STOPPING=1"));
    expect(listener.heard()).toContain("EXTEND_TIMEOUT_USEC=60000000");
    listener.close();
  });

  it("is called by mount(8) through mount.objmount", async () => {
    const dir = box.directory("mnt");
    const helper = join(ROOT, "bin/mount.objmount");
    const options = `rw,_netdev,nofail,x-systemd.automount,uid=12,file_mode=0640,umask=0,state_dir=${join(box.base, "state")},runtime_dir=${join(box.base, "run")}`;
    // At boot there is hardly an environment, and what the caller's says of us does not count.
    const env = { PATH: "/usr/bin:/bin:/usr/local/bin", HOME: box.env["HOME"], OBJMOUNT_READ_ONLY: "yes" };
    expect(await box.command(helper, [url, dir, "-f", "-o", options], env)).toMatchObject({ code: 0 });
    expect(isMounted(dir)).toBe(false);
    expect(await box.command(helper, [url, dir, "-n", "-v", "-o", options], env)).toEqual({ code: 0, out: "", err: "" });
    await write(join(dir, "from-fstab"), "1");
    expect((await run("stat", ["-c", "%u %a", join(dir, "hello")], { limit: 10_000 })).trim()).toMatch(/^\d+ \d+$/);
    expect(await box.command(helper, [url, dir, "-o", "remount,rw"], env)).toMatchObject({ code: 2 });
    await box.ok("unmount", dir);
    expect(await box.command(helper, [url, dir, "-o", `${options},nonsense=1`], env)).toMatchObject({ code: 2, err: expect.stringContaining("\"nonsense\" is not known") as string });
    expect(await box.command(helper, [url, dir, "-s", "-o", `${options},nonsense=1`], env)).toMatchObject({ code: 0 });
    await box.ok("unmount", dir);
  });

  it("runs through a link, from anywhere", async () => {
    const link = join(box.base, "objmount");
    symlinkSync(BIN, link);
    expect((await box.command(link, ["--version"])).out).toMatch(/^\d+\./);
  });

  it("doctors a store that is well, and one that is not", async () => {
    const well = await box.objmount("doctor", url);
    expect(well.out).toMatch(/ok +container +file:\/\/.* is there and can be read/);
    expect(well.out).toContain("conditionalPut");
    expect(well.code).toBe(0);
    const sick = await box.objmount("doctor", `${url}-not`, "--json");
    expect(sick.code).toBe(70);
    expect((JSON.parse(sick.out) as { store: { state: string }[] }).store.some((check) => check.state === "fail")).toBe(true);
  });

  it("starts the demo with nothing prepared, and ends it by Ctrl-C", async () => {
    const home = box.directory("demo-home");
    mkdirSync(join(home, ".config"), { recursive: true });
    writeFileSync(join(home, ".config/unused"), "");
    const daemon = new Daemon(spawn(process.execPath, [BIN, "demo"], { env: { ...box.env, HOME: home }, stdio: ["ignore", "pipe", "pipe"] }));
    await until("it says what to try", () => daemon.text.includes("Ctrl-C") || daemon.child.exitCode !== null);
    expect(daemon.text).toContain(`is mounted on ${join(home, "objmount")}`);
    await write(join(home, "objmount/x"), "kept");
    expect(await daemon.stop("SIGINT")).toBe(0);
    const again = new Daemon(spawn(process.execPath, [BIN, "demo"], { env: { ...box.env, HOME: home }, stdio: ["ignore", "pipe", "pipe"] }));
    await until("it is mounted again", () => again.text.includes("Ctrl-C") || again.child.exitCode !== null);
    expect(await read(join(home, "objmount/x"))).toBe("kept");
    expect(await again.stop("SIGINT")).toBe(0);
  });
});

/** A service manager's socket. Node has no unix datagrams, so a few lines of Python listen. */
async function listen(path: string): Promise<{ heard(): string[]; close(): void }> {
  const child = spawn("python3", ["-u", "-c", "import socket,sys\ns=socket.socket(socket.AF_UNIX,socket.SOCK_DGRAM)\ns.bind(sys.argv[1])\nprint('bound')\nwhile True: print(s.recv(4096).decode())", path], { stdio: ["ignore", "pipe", "inherit"] });
  let text = "";
  child.stdout.on("data", (chunk: Buffer) => { text += chunk.toString(); });
  await until("the listener is bound", () => text.includes("bound"));
  return { heard: () => text.split("\n"), close: () => { child.kill("SIGKILL"); } };
}
