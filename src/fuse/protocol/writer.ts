// A cursor over the output area of a channel, or over any other buffer. Everything written between two awaits goes out
// before the next one, so one area serves all replies.

import { LITTLE_ENDIAN } from "./reader.js";

const TWO_32 = 0x1_0000_0000;

export class MessageWriter {
  readonly #bytes: Buffer;
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get length(): number { return this.#at; }
  get capacity(): number { return this.#bytes.byteLength; }

  /** Starts anew at `offset`. */
  seek(offset: number): void {
    this.#at = offset;
  }

  u16(value: number): void {
    this.#view.setUint16(this.#at, value, LITTLE_ENDIAN);
    this.#at += 2;
  }

  /** Also takes negative numbers, as int32. */
  u32(value: number): void {
    this.#view.setUint32(this.#at, value, LITTLE_ENDIAN);
    this.#at += 4;
  }

  /** An integer of at most 2^53, or negative, as int64. */
  u64(value: number): void {
    const high = Math.floor(value / TWO_32);
    this.u64Halves(value - high * TWO_32, high);
  }

  u64Halves(low: number, high: number): void {
    this.#view.setUint32(this.#at + (LITTLE_ENDIAN ? 0 : 4), low, LITTLE_ENDIAN);
    this.#view.setUint32(this.#at + (LITTLE_ENDIAN ? 4 : 0), high, LITTLE_ENDIAN);
    this.#at += 8;
  }

  bytes(bytes: Uint8Array): void {
    this.#bytes.set(bytes, this.#at);
    this.#at += bytes.byteLength;
  }

  zeros(count: number): void {
    this.#bytes.fill(0, this.#at, this.#at + count);
    this.#at += count;
  }
}
