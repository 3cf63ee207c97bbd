// INIT: what the kernel offers, what is taken of it, and why.

import { INIT, INIT2, LOWEST_MINOR, MAX_WRITE, PAGE_SIZE, PROTOCOL_MAJOR, PROTOCOL_MINOR } from "./constants.js";
import type { MessageReader } from "./reader.js";
import type { MessageWriter } from "./writer.js";

export interface InitRequest {
  readonly major: number;
  readonly minor: number;
  readonly maxReadahead: number;
  readonly flags: number;
  readonly flags2: number;
}

export interface InitWishes {
  /** Ask for FUSE_PASSTHROUGH: only CAP_SYS_ADMIN may register backing files, so only then. */
  readonly passthrough: boolean;
  /** Background requests (read-ahead, asynchronous direct I/O) that the kernel may have under way. */
  readonly maxBackground: number;
}

/** What both sides agreed on. Plain data: a successor on the same descriptor is given it (it sees no INIT of its own). */
export interface Negotiated {
  /** The kernel's own version. */
  readonly kernelMajor: number;
  readonly kernelMinor: number;
  /** The lower of both minors: what the structures follow. */
  readonly minor: number;
  readonly maxReadahead: number;
  readonly maxBackground: number;
  readonly flags: number;
  readonly flags2: number;
}

/** struct fuse_init_in; the second half came with 7.36. */
export function readInit(message: MessageReader): InitRequest {
  const major = message.u32();
  const minor = message.u32();
  // Before 7.6, and of a newer major, there is nothing more to be relied on.
  const maxReadahead = message.remaining >= 8 ? message.u32() : 0;
  const flags = message.remaining >= 4 ? message.u32() : 0;
  const flags2 = (flags & INIT.INIT_EXT) !== 0 && message.remaining >= 4 ? message.u32() : 0;
  return { major, minor, maxReadahead, flags, flags2 };
}

const WANTED = INIT.ASYNC_READ | INIT.ATOMIC_O_TRUNC | INIT.BIG_WRITES | INIT.DO_READDIRPLUS | INIT.READDIRPLUS_AUTO
  | INIT.ASYNC_DIO | INIT.PARALLEL_DIROPS | INIT.MAX_PAGES | INIT.SETXATTR_EXT | INIT.INIT_EXT
  // Reading the device after an abort gives ECONNABORTED, and ENODEV after an unmount: two different lines in the log.
  | INIT.ABORT_ERROR
  // A symlink's target changes only by becoming another inode, or with a notification.
  | INIT.CACHE_SYMLINKS
  // Not AUTO_INVAL_DATA: with it the kernel drops an inode's pages whenever a new mtime or size is seen. A commit replaces
  // the local mtime by the store's, so every file would lose its cached pages right after it was written. Which version
  // an inode shows is known here by etag: pages are dropped at open (no KEEP_CACHE) and by notification.
  | INIT.EXPLICIT_INVAL_DATA
  // Without it the kernel asks for the xattr security.capability before every write(2). The filesystem clears set-id bits
  // itself: the requests carry a flag for it.
  | INIT.HANDLE_KILLPRIV_V2;

// Not taken:
// WRITEBACK_CACHE   the kernel would own size and mtime, and report a failed write after close(2) had succeeded.
// POSIX_LOCKS, FLOCK_LOCKS   the store has no locks; left out, the kernel locks by itself among this host's processes.
// POSIX_ACL         the kernel would ask for ACLs that no store keeps; default_permissions checks the mode alone.
// EXPORT_SUPPORT    an inode number means nothing once it is forgotten, so file handles cannot be resolved.
// SPLICE_*          replies are slices of Buffers, not pipes.
// NO_OPEN_SUPPORT, NO_OPENDIR_SUPPORT   an open pins a version; an opendir holds a listing.
// DONT_MASK         the kernel applies the umask.
// SECURITY_CTX, CREATE_SUPP_GROUP   owners are numbers in metadata; nothing is created with the caller's credentials.
// HAS_IOCTL_DIR, MAP_ALIGNMENT, HAS_INODE_DAX, SUBMOUNTS   there are no ioctls, no DAX windows, no submounts.
// DIRECT_IO_ALLOW_MMAP   a direct handle promises that every byte is asked for; a shared mapping could not keep that.
// ALLOW_IDMAP       owners are stored as they come. REQUEST_TIMEOUT: the store layer has its own, and writes may take long.
// OVER_IO_URING     messages come through the device.

const WANTED2 = INIT2.HAS_RESEND
  // File handles (NFS export, name_to_handle_at) are refused at once instead of going stale at random.
  | INIT2.NO_EXPORT_SUPPORT;

export type InitAnswer =
  | { readonly kind: "agreed"; readonly negotiated: Negotiated }
  /** The kernel speaks a newer major: it will send another INIT after it is told ours. */
  | { readonly kind: "again" }
  | { readonly kind: "refused"; readonly why: string };

export function negotiate(request: InitRequest, wishes: InitWishes): InitAnswer {
  if (request.major > PROTOCOL_MAJOR) return { kind: "again" };
  if (request.major < PROTOCOL_MAJOR || request.minor < LOWEST_MINOR) {
    return { kind: "refused", why: `this kernel speaks FUSE ${request.major}.${request.minor}, objmount needs `
      + `${PROTOCOL_MAJOR}.${LOWEST_MINOR} or newer (Linux 5.4)` };
  }
  const wanted2 = WANTED2 | (wishes.passthrough ? INIT2.PASSTHROUGH : 0);
  return { kind: "agreed", negotiated: {
    kernelMajor: request.major,
    kernelMinor: request.minor,
    minor: Math.min(request.minor, PROTOCOL_MINOR),
    maxReadahead: request.maxReadahead,
    maxBackground: wishes.maxBackground,
    flags: request.flags & WANTED,
    flags2: request.flags2 & wanted2,
  } };
}

/** struct fuse_init_out: 64 bytes since 7.23. */
export function writeInit(out: MessageWriter, agreed: Negotiated): void {
  out.u32(PROTOCOL_MAJOR);
  out.u32(PROTOCOL_MINOR);
  out.u32(agreed.maxReadahead);
  out.u32(agreed.flags);
  out.u16(agreed.maxBackground);
  // Congestion: above this the kernel holds back read-ahead, not readers.
  out.u16(Math.floor(agreed.maxBackground * 3 / 4));
  out.u32(MAX_WRITE);
  // Times are kept in nanoseconds.
  out.u32(1);
  out.u16(MAX_WRITE / PAGE_SIZE);
  out.u16(0);
  out.u32(agreed.flags2);
  // max_stack_depth 1: backing files lie on a file system that is not itself stacked; 0 without passthrough.
  out.u32((agreed.flags2 & INIT2.PASSTHROUGH) === 0 ? 0 : 1);
  // request_timeout (7.43) and what is reserved.
  out.zeros(2 + 11 * 2);
}

/** The answer to a newer major: nothing but our version is read of it. */
export function writeOwnVersion(out: MessageWriter): void {
  out.u32(PROTOCOL_MAJOR);
  out.u32(PROTOCOL_MINOR);
  out.zeros(56);
}
