// The little that the rules want to know of this machine.

import { readFile } from "node:fs/promises";
import { totalmem } from "node:os";
import type { Facts } from "./rules.js";
import { homeOf } from "../util/home.js";

async function text(file: string): Promise<string | undefined> {
  try {
    return (await readFile(file, "utf8")).trim();
  } catch {
    return undefined;
  }
}

/** The memory limit of this process's cgroup (v2, else v1), Infinity when there is none. */
async function cgroupMemory(): Promise<number> {
  const own = /^0::(.*)$/m.exec(await text("/proc/self/cgroup") ?? "")?.[1];
  const files = [`/sys/fs/cgroup${own ?? ""}/memory.max`, "/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
  for (const file of files) {
    const found = await text(file);
    if (found !== undefined && /^\d+$/.test(found)) return Number(found);
  }
  return Infinity;
}

/** True when /etc/fuse.conf lets users pass allow_other. */
export async function userAllowOther(): Promise<boolean> {
  return /^\s*user_allow_other\s*$/m.test(await text("/etc/fuse.conf") ?? "");
}

export async function gatherFacts(url: string, mountpoint: string, environment: NodeJS.ProcessEnv): Promise<Facts> {
  return {
    url, mountpoint,
    uid: process.geteuid?.() ?? 0,
    gid: process.getegid?.() ?? 0,
    memory: Math.min(totalmem(), await cgroupMemory()),
    userAllowOther: await userAllowOther(),
    home: homeOf(environment),
    xdgStateHome: environment["XDG_STATE_HOME"] === "" ? undefined : environment["XDG_STATE_HOME"],
  };
}
