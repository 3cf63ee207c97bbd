// How each open file is served: by messages through the page cache, by messages past it, or by the kernel itself from a
// backing file (FUSE_PASSTHROUGH, 7.40). The kernel has rules (fs/fuse/iomode.c), and answers EIO to an open that breaks
// one: while an inode has handles on a backing file, every further one must name the same file; while it has handles on
// the page cache, none may name one.

import { fstatSync } from "node:fs";
import { FsError } from "../fs/errors.js";
import type { Fh, Ino, OpenReply } from "../fs/filesystem.js";
import type { Logger } from "../util/log.js";
import { FOPEN } from "./protocol/constants.js";
import type { Channel } from "./types.js";

interface Backing {
  readonly id: number;
  readonly dev: number;
  readonly ino: number;
  handles: number;
}

interface OpenInode {
  cached: number;
  backing: Backing | undefined;
}

export interface OpenMode { readonly flags: number; readonly backingId: number }

export class OpenModes {
  readonly #channel: Channel;
  readonly #log: Logger;
  readonly #inodes = new Map<Ino, OpenInode>();
  /** The handles that count, and whether by a backing file. Only kept once passthrough was agreed. */
  readonly #handles = new Map<Fh, boolean>();
  passthrough = false;
  noFlush = false;
  backedOpens = 0;

  constructor(channel: Channel, log: Logger) {
    this.#channel = channel;
    this.#log = log;
  }

  get openHandles(): number { return this.#handles.size; }

  /** The flags of a directory's open reply. */
  directoryFlags(reply: OpenReply): number {
    return (reply.keepCache === true ? FOPEN.KEEP_CACHE : 0) | (reply.cacheDir === true ? FOPEN.CACHE_DIR : 0);
  }

  /** @throws FsError EBUSY when the kernel serves the inode from a file that is not this handle's. */
  opened(ino: Ino, reply: OpenReply): OpenMode {
    const flags = (reply.keepCache === true ? FOPEN.KEEP_CACHE : 0) | (reply.directIo === true ? FOPEN.DIRECT_IO : 0)
      | (reply.noFlush === true && this.noFlush ? FOPEN.NOFLUSH : 0);
    if (!this.passthrough) return { flags, backingId: 0 };
    const inode = this.#inodes.get(ino);
    const backing = inode?.backing !== undefined ? this.#shared(ino, inode.backing, reply) : this.#begun(ino, inode, reply);
    if (backing !== undefined) {
      backing.handles += 1;
      this.backedOpens += 1;
      this.#handles.set(reply.fh, true);
      return { flags: (flags & ~FOPEN.DIRECT_IO) | FOPEN.PASSTHROUGH, backingId: backing.id };
    }
    if (reply.directIo !== true) {
      if (inode === undefined) this.#inodes.set(ino, { cached: 1, backing: undefined });
      else inode.cached += 1;
      this.#handles.set(reply.fh, false);
    }
    return { flags, backingId: 0 };
  }

  #shared(ino: Ino, backing: Backing, reply: OpenReply): Backing {
    if (reply.backingFd !== undefined) {
      const status = fstatSync(reply.backingFd);
      if (status.dev === backing.dev && status.ino === backing.ino) return backing;
    }
    throw new FsError("EBUSY", "the file is open on a local copy of another version, and the kernel allows one at a time", { ino });
  }

  #begun(ino: Ino, inode: OpenInode | undefined, reply: OpenReply): Backing | undefined {
    if (reply.backingFd === undefined || inode !== undefined) return undefined;
    const id = this.#channel.openBacking(reply.backingFd);
    if (id <= 0) {
      // ELOOP: the file lies on a stacked file system. Served by messages, then.
      this.#log.debug({ ino, errno: -id }, "the kernel does not take the local file as a backing file");
      return undefined;
    }
    const status = fstatSync(reply.backingFd);
    const backing = { id, dev: status.dev, ino: status.ino, handles: 0 };
    this.#inodes.set(ino, { cached: 0, backing });
    return backing;
  }

  /** The kernel has let go of the handle (its RELEASE has arrived), or has never heard of it. */
  released(ino: Ino, fh: Fh): void {
    const backed = this.#handles.get(fh);
    const inode = this.#inodes.get(ino);
    if (backed === undefined || inode === undefined) return;
    this.#handles.delete(fh);
    if (!backed) inode.cached -= 1;
    else if (inode.backing !== undefined) {
      inode.backing.handles -= 1;
      if (inode.backing.handles === 0) {
        this.#channel.closeBacking(inode.backing.id);
        inode.backing = undefined;
      }
    }
    if (inode.cached === 0 && inode.backing === undefined) this.#inodes.delete(ino);
  }
}
