// Where the control sockets are: one per mount, named after its mountpoint, in a directory of the user's own.

import { createHash } from "node:crypto";
import { lstat, readdir, unlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { ControlClient } from "./client.js";
import { ControlError } from "./protocol.js";
import { makeDirectory } from "../util/directories.js";

/** sockaddr_un.sun_path is 108 bytes with its NUL. */
const MAX_SOCKET_PATH = 107;

/** /run/objmount for root; $XDG_RUNTIME_DIR/objmount, or a directory in /tmp, for others. */
export function defaultRuntimeDirectory(uid: number, environment: NodeJS.ProcessEnv): string {
  if (uid === 0) return "/run/objmount";
  const runtime = environment["XDG_RUNTIME_DIR"];
  return runtime !== undefined && runtime !== "" ? join(runtime, "objmount") : join(tmpdir(), `objmount-${uid}`);
}

/** Makes the directory (0700), or checks that the one that is there is ours alone. */
export async function ensureRuntimeDirectory(directory: string): Promise<void> {
  await makeDirectory(directory, 0o700);
  const found = await lstat(directory);
  if (!found.isDirectory() || found.uid !== (process.geteuid?.() ?? found.uid) || (found.mode & 0o022) !== 0) {
    throw new ControlError("unsafe", `${directory} belongs to somebody else or can be written by others: remove it, or name another with --runtime-dir.`);
  }
}

export function socketPath(directory: string, mountpoint: string): string {
  const readable = basename(mountpoint).replace(/[^A-Za-z0-9._-]+/g, "-").slice(-24);
  const path = join(directory, `${readable}-${createHash("sha256").update(mountpoint).digest("hex").slice(0, 10)}.sock`);
  if (Buffer.byteLength(path) > MAX_SOCKET_PATH) {
    throw new ControlError("invalid", `The path of the control socket, ${path}, is longer than a socket's may be: name a shorter --runtime-dir.`);
  }
  return path;
}

/** Where this user may find mounts: the own directory, and for root those of all users besides. */
export async function runtimeDirectories(own: string, uid: number): Promise<string[]> {
  if (uid !== 0) return [own];
  const users = await readdir("/run/user").catch(() => [] as string[]);
  const temporary = (await readdir(tmpdir()).catch(() => [] as string[])).filter((name) => /^objmount-\d+$/.test(name));
  return [own, ...users.map((user) => join("/run/user", user, "objmount")), ...temporary.map((name) => join(tmpdir(), name))];
}

export async function listSockets(directories: readonly string[]): Promise<string[]> {
  const found: string[] = [];
  for (const directory of directories) {
    const names = await readdir(directory).catch(() => [] as string[]);
    found.push(...names.filter((name) => name.endsWith(".sock")).sort().map((name) => join(directory, name)));
  }
  return found;
}

/**
 * Connects to the mount at `mountpoint`, looking through the directories in order.
 * @returns undefined when there is no socket for it, or only a stale one, which is removed.
 * @throws ControlError when there is a daemon that does not answer properly
 */
export async function connectToMount(directories: readonly string[], mountpoint: string, timeoutMs = 5000): Promise<ControlClient | undefined> {
  for (const directory of directories) {
    const client = await connectOrClean(socketPath(directory, mountpoint), timeoutMs);
    if (client !== undefined) return client;
  }
  return undefined;
}

/** Connects; a socket that nobody serves any more is removed, and answered by undefined. */
export async function connectOrClean(path: string, timeoutMs = 5000): Promise<ControlClient | undefined> {
  try {
    return await ControlClient.connect(path, timeoutMs);
  } catch (error) {
    if (!(error instanceof ControlError) || error.code !== "unreachable") throw error;
    const code = (error.cause as NodeJS.ErrnoException | undefined)?.code;
    if (code === "ECONNREFUSED") await unlink(path).catch(() => undefined);
    if (code === "EACCES" || code === "EPERM") throw error;
    return undefined;
  }
}
