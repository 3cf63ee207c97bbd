// /proc/self/mountinfo, the one view of the mounts that asks no file system and so never hangs on a dead one (proc(5)).

import { readFile } from "node:fs/promises";

export interface MountEntry {
  readonly mountpoint: string;
  /** "fuse.objmount", "ext4". */
  readonly type: string;
  readonly source: string;
  readonly options: string;
  /** "0:45": the minor names the connection below /sys/fs/fuse/connections. */
  readonly device: string;
}

function unescape(text: string): string {
  return text.replace(/(?:\\[0-7]{3})+/g, (run) => Buffer.from(run.slice(1).split("\\").map((octal) => Number.parseInt(octal, 8))).toString("utf8"));
}

/** In the order of mounting: of several entries of one mountpoint, the last is the one that is seen. */
export function parseMountinfo(text: string): MountEntry[] {
  return text.split("\n").filter((line) => line !== "").map((line) => {
    const [before, after] = line.split(" - ") as [string, string];
    const left = before.split(" ");
    const right = after.split(" ");
    return {
      device: left[2] as string, mountpoint: unescape(left[4] as string), type: right[0] as string, source: unescape(right[1] as string),
      options: `${left[5] as string},${right[2] ?? ""}`,
    };
  });
}

export async function readMounts(): Promise<MountEntry[]> {
  return parseMountinfo(await readFile("/proc/self/mountinfo", "utf8"));
}

/** What is mounted exactly there, undefined when nothing is. */
export async function mountAt(mountpoint: string): Promise<MountEntry | undefined> {
  return (await readMounts()).findLast((entry) => entry.mountpoint === mountpoint);
}

/** The type of our mounts: `fuse` with our subtype, whichever front end made them. */
export function isObjmount(entry: MountEntry): boolean {
  return entry.type === "fuse.objmount";
}
