// The filesystem's errors, and the one place where a failure of the store becomes an errno.

import { isStoreError, type StoreError, type StoreErrorKind } from "../store/errors.js";

/** Linux errno numbers (asm-generic/errno.h); sent to the kernel negated. */
export const ERRNO = {
  EPERM: 1, ENOENT: 2, EINTR: 4, EIO: 5, ENXIO: 6, E2BIG: 7, EBADF: 9, EAGAIN: 11, ENOMEM: 12, EACCES: 13, EBUSY: 16,
  EEXIST: 17, EXDEV: 18, ENODEV: 19, ENOTDIR: 20, EISDIR: 21, EINVAL: 22, ENFILE: 23, EMFILE: 24, ENOTTY: 25,
  EFBIG: 27, ENOSPC: 28, ESPIPE: 29, EROFS: 30, EMLINK: 31, ERANGE: 34, ENAMETOOLONG: 36, ENOSYS: 38, ENOTEMPTY: 39,
  ELOOP: 40, ENODATA: 61, EPROTO: 71, EOVERFLOW: 75, EOPNOTSUPP: 95, ETIMEDOUT: 110, ESTALE: 116, EDQUOT: 122,
  ECANCELED: 125,
} as const;
export type ErrnoName = keyof typeof ERRNO;

export interface FsErrorDetails {
  readonly ino?: number | undefined;
  readonly key?: string | undefined;
  readonly cause?: unknown;
}

/** The only error that leaves `src/fs`. An expected miss (a lookup of a name that is not there) carries no message of note. */
export class FsError extends Error {
  override readonly name = "FsError";
  readonly errno: ErrnoName;
  readonly ino: number | undefined;
  readonly key: string | undefined;

  constructor(errno: ErrnoName, message: string = errno, details: FsErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.errno = errno;
    this.ino = details.ino;
    this.key = details.key;
  }
}

const OF_KIND: Readonly<Record<StoreErrorKind, ErrnoName>> = {
  "not-found": "ENOENT",
  "no-container": "EIO",
  denied: "EACCES",
  exists: "EEXIST",
  // The version that was opened is no longer the current one.
  precondition: "ESTALE",
  range: "EINVAL",
  throttled: "EIO",
  unavailable: "EIO",
  unsupported: "EOPNOTSUPP",
  corrupt: "EIO",
  aborted: "EINTR",
  quota: "EDQUOT",
  invalid: "EINVAL",
  "not-empty": "ENOTEMPTY",
  unexpected: "EIO",
};

/** The errno of a store failure, where the operation has no better word for it. */
export function errnoOfStore(error: StoreError): ErrnoName {
  return OF_KIND[error.kind];
}

const OF_NODE_CODE = new Set<string>(Object.keys(ERRNO));

/** Turns whatever was thrown into an FsError; an FsError comes back as it is. Unknown things become EIO. */
export function toFsError(error: unknown, details: FsErrorDetails = {}): FsError {
  if (error instanceof FsError) return error;
  if (isStoreError(error)) {
    return new FsError(errnoOfStore(error), error.message, { key: error.key, ...details, cause: error });
  }
  if (error instanceof Error) {
    // The staging directory is a local one: its own errno (ENOSPC, EDQUOT, EROFS) is the truth.
    const code = (error as NodeJS.ErrnoException).code;
    const errno = code !== undefined && OF_NODE_CODE.has(code) ? (code as ErrnoName) : "EIO";
    return new FsError(errno, error.message, { ...details, cause: error });
  }
  return new FsError("EIO", String(error), { ...details, cause: error });
}
