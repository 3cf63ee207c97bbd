// Mounting without privileges: fusermount3 is set-user-id, mounts, and hands the device's descriptor over a socket whose
// number it finds in _FUSE_COMMFD.

import { spawn } from "node:child_process";
import { accessSync, closeSync, constants, existsSync } from "node:fs";
import { delimiter, isAbsolute, join } from "node:path";
import { adoptDescriptor, ChannelError, receiveDescriptor, socketPair } from "./channel.js";
import { fusermountOptions, type MountRequest } from "./mountOptions.js";
import { MountError } from "./types.js";

/** The socket's number in the child: the first one after the standard three. */
const CHILD_SOCKET = 3;
const TIMEOUT_MS = 30_000;

/** Where it usually is, for a PATH that is short (systemd units, cron). */
const USUAL = ["/usr/bin", "/bin", "/usr/local/bin", "/usr/sbin", "/sbin"];

/** The program's path; undefined when neither fusermount3 nor fusermount is there. */
export function findFusermount(path: string | undefined = process.env["PATH"]): string | undefined {
  const folders = [...(path ?? "").split(delimiter).filter((folder) => isAbsolute(folder)), ...USUAL];
  for (const name of ["fusermount3", "fusermount"]) {
    for (const folder of folders) {
      const file = join(folder, name);
      try {
        accessSync(file, constants.X_OK);
        return file;
      } catch {
        // Not in this folder.
      }
    }
  }
  return undefined;
}

function needFusermount(): string {
  const program = findFusermount();
  if (program !== undefined) return program;
  throw new MountError("no-fusermount", "only root may mount by itself, and fusermount3 is not installed: install the package fuse3");
}

interface Outcome { readonly status: number | null; readonly stderr: string }

function run(program: string, args: readonly string[], socket?: number): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      cwd: "/",
      env: { PATH: process.env["PATH"] ?? "/usr/bin:/bin", LC_ALL: "C", ...(socket === undefined ? {} : { _FUSE_COMMFD: String(CHILD_SOCKET) }) },
      stdio: ["ignore", "ignore", "pipe", ...(socket === undefined ? [] : [socket])],
      timeout: TIMEOUT_MS,
    });
    let stderr = "";
    // With four entries TypeScript no longer knows which of them are pipes.
    child.stderr?.setEncoding("utf8").on("data", (text: string) => { stderr += text; });
    child.on("error", reject);
    child.on("close", (status) => { resolve({ status, stderr: stderr.trim() }); });
  });
}

/** Mounts on an absolute path. @returns the descriptor of the mounted device. @throws MountError */
export async function mountByFusermount(mountpoint: string, request: MountRequest): Promise<number> {
  const program = needFusermount();
  if (!existsSync(MTAB)) throw new MountError("failed", NO_MTAB);
  const [ours, theirs] = socketPair();
  try {
    const outcome = await run(program, ["-o", fusermountOptions(request), "--", mountpoint], theirs)
      .catch((error: unknown) => { throw new MountError("no-fusermount", `${program} cannot be run: ${String(error)}`, error); });
    if (outcome.status !== 0) throw explain(program, mountpoint, outcome);
    const device = receiveDescriptor(ours);
    adoptDescriptor(device);
    return device;
  } catch (error) {
    if (error instanceof ChannelError) throw new MountError("failed", `${program} mounted, but handed over no descriptor (${error.message})`, error);
    throw error;
  } finally {
    closeSync(ours);
    closeSync(theirs);
  }
}

/** @throws MountError */
export async function unmountByFusermount(mountpoint: string, lazy: boolean): Promise<void> {
  const program = needFusermount();
  const outcome = await run(program, ["-u", ...(lazy ? ["-z"] : []), "--", mountpoint])
    .catch((error: unknown) => { throw new MountError("no-fusermount", `${program} cannot be run: ${String(error)}`, error); });
  if (outcome.status !== 0) throw explain(program, mountpoint, outcome);
}

/** fusermount3 looks through it before it unmounts for a user, and only then. Minimal images lack it. */
const MTAB = "/etc/mtab";
const NO_MTAB = "there is no /etc/mtab, without which fusermount3 cannot unmount for a user: as root, run \"ln -s /proc/self/mounts /etc/mtab\"";

const SENTENCES: readonly (readonly [RegExp, MountError["code"], (mountpoint: string) => string])[] = [
  [/user_allow_other/, "allow-other", () => "allow_other needs the line user_allow_other in /etc/fuse.conf, unless root mounts"],
  [/device not found|kernel module|\/dev\/fuse.*No such/i, "no-device", () => "there is no /dev/fuse: load the kernel module (modprobe fuse), or give the container the device"],
  [/open \/dev\/fuse|fuse device.*denied/i, "no-device", () => "/dev/fuse cannot be opened: give this user (or the container) the device"],
  [/open \/etc\/mtab/, "failed", () => NO_MTAB],
  [/not found in \/etc\/mtab|not mounted|Invalid argument/i, "not-mounted", (mountpoint) => `${mountpoint} is not mounted`],
  [/busy/i, "busy", (mountpoint) => `${mountpoint} is in use: close what is open there, or unmount with --lazy`],
  [/not connected/i, "dead", (mountpoint) => `${mountpoint} is a dead mount: unmount it first (objmount unmount --lazy ${mountpoint})`],
  [/no write access|user has no/i, "denied", (mountpoint) => `a user may mount only on a directory of his own that he may write to: ${mountpoint} is not one`],
  [/Operation not permitted|Permission denied/i, "denied", (mountpoint) => `mounting on ${mountpoint} is not permitted: `
    + "fusermount3 must be set-user-id root, and a container needs CAP_SYS_ADMIN"],
];

function explain(program: string, mountpoint: string, { status, stderr }: Outcome): MountError {
  const cause = new Error(stderr === "" ? `${program} ended with ${String(status)}` : stderr);
  const found = SENTENCES.find(([pattern]) => pattern.test(stderr));
  return found === undefined
    ? new MountError("failed", `${program} failed: ${cause.message}`, cause)
    : new MountError(found[1], found[2](mountpoint), cause);
}
