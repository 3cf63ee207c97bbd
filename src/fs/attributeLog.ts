// The attribute store on disk: an append-only file of lines, each with the CRC-32 of its text in front. It is a cache: a damaged or
// cut line is skipped, a file that cannot be written is given up with one warning, and losing it costs requests, never truth.

import { appendFile, readFile, rename, writeFile } from "node:fs/promises";
import { crc32 } from "node:zlib";
import type { Logger } from "../util/log.js";
import type { AttributeSink, AttributeStore, Remembered } from "./attributeStore.js";

interface Line { readonly k: string; readonly e?: string; readonly s?: number; readonly t?: number; readonly m?: Record<string, string>; readonly c?: string }

const FLUSH_BYTES = 64 * 1024;

export class AttributeLog implements AttributeSink {
  readonly #file: string;
  readonly #store: AttributeStore;
  readonly #maxBytes: number;
  readonly #logger: Logger;
  #waiting: string[] = [];
  #waitingBytes = 0;
  #fileBytes = 0;
  #writing: Promise<void> = Promise.resolve();
  #broken = false;

  private constructor(file: string, store: AttributeStore, maxBytes: number, logger: Logger) {
    this.#file = file;
    this.#store = store;
    this.#maxBytes = maxBytes;
    this.#logger = logger;
  }

  /** Reads what is there into `store`, then writes down every change. The file grows to at most about `maxBytes`, then it is rewritten. */
  static async open(file: string, store: AttributeStore, maxBytes: number, logger: Logger): Promise<AttributeLog> {
    const log = new AttributeLog(file, store, maxBytes, logger);
    let text = "";
    try {
      text = await readFile(file, "utf8");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") logger.warn({ err: error, file }, "the attribute file cannot be read; starting without it");
    }
    let bad = 0;
    const records = new Map<string, Remembered>();
    for (const line of text.split("\n")) {
      if (line !== "" && !restoreLine(line, records)) bad += 1;
    }
    store.restore(records);
    if (bad > 0) logger.warn({ file, lines: bad }, "damaged lines of the attribute file were skipped");
    store.attach(log);
    // A cut last line must not swallow the first new one.
    if (text !== "" && !text.endsWith("\n")) log.#add("");
    log.#fileBytes = Buffer.byteLength(text);
    if (bad > 0 || log.#fileBytes > maxBytes) await log.#compact();
    return log;
  }

  put(key: string, record: Remembered): void {
    this.#append({
      k: key, e: record.etag, s: record.size, m: record.metadata,
      ...(record.lastModified === undefined ? {} : { t: record.lastModified }), ...(record.contentType === undefined ? {} : { c: record.contentType }),
    });
  }

  drop(key: string): void {
    this.#append({ k: key });
  }

  /** Everything told so far is in the file. */
  async close(): Promise<void> {
    this.#flush();
    await this.#writing;
    this.#store.attach(undefined);
  }

  #append(line: Line): void {
    if (this.#broken) return;
    this.#add(encode(line));
    if (this.#waitingBytes >= FLUSH_BYTES) this.#flush();
  }

  #add(line: string): void {
    this.#waiting.push(`${line}\n`);
    this.#waitingBytes += line.length + 1;
  }

  #flush(): void {
    if (this.#waiting.length === 0 || this.#broken) return;
    const text = this.#waiting.join("");
    this.#waiting = [];
    this.#waitingBytes = 0;
    this.#fileBytes += Buffer.byteLength(text);
    this.#then(() => appendFile(this.#file, text, { mode: 0o600 }));
    if (this.#fileBytes > this.#maxBytes) this.#then(() => this.#rewrite());
  }

  async #compact(): Promise<void> {
    this.#then(() => this.#rewrite());
    await this.#writing;
  }

  async #rewrite(): Promise<void> {
    const lines: string[] = [];
    for (const [k, record] of this.#store.entries()) {
      lines.push(`${encode({ k, e: record.etag, s: record.size, m: record.metadata,
        ...(record.lastModified === undefined ? {} : { t: record.lastModified }), ...(record.contentType === undefined ? {} : { c: record.contentType }) })}\n`);
    }
    // The newest half of what may be kept, so that the next rewrite is far away.
    let bytes = 0;
    let from = lines.length;
    while (from > 0 && bytes + Buffer.byteLength(lines[from - 1] as string) <= this.#maxBytes / 2) bytes += Buffer.byteLength(lines[--from] as string);
    await writeFile(`${this.#file}.new`, lines.slice(from).join(""), { mode: 0o600 });
    await rename(`${this.#file}.new`, this.#file);
    this.#fileBytes = bytes;
  }

  #then(work: () => Promise<void>): void {
    this.#writing = this.#writing.then(work).catch((error: unknown) => {
      if (!this.#broken) this.#logger.warn({ err: error, file: this.#file }, "the attribute file cannot be written; going on without it");
      this.#broken = true;
    });
  }
}

/** The last line of a key counts. */
function restoreLine(text: string, records: Map<string, Remembered>): boolean {
  const at = text.indexOf(" ");
  if (at < 0 || text.slice(0, at) !== crc32(text.slice(at + 1)).toString(16)) return false;
  try {
    const line = JSON.parse(text.slice(at + 1)) as Line;
    if (typeof line.k !== "string") return false;
    records.delete(line.k);
    if (line.e !== undefined && line.s !== undefined && line.m !== undefined) {
      records.set(line.k, { etag: line.e, size: line.s, lastModified: line.t, metadata: line.m, contentType: line.c });
    }
    return true;
  } catch {
    return false;
  }
}

function encode(line: Line): string {
  const text = JSON.stringify(line);
  return `${crc32(text).toString(16)} ${text}`;
}
