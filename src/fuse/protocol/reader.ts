// A cursor over one message. It is used again for every message, so what outlives the call must be copied out
// (numbers and strings are; bytes are slices of the message buffer).

import { endianness } from "node:os";
import { decodeName } from "../../util/names.js";
import { IN_HEADER_SIZE } from "./constants.js";
import { ProtocolError } from "./protocolError.js";

/** The protocol is in host order. */
export const LITTLE_ENDIAN = endianness() === "LE";
const TWO_32 = 0x1_0000_0000;

export class MessageReader {
  #bytes: Buffer;
  #view: DataView;
  #at = 0;
  #end = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
    this.#view = viewOf(bytes);
  }

  /** The buffer that messages are read from now on. */
  use(bytes: Buffer): void {
    this.#bytes = bytes;
    this.#view = viewOf(bytes);
    this.#end = 0;
  }

  /** A message of `length` bytes has arrived. The cursor stands behind its header. */
  begin(length: number): void {
    this.#end = length;
    this.#at = IN_HEADER_SIZE;
  }

  /** What a message with extensions (fuse_in_header.total_extlen) has of its own ends before them. */
  cutExtensions(eightBytes: number): void {
    const end = this.#end - eightBytes * 8;
    if (end < IN_HEADER_SIZE) throw new ProtocolError("the extensions are longer than the message");
    this.#end = end;
  }

  get remaining(): number { return this.#end - this.#at; }
  get buffer(): Buffer { return this.#bytes; }

  headerU32(offset: number): number { return this.#view.getUint32(offset, LITTLE_ENDIAN); }
  headerU16(offset: number): number { return this.#view.getUint16(offset, LITTLE_ENDIAN); }
  headerU64(offset: number): number { return this.#u64At(offset); }
  headerLow(offset: number): number { return this.#view.getUint32(offset + (LITTLE_ENDIAN ? 0 : 4), LITTLE_ENDIAN); }
  headerHigh(offset: number): number { return this.#view.getUint32(offset + (LITTLE_ENDIAN ? 4 : 0), LITTLE_ENDIAN); }

  u32(): number {
    return this.#view.getUint32(this.#take(4), LITTLE_ENDIAN);
  }

  /** @throws ProtocolError (EFBIG) above 2^53: no size, offset or number of ours is that large. */
  u64(): number {
    const value = this.#u64At(this.#take(8));
    if (value > Number.MAX_SAFE_INTEGER) throw new ProtocolError("a number above 2^53", "EFBIG");
    return value;
  }

  /** Above 2^53 it comes as 2^53 - 1: lengths for which "as far as there is" is meant. */
  u64Clamped(): number {
    return Math.min(this.#u64At(this.#take(8)), Number.MAX_SAFE_INTEGER);
  }

  /** Two's complement, for times before 1970. */
  i64(): number {
    const at = this.#take(8);
    const low = this.#view.getUint32(at + (LITTLE_ENDIAN ? 0 : 4), LITTLE_ENDIAN);
    return this.#view.getInt32(at + (LITTLE_ENDIAN ? 4 : 0), LITTLE_ENDIAN) * TWO_32 + low;
  }

  /** The low and the high half of a number that is all 64 bits wide. */
  u64Halves(): readonly [low: number, high: number] {
    const at = this.#take(8);
    return [this.headerLow(at), this.headerHigh(at)];
  }

  skip(bytes: number): void {
    this.#take(bytes);
  }

  /** A name or path that ends with NUL. */
  text(): string {
    const nul = this.#bytes.indexOf(0, this.#at);
    if (nul < 0 || nul >= this.#end) throw new ProtocolError("a name without its NUL");
    const name = decodeName(this.#bytes.subarray(this.#at, nul));
    this.#at = nul + 1;
    return name;
  }

  /** A slice of the message buffer: valid until the buffer takes the next message. */
  bytes(length: number): Buffer {
    const at = this.#take(length);
    return this.#bytes.subarray(at, at + length);
  }

  #u64At(offset: number): number {
    const low = this.#view.getUint32(offset + (LITTLE_ENDIAN ? 0 : 4), LITTLE_ENDIAN);
    const high = this.#view.getUint32(offset + (LITTLE_ENDIAN ? 4 : 0), LITTLE_ENDIAN);
    return high * TWO_32 + low;
  }

  #take(bytes: number): number {
    const at = this.#at;
    if (at + bytes > this.#end) throw new ProtocolError("the message is shorter than its kind");
    this.#at = at + bytes;
    return at;
  }
}

function viewOf(bytes: Buffer): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
