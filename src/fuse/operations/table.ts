// One row for every operation of the protocol. A new opcode without a row does not compile. The kernel remembers ENOSYS
// for the life of the mount, so each one below is a choice, and its reason stands beside it.

import type { ErrnoName } from "../../fs/errors.js";
import { OPCODE, type OpcodeName } from "../protocol/constants.js";
import * as attributes from "./attributes.js";
import * as directories from "./directories.js";
import * as files from "./files.js";
import * as names from "./names.js";
import type { Operation } from "./operation.js";

export type Row =
  /** Answered by the filesystem. */
  | { readonly kind: "served"; readonly operation: Operation<unknown> }
  /** Answered with this errno, always. */
  | { readonly kind: "refused"; readonly errno: ErrnoName; readonly reason: string }
  /** Handled by the dispatcher itself, before anything else happens. */
  | { readonly kind: "inline"; readonly does: "init" | "forget" | "batch-forget" | "interrupt" | "ignore" };

export type NamedRow = Row & { readonly name: OpcodeName };

/** The table forgets the result's type: what `call` gives, the same row's `reply` takes. */
function served<T>(operation: Operation<T>): Row {
  return { kind: "served", operation: operation as Operation<unknown> };
}

function refused(errno: ErrnoName, reason: string): Row {
  return { kind: "refused", errno, reason };
}

const ROWS: Readonly<Record<OpcodeName, Row>> = {
  INIT: { kind: "inline", does: "init" },
  FORGET: { kind: "inline", does: "forget" },
  BATCH_FORGET: { kind: "inline", does: "batch-forget" },
  INTERRUPT: { kind: "inline", does: "interrupt" },
  // The answer to NOTIFY_RETRIEVE, which is never sent. It takes no reply.
  NOTIFY_REPLY: { kind: "inline", does: "ignore" },
  DESTROY: served(directories.destroy),

  LOOKUP: served(names.lookup),
  SYMLINK: served(names.symlink),
  MKNOD: served(names.mknod),
  MKDIR: served(names.mkdir),
  UNLINK: served(names.unlink),
  RMDIR: served(names.rmdir),
  RENAME: served(names.rename),
  RENAME2: served(names.rename2),
  // The filesystem answers EPERM, on which programs fall back to rename or copy.
  LINK: served(names.link),

  GETATTR: served(attributes.getattr),
  SETATTR: served(attributes.setattr),
  READLINK: served(attributes.readlink),
  STATFS: served(attributes.statfs),
  SETXATTR: served(attributes.setxattr),
  GETXATTR: served(attributes.getxattr),
  LISTXATTR: served(attributes.listxattr),
  REMOVEXATTR: served(attributes.removexattr),

  OPEN: served(files.open),
  CREATE: served(files.create),
  READ: served(files.read),
  WRITE: served(files.write),
  FLUSH: served(files.flush),
  RELEASE: served(files.release),
  FSYNC: served(files.fsync),
  FALLOCATE: served(files.fallocate),
  LSEEK: served(files.lseek),
  COPY_FILE_RANGE: served(files.copyFileRange),
  COPY_FILE_RANGE_64: served(files.copyFileRange64),

  OPENDIR: served(directories.opendir),
  READDIR: served(directories.readdir),
  READDIRPLUS: served(directories.readdirplus),
  RELEASEDIR: served(directories.releasedir),
  FSYNCDIR: served(directories.fsyncdir),
  SYNCFS: served(directories.syncfs),

  ACCESS: refused("ENOSYS", "default_permissions: the kernel checks the mode, and asks no more after this answer"),
  GETLK: refused("ENOSYS", "locks were not negotiated: the kernel keeps them itself, for this host"),
  SETLK: refused("ENOSYS", "as GETLK"),
  SETLKW: refused("ENOSYS", "as GETLK"),
  BMAP: refused("ENOSYS", "a file has no blocks on a device; remembered, FIBMAP fails without asking"),
  // Not ENOSYS: what an ioctl that the file does not know gives is ENOTTY, and other ioctls may come.
  IOCTL: refused("ENOTTY", "no ioctl is known"),
  POLL: refused("ENOSYS", "always ready, as on a local disk: the kernel says so itself after this answer"),
  SETUPMAPPING: refused("ENOSYS", "no DAX window was offered"),
  REMOVEMAPPING: refused("ENOSYS", "no DAX window was offered"),
  TMPFILE: refused("ENOSYS", "an object without a key cannot exist; O_TMPFILE then fails with EOPNOTSUPP, and programs use a named file"),
  STATX: refused("ENOSYS", "there is no birth time to add: the kernel asks GETATTR instead"),
  CUSE_INIT: refused("ENOSYS", "this is no character device"),
};

const BY_NUMBER: (NamedRow | undefined)[] = [];
for (const [name, row] of Object.entries(ROWS) as [OpcodeName, Row][]) {
  if (OPCODE[name] < 256) BY_NUMBER[OPCODE[name]] = { ...row, name };
}
const CUSE_INIT: NamedRow = { ...ROWS.CUSE_INIT, name: "CUSE_INIT" };

/** Undefined for an opcode that this protocol version does not have. */
export function rowOf(opcode: number): NamedRow | undefined {
  return opcode === OPCODE.CUSE_INIT ? CUSE_INIT : BY_NUMBER[opcode];
}

export function opcodeName(opcode: number): string {
  return rowOf(opcode)?.name ?? `opcode ${opcode}`;
}
