// The second front end: libfuse 2.9's path interface, through the addon of the fuse-native package. For systems on which native/ cannot
// be built. Slower, and it loses things on the way: see pathOperations.ts and libfuseCalls.ts.

import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { readdir, readlink } from "node:fs/promises";
import type { Filesystem, Notifier } from "../fs/filesystem.js";
import { childEnvironment } from "../util/childEnvironment.js";
import type { Logger } from "../util/log.js";
import { whyNoAddon } from "./channel.js";
import { describeError } from "./failures.js";
import { findFusermount, unmountByFusermount } from "./fusermount.js";
import { type LibfuseAddon, loadLibfuse } from "./libfuse.js";
import { LibfuseCalls } from "./libfuseCalls.js";
import { mountDirectory, unmountAt } from "./mount.js";
import { libfuseOptions, type MountRequest } from "./mountOptions.js";
import { PathOperations } from "./pathOperations.js";
import type { Support } from "./support.js";
import { type FrontEnd, type FrontEndStats, MountError } from "./types.js";

export interface FuseNativeMountOptions extends MountRequest {
  /** A directory. */
  readonly mountpoint: string;
  readonly logger: Logger;
  /** One readable line per operation goes here; absent: there is none. */
  readonly wireLog?: ((line: string) => void) | undefined;
}

/** Nothing tells when the kernel lets go: it is looked for this often, in milliseconds. */
const LOOK_EVERY = 200;
const START_TIMEOUT = 30_000;
/** fuse_native_mount copies the options into so many bytes, and cuts what is longer. */
const LONGEST = 1023;

/** The library cannot be told to forget; its timeouts are short instead (`libfuseOptions`). */
const NO_NOTIFIER: Notifier = { invalidateInode: () => undefined, invalidateEntry: () => undefined, deleteEntry: () => undefined };

/** Memory that the library's threads may look at as long as the process lives. */
const threads = new Set<Buffer>();

/** For `doctor`, and for `--driver=auto`. `why` is one sentence without its full stop. */
export function supportsFuseNative(): Support {
  const addon = loadLibfuse();
  if ("why" in addon) return { ok: false, why: addon.why };
  if (process.platform === "linux" && !existsSync("/dev/fuse")) return { ok: false, why: "there is no /dev/fuse" };
  return { ok: true };
}

/** Mounts and serves. Resolves when the kernel has begun to ask. @throws MountError with one sentence for the user */
export async function mountFuseNative(filesystem: Filesystem, options: FuseNativeMountOptions): Promise<FrontEnd> {
  const addon = loadLibfuse();
  if ("why" in addon) throw new MountError("no-driver", `the fuse-native front end cannot be used: ${addon.why}`);
  if (options.mountpoint.startsWith("/dev/fd/")) throw new MountError("no-driver", "the fuse-native front end cannot serve a descriptor that was handed in");
  const mountpoint = await mountDirectory(options.mountpoint);
  const session = new LibfuseSession(addon, filesystem, { ...options, mountpoint });
  await session.start();
  return session;
}

class LibfuseSession implements FrontEnd {
  readonly driver = "fuse-native";
  readonly kernel = undefined;
  readonly mountpoint: string;
  readonly closed: Promise<void>;
  readonly #addon: LibfuseAddon;
  readonly #filesystem: Filesystem;
  readonly #options: FuseNativeMountOptions;
  readonly #operations: PathOperations;
  readonly #calls: LibfuseCalls;
  readonly #ending = new AbortController();
  readonly #thread: Buffer;
  /** The library's /dev/fuse, in /proc/self/fd. */
  #descriptor: string | undefined;
  #watch: NodeJS.Timeout | undefined;
  #ended: Promise<void> | undefined;
  #resolveClosed!: () => void;
  #rejectClosed!: (reason: unknown) => void;

  constructor(addon: LibfuseAddon, filesystem: Filesystem, options: FuseNativeMountOptions) {
    this.#addon = addon;
    this.#filesystem = filesystem;
    this.#options = options;
    this.mountpoint = options.mountpoint;
    this.closed = new Promise((resolve, reject) => {
      this.#resolveClosed = resolve;
      this.#rejectClosed = reject;
    });
    this.closed.catch(() => undefined);
    this.#operations = new PathOperations(filesystem, { uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0 }, this.#ending.signal,
      (path, error) => options.logger.error({ path, causes: describeError(error) }, "a file unlinked while open is still there"));
    this.#calls = new LibfuseCalls(addon, this.#operations, options.logger, options.wireLog);
    this.#thread = Buffer.alloc(addon.sizeof_fuse_thread_t);
    threads.add(this.#thread);
    filesystem.setNotifier(NO_NOTIFIER);
  }

  async start(): Promise<void> {
    const words = libfuseOptions(this.#options);
    if (Buffer.byteLength(words) > LONGEST - 2) throw new MountError("failed", "the name of the mount (fsname) is too long for the fuse-native front end");
    if (Buffer.byteLength(this.mountpoint) > LONGEST) throw new MountError("mountpoint", `${this.mountpoint} is too long a path for the fuse-native front end`);
    const before = await descriptors();
    let timer: NodeJS.Timeout | undefined;
    const answered = new Promise<void>((resolve, reject) => {
      const { handlers, implemented } = this.#calls.table(resolve);
      timer = setTimeout(() => reject(new MountError("failed", `the kernel did not begin to ask for ${this.mountpoint}`)), START_TIMEOUT);
      try {
        this.#addon.fuse_native_mount(this.mountpoint, `-o${words}`, this.#thread, this, (size) => Buffer.alloc(size), handlers, implemented);
      } catch (error) {
        reject(new MountError("failed", `libfuse could not mount ${this.mountpoint}: what it says stands on standard error`, error));
      }
    }).finally(() => clearTimeout(timer));
    await answered;
    const opened = [...await descriptors()].filter((fd) => !before.has(fd));
    this.#descriptor = opened[0];
    if (this.#descriptor !== undefined) this.#watch = setTimeout(() => void this.#look(), LOOK_EVERY);
  }

  /** The library closes its device when the kernel has let go and all its threads have ended. */
  async #look(): Promise<void> {
    clearTimeout(this.#watch);
    if (this.#ended !== undefined) return;
    if (await isDevice(this.#descriptor as string)) this.#watch = setTimeout(() => void this.#look(), LOOK_EVERY);
    else await this.#end();
  }

  async unmount({ lazy }: { readonly lazy: boolean }): Promise<void> {
    if (this.#ended !== undefined) return;
    await detach(this.mountpoint, lazy);
    // Where nothing can be looked at (macOS), this is all that tells.
    if (this.#descriptor === undefined) await this.#end();
  }

  #end(): Promise<void> {
    this.#ended ??= this.#finish();
    return this.#ended;
  }

  async #finish(): Promise<void> {
    clearTimeout(this.#watch);
    this.#ending.abort(new DOMException("the mount has ended", "AbortError"));
    await this.#calls.idle();
    await this.#operations.close();
    this.#addon.fuse_native_unmount(this.mountpoint, this.#thread);
    try {
      await this.#filesystem.destroy();
      this.#resolveClosed();
    } catch (error) {
      this.#rejectClosed(error);
    }
  }

  stats(): FrontEndStats {
    const { counts, failures, inFlight, bytesRead, bytesWritten } = this.#calls;
    return { operations: upper(counts), failures: upper(failures), inFlight, bytesRead, bytesWritten, interrupts: 0, notifications: 0 };
  }
}

const DESCRIPTORS = "/proc/self/fd";

function isDevice(descriptor: string): Promise<boolean> {
  return readlink(`${DESCRIPTORS}/${descriptor}`).then((target) => target === "/dev/fuse", () => false);
}

/** Open descriptors of the fuse device; none where there is no /proc. */
async function descriptors(): Promise<Set<string>> {
  const found = new Set<string>();
  for (const descriptor of await readdir(DESCRIPTORS).catch(() => [])) if (await isDevice(descriptor)) found.add(descriptor);
  return found;
}

function upper(counts: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(counts).map(([name, count]) => [name.toUpperCase(), count]));
}

/** By the native addon where there is one; else by the system's programs. @throws MountError */
async function detach(mountpoint: string, lazy: boolean): Promise<void> {
  if (whyNoAddon() === undefined) return await unmountAt(mountpoint, lazy);
  if (process.geteuid?.() !== 0 && findFusermount() !== undefined) return await unmountByFusermount(mountpoint, lazy);
  const [program, args] = process.platform === "darwin" ? ["diskutil", ["unmount", ...(lazy ? ["force"] : []), mountpoint]] as const
    : ["umount", [...(lazy ? ["-l"] : []), "--", mountpoint]] as const;
  await new Promise<void>((resolve, reject) => {
    execFile(program, args, { timeout: START_TIMEOUT, env: childEnvironment() }, (error, _stdout, stderr) => {
      if (error === null) resolve();
      else if (/busy/i.test(stderr)) reject(new MountError("busy", `${mountpoint} is in use: close what is open there, or unmount with --lazy`, error));
      else if (/not mounted|not found/i.test(stderr)) reject(new MountError("not-mounted", `${mountpoint} is not mounted`, error));
      else reject(new MountError("failed", `${mountpoint} cannot be unmounted: ${stderr.trim()}`, error));
    });
  });
}
