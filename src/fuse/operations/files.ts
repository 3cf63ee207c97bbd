// Operations on open files.

import { FsError } from "../../fs/errors.js";
import type { CreateReply, Fh, Ino, OpenReply } from "../../fs/filesystem.js";
import { COPIED_BYTES } from "../inputs.js";
import type { OpenMode } from "../openModes.js";
import { FSYNC_FDATASYNC, OPEN_KILL_SUIDGID, WRITE_KILL_SUIDGID } from "../protocol/constants.js";
import { writeEntry, writeOpen } from "../protocol/structs.js";
import type { Request } from "../request.js";
import { type Environment, type Operation, readFh, readName, replyEmpty } from "./operation.js";

/** struct fuse_open_in; O_TRUNC comes with it (ATOMIC_O_TRUNC). */
export const open: Operation<OpenReply> = {
  async call(env, request, message) {
    const flags = message.u32();
    const extra = message.u32();
    const reply = await env.filesystem.open(request, request.ino, flags);
    if ((extra & OPEN_KILL_SUIDGID) !== 0) await killSetId(env, request, request.ino, reply.fh);
    return reply;
  },
  reply(env, request, reply) {
    const mode = env.openModes.opened(request.ino, reply);
    writeMode(env, reply.fh, mode);
    return env.replies.send(request);
  },
  undo: (env, request, reply) => undoOpen(env, request, request.ino, reply.fh),
};

/** struct fuse_create_in: open(2) with O_CREAT in one step. */
export const create: Operation<CreateReply> = {
  async call(env, request, message) {
    const flags = message.u32();
    const mode = message.u32();
    message.skip(4);
    const extra = message.u32();
    const reply = await env.filesystem.create(request, request.ino, readName(request, message), mode, flags);
    if ((extra & OPEN_KILL_SUIDGID) !== 0) await killSetId(env, request, reply.entry.attributes.ino, reply.open.fh);
    return reply;
  },
  reply(env, request, reply) {
    const mode = env.openModes.opened(reply.entry.attributes.ino, reply.open);
    writeEntry(env.replies.begin(), reply.entry);
    writeOpen(env.replies.out, reply.open.fh, mode.flags, mode.backingId);
    return env.replies.send(request);
  },
  undo(env, request, reply) {
    const ino = reply.entry.attributes.ino;
    undoOpen(env, request, ino, reply.open.fh);
    env.filesystem.forget(ino, 1);
  },
  lasting: true,
};

/** HANDLE_KILLPRIV_V2: clearing set-id bits is the filesystem's task, once per handle and change of mode. */
async function killSetId(env: Environment, request: Request, ino: Ino, fh: Fh): Promise<void> {
  await env.filesystem.setattr(request, ino, { fh, killSuidGid: true });
  env.killed.add(fh);
}

function writeMode(env: Environment, fh: Fh, mode: OpenMode): void {
  writeOpen(env.replies.begin(), fh, mode.flags, mode.backingId);
}

function undoOpen(env: Environment, request: Request, ino: Ino, fh: Fh): void {
  env.openModes.released(ino, fh);
  env.killed.delete(fh);
  env.filesystem.release(request.detached(), ino, fh).catch(() => { /* nobody waits for it, and the filesystem has noted it */ });
}

/** struct fuse_read_in */
export const read: Operation<readonly Buffer[]> = {
  call(env, request, message) {
    const fh = readFh(request, message);
    const offset = message.u64();
    request.size = message.u32();
    return env.filesystem.read(request, request.ino, fh, offset, request.size);
  },
  reply(env, request, slices) {
    for (let i = 0; i < slices.length; i++) env.bytesRead += (slices[i] as Buffer).length;
    return env.replies.data(request, slices);
  },
};

/** struct fuse_write_in and the data, which the filesystem may use until its promise settles. */
export const write: Operation<number> = {
  async call(env, request, message) {
    const fh = readFh(request, message);
    const offset = message.u64();
    const size = message.u32();
    const flags = message.u32();
    message.skip(16);
    const bytes = message.bytes(size);
    const held = size > COPIED_BYTES ? env.inputs.hold() : undefined;
    try {
      const data = held === undefined ? Buffer.from(bytes) : bytes;
      if ((flags & WRITE_KILL_SUIDGID) !== 0 && !env.killed.has(fh)) await killSetId(env, request, request.ino, fh);
      return await env.filesystem.write(request, request.ino, fh, offset, data);
    } finally {
      if (held !== undefined) env.inputs.giveBack(held);
    }
  },
  reply(env, request, written) {
    env.bytesWritten += written;
    const out = env.replies.begin();
    out.u32(written);
    out.u32(0);
    return env.replies.send(request);
  },
  lasting: true,
};

/** struct fuse_flush_in; its error is the error of close(2). */
export const flush: Operation<void> = {
  call: (env, request, message) => env.filesystem.flush(request, request.ino, readFh(request, message)),
  reply: replyEmpty,
  lasting: true,
};

/** struct fuse_release_in. The kernel frees the handle whatever the answer is. */
export const release: Operation<void> = {
  call(env, request, message) {
    const fh = readFh(request, message);
    env.openModes.released(request.ino, fh);
    env.killed.delete(fh);
    return env.filesystem.release(request, request.ino, fh);
  },
  reply: replyEmpty,
  lasting: true,
};

/** struct fuse_fsync_in */
export const fsync: Operation<void> = {
  call(env, request, message) {
    const fh = readFh(request, message);
    return env.filesystem.fsync(request, request.ino, fh, (message.u32() & FSYNC_FDATASYNC) !== 0);
  },
  reply: replyEmpty,
  lasting: true,
};

/** struct fuse_fallocate_in */
export const fallocate: Operation<void> = {
  call(env, request, message) {
    const fh = readFh(request, message);
    const offset = message.u64();
    const length = message.u64();
    return env.filesystem.fallocate(request, request.ino, fh, offset, length, message.u32());
  },
  reply: replyEmpty,
  lasting: true,
};

/** struct fuse_lseek_in: SEEK_DATA and SEEK_HOLE; the kernel does the others itself. */
export const lseek: Operation<number> = {
  call(env, request, message) {
    const fh = readFh(request, message);
    const offset = message.u64Clamped();
    if (offset >= Number.MAX_SAFE_INTEGER) throw new FsError("ENXIO", "past the end of any file", { ino: request.ino });
    return env.filesystem.lseek(request, request.ino, fh, offset, message.u32());
  },
  reply(env, request, offset) {
    env.replies.begin().u64(offset);
    return env.replies.send(request);
  },
};

/** struct fuse_copy_file_range_in. `most`: what fits the reply's number. */
function copying(most: number, reply: Operation<number>["reply"]): Operation<number> {
  return {
    call(env, request, message) {
      const fromFh = readFh(request, message);
      const fromOffset = message.u64();
      const toIno = message.u64() as Ino;
      request.secondIno = toIno;
      const toFh = message.u64() as Fh;
      const toOffset = message.u64();
      const length = Math.min(message.u64Clamped(), most);
      return env.filesystem.copyFileRange(request, request.ino, fromFh, fromOffset, toIno, toFh, toOffset, length);
    },
    reply,
    lasting: true,
  };
}

export const copyFileRange = copying(0xffff_f000, (env, request, copied) => {
  const out = env.replies.begin();
  out.u32(copied);
  out.u32(0);
  return env.replies.send(request);
});

/** 7.45: the answer is 64 bits wide. */
export const copyFileRange64 = copying(Number.MAX_SAFE_INTEGER, (env, request, copied) => {
  env.replies.begin().u64(copied);
  return env.replies.send(request);
});
