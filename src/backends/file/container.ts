// One container: what its calls share.

import { unlink } from "node:fs/promises";
import { randomBytes } from "node:crypto";
import { dirname } from "node:path";
import { abortedError, orAborted, throwIfAborted } from "../../store/abort.js";
import { StoreError } from "../../store/errors.js";
import type { Body, ByteRange, Metadata } from "../../store/objectStore.js";
import type { Clock } from "../../util/clock.js";
import { close, errnoOf, exists, open, read, toStoreError } from "./api.js";
import { requireContainer, type Changes, type Check } from "./changes.js";
import type { Directories } from "./directories.js";
import type { ContainerPaths } from "./layout.js";
import { HEAD_BYTES, type Manifest, type Segment } from "./manifest.js";
import { openObject, type OpenObject, type SegmentTables } from "./objectFile.js";
import { spansOf } from "./reader.js";
import { LINK_BYTES, linkFile, stageManifest, stageObject, type Piece } from "./stage.js";

const TRIES = 20;
const CHUNK_BYTES = 1024 * 1024;

export type CrcPiece = Piece & { readonly crc?: string | undefined };

export interface ContainerParts {
  readonly paths: ContainerPaths;
  readonly directories: Directories;
  readonly changes: Changes;
  readonly tables: SegmentTables;
  readonly clock: Clock;
  readonly sync: boolean;
  /** Another container of the store, which must be there. */
  readonly other: (name: string) => Promise<Container>;
}

/** The bytes of the pieces, one after the other. */
function bodyOfPieces(pieces: readonly Piece[]): Body {
  return { length: pieces.reduce((sum, { length }) => sum + length, 0), open: () => readPieces(pieces) };
}

async function* readPieces(pieces: readonly Piece[]): AsyncGenerator<Buffer> {
  for (const piece of pieces) {
    const fd = await open(piece.path, "r");
    try {
      for (let at = 0; at < piece.length; at += CHUNK_BYTES) {
        const want = Math.min(CHUNK_BYTES, piece.length - at);
        const buffer = Buffer.allocUnsafe(want);
        if (await read(fd, buffer, want, piece.offset + at) < want) {
          throw new StoreError("corrupt", `The file ${piece.path} is cut short.`, { retry: "never" });
        }
        yield buffer;
      }
    } finally {
      close(fd);
    }
  }
}

export function newId(): string {
  return randomBytes(12).toString("hex");
}

export class Container {
  readonly paths: ContainerPaths;
  readonly directories: Directories;
  readonly changes: Changes;
  readonly sync: boolean;
  readonly #parts: ContainerParts;
  readonly #running = new Set<Promise<unknown>>();
  #closed = false;

  constructor(parts: ContainerParts) {
    this.#parts = parts;
    this.paths = parts.paths;
    this.directories = parts.directories;
    this.changes = parts.changes;
    this.sync = parts.sync;
  }

  /** Every call goes through here: failures become StoreErrors, the signal ends the wait at once, `close` waits for the work. */
  async run<T>(doing: string, key: string | undefined, signal: AbortSignal | undefined, work: (signal: AbortSignal | undefined) => Promise<T>): Promise<T> {
    if (this.#closed) throw new StoreError("aborted", "The store is closed.", { key });
    throwIfAborted(signal, key);
    const running = work(signal);
    this.#running.add(running);
    try {
      return await orAborted(running, signal, key);
    } catch (error) {
      if (signal?.aborted === true && !(error instanceof StoreError)) throw abortedError(signal, key);
      throw toStoreError(error, doing, key);
    } finally {
      running.finally(() => this.#running.delete(running)).catch(() => undefined);
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.allSettled(this.#running);
  }

  async other(name: string | undefined): Promise<Container> {
    return name === undefined || name === this.paths.name ? this : this.#parts.other(name);
  }

  newManifest(key: string, size: number, metadata: Metadata | undefined, type: string | undefined): Manifest {
    return { key, size, etag: newId(), modified: this.#parts.clock.now(), type, metadata: metadata ?? {} };
  }

  /**
   * Gives `work` one version of an object and where its bytes lie; files that stay while it runs, or that it finds missing
   * (ENOENT) because the version is gone: then it is called again with the next one.
   */
  async withSegments<T>(key: string, work: (manifest: Manifest, pieces: (range: ByteRange) => CrcPiece[], segments: readonly Segment[] | undefined) => Promise<T>): Promise<T> {
    for (let tries = 1;; tries++) {
      const pin = this.changes.workPath("new");
      try {
        await this.changes.inContainer(linkFile(this.paths.object(key), pin, false), key);
      } catch (error) {
        if (errnoOf(error) === "ENOENT") throw new StoreError("not-found", "There is no such object.", { key, cause: error });
        throw error;
      }
      let object: OpenObject | undefined;
      try {
        object = await openObject(pin, HEAD_BYTES, this.paths.quick);
        if (object === undefined) throw new StoreError("unexpected", "A file of this process has gone from the store.", { key });
        const { manifest, dataStart } = object.head;
        if (manifest.data === undefined) {
          return await work(manifest, ({ start, length }) => [{ path: pin, offset: dataStart + start, length,
            crc: length === manifest.size ? manifest.crc : undefined }], undefined);
        }
        const directory = this.paths.dataDirectory(manifest.data);
        const segments = await this.#parts.tables.of(object);
        try {
          return await work(manifest, ({ start, length }) => spansOf(segments, directory, start, length), segments);
        } catch (error) {
          if (errnoOf(error) !== "ENOENT" || await exists(directory) || tries >= TRIES) throw error;
        }
      } finally {
        if (object !== undefined) close(object.fd);
        await unlink(pin).catch(() => undefined);
      }
    }
  }

  /** Makes an object of `manifest` with the bytes of `pieces`, which are linked where they are long. */
  async replaceFromPieces(manifest: Manifest, pieces: readonly CrcPiece[], check: Check, signal: AbortSignal | undefined): Promise<void> {
    const { changes, directories, sync } = this;
    const { key } = manifest;
    const file = changes.workPath("new");
    if (manifest.size <= LINK_BYTES) {
      await changes.replace(key, { file, manifest: await stageObject(file, manifest, bodyOfPieces(pieces), sync, signal) }, check, signal);
      return;
    }
    const id = newId();
    const linked = { ...manifest, data: id };
    const record = await changes.record(key, id);
    try {
      const directory = await changes.makeData(id);
      const segments: Segment[] = [];
      for (const [index, piece] of pieces.entries()) {
        throwIfAborted(signal, key);
        await linkFile(piece.path, `${directory}/${index}`, sync);
        segments.push({ file: String(index), offset: piece.offset, length: piece.length, crc: piece.crc });
      }
      await Promise.all([directories.sync(directory), directories.sync(dirname(directory)), directories.sync(this.paths.data)]);
      await stageManifest(file, linked, segments, sync);
    } catch (error) {
      await changes.giveUp(id, record).catch(() => undefined);
      throw error;
    }
    await changes.replace(key, { file, manifest: linked, record }, check, signal);
  }

  async require(key?: string): Promise<void> {
    await requireContainer(this.paths, key);
  }
}
