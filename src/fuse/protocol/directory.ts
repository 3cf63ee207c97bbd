// READDIR and READDIRPLUS replies: a buffer of the size that the kernel asked for, filled entry by entry.

import { type DirectoryEntry, type DirectorySink, type Entry, type Ino, S_IF } from "../../fs/filesystem.js";
import { encodeName } from "../../util/names.js";
import { DIRENT_SIZE, ENTRY_OUT_SIZE, NAME_MAX } from "./constants.js";
import { writeEntry } from "./structs.js";
import { MessageWriter } from "./writer.js";

const align8 = (n: number): number => (n + 7) & ~7;

/** Takes entries until the reply is full; what it took is `bytes`, and the lookups it counted are in `looked`. */
export class DirectoryReply implements DirectorySink {
  readonly #buffer: Buffer;
  readonly #out: MessageWriter;
  readonly #plus: boolean;
  /** Names that the kernel would answer with EIO for the whole directory; they are left out. */
  readonly refused: string[] = [];
  readonly looked: Ino[] = [];
  /** Lookups counted for refused names: the kernel never hears of them. */
  readonly strays: Ino[] = [];
  count = 0;

  constructor(size: number, plus: boolean) {
    this.#buffer = Buffer.allocUnsafe(size);
    this.#out = new MessageWriter(this.#buffer);
    this.#plus = plus;
  }

  get bytes(): Buffer { return this.#buffer.subarray(0, this.#out.length); }

  add(item: DirectoryEntry, entry?: Entry): boolean {
    const name = encodeName(item.name);
    if (name.length === 0 || name.length > NAME_MAX || name.includes(0x2f) || name.includes(0)) {
      this.refused.push(item.name);
      // Taken, as far as the lister is concerned, lookup count included.
      if (this.#plus && entry !== undefined) this.strays.push(entry.attributes.ino);
      return true;
    }
    const out = this.#out;
    const length = align8((this.#plus ? ENTRY_OUT_SIZE : 0) + DIRENT_SIZE + name.length);
    if (out.length + length > out.capacity) return false;
    const start = out.length;
    if (this.#plus) {
      // nodeid 0: no attributes come with this name, and no lookup is counted ("." and "..").
      if (entry === undefined) out.zeros(ENTRY_OUT_SIZE);
      else {
        writeEntry(out, entry);
        this.looked.push(entry.attributes.ino);
      }
    }
    out.u64(item.ino);
    out.u64(item.offset);
    out.u32(name.length);
    out.u32((item.type & S_IF.MT) >> 12);
    out.bytes(name);
    out.zeros(start + length - out.length);
    this.count += 1;
    return true;
  }
}
