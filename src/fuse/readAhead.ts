// The kernel's own read-ahead is 128 KiB unless somebody with the right to do so raises it: a stream then keeps several
// requests of a megabyte under way.

import { writeFile } from "node:fs/promises";
import { findMount } from "./mountinfo.js";

/** To be called after INIT, which sets the value anew. @returns whether it could be raised (root only). */
export async function raiseReadAhead(mountpoint: string, bytes: number): Promise<boolean> {
  try {
    const mount = await findMount(mountpoint);
    if (mount === undefined || !mount.type.startsWith("fuse")) return false;
    await writeFile(`/sys/class/bdi/${mount.device}/read_ahead_kb`, String(Math.floor(bytes / 1024)));
    return true;
  } catch {
    return false;
  }
}
