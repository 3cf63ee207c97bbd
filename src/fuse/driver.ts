// Which front end serves a mount: `--driver`.

import type { Filesystem } from "../fs/filesystem.js";
import type { Logger } from "../util/log.js";
import { mountFuseNative, supportsFuseNative } from "./fuseNative.js";
import { mountNative, type NativeMountOptions } from "./native.js";
import { type Support, supportsNative } from "./support.js";
import { type Driver, type FrontEnd, MountError } from "./types.js";

export type DriverChoice = Driver | "auto";

/** Which one, and a sentence (without its full stop) that says why. */
export interface Chosen { readonly driver: Driver; readonly why: string }

/** What is asked for, when it can be had; `auto`: native where it works, else fuse-native. @throws MountError `no-driver` */
export function chooseDriver(choice: DriverChoice, native: () => Support = supportsNative, fuseNative: () => Support = supportsFuseNative): Chosen {
  if (choice === "fuse-native") {
    const other = fuseNative();
    if (other.ok) return { driver: "fuse-native", why: "the fuse-native front end is used, as asked for" };
    throw new MountError("no-driver", `--driver=fuse-native cannot be used: ${other.why}`);
  }
  const own = native();
  if (own.ok) return { driver: "native", why: `the native front end is used${choice === "native" ? ", as asked for" : ""}` };
  if (choice === "native") throw new MountError("no-driver", `--driver=native cannot be used: ${own.why}`);
  const other = fuseNative();
  if (other.ok) return { driver: "fuse-native", why: `the fuse-native front end is used, which is slower, for ${own.why}` };
  throw new MountError("no-driver", `no front end works here: ${own.why}; and ${other.why}`);
}

/** Mounts with the driver asked for, and says in the log which one it is and why. @throws MountError */
export async function mountFilesystem(choice: DriverChoice, filesystem: Filesystem, options: NativeMountOptions & { readonly logger: Logger }): Promise<FrontEnd> {
  const { driver, why } = chooseDriver(choice);
  options.logger.info({ driver }, why);
  return driver === "native" ? await mountNative(filesystem, options) : await mountFuseNative(filesystem, options);
}
