// How loud a failure is, and how it is told.

import { inspect } from "node:util";
import type { ErrnoName, FsError } from "../fs/errors.js";

/** What programs meet and handle every day: missing names, refusals that they asked for, their own interrupts. */
const EXPECTED = new Set<ErrnoName>([
  "ENOENT", "EEXIST", "ENODATA", "ENOTEMPTY", "ENOTDIR", "EISDIR", "EINTR", "EPERM", "EOPNOTSUPP", "ENOTTY", "ENXIO", "ERANGE", "EXDEV",
  "EINVAL", "ENAMETOOLONG", "ELOOP", "EROFS", "EAGAIN", "EFBIG",
]);
/** Something is wrong, though not here: the user, the store or the disk has to do with it. */
const NOTEWORTHY = new Set<ErrnoName>(["EACCES", "ESTALE", "ENOSPC", "EDQUOT", "EBUSY", "EBADF", "ETIMEDOUT", "EMFILE", "ENFILE", "ENOMEM", "ECANCELED"]);

/** `error` is absent for a malformed message, which is never expected. */
export function levelOf(errno: ErrnoName, error: FsError | undefined): "debug" | "warn" | "error" {
  if (error === undefined) return "error";
  if (EXPECTED.has(errno)) return "debug";
  return NOTEWORTHY.has(errno) ? "warn" : "error";
}

/** The chain of causes, outermost first, each as one line. */
export function describeError(thrown: unknown): readonly string[] {
  const chain: string[] = [];
  let current: unknown = thrown;
  while (current !== undefined && current !== null && chain.length < 10) {
    if (!(current instanceof Error)) {
      chain.push(inspect(current, { depth: 1 }));
      break;
    }
    chain.push(`${current.name}: ${current.message}`);
    current = current.cause;
  }
  return chain;
}
