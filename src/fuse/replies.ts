// Replies, laid out in the channel's output area and written at once. Every method answers whether the kernel took it.

import type { Logger } from "../util/log.js";
import { ERRNO, type ErrnoName } from "../fs/errors.js";
import { OUT_HEADER_SIZE } from "./protocol/constants.js";
import { MessageWriter } from "./protocol/writer.js";
import type { Request } from "./request.js";
import type { Channel } from "./types.js";

/** What the addon takes in one call. */
const MAX_SLICES = 1000;

export class Replies {
  /** Stands behind the header after `begin`. */
  readonly out: MessageWriter;
  readonly #channel: Channel;
  readonly #log: Logger;

  constructor(channel: Channel, log: Logger) {
    this.#channel = channel;
    this.#log = log;
    this.out = new MessageWriter(channel.output);
  }

  /** A reply without an error begins: write its structure to the writer that comes back, then `send`. */
  begin(): MessageWriter {
    this.out.seek(OUT_HEADER_SIZE);
    return this.out;
  }

  /** Sends what was written since `begin`. */
  send(request: Request): boolean {
    const length = this.out.length;
    this.#header(request, length, 0);
    return this.#sent(request, this.#channel.send(length));
  }

  empty(request: Request): boolean {
    this.#header(request, OUT_HEADER_SIZE, 0);
    return this.#sent(request, this.#channel.send(OUT_HEADER_SIZE));
  }

  error(request: Request, errno: ErrnoName): boolean {
    this.#header(request, OUT_HEADER_SIZE, -ERRNO[errno]);
    return this.#sent(request, this.#channel.send(OUT_HEADER_SIZE));
  }

  /** Data without a copy. At most `request.size` bytes go out: the kernel refuses a longer answer as a whole. */
  data(request: Request, slices: readonly Buffer[]): boolean {
    let total = 0;
    for (let i = 0; i < slices.length; i++) total += (slices[i] as Buffer).length;
    let sending = slices;
    if (total > request.size || slices.length > MAX_SLICES) {
      const whole = Buffer.concat(slices).subarray(0, request.size);
      total = whole.length;
      sending = [whole];
    }
    this.#header(request, OUT_HEADER_SIZE + total, 0);
    return this.#sent(request, this.#channel.sendWith(OUT_HEADER_SIZE, sending));
  }

  #header(request: Request, length: number, error: number): void {
    const out = this.out;
    out.seek(0);
    out.u32(length);
    out.u32(error);
    out.u64Halves(request.uniqueLow, request.uniqueHigh);
  }

  #sent(request: Request, result: number): boolean {
    if (result === 0) return true;
    // ENOENT: nobody waits for it any more (interrupted, or the connection is gone). EBADF: the session has ended.
    if (result !== -ERRNO.ENOENT && result !== -ERRNO.EBADF && result !== -ERRNO.ENODEV) {
      this.#log.error({ opcode: request.opcode, unique: request.key, ino: request.ino, errno: -result }, "the kernel refused a reply");
    }
    return false;
  }
}
