// Seam 1: the filesystem, in the kernel's terms. `src/fuse` turns bytes into these calls and their results into
// bytes; `src/fs` implements them over an object store. Neither knows the other's business: no key here, no opcode there.
//
// Terms. An *inode* is what the kernel remembers between calls by its number. Every reply that hands out an inode
// (lookup, create, mknod, mkdir, symlink, readdirplus entries) raises that inode's *lookup count* by one; `forget` lowers it; at zero
// the number is dropped (numbers are never used again). A *handle* is one open file or directory. Names are strings in which bytes that
// are not UTF-8 stand as lone surrogates (util/names.ts), so every name the kernel can send is representable.
//
// Promises.
//  1. Every method may run concurrently with every other; order between calls is the kernel's affair.
//  2. A method fails only with FsError (or something `toFsError` can name); the errno is chosen here, never in `src/fuse`.
//  3. When a reply could not be delivered to the kernel, the caller takes the lookup count back with `forget`.
//  4. `context.signal` fires on INTERRUPT and at shutdown: the call then ends soon, with EINTR unless it had succeeded.
//  5. Buffers passed in (write data, xattr values) are valid until the returned promise settles, no longer.
//     Buffers handed out (read) are never modified afterwards.

export type Brand<T, B extends string> = T & { readonly __brand: B };
/** Inode number, 1 = root, allocated by us below 2^53, never reused in the life of the mount. */
export type Ino = Brand<number, "Ino">;
/** Handle number, allocated by us below 2^53, never reused in the life of the mount. */
export type Fh = Brand<number, "Fh">;
export const ROOT_INO = 1 as Ino;

/** Seconds since the epoch (may be negative) and nanoseconds 0..999,999,999. */
export interface Timespec { readonly sec: number; readonly nsec: number }

/** `struct fuse_attr`. `mode` has the S_IFMT bits. `blocks` are 512-byte units. */
export interface Attributes {
  readonly ino: Ino;
  readonly size: number;
  readonly blocks: number;
  readonly atime: Timespec;
  readonly mtime: Timespec;
  readonly ctime: Timespec;
  readonly mode: number;
  readonly nlink: number;
  readonly uid: number;
  readonly gid: number;
  readonly rdev: number;
  readonly blksize: number;
}

/** Attributes and for how many milliseconds the kernel may keep them. */
export interface AttributesReply { readonly attributes: Attributes; readonly timeoutMs: number }

/** `struct fuse_entry_out`: raises the lookup count of `attributes.ino` by one. */
export interface Entry {
  readonly attributes: Attributes;
  readonly generation: number;
  readonly entryTimeoutMs: number;
  readonly attributesTimeoutMs: number;
}

/** The answer to a lookup of a name that is not there, kept by the kernel for `entryTimeoutMs`. */
export interface NegativeEntry { readonly attributes: undefined; readonly entryTimeoutMs: number }

export interface OpenReply {
  readonly fh: Fh;
  /** The kernel keeps what its page cache holds of this inode from before (same version). */
  readonly keepCache?: boolean;
  /** Every read and write comes to us; mmap shared is refused by the kernel. */
  readonly directIo?: boolean;
  /** Directory handles: the kernel may cache the listing. */
  readonly cacheDir?: boolean;
  /** No FLUSH wanted for this handle (it was opened for reading only). */
  readonly noFlush?: boolean;
  /** An open local file that holds exactly the object's bytes: served by FUSE_PASSTHROUGH when the channel can. */
  readonly backingFd?: number;
}

export interface CreateReply { readonly entry: Entry; readonly open: OpenReply }

/** What setattr changes; absent fields stay. "now" is the time of the call. */
export interface AttributeChanges {
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly size?: number;
  readonly atime?: Timespec | "now";
  readonly mtime?: Timespec | "now";
  /** The handle, for ftruncate. */
  readonly fh?: Fh;
  /** FATTR_KILL_SUIDGID */
  readonly killSuidGid?: boolean;
}

/** `struct fuse_kstatfs`; block counts in units of `frsize`. */
export interface StatfsReply {
  readonly blocks: number; readonly bfree: number; readonly bavail: number;
  readonly files: number; readonly ffree: number;
  readonly bsize: number; readonly frsize: number; readonly namelen: number;
}

/** One name of a directory. `offset` is the cookie that continues after this entry (never 0). */
export interface DirectoryEntry {
  readonly name: string;
  readonly ino: Ino;
  /** S_IFMT bits. */
  readonly type: number;
  readonly offset: number;
}

/**
 * Receives directory entries until it is full. `add` answers false when the entry did not fit: it was not taken,
 * and the implementation stops. For `readdirplus`, `entry` is given for every name but "." and "..", and its
 * lookup count must have been raised only if `add` answered true.
 */
export interface DirectorySink {
  add(item: DirectoryEntry, entry?: Entry): boolean;
}

/** Who asks. */
export interface Context {
  readonly uid: number;
  readonly gid: number;
  readonly pid: number;
  readonly signal: AbortSignal;
}

/** Linux open(2) flags as FUSE passes them (O_CREAT, O_EXCL and O_NOCTTY are removed by the kernel except in create). */
export const OPEN_FLAGS = {
  O_ACCMODE: 0o3, O_RDONLY: 0, O_WRONLY: 1, O_RDWR: 2, O_CREAT: 0o100, O_EXCL: 0o200, O_TRUNC: 0o1000,
  O_APPEND: 0o2000, O_NONBLOCK: 0o4000, O_DSYNC: 0o10000, O_DIRECT: 0o40000, O_SYNC: 0o4010000,
} as const;
export const RENAME_FLAGS = { NOREPLACE: 1, EXCHANGE: 2, WHITEOUT: 4 } as const;
export const S_IF = { MT: 0o170000, SOCK: 0o140000, LNK: 0o120000, REG: 0o100000, BLK: 0o060000, DIR: 0o040000, CHR: 0o020000, IFO: 0o010000 } as const;
export const XATTR_FLAGS = { CREATE: 1, REPLACE: 2 } as const;

/**
 * Tells the kernel to forget. Calls never fail: what the kernel does not know is not an error. They are queued, not
 * awaited: a notification waits for locks that the operation it belongs to may hold.
 */
export interface Notifier {
  /** Attributes always; cached data from `offset` for `length` bytes (-1: to the end; offset -1: attributes only). */
  invalidateInode(ino: Ino, offset: number, length: number): void;
  invalidateEntry(parent: Ino, name: string): void;
  /** Like invalidateEntry, and tells watchers that the name was deleted. */
  deleteEntry(parent: Ino, child: Ino, name: string): void;
}

export interface Filesystem {
  /** Called once, before the first operation, by whoever drives the filesystem. */
  setNotifier(notifier: Notifier): void;

  /** @throws ENAMETOOLONG, ENOTDIR, EIO ...; a missing name is a NegativeEntry or ENOENT. */
  lookup(context: Context, parent: Ino, name: string): Promise<Entry | NegativeEntry>;
  /** Synchronous, never fails: forgets arrive in flurries. An unknown number is ignored. */
  forget(ino: Ino, count: number): void;
  getattr(context: Context, ino: Ino, fh: Fh | undefined): Promise<AttributesReply>;
  setattr(context: Context, ino: Ino, changes: AttributeChanges): Promise<AttributesReply>;
  readlink(context: Context, ino: Ino): Promise<string>;
  symlink(context: Context, parent: Ino, name: string, target: string): Promise<Entry>;
  /** Regular files, FIFOs and sockets; EPERM for devices. `mode` has the umask applied. */
  mknod(context: Context, parent: Ino, name: string, mode: number, rdev: number): Promise<Entry>;
  mkdir(context: Context, parent: Ino, name: string, mode: number): Promise<Entry>;
  unlink(context: Context, parent: Ino, name: string): Promise<void>;
  rmdir(context: Context, parent: Ino, name: string): Promise<void>;
  rename(context: Context, parent: Ino, name: string, newParent: Ino, newName: string, flags: number): Promise<void>;
  /** Always refused, with EPERM: programs fall back to rename or copy on that errno alone. */
  link(context: Context, ino: Ino, newParent: Ino, newName: string): Promise<Entry>;

  open(context: Context, ino: Ino, flags: number): Promise<OpenReply>;
  /** Atomic open(O_CREAT): with O_EXCL, EEXIST when it is there. `mode` has the umask applied. */
  create(context: Context, parent: Ino, name: string, mode: number, flags: number): Promise<CreateReply>;
  /** Fewer bytes than asked only at the end of the file. */
  read(context: Context, ino: Ino, fh: Fh, offset: number, length: number): Promise<readonly Buffer[]>;
  /** Takes all of `data` or fails. @returns bytes written. With O_APPEND, `offset` is ignored. */
  write(context: Context, ino: Ino, fh: Fh, offset: number, data: Buffer): Promise<number>;
  /** Sent at every close(2) of a descriptor: commits, and its error is the error of close(2). */
  flush(context: Context, ino: Ino, fh: Fh): Promise<void>;
  /** The last descriptor is gone. Its error goes to nobody, so nothing may first happen here but what a missing flush left. */
  release(context: Context, ino: Ino, fh: Fh): Promise<void>;
  fsync(context: Context, ino: Ino, fh: Fh, dataOnly: boolean): Promise<void>;
  fallocate(context: Context, ino: Ino, fh: Fh, offset: number, length: number, mode: number): Promise<void>;
  /** SEEK_DATA (3) and SEEK_HOLE (4) only. @returns the offset; ENXIO past the end. */
  lseek(context: Context, ino: Ino, fh: Fh, offset: number, whence: number): Promise<number>;
  /** @returns bytes copied; EOPNOTSUPP or EXDEV lets the caller copy by hand. */
  copyFileRange(context: Context, fromIno: Ino, fromFh: Fh, fromOffset: number,
    toIno: Ino, toFh: Fh, toOffset: number, length: number): Promise<number>;

  opendir(context: Context, ino: Ino): Promise<OpenReply>;
  /** `offset` 0 starts anew; otherwise a cookie that this handle has handed out. "." and ".." come first. */
  readdir(context: Context, ino: Ino, fh: Fh, offset: number, sink: DirectorySink): Promise<void>;
  readdirplus(context: Context, ino: Ino, fh: Fh, offset: number, sink: DirectorySink): Promise<void>;
  releasedir(context: Context, ino: Ino, fh: Fh): Promise<void>;
  fsyncdir(context: Context, ino: Ino, fh: Fh, dataOnly: boolean): Promise<void>;

  statfs(context: Context, ino: Ino): Promise<StatfsReply>;
  /** Checked by the kernel (default_permissions); called only where it is not. */
  access(context: Context, ino: Ino, mask: number): Promise<void>;
  setxattr(context: Context, ino: Ino, name: string, value: Buffer, flags: number): Promise<void>;
  /** ENODATA when there is none; EOPNOTSUPP for a namespace that is not kept. */
  getxattr(context: Context, ino: Ino, name: string): Promise<Buffer>;
  listxattr(context: Context, ino: Ino): Promise<readonly string[]>;
  removexattr(context: Context, ino: Ino, name: string): Promise<void>;
  /** sync(2), syncfs(2): everything written so far is committed when this returns. */
  syncfs(context: Context): Promise<void>;

  /** The kernel has let go of the mount (DESTROY or the device is gone): commits what is left, checks invariants. */
  destroy(): Promise<void>;
}
