// The addon of the fuse-native package, and the libfuse.so.2 that it is linked to. The package's own JavaScript is not used: it
// hands getattr of an open file on without its handle, asks for no size of xattr values, and has no way to pass mount options on.

import { accessSync, constants as fsConstants } from "node:fs";
import { createRequire } from "node:module";
import { constants, arch, platform } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** Numbers and functions that the addon exports: `op_getattr`, `fuse_native_signal_getattr`, ... */
export interface LibfuseAddon {
  readonly sizeof_fuse_thread_t: number;
  /**
   * Mounts, and starts the library's threads. @param malloc makes memory for a thread's call @param handlers by operation number,
   * called with the thread's call, the operation's number and its arguments @param implemented 35 numbers, 1 for each operation served.
   */
  fuse_native_mount(mountpoint: string, options: string, thread: Buffer, self: object, malloc: (size: number) => Buffer,
    handlers: readonly LibfuseHandler[], implemented: Uint32Array): void;
  /** After the unmount: lets the event loop end. */
  fuse_native_unmount(mountpoint: string, thread: Buffer): void;
  readonly [name: `op_${string}`]: number;
  /** Answers a call: the call, the result (0 or more, or a negative errno), and what the operation has besides. */
  readonly [name: `fuse_native_signal_${string}`]: (call: Buffer, result: number, ...values: unknown[]) => void;
}

export type LibfuseHandler = (call: Buffer, operation: number, ...values: never[]) => void;

/** glibc and musl alike; Node has no name for it. Without it Node unloads what has turned out not to be an addon. */
const RTLD_NODELETE = 0x1000;

let loaded: LibfuseAddon | { readonly why: string } | undefined;

/** Loads it at the first call. `why` is one clause. */
export function loadLibfuse(): LibfuseAddon | { readonly why: string } {
  loaded ??= load();
  return loaded;
}

function load(): LibfuseAddon | { readonly why: string } {
  const here = createRequire(import.meta.url);
  const home = find(here);
  if (home === undefined) return { why: "the optional package fuse-native is not installed" };
  const there = createRequire(join(home, "package.json"));
  if (platform() === "linux") preload(there);
  try {
    const open = there("node-gyp-build") as (folder: string) => LibfuseAddon;
    const addon = open(home);
    if (typeof addon.fuse_native_mount !== "function") return { why: `the package fuse-native in ${home} is not one that objmount knows` };
    return addon;
  } catch (error) {
    const message = error instanceof Error ? error.message.split("\n")[0] as string : String(error);
    if (message.includes("libfuse.so.2")) return { why: "the package fuse-native needs libfuse.so.2, which is not here: install the package libfuse2" };
    if (message.startsWith("No native build")) return { why: `the package fuse-native has no binary for ${platform()} on ${arch()}` };
    return { why: `the package fuse-native cannot be loaded: ${message}` };
  }
}

/** The package's folder: npm's, else the one that native/install.mjs fetched. From src/fuse and from dist/fuse alike. */
function find(here: NodeJS.Require): string | undefined {
  for (const paths of [undefined, [fileURLToPath(new URL("../../native/build/fuse-native", import.meta.url))]]) {
    try {
      return dirname(here.resolve("fuse-native/package.json", paths === undefined ? undefined : { paths }));
    } catch {
      // Not there.
    }
  }
  return undefined;
}

/**
 * fuse-native comes with a libfuse.so.2 under another file name, where the loader does not look for it. Loaded by its path before the
 * addon, it is found by its soname; where it is missing or for another processor, the loader looks for the system's.
 */
function preload(there: NodeJS.Require): void {
  try {
    const { lib } = there("fuse-shared-library") as { lib: string };
    accessSync(lib, fsConstants.R_OK);
    process.dlopen({ exports: {} }, lib, constants.dlopen.RTLD_NOW | constants.dlopen.RTLD_GLOBAL | RTLD_NODELETE);
  } catch {
    // It is no addon, so Node complains in any case; whether it is loaded shows when the addon is.
  }
}
