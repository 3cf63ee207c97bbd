// The journal of one staged file: what a later daemon needs to finish, or at least to find, what this one began.
//
// Format, version 1. Text, so that a person can read it:
//
//     objmount journal 1\n
//     LLLLLLLL CCCCCCCC {...json...}\n        one line per record, appended in one write
//
// L is the length of the JSON in bytes, C its CRC-32 (zlib.crc32), both as eight hexadecimal digits. A reader stops
// before the first line that is short or wrong: a torn tail is what a crash leaves, and everything before it holds.
//
// Order of fsync, and why so little of it. With commit=close nothing is acknowledged to the program before the store
// has acknowledged it, so a crash loses only what was never promised; then `begin`, `upload` and `part` are written
// without fsync (they survive the process, which is the common crash; after a power cut the upload is found by listing
// uploads). The one promise made from local disk is "the commit failed, the bytes are kept". There the order is: data
// file fdatasync, then the record `staged`, then journal fdatasync, then the directory's fsync. A `staged` record that
// is readable therefore speaks of data that is on disk, and its checksums tell if the disk does not agree.
//
// Records. A journal may hold several generations: `begin` starts one, `complete` ends it.
//     begin     the key, the version it changes, and who writes
//     upload    a multipart upload exists at the store, and is ours to end
//     part      the store has this part
//     staged    these ranges of the data file are on disk; everything else is the base's or a hole
//     complete  the object is at the store
//     done      the files may be removed

import { constants } from "node:fs";
import { open as openFile, readFile, type FileHandle } from "node:fs/promises";
import { crc32 } from "node:zlib";
import type { PartReceipt } from "../store/objectStore.js";

export const JOURNAL_VERSION = 1;
const MAGIC = "objmount journal ";
const HEAD = 18;

/** One process of one boot of one host: numbers of processes come again, these three together do not. */
export interface Owner {
  readonly host: string;
  readonly pid: number;
  /** /proc/sys/kernel/random/boot_id; "" where there is none. */
  readonly boot: string;
  /** Start of the process in clock ticks since boot, field 22 of /proc/PID/stat; "" where there is none. */
  readonly started: string;
}

export type JournalRecord =
  | { readonly type: "begin"; readonly key: string; readonly data: string; readonly owner: Owner; readonly time: number;
      /** The store's label. */ readonly store: string;
      /** The etag that the key is expected to have; absent: it must not exist. */ readonly expected?: string | undefined;
      /** The object whose bytes stand wherever nothing was staged. */
      readonly base?: { readonly key: string; readonly etag: string; readonly size: number } | undefined }
  | { readonly type: "upload"; readonly key: string; readonly id: string }
  | { readonly type: "part"; readonly id: string; readonly receipt: PartReceipt }
  | { readonly type: "abort"; readonly id: string }
  /** `ranges`: [start, end, CRC-32 of those bytes of the data file]. `baseLimit`: how much of the base's head still counts. */
  | { readonly type: "staged"; readonly size: number; readonly baseLimit: number; readonly error: string;
      readonly ranges: readonly (readonly [number, number, number])[] }
  | { readonly type: "complete"; readonly key: string; readonly etag: string; readonly size: number }
  | { readonly type: "done" };

export interface JournalContent {
  readonly version: number;
  readonly records: readonly JournalRecord[];
  /** The length of what was readable; the file is longer after a torn write. */
  readonly validBytes: number;
  readonly torn: boolean;
}

export class Journal {
  readonly path: string;
  readonly #file: FileHandle;
  #tail: Promise<void>;
  #failure: unknown;

  private constructor(path: string, file: FileHandle) {
    this.path = path;
    this.#file = file;
    this.#tail = Promise.resolve();
  }

  /** Creates the file; EEXIST when it is there. */
  static async create(path: string): Promise<Journal> {
    const file = await openFile(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_APPEND, 0o600);
    const journal = new Journal(path, file);
    journal.#write(`${MAGIC}${String(JOURNAL_VERSION)}\n`);
    return journal;
  }

  /** Appends in the order of the calls. A failure is kept for `flush`: losing a record must not fail an upload. */
  append(record: JournalRecord): void {
    const json = JSON.stringify(record);
    const payload = Buffer.from(json);
    this.#write(`${hex(payload.length)} ${hex(crc32(payload))} ${json}\n`);
  }

  /** Everything appended so far is on disk. Rejects with the first failure of any append. */
  async flush(): Promise<void> {
    await this.#tail;
    if (this.#failure !== undefined) throw this.#failure as Error;
    await this.#file.datasync();
  }

  async close(): Promise<void> {
    await this.#tail;
    await this.#file.close();
  }

  #write(text: string): void {
    this.#tail = this.#tail.then(async () => {
      try {
        // After a failed append the tail may be torn, and nothing behind it would be read.
        if (this.#failure === undefined) await this.#file.appendFile(text);
      } catch (error) {
        this.#failure = error;
      }
    });
  }
}

/** Reads as much as holds. Throws when the file cannot be read, or is no journal, or is of a version that is not known here. */
export async function readJournal(path: string): Promise<JournalContent> {
  const bytes = await readFile(path);
  const end = bytes.indexOf(10);
  const head = bytes.toString("latin1", 0, end < 0 ? bytes.length : end);
  if (end < 0 && `${MAGIC}${String(JOURNAL_VERSION)}`.startsWith(head)) return { version: JOURNAL_VERSION, records: [], validBytes: 0, torn: true };
  const version = Number(head.startsWith(MAGIC) ? head.slice(MAGIC.length) : "");
  if (!Number.isInteger(version) || version < 1) throw new Error(`${path} is not a journal of objmount`);
  if (version > JOURNAL_VERSION) throw new Error(`${path} is a journal of version ${String(version)}; this objmount reads up to ${String(JOURNAL_VERSION)}`);
  const records: JournalRecord[] = [];
  let at = end + 1;
  while (at < bytes.length) {
    const frame = /^([0-9a-f]{8}) ([0-9a-f]{8}) $/.exec(bytes.toString("latin1", at, at + HEAD));
    if (frame === null) break;
    const length = Number.parseInt(frame[1] as string, 16);
    const payload = bytes.subarray(at + HEAD, at + HEAD + length);
    if (payload.length < length || bytes[at + HEAD + length] !== 10 || hex(crc32(payload)) !== frame[2]) break;
    records.push(JSON.parse(payload.toString("utf8")) as JournalRecord);
    at += HEAD + length + 1;
  }
  return { version, records, validBytes: at, torn: at < bytes.length };
}

function hex(value: number): string {
  return value.toString(16).padStart(8, "0");
}
