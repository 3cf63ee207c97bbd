// What can go wrong at the store, in the store's terms. A backend classifies a failure where it first sees it
// (the lowest place that knows the protocol); nobody above re-classifies, and `src/fs/errors.ts` alone turns a
// kind into an errno.

export type StoreErrorKind =
  /** The object (or upload, or version) is not there: the server said so. Never used for "could not ask". */
  | "not-found"
  /** The container is not there. Separate from not-found: a missing container must not look like an empty one. */
  | "no-container"
  /** Credentials missing, wrong or expired beyond refresh, or permission withheld. */
  | "denied"
  /** The thing to be created is there already (a container; an object of an immutable store). */
  | "exists"
  /** ifMatch or ifNoneMatch did not hold: somebody else was faster, or the version read is gone. */
  | "precondition"
  /** The asked range lies outside the object. */
  | "range"
  /** The server asks to slow down (503 SlowDown, 429). */
  | "throttled"
  /** No usable answer: unreachable, reset, stalled, 5xx, HTML from a proxy, a body cut short. */
  | "unavailable"
  /** The store, or this object, cannot do that (capability missing, 501, archived object). */
  | "unsupported"
  /** Bytes or checksums that do not agree with what was promised. */
  | "corrupt"
  /** The caller's signal fired. */
  | "aborted"
  /** Quota or space is used up. */
  | "quota"
  /** The request itself is bad for this store: key too long, metadata too large, name refused. */
  | "invalid"
  /** The container is not empty (deleteContainer). */
  | "not-empty"
  /** Anything that fits none of the above: a bug here or there. */
  | "unexpected";

/**
 * Whether asking again can help.
 * - `never`: the answer will be the same.
 * - `transient`: likely to go away by itself; back off from the base delay.
 * - `throttled`: the server named the reason; back off harder, and honour `retryAfterMs`.
 * - `credentials`: ask again once after the credentials were refreshed (the backend has dropped the stale ones).
 */
export type RetryClass = "never" | "transient" | "throttled" | "credentials";

export interface StoreErrorDetails {
  readonly key?: string | undefined;
  /** HTTP status, where there was one. */
  readonly status?: number | undefined;
  /** The service's own code (`NoSuchKey`), for the log and for people. */
  readonly code?: string | undefined;
  /** The service's id of the request, for its support. */
  readonly requestId?: string | undefined;
  readonly retryAfterMs?: number | undefined;
  readonly retry?: RetryClass | undefined;
  readonly cause?: unknown;
}

const DEFAULT_RETRY: Partial<Record<StoreErrorKind, RetryClass>> = {
  throttled: "throttled",
  unavailable: "transient",
  corrupt: "transient",
};

/** The only error that leaves the store layer. `message` is one clear sentence and carries no secret. */
export class StoreError extends Error {
  override readonly name = "StoreError";
  readonly kind: StoreErrorKind;
  readonly retry: RetryClass;
  readonly key: string | undefined;
  readonly status: number | undefined;
  readonly code: string | undefined;
  readonly requestId: string | undefined;
  readonly retryAfterMs: number | undefined;

  constructor(kind: StoreErrorKind, message: string, details: StoreErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.kind = kind;
    this.retry = details.retry ?? DEFAULT_RETRY[kind] ?? "never";
    this.key = details.key;
    this.status = details.status;
    this.code = details.code;
    this.requestId = details.requestId;
    this.retryAfterMs = details.retryAfterMs;
  }
}

/** True for a StoreError of one of the given kinds. */
export function isStoreError(error: unknown, ...kinds: StoreErrorKind[]): error is StoreError {
  return error instanceof StoreError && (kinds.length === 0 || kinds.includes(error.kind));
}
