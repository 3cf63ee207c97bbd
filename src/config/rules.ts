// Two pure functions over the options: `reject` names what contradicts itself, `derive` fills in what was left open. Both
// see the machine only through `Facts`.

import { createHash } from "node:crypto";
import { join } from "node:path";
import type { MountConfig, ReadyConfig } from "./config.js";
import { formatBytes } from "./values.js";

/** What the rules need to know of the world. */
export interface Facts {
  readonly url: string;
  /** Absolute. */
  readonly mountpoint: string;
  readonly uid: number;
  readonly gid: number;
  /** Bytes this process may use: the cgroup's limit or the machine's memory, whichever is less. */
  readonly memory: number;
  /** user_allow_other stands in /etc/fuse.conf. */
  readonly userAllowOther: boolean;
  readonly home: string;
  /** $XDG_STATE_HOME, when set. */
  readonly xdgStateHome: string | undefined;
}

const MiB = 2 ** 20;
const SMALLEST_BUDGET = 16 * MiB;
const MEMORY_CAP = 96 * MiB;

function inside(path: string | undefined, directory: string): boolean {
  return path !== undefined && (path === directory || path.startsWith(directory.endsWith("/") ? directory : `${directory}/`));
}

/** @returns one sentence per contradiction; empty when the options make sense together. */
export function reject(config: MountConfig, facts: Facts): string[] {
  const bad: string[] = [];
  if (config.memoryLimit !== undefined && config.memoryLimit < SMALLEST_BUDGET) {
    bad.push(`--memory-limit is ${formatBytes(config.memoryLimit)}, and objmount needs at least ${formatBytes(SMALLEST_BUDGET)}.`);
  }
  if (config.partSize < 64 * 1024 || config.partSize > 5 * 2 ** 30) {
    bad.push(`--part-size is ${formatBytes(config.partSize)}, and must be between 64KiB and 5GiB.`);
  }
  if (config.maxWindow < MiB) bad.push(`--max-window is ${formatBytes(config.maxWindow)}, and must be at least 1MiB.`);
  for (const [name, value] of [["read-concurrency", config.readConcurrency], ["upload-concurrency", config.uploadConcurrency], ["max-requests", config.maxRequests]] as const) {
    if (value < 1) bad.push(`--${name} is ${value}, and must be at least 1.`);
  }
  if (!config.foreground && /^\/(?:dev|proc\/self)\/fd\/\d+$/.test(facts.mountpoint)) bad.push("A mount handed in as a descriptor is served in the foreground: add --foreground.");
  if (config.mountTimeout === 0) bad.push("--mount-timeout is 0, and must be longer.");
  if (config.readOnly && config.createContainer) bad.push("--read-only and --create-container contradict each other: leave one away.");
  if (config.allowOther && facts.uid !== 0 && !facts.userAllowOther) {
    bad.push("--allow-other needs the line user_allow_other in /etc/fuse.conf when the mounting user is not root: add it there, or leave the option away.");
  }
  for (const [name, path] of [["staging-dir", config.stagingDir], ["state-dir", config.stateDir], ["log-file", config.logFile]] as const) {
    if (inside(path, facts.mountpoint)) bad.push(`--${name} lies inside the mountpoint ${facts.mountpoint}, where the mount would wait for itself: choose a place outside.`);
  }
  if (inside(facts.mountpoint, config.stagingDir ?? "/dev/null")) {
    bad.push(`The mountpoint ${facts.mountpoint} lies inside --staging-dir: choose another place for one of them.`);
  }
  return bad;
}

/** A directory name for what belongs to one URL on one mountpoint: readable, and different for different pairs. */
export function mountId(url: string, mountpoint: string): string {
  const readable = mountpoint.replace(/[^A-Za-z0-9._-]+/g, "-").replace(/^-+|-+$/g, "").slice(-40);
  return `${readable === "" ? "root" : readable}-${createHash("sha256").update(`${url}\0${mountpoint}`).digest("hex").slice(0, 8)}`;
}

export function derive(config: MountConfig, facts: Facts): ReadyConfig {
  const stateDir = config.stateDir ?? (facts.uid === 0 ? "/var/lib/objmount" : join(facts.xdgStateHome ?? join(facts.home, ".local/state"), "objmount"));
  const id = mountId(facts.url, facts.mountpoint);
  const memoryLimit = config.memoryLimit ?? Math.max(SMALLEST_BUDGET, Math.min(MEMORY_CAP, Math.floor(facts.memory / 8)));
  return {
    ...config,
    uid: config.uid ?? facts.uid,
    gid: config.gid ?? facts.gid,
    memoryLimit,
    // One reader may have half of the budget in flight, so that two of them and the writers still move.
    maxWindow: Math.min(config.maxWindow, Math.floor(memoryLimit / 2)),
    stateDir,
    stagingDir: join(config.stagingDir ?? join(stateDir, "staging"), id),
    logFile: config.logFile ?? (config.foreground ? undefined : join(stateDir, "log", `${id}.log`)),
  };
}
