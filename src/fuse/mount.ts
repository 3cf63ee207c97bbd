// From a mountpoint to the descriptor of a mounted device, and back. Three ways: mount(2), fusermount3, or a descriptor
// that somebody else mounted and handed in as /dev/fd/N.

import { closeSync } from "node:fs";
import { realpath, stat } from "node:fs/promises";
import { adoptDescriptor, ChannelError, mountDevice, openDevice, unmountPath } from "./channel.js";
import { findFusermount, mountByFusermount, unmountByFusermount } from "./fusermount.js";
import { mountData, mountFlags, type MountRequest, SUBTYPE } from "./mountOptions.js";
import { MountError } from "./types.js";

export interface MountedDevice {
  readonly device: number;
  /** Absolute, without symbolic links; or /dev/fd/N as given. */
  readonly mountpoint: string;
  readonly by: "mount" | "fusermount" | "handed-in";
}

const HANDED_IN = /^\/(?:dev|proc\/self)\/fd\/(\d+)$/;

/** @throws MountError with a sentence for the user. */
export async function mountAt(mountpoint: string, request: MountRequest): Promise<MountedDevice> {
  const number = HANDED_IN.exec(mountpoint)?.[1];
  if (number !== undefined) return adopt(Number(number), mountpoint);
  const path = await mountDirectory(mountpoint);
  const own = tryMount(path, request);
  if (typeof own === "number") return { device: own, mountpoint: path, by: "mount" };
  // Not allowed by itself: the set-user-id program may be. Where it is missing, its absence is what to tell an ordinary user.
  if (own.code !== "denied") throw own;
  if (findFusermount() === undefined && process.geteuid?.() === 0) throw own;
  return { device: await mountByFusermount(path, request), mountpoint: path, by: "fusermount" };
}

function adopt(device: number, mountpoint: string): MountedDevice {
  try {
    adoptDescriptor(device);
  } catch (error) {
    throw new MountError("failed", `${mountpoint} is not an open descriptor of /dev/fuse`, error);
  }
  return { device, mountpoint, by: "handed-in" };
}

/** The directory's absolute path, without symbolic links. @throws MountError when it is none, or a dead mount. */
export async function mountDirectory(mountpoint: string): Promise<string> {
  try {
    const path = await realpath(mountpoint);
    if (!(await stat(path)).isDirectory()) throw new MountError("mountpoint", `${mountpoint} is not a directory`);
    return path;
  } catch (error) {
    if (error instanceof MountError) throw error;
    const code = (error as NodeJS.ErrnoException).code;
    if (code === "ENOTCONN") throw new MountError("dead", `${mountpoint} is a dead mount: unmount it first (objmount unmount --lazy ${mountpoint})`, error);
    if (code === "ENOENT") throw new MountError("mountpoint", `${mountpoint} does not exist: create the directory first`, error);
    throw new MountError("mountpoint", `${mountpoint} cannot be used as a mountpoint: ${code ?? String(error)}`, error);
  }
}

/** mount(2) by this process. */
function tryMount(path: string, request: MountRequest): number | MountError {
  let device: number | undefined;
  try {
    device = openDevice();
    mountDevice(request.fsname, path, `fuse.${SUBTYPE}`, mountFlags(request),
      mountData(request, device, process.geteuid?.() ?? 0, process.getegid?.() ?? 0));
    return device;
  } catch (error) {
    if (device !== undefined) closeSync(device);
    if (!(error instanceof ChannelError)) throw error;
    return explain(path, error);
  }
}

function explain(path: string, error: ChannelError): MountError {
  switch (error.code) {
    case "EPERM":
    case "EACCES":
      return new MountError("denied", error.call === "mount"
        ? `mounting on ${path} is not permitted: root needs CAP_SYS_ADMIN, which containers take away`
        : "/dev/fuse cannot be opened: give this user (or the container) the device", error);
    case "ENOENT":
    case "ENXIO":
    case "ENODEV":
      return error.call === "mount"
        ? new MountError("mountpoint", `${path} vanished while it was being mounted`, error)
        : new MountError("no-device", "there is no /dev/fuse: load the kernel module (modprobe fuse), or give the container the device", error);
    case "EBUSY":
      return new MountError("busy", `${path} is in use as a mountpoint`, error);
    case "EINVAL":
      return new MountError("failed", `the kernel refuses the mount options for ${path}`, error);
    default:
      return new MountError("failed", `${path} cannot be mounted: ${error.message}`, error);
  }
}

/** Unmounts a path, whoever serves it; also a dead mount. @throws MountError */
export async function unmountAt(mountpoint: string, lazy: boolean): Promise<void> {
  try {
    await unmountPath(mountpoint, lazy);
  } catch (error) {
    if (!(error instanceof ChannelError)) throw error;
    switch (error.code) {
      case "EPERM":
      case "EACCES":
        await unmountByFusermount(mountpoint, lazy);
        return;
      case "EBUSY":
        throw new MountError("busy", `${mountpoint} is in use: close what is open there, or unmount with --lazy`, error);
      case "EINVAL":
      case "ENOENT":
        throw new MountError("not-mounted", `${mountpoint} is not mounted`, error);
      default:
        throw new MountError("failed", `${mountpoint} cannot be unmounted: ${error.message}`, error);
    }
  }
}
