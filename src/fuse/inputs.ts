// Message buffers. One buffer takes every message; only a large WRITE keeps it until its data are taken, and another one
// steps in. Small data are copied instead: a buffer of a megabyte is not held for a page.

import { MESSAGE_SIZE } from "./protocol/constants.js";
import type { MessageReader } from "./protocol/reader.js";
import type { Channel } from "./types.js";

/** Data up to this size are copied out of the message. */
export const COPIED_BYTES = 32 * 1024;
/** Spare buffers kept; more come and go with bursts of writes. */
const SPARE_BUFFERS = 8;

export class Inputs {
  readonly #channel: Channel;
  readonly #message: MessageReader;
  readonly #spare: Buffer[] = [];
  held = 0;

  constructor(channel: Channel, message: MessageReader) {
    this.#channel = channel;
    this.#message = message;
  }

  static allocate(): Buffer {
    return Buffer.allocUnsafeSlow(MESSAGE_SIZE);
  }

  /** The current message's buffer stays as it is until it is given back; the next message goes into another. */
  hold(): Buffer {
    const held = this.#message.buffer;
    const next = this.#spare.pop() ?? Inputs.allocate();
    this.#channel.useInput(next);
    this.#message.use(next);
    this.held += 1;
    return held;
  }

  giveBack(buffer: Buffer): void {
    this.held -= 1;
    if (this.#spare.length < SPARE_BUFFERS) this.#spare.push(buffer);
  }
}
