// Operations on names: what brings an inode into the kernel's sight, and what takes a name away.

import type { Entry, Ino, NegativeEntry } from "../../fs/filesystem.js";
import { writeEntry, writeNegativeEntry } from "../protocol/structs.js";
import type { MessageReader } from "../protocol/reader.js";
import type { Request } from "../request.js";
import { type Environment, type Operation, readName, replyEmpty } from "./operation.js";

function replyEntry(env: Environment, request: Request, entry: Entry): boolean {
  writeEntry(env.replies.begin(), entry);
  return env.replies.send(request);
}

/** A lookup is counted when its reply is handed to the kernel. */
function undoEntry(env: Environment, _request: Request, entry: Entry): void {
  env.filesystem.forget(entry.attributes.ino, 1);
}

export const lookup: Operation<Entry | NegativeEntry> = {
  call: (env, request, message) => env.filesystem.lookup(request, request.ino, readName(request, message)),
  reply(env, request, entry) {
    if (entry.attributes !== undefined) return replyEntry(env, request, entry);
    writeNegativeEntry(env.replies.begin(), entry.entryTimeoutMs);
    return env.replies.send(request);
  },
  undo(env, request, entry) {
    if (entry.attributes !== undefined) undoEntry(env, request, entry);
  },
};

/** A reply that hands out a new inode. */
function making(call: (env: Environment, request: Request, message: MessageReader) => Promise<Entry>): Operation<Entry> {
  return { call, reply: replyEntry, undo: undoEntry, lasting: true };
}

function changing(call: (env: Environment, request: Request, message: MessageReader) => Promise<void>): Operation<void> {
  return { call, reply: replyEmpty, lasting: true };
}

export const symlink = making((env, request, message) => {
  const name = readName(request, message);
  return env.filesystem.symlink(request, request.ino, name, message.text());
});

/** struct fuse_mknod_in; the umask is applied already. */
export const mknod = making((env, request, message) => {
  const mode = message.u32();
  const rdev = message.u32();
  message.skip(8);
  return env.filesystem.mknod(request, request.ino, readName(request, message), mode, rdev);
});

/** struct fuse_mkdir_in */
export const mkdir = making((env, request, message) => {
  const mode = message.u32();
  message.skip(4);
  return env.filesystem.mkdir(request, request.ino, readName(request, message), mode);
});

/** struct fuse_link_in: the header's node is the directory. */
export const link = making((env, request, message) => {
  const ino = message.u64() as Ino;
  request.secondIno = ino;
  return env.filesystem.link(request, ino, request.ino, readName(request, message));
});

export const unlink = changing((env, request, message) => env.filesystem.unlink(request, request.ino, readName(request, message)));
export const rmdir = changing((env, request, message) => env.filesystem.rmdir(request, request.ino, readName(request, message)));

/** struct fuse_rename_in */
export const rename = changing((env, request, message) => renaming(env, request, message, message.u64() as Ino, 0));

/** struct fuse_rename2_in */
export const rename2 = changing((env, request, message) => {
  const newParent = message.u64() as Ino;
  const flags = message.u32();
  message.skip(4);
  return renaming(env, request, message, newParent, flags);
});

function renaming(env: Environment, request: Request, message: MessageReader, newParent: Ino, flags: number): Promise<void> {
  const name = readName(request, message);
  const newName = readName(request, message);
  request.subject = `${name} -> ${newName}`;
  request.secondIno = newParent;
  return env.filesystem.rename(request, request.ino, name, newParent, newName, flags);
}
