// Tells the kernel to forget. Messages are queued in the channel and written by its own thread: the write of a notification
// waits for locks that the kernel holds until a request under way is answered, and the event loop answers it.
//
// For the same reason a notification is held back until the requests that were under way on its inodes when it was made
// have been answered. The writing thread would wait for them uninterruptibly: if the process were killed then, nobody
// would answer any more, the thread would keep the device open, and the mount would hang instead of failing.

import type { Ino, Notifier } from "../fs/filesystem.js";
import { encodeName } from "../util/names.js";
import { NAME_MAX, NOTIFY, OUT_HEADER_SIZE } from "./protocol/constants.js";
import { MessageWriter } from "./protocol/writer.js";
import type { Request } from "./request.js";
import type { Channel } from "./types.js";

interface Held {
  readonly message: Buffer;
  /** Keys of the requests that it waits for. */
  readonly behind: Set<number>;
}

export class KernelNotifier implements Notifier {
  readonly #channel: Channel;
  readonly #underWay: ReadonlyMap<number, Request>;
  #held: Held[] = [];
  count = 0;

  constructor(channel: Channel, underWay: ReadonlyMap<number, Request>) {
    this.#channel = channel;
    this.#underWay = underWay;
  }

  get held(): number { return this.#held.length; }

  /** The request has been answered. */
  ended(key: number): void {
    if (this.#held.length === 0) return;
    this.#held = this.#held.filter(({ message, behind }) => {
      behind.delete(key);
      if (behind.size > 0) return true;
      this.#channel.notify(message);
      return false;
    });
  }

  /** struct fuse_notify_inval_inode_out */
  invalidateInode(ino: Ino, offset: number, length: number): void {
    const out = this.#begin(NOTIFY.INVAL_INODE, 24);
    out.writer.u64(ino);
    out.writer.u64(offset);
    out.writer.u64(length);
    this.#queue(out.bytes, ino, ino);
  }

  /** struct fuse_notify_inval_entry_out, the name and its NUL */
  invalidateEntry(parent: Ino, name: string): void {
    const bytes = encodeName(name);
    if (bytes.length > NAME_MAX) return;
    const out = this.#begin(NOTIFY.INVAL_ENTRY, 16 + bytes.length + 1);
    out.writer.u64(parent);
    out.writer.u32(bytes.length);
    out.writer.u32(0);
    out.writer.bytes(bytes);
    out.writer.zeros(1);
    this.#queue(out.bytes, parent, parent);
  }

  /** struct fuse_notify_delete_out, the name and its NUL */
  deleteEntry(parent: Ino, child: Ino, name: string): void {
    const bytes = encodeName(name);
    if (bytes.length > NAME_MAX) return;
    const out = this.#begin(NOTIFY.DELETE, 24 + bytes.length + 1);
    out.writer.u64(parent);
    out.writer.u64(child);
    out.writer.u32(bytes.length);
    out.writer.u32(0);
    out.writer.bytes(bytes);
    out.writer.zeros(1);
    this.#queue(out.bytes, parent, child);
  }

  /** Every request without an answer is handed over once more (7.40), with bit 63 of its unique set. */
  resend(): void {
    this.count += 1;
    this.#channel.notify(this.#begin(NOTIFY.RESEND, 0).bytes);
  }

  // A notification is a reply without a request: unique 0, and the code where the error would be.
  #begin(code: number, body: number): { bytes: Buffer; writer: MessageWriter } {
    const bytes = Buffer.allocUnsafe(OUT_HEADER_SIZE + body);
    const writer = new MessageWriter(bytes);
    writer.u32(bytes.length);
    writer.u32(code);
    writer.u64(0);
    return { bytes, writer };
  }

  #queue(message: Buffer, one: Ino, other: Ino): void {
    this.count += 1;
    let behind: Set<number> | undefined;
    for (const [key, request] of this.#underWay) {
      if (request.ino === one || request.ino === other || request.secondIno === one || request.secondIno === other) (behind ??= new Set()).add(key);
    }
    if (behind === undefined) this.#channel.notify(message);
    else this.#held.push({ message, behind });
  }
}
