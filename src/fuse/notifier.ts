// Tells the kernel to forget. Messages are queued in the channel and written by its own thread, in order: the write of a
// notification waits for locks that the kernel holds until a request under way is answered, and the event loop answers it.

import type { Ino, Notifier } from "../fs/filesystem.js";
import { encodeName } from "../util/names.js";
import { NAME_MAX, NOTIFY, OUT_HEADER_SIZE } from "./protocol/constants.js";
import { MessageWriter } from "./protocol/writer.js";
import type { Channel } from "./types.js";

export class KernelNotifier implements Notifier {
  readonly #channel: Channel;
  count = 0;

  constructor(channel: Channel) {
    this.#channel = channel;
  }

  /** struct fuse_notify_inval_inode_out */
  invalidateInode(ino: Ino, offset: number, length: number): void {
    const out = this.#begin(NOTIFY.INVAL_INODE, 24);
    out.writer.u64(ino);
    out.writer.u64(offset);
    out.writer.u64(length);
    this.#queue(out.bytes);
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
    this.#queue(out.bytes);
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
    this.#queue(out.bytes);
  }

  /** Every request without an answer is handed over once more (7.40), with bit 63 of its unique set. */
  resend(): void {
    this.#queue(this.#begin(NOTIFY.RESEND, 0).bytes);
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

  #queue(bytes: Buffer): void {
    this.count += 1;
    this.#channel.notify(bytes);
  }
}
