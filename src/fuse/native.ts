// The native front end, for the composition root.

import { closeSync } from "node:fs";
import type { Filesystem } from "../fs/filesystem.js";
import type { Logger } from "../util/log.js";
import { mountAt, unmountAt } from "./mount.js";
import type { MountRequest } from "./mountOptions.js";
import type { Negotiated } from "./protocol/init.js";
import { raiseReadAhead } from "./readAhead.js";
import { FuseSession } from "./session.js";
import { mayAdminister } from "./support.js";

export interface NativeMountOptions extends MountRequest {
  /** A directory, or /dev/fd/N: a descriptor of /dev/fuse that somebody else has mounted. */
  readonly mountpoint: string;
  readonly logger: Logger;
  /** Lines of the wire log go here; absent: there is none, at no cost. */
  readonly wireLog?: ((line: string) => void) | undefined;
  /** How far the kernel reads ahead of a stream, in bytes; raised by root only. */
  readonly readAheadBytes?: number | undefined;
  /** Background requests of the kernel (read-ahead, asynchronous direct I/O) under way at most. */
  readonly maxBackground?: number | undefined;
  /** Let the kernel serve opens that name a backing file by itself, where it can. Default: where this process may. */
  readonly passthrough?: boolean | undefined;
  /**
   * With /dev/fd/N: what a predecessor on this descriptor agreed on (`FuseSession.negotiated`). No INIT comes then, and what
   * it left unanswered is handed over again. The filesystem must know its inodes and handles.
   */
  readonly resume?: Negotiated | undefined;
}

const DEFAULT_READ_AHEAD = 4 << 20;
const DEFAULT_MAX_BACKGROUND = 64;

/**
 * Mounts and serves. Resolves when the mount answers; from then on `closed` tells its end. @throws MountError with one
 * sentence for the user; nothing is left mounted then.
 */
export async function mountNative(filesystem: Filesystem, options: NativeMountOptions): Promise<FuseSession> {
  const mounted = await mountAt(options.mountpoint, options);
  let session: FuseSession;
  try {
    session = new FuseSession({
      filesystem, mounted, logger: options.logger, wireLog: options.wireLog, resume: options.resume,
      wishes: { passthrough: options.passthrough ?? mayAdminister(), maxBackground: options.maxBackground ?? DEFAULT_MAX_BACKGROUND },
    });
  } catch (error) {
    if (mounted.by !== "handed-in") {
      closeSync(mounted.device);
      await unmountAt(mounted.mountpoint, true).catch(() => undefined);
    }
    throw error;
  }
  try {
    await session.started();
  } catch (error) {
    await session.unmount({ lazy: true }).catch(() => undefined);
    if (mounted.by !== "handed-in") await unmountAt(mounted.mountpoint, true).catch(() => undefined);
    throw error;
  }
  if (mounted.by !== "handed-in") await raiseReadAhead(mounted.mountpoint, options.readAheadBytes ?? DEFAULT_READ_AHEAD);
  return session;
}
