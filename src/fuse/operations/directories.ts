// Operations on open directories, and those on the whole mount.

import type { Ino, OpenReply } from "../../fs/filesystem.js";
import { FSYNC_FDATASYNC } from "../protocol/constants.js";
import { DirectoryReply } from "../protocol/directory.js";
import { ProtocolError } from "../protocol/protocolError.js";
import { writeOpen } from "../protocol/structs.js";
import { type Environment, type Operation, readFh, replyEmpty } from "./operation.js";

/** struct fuse_open_in, of whose flags none matters to a directory. */
export const opendir: Operation<OpenReply> = {
  call: (env, request) => env.filesystem.opendir(request, request.ino),
  reply(env, request, reply) {
    writeOpen(env.replies.begin(), reply.fh, env.openModes.directoryFlags(reply), 0);
    return env.replies.send(request);
  },
  undo(env, request, reply) {
    env.filesystem.releasedir(request.detached(), request.ino, reply.fh).catch(() => { /* nobody waits for it */ });
  },
};

/** The kernel asks for a few pages at a time; more than a message may hold is no request of its. */
const LARGEST_LISTING = 1 << 20;

/** struct fuse_read_in */
function listing(plus: boolean): Operation<DirectoryReply> {
  return {
    async call(env, request, message) {
      const fh = readFh(request, message);
      const offset = message.u64();
      request.size = message.u32();
      if (request.size > LARGEST_LISTING) throw new ProtocolError("more of a listing than fits a message");
      const reply = new DirectoryReply(request.size, plus);
      try {
        if (plus) await env.filesystem.readdirplus(request, request.ino, fh, offset, reply);
        else await env.filesystem.readdir(request, request.ino, fh, offset, reply);
      } catch (error) {
        // What was taken goes out; the error is met again at the offset where it happened.
        if (reply.count === 0) {
          forget(env, reply.strays);
          throw error;
        }
      }
      return reply;
    },
    reply(env, request, reply) {
      if (reply.refused.length > 0) env.refusedNames(request.ino, reply.refused);
      forget(env, reply.strays);
      return env.replies.data(request, [reply.bytes]);
    },
    undo(env, _request, reply) {
      forget(env, reply.looked);
    },
  };
}

function forget(env: Environment, inos: readonly Ino[]): void {
  for (const ino of inos) env.filesystem.forget(ino, 1);
}

export const readdir = listing(false);
export const readdirplus = listing(true);

/** struct fuse_release_in */
export const releasedir: Operation<void> = {
  call: (env, request, message) => env.filesystem.releasedir(request, request.ino, readFh(request, message)),
  reply: replyEmpty,
  lasting: true,
};

/** struct fuse_fsync_in */
export const fsyncdir: Operation<void> = {
  call(env, request, message) {
    const fh = readFh(request, message);
    return env.filesystem.fsyncdir(request, request.ino, fh, (message.u32() & FSYNC_FDATASYNC) !== 0);
  },
  reply: replyEmpty,
  lasting: true,
};

export const syncfs: Operation<void> = {
  call: (env, request) => env.filesystem.syncfs(request),
  reply: replyEmpty,
  lasting: true,
};

/** Sent by the kernel to fuseblk mounts only; the others end with the device. */
export const destroy: Operation<void> = {
  call: (env) => env.destroy(),
  reply: replyEmpty,
  lasting: true,
};
