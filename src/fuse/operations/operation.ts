// The shape of a row's work: bytes to a call, its result to bytes. Errors are thrown; dispatch.ts alone answers them.

import type { Fh, Filesystem, Ino } from "../../fs/filesystem.js";
import type { Inputs } from "../inputs.js";
import type { OpenModes } from "../openModes.js";
import type { Negotiated } from "../protocol/init.js";
import { ProtocolError } from "../protocol/protocolError.js";
import type { MessageReader } from "../protocol/reader.js";
import type { Replies } from "../replies.js";
import type { Request } from "../request.js";

/** What every operation can reach. One per session. */
export interface Environment {
  readonly filesystem: Filesystem;
  readonly replies: Replies;
  readonly inputs: Inputs;
  readonly openModes: OpenModes;
  /** Undefined until INIT: then nothing but INIT is served. */
  negotiated: Negotiated | undefined;
  /** Handles whose file has lost its set-id bits already, so that not every WRITE has to ask. */
  readonly killed: Set<Fh>;
  bytesRead: number;
  bytesWritten: number;
  /** The filesystem's `destroy`, once. */
  destroy(): Promise<void>;
  /** Names that a listing held and the kernel must not see. */
  refusedNames(ino: Ino, names: readonly string[]): void;
}

export interface Operation<T> {
  /**
   * Reads all of the message before it returns (the buffer takes the next one then; WRITE holds its own), and starts the
   * work. Also sets on the request what its reply and the log need.
   */
  call(env: Environment, request: Request, message: MessageReader): Promise<T>;
  /** @returns whether the kernel took the reply. */
  reply(env: Environment, request: Request, result: T): boolean;
  /** Takes back what the kernel never heard of: lookup counts and handles. */
  undo?(env: Environment, request: Request, result: T): void;
  /** It changes something, or lets go of something: it is not cut short when the mount ends. */
  readonly lasting?: boolean;
}

/** A name in a directory. */
export function readName(request: Request, message: MessageReader): string {
  const name = message.text();
  if (name === "" || name.includes("/")) throw new ProtocolError("not a name");
  request.subject = name;
  return name;
}

export function readFh(request: Request, message: MessageReader): Fh {
  return (request.fh = message.u64() as Fh);
}

export function replyEmpty(env: Environment, request: Request): boolean {
  return env.replies.empty(request);
}
