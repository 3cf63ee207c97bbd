// Whether the native front end can serve a mount here, found out without mounting.

import { closeSync, readFileSync, statSync } from "node:fs";
import { ChannelError, openDevice, whyNoAddon } from "./channel.js";
import { findFusermount } from "./fusermount.js";

export type Support = { readonly ok: true } | { readonly ok: false; readonly why: string };

/** For `doctor`, and for `--driver=auto`. `why` is one sentence without its full stop. */
export function supportsNative(): Support {
  const why = whyNoAddon() ?? whyNoDevice();
  return why === undefined ? { ok: true } : { ok: false, why };
}

function whyNoDevice(): string | undefined {
  try {
    statSync("/dev/fuse");
  } catch {
    return "there is no /dev/fuse: load the kernel module (modprobe fuse), or give the container the device";
  }
  let why: string | undefined;
  try {
    closeSync(openDevice());
    if (mayAdminister()) return undefined;
    why = "this process lacks CAP_SYS_ADMIN";
  } catch (error) {
    if (error instanceof ChannelError && ["ENXIO", "ENODEV"].includes(error.code)) return "/dev/fuse has no driver: load the kernel module (modprobe fuse)";
    why = `/dev/fuse cannot be opened (${error instanceof ChannelError ? error.code : String(error)})`;
  }
  // fusermount3 is set-user-id: it opens and mounts for us.
  return findFusermount() === undefined ? `${why}, and fusermount3 is not installed: install the package fuse3` : undefined;
}

const CAP_SYS_ADMIN = 21n;

/** Whether this process may mount(2), and register backing files. */
export function mayAdminister(): boolean {
  try {
    const effective = /^CapEff:\s*([0-9a-f]+)/m.exec(readFileSync("/proc/self/status", "latin1"))?.[1];
    return effective !== undefined && ((BigInt(`0x${effective}`) >> CAP_SYS_ADMIN) & 1n) === 1n;
  } catch {
    return false;
  }
}
