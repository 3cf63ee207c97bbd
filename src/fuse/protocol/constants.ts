// Numbers of the FUSE kernel protocol, from the kernel's include/uapi/linux/fuse.h as of 7.45. Sizes are bytes.

/** The protocol version spoken here; the kernel's minor may be lower (never below LOWEST_MINOR) or higher. */
export const PROTOCOL_MAJOR = 7;
export const PROTOCOL_MINOR = 45;
/** 7.31 (Linux 5.4): everything below lacks an INIT field or structure that this code relies on. */
export const LOWEST_MINOR = 31;

export const OPCODE = {
  LOOKUP: 1, FORGET: 2, GETATTR: 3, SETATTR: 4, READLINK: 5, SYMLINK: 6, MKNOD: 8, MKDIR: 9, UNLINK: 10, RMDIR: 11,
  RENAME: 12, LINK: 13, OPEN: 14, READ: 15, WRITE: 16, STATFS: 17, RELEASE: 18, FSYNC: 20, SETXATTR: 21, GETXATTR: 22,
  LISTXATTR: 23, REMOVEXATTR: 24, FLUSH: 25, INIT: 26, OPENDIR: 27, READDIR: 28, RELEASEDIR: 29, FSYNCDIR: 30,
  GETLK: 31, SETLK: 32, SETLKW: 33, ACCESS: 34, CREATE: 35, INTERRUPT: 36, BMAP: 37, DESTROY: 38, IOCTL: 39, POLL: 40,
  NOTIFY_REPLY: 41, BATCH_FORGET: 42, FALLOCATE: 43, READDIRPLUS: 44, RENAME2: 45, LSEEK: 46, COPY_FILE_RANGE: 47,
  SETUPMAPPING: 48, REMOVEMAPPING: 49, SYNCFS: 50, TMPFILE: 51, STATX: 52, COPY_FILE_RANGE_64: 53, CUSE_INIT: 4096,
} as const;
export type OpcodeName = keyof typeof OPCODE;

/** INIT flags. Bits 0..31 travel in `flags`, 32..63 in `flags2`: those stand in INIT2 with their bit number less 32. */
export const INIT = {
  ASYNC_READ: 1 << 0, POSIX_LOCKS: 1 << 1, ATOMIC_O_TRUNC: 1 << 3, EXPORT_SUPPORT: 1 << 4, BIG_WRITES: 1 << 5, DONT_MASK: 1 << 6,
  SPLICE_WRITE: 1 << 7, SPLICE_MOVE: 1 << 8, SPLICE_READ: 1 << 9, FLOCK_LOCKS: 1 << 10, HAS_IOCTL_DIR: 1 << 11,
  AUTO_INVAL_DATA: 1 << 12, DO_READDIRPLUS: 1 << 13, READDIRPLUS_AUTO: 1 << 14, ASYNC_DIO: 1 << 15, WRITEBACK_CACHE: 1 << 16,
  NO_OPEN_SUPPORT: 1 << 17, PARALLEL_DIROPS: 1 << 18, HANDLE_KILLPRIV: 1 << 19, POSIX_ACL: 1 << 20, ABORT_ERROR: 1 << 21,
  MAX_PAGES: 1 << 22, CACHE_SYMLINKS: 1 << 23, NO_OPENDIR_SUPPORT: 1 << 24, EXPLICIT_INVAL_DATA: 1 << 25,
  MAP_ALIGNMENT: 1 << 26, SUBMOUNTS: 1 << 27, HANDLE_KILLPRIV_V2: 1 << 28, SETXATTR_EXT: 1 << 29, INIT_EXT: 1 << 30,
} as const;
export const INIT2 = {
  SECURITY_CTX: 1 << 0, HAS_INODE_DAX: 1 << 1, CREATE_SUPP_GROUP: 1 << 2, HAS_EXPIRE_ONLY: 1 << 3, DIRECT_IO_ALLOW_MMAP: 1 << 4,
  PASSTHROUGH: 1 << 5, NO_EXPORT_SUPPORT: 1 << 6, HAS_RESEND: 1 << 7, ALLOW_IDMAP: 1 << 8, OVER_IO_URING: 1 << 9, REQUEST_TIMEOUT: 1 << 10,
} as const;

export const NOTIFY = { INVAL_INODE: 2, INVAL_ENTRY: 3, DELETE: 6, RESEND: 7 } as const;

/** fuse_setattr_in.valid */
export const FATTR = {
  MODE: 1 << 0, UID: 1 << 1, GID: 1 << 2, SIZE: 1 << 3, ATIME: 1 << 4, MTIME: 1 << 5, FH: 1 << 6, ATIME_NOW: 1 << 7,
  MTIME_NOW: 1 << 8, LOCKOWNER: 1 << 9, CTIME: 1 << 10, KILL_SUIDGID: 1 << 11,
} as const;
/** fuse_open_out.open_flags */
export const FOPEN = { DIRECT_IO: 1 << 0, KEEP_CACHE: 1 << 1, CACHE_DIR: 1 << 3, NOFLUSH: 1 << 5, PASSTHROUGH: 1 << 7 } as const;
/** fuse_open_in.open_flags and fuse_create_in.open_flags */
export const OPEN_KILL_SUIDGID = 1 << 0;
export const WRITE_KILL_SUIDGID = 1 << 2;
export const GETATTR_FH = 1 << 0;
export const FSYNC_FDATASYNC = 1 << 0;

/** The high half of `unique` in a request that the kernel hands over again after NOTIFY_RESEND (bit 63). */
export const UNIQUE_RESEND_HIGH = 0x8000_0000;

export const IN_HEADER_SIZE = 40;
export const OUT_HEADER_SIZE = 16;
/** fuse_write_in; what follows it is the data. */
export const WRITE_IN_SIZE = 40;
export const ATTR_SIZE = 88;
export const ENTRY_OUT_SIZE = 40 + ATTR_SIZE;
export const OPEN_OUT_SIZE = 16;
export const DIRENT_SIZE = 24;
/** The kernel answers EIO for a whole directory that holds a longer name (FUSE_NAME_MAX). */
export const NAME_MAX = 1024;

/** Bytes of one WRITE or READ at most; `max_pages` says the same in pages. */
export const MAX_WRITE = 1 << 20;
export const PAGE_SIZE = 4096;
/** The kernel refuses a read buffer smaller than max_write and the two headers before it; one page holds them. */
export const MESSAGE_SIZE = MAX_WRITE + PAGE_SIZE;
