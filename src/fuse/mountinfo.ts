// /proc/self/mountinfo: the kernel's own list. Asking it touches no mount, so the process that serves one may.

import { readFile } from "node:fs/promises";

export interface MountLine {
  /** "0:57": the device number of its files. */
  readonly device: string;
  readonly mountpoint: string;
  readonly type: string;
  readonly source: string;
}

/** Spaces, tabs, newlines and backslashes stand as three octal digits. */
function unescape(field: string): string {
  return Buffer.from(field.replaceAll(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8))), "latin1").toString("utf8");
}

export function parseMountinfo(text: string): readonly MountLine[] {
  return text.split("\n").flatMap((line) => {
    const [before, after] = line.split(" - ");
    const fields = before?.split(" ") ?? [];
    const [type, source] = after?.split(" ") ?? [];
    const [device, mountpoint] = [fields[2], fields[4]];
    if (device === undefined || mountpoint === undefined || type === undefined) return [];
    return [{ device, mountpoint: unescape(mountpoint), type, source: unescape(source ?? "") }];
  });
}

/** What is mounted on exactly this path, the topmost if several are; undefined: nothing. */
export async function findMount(mountpoint: string): Promise<MountLine | undefined> {
  // Latin-1 keeps every byte of names that are not UTF-8; unescape turns them back.
  const text = await readFile("/proc/self/mountinfo", "latin1");
  return parseMountinfo(text).findLast((line) => line.mountpoint === mountpoint);
}
