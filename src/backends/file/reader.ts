// Reading bytes: from the object file itself, or from its segments. Segments are immutable and bear the id of one version,
// so whatever the order of events, a reader gets bytes of one version, or an error.

import { crc32 } from "node:zlib";
import { throwIfAborted } from "../../store/abort.js";
import { cutRange, preconditionError } from "../../store/checks.js";
import { StoreError } from "../../store/errors.js";
import { objectStream } from "../../store/objectStream.js";
import type { ByteRange, GetOptions, ObjectStream } from "../../store/objectStore.js";
import { Semaphore } from "../../util/semaphore.js";
import { close, errnoOf, open, read, toStoreError } from "./api.js";
import type { ContainerPaths } from "./layout.js";
import { HEAD_BYTES, hexCrc, infoOf, type Segment } from "./manifest.js";
import { openObject, type OpenObject, type SegmentTables } from "./objectFile.js";
import { requireContainer } from "./changes.js";

/** One read of the file: an object that fits is served from it. */
const WINDOW_BYTES = 68 * 1024;
const CHUNK_BYTES = 1024 * 1024;
/** Streams with open descriptors at once; more wait. Each holds at most MAX_OPEN_SEGMENTS. */
const MAX_STREAMS = 256;
/** Segments opened ahead, so that a reader goes on when the version is replaced meanwhile. */
const MAX_OPEN_SEGMENTS = 4;
/** An object may be replaced between reading its manifest and opening its segments; more often than this is not chance. */
const TRIES = 20;

/** What a stream reads, in order. */
interface Span {
  readonly path: string;
  /** Absolute in the file. */
  readonly offset: number;
  readonly length: number;
  /** Known when the span is all of what the CRC was made of. */
  readonly crc?: string | undefined;
}

/** The parts of the segments that [start, start + length) of the object consists of. */
export function spansOf(segments: readonly Segment[], directory: string, start: number, length: number): Span[] {
  const spans: Span[] = [];
  let position = 0;
  for (const segment of segments) {
    const from = Math.max(start, position);
    const to = Math.min(start + length, position + segment.length);
    if (from < to) {
      spans.push({ path: `${directory}/${segment.file}`, offset: segment.offset + from - position, length: to - from,
        crc: to - from === segment.length ? segment.crc : undefined });
    }
    position += segment.length;
    if (position >= start + length) break;
  }
  return spans;
}

export class Reader {
  readonly #paths: ContainerPaths;
  readonly #tables: SegmentTables;
  readonly #streams = new Semaphore(MAX_STREAMS);

  constructor(paths: ContainerPaths, tables: SegmentTables) {
    this.#paths = paths;
    this.#tables = tables;
  }

  async get(key: string, range: ByteRange | undefined, options: GetOptions | undefined): Promise<ObjectStream> {
    const signal = options?.signal;
    const window = range !== undefined && range.start + range.length > WINDOW_BYTES ? HEAD_BYTES : WINDOW_BYTES;
    for (let tries = 0; tries < TRIES; tries++) {
      const object = await openObject(this.#paths.object(key), window, this.#paths.quick);
      if (object === undefined) {
        await requireContainer(this.#paths, key);
        throw new StoreError("not-found", "There is no such object.", { key });
      }
      let handedOn = false;
      try {
        const { manifest } = object.head;
        throwIfAborted(signal, key);
        if (options?.ifMatch !== undefined && options.ifMatch !== manifest.etag) throw preconditionError(key);
        const cut = cutRange(range, manifest.size, key);
        const info = infoOf(manifest, key);
        const inline = manifest.data === undefined ? this.#fromWindow(object, cut, key) : undefined;
        if (inline !== undefined) return objectStream({ info, ...cut, open: () => inline, signal });
        const spans = manifest.data === undefined
          ? [{ path: object.path, offset: object.head.dataStart + cut.start, length: cut.length, crc: cut.length === manifest.size ? manifest.crc : undefined }]
          : spansOf(await this.#tables.of(object), this.#paths.dataDirectory(manifest.data), cut.start, cut.length);
        const leave = await this.#streams.acquire(signal).catch(() => throwIfAborted(signal, key));
        const source = new SpanReader(spans, key, leave as () => void);
        if (manifest.data === undefined) {
          source.adopt(object.fd);
          handedOn = true;
        } else if (!(await source.openAhead())) {
          source.free();
          continue;
        }
        return objectStream({ info, ...cut, open: () => source.chunks(), free: () => source.free(), signal });
      } finally {
        if (!handedOn) close(object.fd);
      }
    }
    throw new StoreError("unavailable", "The object is being replaced all the time.", { key });
  }

  /** The bytes asked for, when they came with the head. */
  #fromWindow(object: OpenObject, { start, length }: ByteRange, key: string): Buffer[] | undefined {
    const { manifest, dataStart } = object.head;
    if (length === 0) return [];
    const from = dataStart + start;
    if (from + length > object.bytes.length) return undefined;
    const slice = object.bytes.subarray(from, from + length);
    if (length === manifest.size) verify(crc32(slice), manifest.crc, object.path, key);
    // The rest of the window is not worth keeping alive for a few bytes.
    return [length * 2 < object.bytes.buffer.byteLength ? Buffer.from(slice) : slice];
  }
}

function verify(crc: number, expected: string | undefined, path: string, key: string): void {
  if (expected !== undefined && hexCrc(crc) !== expected) {
    throw new StoreError("corrupt", `The bytes in ${path} are not the ones that were written: their checksum is ${hexCrc(crc)}, not ${expected}.`, { key, retry: "never" });
  }
}

/** Reads spans with one read under way ahead of the consumer; closes its descriptors when no read uses them any more. */
class SpanReader {
  readonly #spans: readonly Span[];
  readonly #key: string;
  readonly #leave: () => void;
  readonly #open = new Map<number, number>();
  #running: Promise<unknown> = Promise.resolve();
  #freed = false;

  constructor(spans: readonly Span[], key: string, leave: () => void) {
    this.#spans = spans;
    this.#key = key;
    this.#leave = leave;
  }

  adopt(fd: number): void {
    this.#open.set(0, fd);
  }

  /** False when a segment is gone: the manifest it was found by is no longer the object's. */
  async openAhead(): Promise<boolean> {
    try {
      await Promise.all(this.#spans.slice(0, MAX_OPEN_SEGMENTS).map((_span, index) => this.#fd(index)));
      return true;
    } catch (error) {
      if (errnoOf(error) === "ENOENT") return false;
      this.free();
      throw error;
    }
  }

  async #fd(index: number): Promise<number> {
    const known = this.#open.get(index);
    if (known !== undefined) return known;
    const fd = await open((this.#spans[index] as Span).path, "r");
    if (this.#freed) {
      close(fd);
      throw new Error("the stream was freed");
    }
    this.#open.set(index, fd);
    return fd;
  }

  async #chunk(index: number, offset: number, length: number): Promise<Buffer> {
    const span = this.#spans[index] as Span;
    try {
      const buffer = Buffer.allocUnsafeSlow(length);
      if (await read(await this.#fd(index), buffer, length, span.offset + offset) === length) return buffer;
    } catch (error) {
      if (errnoOf(error) === "ENOENT") throw preconditionError(this.#key, "The object was replaced while it was being read.");
      throw toStoreError(error, "read the object", this.#key);
    }
    throw new StoreError("corrupt", `The file ${span.path} is cut short.`, { key: this.#key, retry: "never" });
  }

  async *chunks(): AsyncGenerator<Buffer> {
    const plan = this.#plan();
    let ahead = this.#start(plan.next());
    for (let index = 0, crc = 0; ahead !== undefined;) {
      const current: Started = ahead;
      const buffer = await current.buffer;
      ahead = this.#start(plan.next());
      if (current.index !== index) {
        this.#drop(index);
        index = current.index;
        crc = 0;
      }
      const span = this.#spans[index] as Span;
      if (span.crc !== undefined) {
        crc = crc32(buffer, crc);
        // Before the last bytes are handed on: nobody gets a whole wrong segment.
        if (current.last) verify(crc, span.crc, span.path, this.#key);
      }
      yield buffer;
    }
  }

  *#plan(): Generator<{ readonly index: number; readonly offset: number; readonly length: number; readonly last: boolean }> {
    for (const [index, span] of this.#spans.entries()) {
      for (let offset = 0; offset < span.length; offset += CHUNK_BYTES) {
        const length = Math.min(CHUNK_BYTES, span.length - offset);
        yield { index, offset, length, last: offset + length === span.length };
      }
    }
  }

  #start(step: IteratorResult<{ readonly index: number; readonly offset: number; readonly length: number; readonly last: boolean }>): Started | undefined {
    if (step.done === true || this.#freed) return undefined;
    const buffer = this.#chunk(step.value.index, step.value.offset, step.value.length);
    this.#running = buffer.catch(() => undefined);
    return { ...step.value, buffer };
  }

  #drop(index: number): void {
    const fd = this.#open.get(index);
    if (fd === undefined) return;
    this.#open.delete(index);
    close(fd);
  }

  /** Idempotent. Descriptors are closed once the read under way has ended: a number that is closed may be somebody else's next. */
  free(): void {
    if (this.#freed) return;
    this.#freed = true;
    void this.#running.then(() => {
      for (const index of this.#open.keys()) this.#drop(index);
      this.#leave();
    });
  }
}

interface Started {
  readonly index: number;
  readonly last: boolean;
  readonly buffer: Promise<Buffer>;
}
