// What is looked at before a directory is mounted on. Nothing here touches a mount from inside this process: a dead or
// hanging one is asked by stat(1), which can be killed.

import { execFile } from "node:child_process";
import { constants } from "node:fs";
import { access, readdir, realpath, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { findFusermount } from "../fuse/fusermount.js";
import { findMount as mountAt, type MountLine } from "../fuse/mountinfo.js";
import { SUBTYPE } from "../fuse/mountOptions.js";
import { mayAdminister } from "../fuse/support.js";
import { childEnvironment } from "../util/childEnvironment.js";
import { MountFailure } from "./failure.js";

const ANSWER_MS = 5000;

export { mountAt };

/** The type of our mounts: `fuse` with our subtype, whichever front end made them. */
export function isObjmount(entry: MountLine): boolean {
  return entry.type === `fuse.${SUBTYPE}`;
}

/** A descriptor that somebody else has mounted, handed in instead of a directory. */
export function isDescriptor(mountpoint: string): boolean {
  return /^\/(?:dev|proc\/self)\/fd\/\d+$/.test(mountpoint);
}

/** Absolute, with symbolic links of the parents resolved; the directory itself is not touched: it may be a hanging mount. */
export async function resolveMountpoint(path: string): Promise<string> {
  const absolute = resolve(path);
  if (absolute === "/" || isDescriptor(absolute)) return absolute;
  const named = join(await realpath(dirname(absolute)).catch(() => dirname(absolute)), basename(absolute));
  if (await mountAt(named) !== undefined) return named;
  return await within(realpath(named), named).catch(() => named);
}

interface Answer { readonly ok: boolean; readonly output: string; readonly timedOut: boolean }

function run(program: string, args: readonly string[], timeout: number): Promise<Answer> {
  return new Promise((done) => {
    execFile(program, args, { timeout, killSignal: "SIGKILL", env: childEnvironment() }, (error, stdout, stderr) => {
      done({ ok: error === null, output: `${stdout}${stderr}`.trim(), timedOut: error?.killed === true });
    });
  });
}

/** "alive", "dead" (its daemon is gone) or "silent" (no answer in time). */
export async function probeMount(mountpoint: string, timeoutMs = ANSWER_MS): Promise<"alive" | "dead" | "silent"> {
  // What the kernel has cached proves nothing: ask past it. A stat(1) that does not know how asks for the figures of the
  // file system, which are never cached.
  let answer = await run("stat", ["--cached=never", "-c", "%F", mountpoint], timeoutMs);
  if (/unrecognized|invalid option|unknown option/i.test(answer.output)) answer = await run("stat", ["-f", mountpoint], timeoutMs);
  if (answer.ok) return "alive";
  if (answer.timedOut) return "silent";
  return /Transport endpoint is not connected|Software caused connection abort/.test(answer.output) ? "dead" : "alive";
}

/** Takes a mount out of the name space at once, in use or not. @returns the tool's complaint, "" when it worked. */
export async function detachMount(mountpoint: string): Promise<string> {
  const [program, args] = process.geteuid?.() === 0 ? ["umount", ["-l", mountpoint]] as const : ["fusermount3", ["-u", "-z", mountpoint]] as const;
  const answer = await run(program, args, ANSWER_MS);
  return answer.ok ? "" : answer.output === "" ? `${program} failed` : answer.output;
}

/**
 * Makes sure that `mountpoint` (from resolveMountpoint) can be mounted on.
 * @returns what was put right on the way, one line each
 * @throws MountFailure
 */
export async function prepareMountpoint(mountpoint: string): Promise<string[]> {
  const notes: string[] = [];
  if (isDescriptor(mountpoint)) return notes;
  if (!mayAdminister() && findFusermount() === undefined) {
    throw new MountFailure("no-fusermount", "Only root may mount by itself, and fusermount3 is not installed: install the package fuse3.");
  }
  const mounted = await mountAt(mountpoint);
  if (mounted !== undefined && mounted.type.startsWith("fuse")) {
    const state = await probeMount(mountpoint);
    if (state === "dead" && isObjmount(mounted)) {
      const complaint = await detachMount(mountpoint);
      if (complaint !== "") throw new MountFailure("mountpoint-dead", `${mountpoint} is a dead mount of ${mounted.source}, and could not be cleaned up (${complaint}): run "umount -l ${mountpoint}" as root.`);
      notes.push(`${mountpoint} was a dead mount of ${mounted.source}, left by a daemon that ended: cleaned up.`);
      return [...notes, ...await prepareMountpoint(mountpoint)];
    }
    if (state === "dead") throw new MountFailure("mountpoint-dead", `${mountpoint} is a dead ${mounted.type} mount: run "umount -l ${mountpoint}" first.`);
    if (state === "silent") throw new MountFailure("mountpoint-dead", `${mountpoint} is a ${mounted.type} mount that does not answer: look at its daemon, or run "umount -l ${mountpoint}" first.`);
  }
  if (mounted !== undefined) {
    const how = isObjmount(mounted) ? `run "objmount unmount ${mountpoint}" first` : "choose another directory";
    throw new MountFailure("already-mounted", `${mounted.source} (${mounted.type}) is already mounted on ${mountpoint}: ${how}.`);
  }
  await checkDirectory(mountpoint);
  return notes;
}

async function checkDirectory(mountpoint: string): Promise<void> {
  let names: string[];
  try {
    const found = await within(stat(mountpoint), mountpoint);
    if (!found.isDirectory()) throw new MountFailure("mountpoint-not-directory", `${mountpoint} is not a directory: mount on a directory.`);
    if (process.geteuid?.() !== 0) await access(mountpoint, constants.W_OK);
    names = await within(readdir(mountpoint), mountpoint);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === "ENOENT") throw new MountFailure("mountpoint-missing", `${mountpoint} does not exist: create it with "mkdir -p ${mountpoint}".`);
    if (code === "ENOTDIR") throw new MountFailure("mountpoint-not-directory", `${mountpoint} is not a directory, or lies below a file.`);
    if (code === "EACCES" || code === "EPERM") throw new MountFailure("mountpoint-access", `${mountpoint} cannot be mounted on by this user, who must own it and may write to it.`);
    throw error;
  }
  if (names.length > 0) throw new MountFailure("mountpoint-not-empty", `${mountpoint} is not empty (it has "${names[0] as string}"), and its files would be hidden: empty it or choose another directory.`);
}

async function within<T>(work: Promise<T>, path: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new MountFailure("mountpoint-dead", `${path} does not answer: the file system that it lies on hangs.`)), ANSWER_MS);
  });
  return await Promise.race([work, late]).finally(() => clearTimeout(timer));
}
