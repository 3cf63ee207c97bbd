import type { ErrnoName } from "../../fs/errors.js";

/** Bytes that do not make a message of the protocol, or a number that no file of ours can have. Answers its request. */
export class ProtocolError extends Error {
  override readonly name = "ProtocolError";
  readonly errno: ErrnoName;

  constructor(message: string, errno: ErrnoName = "EINVAL") {
    super(message);
    this.errno = errno;
  }
}
