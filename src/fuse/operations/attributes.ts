// Attributes, symbolic links' targets, extended attributes, and the file system's own figures.

import { FsError } from "../../fs/errors.js";
import type { AttributesReply, Fh, StatfsReply } from "../../fs/filesystem.js";
import { encodeName } from "../../util/names.js";
import { GETATTR_FH, PAGE_SIZE } from "../protocol/constants.js";
import { hasExtendedSetxattr } from "../protocol/features.js";
import { readSetattr, writeAttributesReply, writeStatfs } from "../protocol/structs.js";
import type { Request } from "../request.js";
import { type Environment, type Operation, replyEmpty } from "./operation.js";

function replyAttributes(env: Environment, request: Request, { attributes, timeoutMs }: AttributesReply): boolean {
  writeAttributesReply(env.replies.begin(), attributes, timeoutMs);
  return env.replies.send(request);
}

/** struct fuse_getattr_in */
export const getattr: Operation<AttributesReply> = {
  call(env, request, message) {
    const flags = message.u32();
    message.skip(4);
    const fh = (flags & GETATTR_FH) === 0 ? undefined : (message.u64() as Fh);
    return env.filesystem.getattr(request, request.ino, fh);
  },
  reply: replyAttributes,
};

export const setattr: Operation<AttributesReply> = {
  call(env, request, message) {
    const changes = readSetattr(message);
    // New mode bits may be set-id bits: the next write through any handle has to ask again.
    if (changes.mode !== undefined) env.killed.clear();
    return env.filesystem.setattr(request, request.ino, changes);
  },
  reply: replyAttributes,
  lasting: true,
};

/** The kernel's buffer for a target is a page, with a NUL at its end. */
export const readlink: Operation<string> = {
  call: (env, request) => env.filesystem.readlink(request, request.ino),
  reply(env, request, target) {
    const bytes = encodeName(target);
    if (bytes.length >= PAGE_SIZE) throw new FsError("ENAMETOOLONG", "the link's target is longer than a path may be", { ino: request.ino });
    env.replies.begin().bytes(bytes);
    return env.replies.send(request);
  },
};

export const statfs: Operation<StatfsReply> = {
  call: (env, request) => env.filesystem.statfs(request, request.ino),
  reply(env, request, result) {
    writeStatfs(env.replies.begin(), result);
    return env.replies.send(request);
  },
};

/** struct fuse_setxattr_in: 16 bytes where SETXATTR_EXT was agreed, 8 otherwise. */
export const setxattr: Operation<void> = {
  async call(env, request, message) {
    const size = message.u32();
    const flags = message.u32();
    if (env.negotiated !== undefined && hasExtendedSetxattr(env.negotiated)) message.skip(8);
    request.subject = message.text();
    // Copied: the message buffer takes the next message while this one is under way.
    const value = Buffer.from(message.bytes(size));
    await env.filesystem.setxattr(request, request.ino, request.subject, value, flags);
  },
  reply: replyEmpty,
  lasting: true,
};

/** struct fuse_getxattr_in; size 0 asks for the length alone, in struct fuse_getxattr_out. */
export const getxattr: Operation<Buffer> = {
  call(env, request, message) {
    request.size = message.u32();
    message.skip(4);
    request.subject = message.text();
    return env.filesystem.getxattr(request, request.ino, request.subject);
  },
  reply: replyValue,
};

export const listxattr: Operation<readonly string[]> = {
  call(env, request, message) {
    request.size = message.u32();
    message.skip(4);
    return env.filesystem.listxattr(request, request.ino);
  },
  reply: (env, request, names) => replyValue(env, request, Buffer.concat(names.flatMap((name) => [encodeName(name), NUL]))),
};
const NUL = Buffer.alloc(1);

function replyValue(env: Environment, request: Request, value: Buffer): boolean {
  if (request.size === 0) {
    const out = env.replies.begin();
    out.u32(value.length);
    out.u32(0);
    return env.replies.send(request);
  }
  if (value.length > request.size) throw new FsError("ERANGE", "the buffer is too small for the value", { ino: request.ino });
  return env.replies.data(request, [value]);
}

export const removexattr: Operation<void> = {
  call(env, request, message) {
    request.subject = message.text();
    return env.filesystem.removexattr(request, request.ino, request.subject);
  },
  reply: replyEmpty,
  lasting: true,
};
