// Why a mount could not be made or ended, in words for people and one word for the exit code.

import { MountError, type MountErrorCode } from "../fuse/types.js";
import { isStoreError, type StoreErrorKind } from "../store/errors.js";

export type FailureKind =
  | "usage" | "url"
  | "no-device" | "no-fusermount" | "no-driver" | "mount-refused"
  | "store-unreachable" | "store-denied" | "no-container" | "store-failed"
  | "mountpoint-missing" | "mountpoint-not-directory" | "mountpoint-not-empty" | "already-mounted" | "mountpoint-dead" | "mountpoint-access"
  | "unsaved" | "busy" | "not-mounted" | "daemon-silent" | "not-permitted"
  | "timeout" | "state-directory" | "doctor" | "unexpected";

/** `message`: one sentence that names what was wrong and what to do, no secret. */
export class MountFailure extends Error {
  override readonly name = "MountFailure";
  readonly kind: FailureKind;

  constructor(kind: FailureKind, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.kind = kind;
  }
}

const OF_STORE: Partial<Record<StoreErrorKind, FailureKind>> = {
  unavailable: "store-unreachable", throttled: "store-unreachable", denied: "store-denied", "no-container": "no-container",
  invalid: "url", aborted: "timeout",
};

const OF_MOUNT: Readonly<Record<MountErrorCode, FailureKind>> = {
  "no-device": "no-device", "no-driver": "no-driver", "no-fusermount": "no-fusermount", denied: "mount-refused", "allow-other": "usage",
  mountpoint: "mountpoint-access", busy: "already-mounted", dead: "mountpoint-dead", "not-mounted": "not-mounted",
  "kernel-too-old": "no-driver", failed: "mount-refused",
};

const LOCAL = new Set(["EACCES", "EPERM", "EROFS"]);

/** What was thrown, as a MountFailure; `what` says what was being done: "opening s3://photos". */
export function toFailure(error: unknown, what: string): MountFailure {
  if (error instanceof MountFailure) return error;
  if (isStoreError(error)) {
    const kind = OF_STORE[error.kind] ?? "store-failed";
    const advice = kind === "no-container" ? ": create it, pass --create-container, or correct the name"
      // Of a local disk, the file's owner decides, not credentials.
      : kind === "store-denied" ? LOCAL.has((error.cause as NodeJS.ErrnoException | undefined)?.code ?? "") ? "" : "; run \"objmount doctor\" with this URL to see where credentials were looked for"
      // An answer with a status came from the service itself.
      : kind === "store-unreachable" ? (error.status === undefined ? ": check the endpoint and the network" : ": try again in a while, or ask those who run it") : "";
    // A sentence that ends in a question has its advice.
    const told = error.message.endsWith("?") ? error.message : `${error.message.replace(/\.$/, "")}${advice}`;
    return new MountFailure(kind, sentence(told), error);
  }
  if (error instanceof MountError) return new MountFailure(OF_MOUNT[error.code], sentence(error.message), error);
  const message = error instanceof Error ? error.message : String(error);
  return new MountFailure("unexpected", sentence(`${what} failed: ${message}`), error);
}

function sentence(text: string): string {
  const closed = /[.!?]$/.test(text) ? text : `${text}.`;
  // A URL, a path and our own name keep their letters.
  return /^(?:\S*[:/]|objmount\b)/.test(closed) ? closed : closed.charAt(0).toUpperCase() + closed.slice(1);
}
