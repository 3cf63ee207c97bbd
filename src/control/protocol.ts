// The control socket of a mount: JSON, one object per line, over a unix socket that only the mount's user and root can
// reach. The server speaks first, with a greeting; the client asks one thing per line; an answer may be preceded by
// events of the same id. Fields may be added within a protocol number; none is taken away or given another meaning.

export const CONTROL_PROTOCOL = 1;
/** Longest line either side takes. */
export const MAX_LINE = 4 * 2 ** 20;

export interface Greeting { readonly objmount: string; readonly protocol: number; readonly pid: number }

/** A staged file that is not yet an object. Times are milliseconds since the epoch, sizes bytes. */
export interface PendingStatus {
  readonly key: string;
  readonly state: string;
  readonly size: number;
  readonly uploaded: number;
  readonly since: number;
  readonly file: string;
  readonly error?: string | undefined;
}

export interface RequestCounts {
  readonly count: number;
  /** By the kind of error: `throttled`, `unavailable`. */
  readonly errors: Readonly<Record<string, number>>;
  readonly sent: number;
  readonly received: number;
  /** Half of them took at most this long, milliseconds, rounded up to a class; absent where there were none. */
  readonly medianMs?: number | undefined;
}

/** What `objmount status --json` prints for one mount. */
export interface MountStatus {
  readonly version: string;
  readonly pid: number;
  readonly url: string;
  /** The store's own label: no secret in it. */
  readonly store: string;
  readonly mountpoint: string;
  readonly since: number;
  readonly state: "mounted" | "draining";
  readonly readOnly: boolean;
  readonly driver: string;
  /** "7.45", or absent where the driver does not know. */
  readonly kernelProtocol?: string | undefined;
  readonly log: { readonly level: string; readonly file?: string | undefined };
  readonly memory: { readonly limit: number; readonly used: number; readonly peak: number; readonly resident: number };
  readonly reads: { readonly cachedBytes: number; readonly hits: number; readonly misses: number; readonly fetchedBytes: number; readonly wastedBytes: number; readonly openHandles: number };
  readonly writes: { readonly pendingBytes: number; readonly committed: number; readonly failed: number; readonly uploadedBytes: number; readonly copiedBytes: number };
  readonly pending: readonly PendingStatus[];
  /** Requests that went to the store, by kind, repetitions included. */
  readonly requests: Readonly<Record<string, RequestCounts>>;
  /** Operations that the kernel asked for, by name. */
  readonly operations: Readonly<Record<string, number>>;
}

/** While a mount drains. */
export interface DrainProgress { readonly files: number; readonly bytes: number; readonly current?: string | undefined }

export interface UnmountParameters {
  /** Detach at once from the name space, and save what is left in the background. */
  readonly lazy: boolean;
}

/** `failed` files stay in the staging directory. */
export interface UnmountResult {
  readonly failed: readonly PendingStatus[];
}

/** What can be asked, what comes on the way, and what comes at the end. */
export interface ControlMethods {
  readonly status: { readonly parameters: Record<string, never>; readonly event: never; readonly result: MountStatus };
  readonly unmount: { readonly parameters: UnmountParameters; readonly event: DrainProgress; readonly result: UnmountResult };
  readonly "log-level": { readonly parameters: { readonly level: string }; readonly event: never; readonly result: { readonly level: string } };
}
export type ControlMethod = keyof ControlMethods;

export interface ControlRequest { readonly id: number; readonly method: string; readonly parameters?: unknown }

export type ControlReply =
  | { readonly id: number; readonly event: unknown }
  | { readonly id: number; readonly result: unknown }
  /** `code` is for programs: "busy", "invalid", "failed". */
  | { readonly id: number; readonly error: { readonly code: string; readonly message: string } };

/** What went wrong between the two ends, or what the daemon answered instead of a result. */
export class ControlError extends Error {
  override readonly name = "ControlError";
  /** "unreachable": nobody serves this socket. "silent": no answer in time. "protocol": another language. Else the daemon's own word. */
  readonly code: string;

  constructor(code: string, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
  }
}

/** Cuts a stream of text into lines. `push` answers the whole lines; throws ControlError when a line grows too long. */
export class LineSplitter {
  #rest = "";

  push(text: string): string[] {
    const lines = (this.#rest + text).split("\n");
    this.#rest = lines.pop() as string;
    if (this.#rest.length > MAX_LINE) throw new ControlError("protocol", "A line on the control socket is too long.");
    return lines.filter((line) => line !== "");
  }
}
