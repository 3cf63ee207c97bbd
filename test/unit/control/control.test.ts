import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, lstat, mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { createConnection, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ControlClient } from "../../../src/control/client.js";
import { connectToMount, defaultRuntimeDirectory, ensureRuntimeDirectory, listSockets, socketPath } from "../../../src/control/directory.js";
import { ControlError, LineSplitter, MAX_LINE, type MountStatus, type PendingStatus } from "../../../src/control/protocol.js";
import { ControlServer, type ControlHandlers } from "../../../src/control/server.js";
import { silentLogger } from "../../../src/util/log.js";

let directory: string;
const servers: ControlServer[] = [];
const strangers: Server[] = [];
const sockets: Socket[] = [];

beforeEach(async () => { directory = await mkdtemp(join(tmpdir(), "objmount-control-")); });
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.close()));
  for (const socket of sockets.splice(0)) socket.destroy();
  await Promise.all(strangers.splice(0).map((server) => new Promise((resolve) => { server.close(resolve); })));
  await rm(directory, { recursive: true, force: true });
});

const lost: PendingStatus = { key: "a", state: "failed", size: 1, uploaded: 0, since: 0, file: "/x", error: "no" };
const handlers: ControlHandlers = {
  status: async () => ({ url: "s3://x" }) as MountStatus,
  unmount: async ({ lazy }, event) => {
    if (lazy) throw new ControlError("busy", "in use");
    event({ files: 2, bytes: 10 });
    event({ files: 1, bytes: 5, current: "a" });
    return { failed: [lost] };
  },
  "log-level": async ({ level }) => { if (level === "loud") throw new Error("no such level"); return { level }; },
};

async function serve(path = join(directory, "m.sock"), changed: Partial<ControlHandlers> = {}): Promise<ControlServer> {
  const server = new ControlServer({ path, version: "9.9.9", handlers: { ...handlers, ...changed }, logger: silentLogger });
  await server.listen();
  servers.push(server);
  return server;
}

async function stranger(path: string, greeting: string | undefined): Promise<void> {
  const server = createServer((socket) => { sockets.push(socket); if (greeting !== undefined) socket.write(greeting); });
  strangers.push(server);
  await new Promise<void>((resolve) => { server.listen(path, resolve); });
}

describe("a control connection", () => {
  it("greets, answers, and tells progress before the result", async () => {
    const server = await serve();
    const client = await ControlClient.connect(server.path);
    expect(client.greeting).toEqual({ objmount: "9.9.9", protocol: 1, pid: process.pid });
    const events: unknown[] = [];
    const [status, result] = await Promise.all([client.call("status", {}), client.call("unmount", { lazy: false }, { event: (event) => events.push(event) })]);
    expect(status.url).toBe("s3://x");
    expect(events).toEqual([{ files: 2, bytes: 10 }, { files: 1, bytes: 5, current: "a" }]);
    expect(result.failed).toEqual([lost]);
    client.close();
  });

  it("hands on the daemon's refusals with their code", async () => {
    const client = await ControlClient.connect((await serve()).path);
    await expect(client.call("unmount", { lazy: true })).rejects.toMatchObject({ code: "busy", message: "in use" });
    await expect(client.call("log-level", { level: "loud" })).rejects.toMatchObject({ code: "failed", message: "no such level" });
    await expect(client.call("fly" as "status", {})).rejects.toMatchObject({ code: "unknown-method" });
    await expect(client.call("constructor" as "status", {})).rejects.toMatchObject({ code: "unknown-method" });
    client.close();
  });

  it("lets a running answer end before the server closes", async () => {
    let finish = (): void => undefined;
    const held = new Promise<void>((resolve) => { finish = resolve; });
    const server = await serve(join(directory, "m.sock"), { status: async () => { await held; return { url: "late" } as MountStatus; } });
    const client = await ControlClient.connect(server.path);
    const answer = client.call("status", {});
    await client.call("log-level", { level: "info" });
    const closed = server.close();
    finish();
    expect((await answer).url).toBe("late");
    client.close();
    await closed;
    expect(await readdir(directory)).toEqual([]);
  });

  it("fails what is asked when the daemon hangs up", async () => {
    let end = (): void => undefined;
    const server = await serve(join(directory, "m.sock"), { status: () => new Promise<MountStatus>((_, reject) => { end = () => reject(new Error("over")); }) });
    const client = await ControlClient.connect(server.path);
    const answer = client.call("status", {});
    client.close();
    await expect(answer).rejects.toMatchObject({ code: "unreachable" });
    await expect(client.call("status", {})).rejects.toMatchObject({ code: "unreachable" });
    end();
  });

  it("gives up on a daemon that accepts and says nothing, or nothing more", async () => {
    const path = join(directory, "silent.sock");
    await stranger(path, undefined);
    await expect(ControlClient.connect(path, 20)).rejects.toMatchObject({ code: "silent" });
    const greeted = join(directory, "greeted.sock");
    await stranger(greeted, "{\"objmount\":\"1\",\"protocol\":1,\"pid\":1}\n");
    const client = await ControlClient.connect(greeted);
    await expect(client.call("status", {}, { timeoutMs: 20 })).rejects.toMatchObject({ code: "silent" });
    client.close();
  });

  it("refuses another protocol, and what is none", async () => {
    const newer = join(directory, "newer.sock");
    await stranger(newer, "{\"objmount\":\"7.0.0\",\"protocol\":2,\"pid\":1}\n");
    await expect(ControlClient.connect(newer)).rejects.toThrow("objmount 7.0.0 and speaks control protocol 2");
    const other = join(directory, "other.sock");
    await stranger(other, "HTTP/1.1 400 Bad Request\r\n\r\n");
    await expect(ControlClient.connect(other)).rejects.toMatchObject({ code: "protocol" });
  });

  it("answers nonsense with an error, and goes on", async () => {
    const server = await serve();
    const socket = createConnection(server.path);
    const text = await new Promise<string>((resolve) => {
      let heard = "";
      socket.on("data", (chunk) => { heard += String(chunk); if (heard.split("\n").length > 3) resolve(heard); });
      socket.write("nonsense\n{\"id\":4,\"method\":\"log-level\",\"parameters\":{\"level\":\"info\"}}\n");
    });
    expect(text).toContain("\"code\":\"protocol\"");
    expect(text).toContain("{\"id\":4,\"result\":{\"level\":\"info\"}}");
    socket.destroy();
  });

  it("can only be reached by its user", async () => {
    expect((await lstat((await serve()).path)).mode & 0o777).toBe(0o600);
  });
});

describe("lines", () => {
  it("are put together from pieces", () => {
    const splitter = new LineSplitter();
    expect(splitter.push("ab")).toEqual([]);
    expect(splitter.push("c\n\nd\ne")).toEqual(["abc", "d"]);
    expect(splitter.push("\n")).toEqual(["e"]);
  });

  it("have a longest length", () => {
    expect(() => new LineSplitter().push("x".repeat(MAX_LINE + 1))).toThrow(ControlError);
  });
});

describe("the runtime directory", () => {
  it("belongs to the user", async () => {
    expect(defaultRuntimeDirectory(0, { XDG_RUNTIME_DIR: "/run/user/0" })).toBe("/run/objmount");
    expect(defaultRuntimeDirectory(7, { XDG_RUNTIME_DIR: "/run/user/7" })).toBe("/run/user/7/objmount");
    expect(defaultRuntimeDirectory(7, {})).toMatch(/\/objmount-7$/);
    const own = join(directory, "run");
    await ensureRuntimeDirectory(own);
    expect((await lstat(own)).mode & 0o777).toBe(0o700);
    await ensureRuntimeDirectory(own);
    const open = join(directory, "open");
    await mkdir(open, { mode: 0o777 });
    await chmod(open, 0o777);
    await expect(ensureRuntimeDirectory(open)).rejects.toMatchObject({ code: "unsafe" });
  });

  it("names a socket after its mountpoint, within the length of a socket's path", () => {
    expect(socketPath("/run/objmount", "/mnt/photos")).toMatch(/^\/run\/objmount\/photos-[0-9a-f]{10}\.sock$/);
    expect(socketPath("/run/objmount", "/a/photos")).not.toBe(socketPath("/run/objmount", "/mnt/photos"));
    expect(socketPath("/run/objmount", `/${"long".repeat(100)}`).length).toBeLessThan(70);
    expect(() => socketPath(`/${"deep/".repeat(30)}`, "/mnt/x")).toThrow("--runtime-dir");
  });

  it("finds a mount, and removes a stale socket", async () => {
    const path = socketPath(directory, "/mnt/x");
    await serve(path);
    const client = await connectToMount(["/nowhere", directory], "/mnt/x");
    expect(client?.greeting.objmount).toBe("9.9.9");
    client?.close();
    expect(await connectToMount([directory], "/mnt/other")).toBeUndefined();

    // A socket file whose owner is gone: a server that is killed leaves it.
    const stale = socketPath(directory, "/mnt/stale");
    const killed = spawn(process.execPath, ["-e", "require('node:net').createServer().listen(process.argv[1], () => process.kill(process.pid, 'SIGKILL'))", stale]);
    await once(killed, "exit");
    expect(await listSockets([directory])).toContain(stale);
    expect(await connectToMount([directory], "/mnt/stale")).toBeUndefined();
    expect(await listSockets([directory])).toEqual([path]);
  });

  it("leaves what is no socket alone", async () => {
    await writeFile(join(directory, "notes.txt"), "");
    expect(await listSockets([directory, "/nowhere"])).toEqual([]);
  });
});
