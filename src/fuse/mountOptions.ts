// What a mount is asked for, as mount(2) and fusermount3 want to hear it.

import { MAX_WRITE } from "./protocol/constants.js";

export interface MountRequest {
  /** The first field of /proc/mounts: the URL, without credentials. */
  readonly fsname: string;
  readonly readOnly: boolean;
  /** Other users than the one who mounts may look in. */
  readonly allowOther: boolean;
  /** Set-id bits and device nodes are honoured: off unless root asks for it. */
  readonly suid?: boolean;
  readonly dev?: boolean;
  readonly exec?: boolean;
  readonly atime?: boolean;
}

/** The file system's type is `fuse.` and this. */
export const SUBTYPE = "objmount";

// linux/mount.h
const MS_RDONLY = 1;
const MS_NOSUID = 2;
const MS_NODEV = 4;
const MS_NOEXEC = 8;
const MS_NOATIME = 1024;

interface Word { readonly on: boolean; readonly flag: number; readonly text: string }

function words(request: MountRequest): readonly Word[] {
  return [
    { on: request.readOnly, flag: MS_RDONLY, text: "ro" },
    { on: request.suid !== true, flag: MS_NOSUID, text: "nosuid" },
    { on: request.dev !== true, flag: MS_NODEV, text: "nodev" },
    { on: request.exec === false, flag: MS_NOEXEC, text: "noexec" },
    // Reading would dirty the attributes of objects.
    { on: request.atime !== true, flag: MS_NOATIME, text: "noatime" },
  ];
}

/** The flags argument of mount(2). */
export function mountFlags(request: MountRequest): number {
  return words(request).reduce((flags, word) => (word.on ? flags | word.flag : flags), 0);
}

/** The data argument of mount(2) for the fuse file system. */
export function mountData(request: MountRequest, device: number, uid: number, gid: number): string {
  return [`fd=${device}`, "rootmode=40000", `user_id=${uid}`, `group_id=${gid}`, ...common(request)].join(",");
}

/** The argument of fusermount3's -o. A comma or a backslash in the name is escaped. */
export function fusermountOptions(request: MountRequest): string {
  return [...words(request).filter((word) => word.on).map((word) => word.text),
    `fsname=${request.fsname.replaceAll(/[\\,]/g, "\\$&")}`, `subtype=${SUBTYPE}`, ...common(request)].join(",");
}

/**
 * The argument of libfuse 2.9's -o. Requests of 128 KiB are the most that it can. It cannot be told to forget, so what it knows is
 * believed for a second only, and a missing name not at all.
 */
export function libfuseOptions(request: MountRequest): string {
  const linux = ["big_writes", "max_read=131072", "max_write=131072", "atomic_o_trunc"];
  return [...words(request).filter((word) => word.on).map((word) => word.text),
    `fsname=${request.fsname.replaceAll(/[\\,]/g, "\\$&")}`, `subtype=${SUBTYPE}`, "default_permissions", ...(request.allowOther ? ["allow_other"] : []),
    "entry_timeout=1", "attr_timeout=1", "negative_timeout=0", ...(process.platform === "linux" ? linux : [])].join(",");
}

function common(request: MountRequest): readonly string[] {
  // Without default_permissions nobody would check modes: the dispatch table relies on it.
  return ["default_permissions", `max_read=${MAX_WRITE}`, ...(request.allowOther ? ["allow_other"] : [])];
}
