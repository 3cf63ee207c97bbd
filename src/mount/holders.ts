import { readdir, readFile, readlink } from "node:fs/promises";
import { join } from "node:path";

/** Who uses files of a mount: read from the links below /proc, without a call to the mount itself. Only what this user may see. */
export async function holdersOf(mountpoint: string): Promise<{ readonly pid: number; readonly command: string }[]> {
  const inside = (path: string): boolean => path === mountpoint || path.startsWith(`${mountpoint}/`);
  const found: { pid: number; command: string }[] = [];
  for (const pid of (await readdir("/proc")).filter((name) => /^\d+$/.test(name) && name !== String(process.pid))) {
    const base = join("/proc", pid);
    const descriptors = await readdir(join(base, "fd")).catch(() => [] as string[]);
    const links = [join(base, "cwd"), join(base, "root"), join(base, "exe"), ...descriptors.map((fd) => join(base, "fd", fd))];
    const targets = await Promise.all(links.map((link) => readlink(link).catch(() => "")));
    if (!targets.some(inside)) continue;
    found.push({ pid: Number(pid), command: (await readFile(join(base, "comm"), "utf8").catch(() => "?")).trim() });
  }
  return found;
}

/** "bash (123), vim (456) and 2 more", or "" when nobody is seen. */
export function describeHolders(holders: readonly { readonly pid: number; readonly command: string }[]): string {
  const shown = holders.slice(0, 4).map(({ pid, command }) => `${command} (${pid})`).join(", ");
  return holders.length > 4 ? `${shown} and ${holders.length - 4} more` : shown;
}
