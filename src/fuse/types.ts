// What the rest of the program sees of a mount, whichever front end serves it, and what the protocol side sees of the channel.

import type { Negotiated } from "./protocol/init.js";

export type Driver = "native" | "fuse-native";

/** Counters since the mount began; for `status` and for the end of a test. */
export interface FrontEndStats {
  /** Requests by operation name (`READ`, `LOOKUP`), those that failed included. */
  readonly operations: Readonly<Record<string, number>>;
  /** Failures by operation name. */
  readonly failures: Readonly<Record<string, number>>;
  readonly inFlight: number;
  readonly bytesRead: number;
  readonly bytesWritten: number;
  readonly interrupts: number;
  readonly notifications: number;
}

/** The kernel's side of the agreement, for `doctor` and `status`. */
export interface KernelFacts {
  /** "7.45" */
  readonly protocol: string;
  readonly features: readonly string[];
  /** Backing files can be registered: opens that name one are served by the kernel itself. */
  readonly passthrough: boolean;
}

/** One mount being served. Made by `mountNative`, and by the second front end. */
export interface FrontEnd {
  readonly driver: Driver;
  readonly mountpoint: string;
  /** Absent where the driver cannot tell. */
  readonly kernel: KernelFacts | undefined;
  /**
   * Resolves when the kernel has let go of the mount and the filesystem's `destroy` has ended; rejects with the latter's
   * error, or when the connection broke for another reason than an unmount.
   */
  readonly closed: Promise<void>;
  /**
   * Asks the kernel to unmount. Resolves when the mount is gone from the tree; `closed` follows. `lazy`: detached at once,
   * and served until its last user has gone. Rejects with MountError: `busy` while files are open and not lazy.
   */
  unmount(options: { readonly lazy: boolean }): Promise<void>;
  stats(): FrontEndStats;
}

export type MountErrorCode =
  | "no-device" | "no-driver" | "no-fusermount" | "denied" | "allow-other" | "mountpoint" | "busy" | "dead" | "not-mounted"
  | "kernel-too-old" | "failed";

/** A mount or unmount that did not happen. The message is one sentence that says what to do. */
export class MountError extends Error {
  override readonly name = "MountError";
  readonly code: MountErrorCode;

  constructor(code: MountErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
  }
}

/**
 * The connection as `dispatch.ts` sees it: whole messages in, whole replies out. Results are 0 (or more) or a negative
 * errno. The channel of the addon implements it; so does the fake kernel of the tests.
 */
export interface Channel {
  /** The head of the next reply is laid out here, and leaves before the next await. */
  readonly output: Buffer;
  /** The next message is read into this buffer. */
  useInput(input: Buffer): void;
  /** Writes `output[0, length)`. */
  send(length: number): number;
  /** Writes `output[0, length)` and the slices behind it as one reply. At most 1000 slices. */
  sendWith(length: number, slices: readonly Buffer[]): number;
  /** Queues a notification; it is written in order, by another thread than the event loop's. */
  notify(message: Buffer): void;
  /** @returns a backing id */
  openBacking(fd: number): number;
  closeBacking(id: number): number;
  /** Lets go of the device. No message comes after it. */
  close(): void;
}

/** `length` bytes of a message are in the input buffer; or a negative errno: the connection has ended, nothing more comes. */
export type OnMessage = (length: number) => void;

/** Receives the agreement once INIT is answered. */
export type OnNegotiated = (negotiated: Negotiated) => void;
