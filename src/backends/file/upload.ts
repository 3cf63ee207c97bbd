// Uploads. A directory with upload.json and one file per piece of a part, whose name says all there is to know:
// NUMBER.STAMP.PIECE.PIECES.PARTOFFSET.OFFSET.LENGTH.CRC - which part, which sending of it, which piece of how many, where
// the part starts in the object, and which bytes of the file belong to it. Completing makes the directory the object's data
// directory by one rename and writes a manifest: no byte is moved.

import { mkdir, readdir, rename, unlink, writeFile } from "node:fs/promises";
import { randomBytes } from "node:crypto";
import { dirname, join } from "node:path";
import { throwIfAborted } from "../../store/abort.js";
import { checkPart, checkParts, checkTarget, cutRange, preconditionError } from "../../store/checks.js";
import { StoreError } from "../../store/errors.js";
import type { Body, ByteRange, CallOptions, Metadata, PartReceipt, Upload, WriteConditions, WriteReceipt } from "../../store/objectStore.js";
import { errnoOf, exists, readSmall, succeeds } from "./api.js";
import { LIMITS } from "./capabilities.js";
import { removeTree } from "./changes.js";
import { newId, type Container, type CrcPiece } from "./container.js";
import type { Segment } from "./manifest.js";
import { readManifest } from "./objectFile.js";
import { linkFile, LINK_BYTES, stageBytes, stageCopy, stageManifest, type Piece } from "./stage.js";

export const UPLOAD_FILE = "upload.json";

/** upload.json */
export interface UploadRecord {
  readonly key: string;
  readonly metadata: Metadata;
  readonly type?: string | undefined;
}

interface PieceName {
  readonly file: string;
  readonly number: number;
  readonly stamp: string;
  readonly piece: number;
  readonly pieces: number;
  readonly partOffset: number;
  readonly segment: Segment;
}

function pieceName(number: number, stamp: string, piece: number, pieces: number, partOffset: number, offset: number, length: number, crc: string | undefined): string {
  return [number, stamp, piece, pieces, partOffset, offset, length, crc ?? "-"].join(".");
}

function readPieceName(file: string): PieceName | undefined {
  const match = /^(\d+)\.([0-9a-z]+)\.(\d+)\.(\d+)\.(\d+)\.(\d+)\.(\d+)\.([0-9a-f]{8}|-)$/.exec(file);
  if (match === null) return undefined;
  const [number, piece, pieces, partOffset, offset, length] = [1, 3, 4, 5, 6, 7].map((i) => Number(match[i])) as [number, number, number, number, number, number];
  return { file, number, stamp: match[2] as string, piece, pieces, partOffset,
    segment: { file, offset, length, crc: match[8] === "-" ? undefined : match[8] } };
}

/** One sending of one part, whole. */
interface Part {
  readonly receipt: PartReceipt;
  readonly segments: readonly Segment[];
  readonly files: readonly string[];
}

/** All whole parts in the directory, by number and stamp, the latest sending last. */
async function readParts(directory: string): Promise<Part[]> {
  const groups = new Map<string, PieceName[]>();
  for (const file of await readdir(directory)) {
    const name = readPieceName(file);
    if (name === undefined) continue;
    const id = `${name.number}.${name.stamp}`;
    const group = groups.get(id);
    if (group === undefined) groups.set(id, [name]);
    else group.push(name);
  }
  const parts: Part[] = [];
  for (const group of groups.values()) {
    const first = group[0] as PieceName;
    if (group.length !== first.pieces) continue;
    group.sort((a, b) => a.piece - b.piece);
    parts.push({
      receipt: { number: first.number, offset: first.partOffset, size: group.reduce((sum, { segment }) => sum + segment.length, 0), etag: first.stamp },
      segments: group.map(({ segment }) => segment), files: group.map(({ file }) => file),
    });
  }
  return parts.sort((a, b) => a.receipt.number - b.receipt.number || (a.receipt.etag < b.receipt.etag ? -1 : 1));
}

export async function beginUpload(container: Container, record: UploadRecord): Promise<FileUpload> {
  const id = newId();
  const directory = container.paths.upload(id);
  await container.changes.inContainer(mkdir(directory), record.key);
  await writeFile(join(directory, UPLOAD_FILE), JSON.stringify(record), { flag: "wx", flush: container.sync });
  await container.directories.sync(directory);
  await container.directories.sync(container.paths.uploads);
  return new FileUpload(container, record, id);
}

export async function resumeUpload(container: Container, key: string, id: string): Promise<FileUpload> {
  if (/^[0-9a-f]{24}$/.test(id)) {
    const record = await readRecord(container.paths.upload(id));
    if (record !== undefined && record.key === key) return new FileUpload(container, record, id);
    // Completed already, and the answer was lost: `complete` will say so.
    if (record === undefined && (await readManifest(container.paths, key))?.data === id) return new FileUpload(container, { key, metadata: {} }, id);
  }
  throw new StoreError("not-found", `There is no upload ${id} of this object.`, { key });
}

export async function readRecord(directory: string): Promise<UploadRecord | undefined> {
  const text = await readSmall(join(directory, UPLOAD_FILE));
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text) as UploadRecord;
  } catch {
    // Begun, but never acknowledged.
    return undefined;
  }
}

export class FileUpload implements Upload {
  readonly key: string;
  readonly id: string;
  readonly #container: Container;
  readonly #record: UploadRecord;
  readonly #directory: string;

  constructor(container: Container, record: UploadRecord, id: string) {
    this.key = record.key;
    this.id = id;
    this.#container = container;
    this.#record = record;
    this.#directory = container.paths.upload(id);
  }

  putPart(number: number, offset: number, last: boolean, body: Body, options?: CallOptions): Promise<PartReceipt> {
    return this.#run("write a part", options?.signal, async (signal) => {
      checkPart(LIMITS, number, offset, body.length, last, this.key);
      const stamp = this.#stamp();
      const temporary = join(this.#directory, `${number}.${stamp}.new`);
      const crc = await stageBytes(temporary, body, this.#container.sync, this.key, signal);
      await rename(temporary, join(this.#directory, pieceName(number, stamp, 0, 1, offset, 0, body.length, crc)));
      return this.#sent({ number, offset, size: body.length, etag: stamp });
    });
  }

  copyPart(number: number, offset: number, from: string, range: ByteRange,
    options?: CallOptions & { readonly sourceIfMatch?: string | undefined; readonly fromContainer?: string | undefined }): Promise<PartReceipt> {
    return this.#run("copy a part", options?.signal, async (signal) => {
      checkPart(LIMITS, number, offset, range.length, true, this.key);
      const source = await this.#container.other(options?.fromContainer);
      return source.withSegments(from, async (object, pieces) => {
        if (options?.sourceIfMatch !== undefined && options.sourceIfMatch !== object.etag) throw preconditionError(from);
        const cut = cutRange(range, object.size, from);
        if (cut.length < range.length) throw new StoreError("range", `The range ends at ${range.start + range.length}, the object has ${object.size} bytes.`, { key: from });
        const stamp = this.#stamp();
        await this.#takePieces(number, offset, stamp, pieces(cut), signal);
        return this.#sent({ number, offset, size: cut.length, etag: stamp });
      });
    });
  }

  /** Links long pieces, and copies what lies between them into one file each. */
  async #takePieces(number: number, offset: number, stamp: string, pieces: readonly CrcPiece[], signal: AbortSignal | undefined): Promise<void> {
    const groups: CrcPiece[][] = [];
    for (const piece of pieces) {
      const before = groups.at(-1);
      if (piece.length < LINK_BYTES && before !== undefined && (before[0] as Piece).length < LINK_BYTES) before.push(piece);
      else groups.push([piece]);
    }
    for (const [index, group] of groups.entries()) {
      throwIfAborted(signal, this.key);
      const [first] = group as [CrcPiece];
      if (first.length >= LINK_BYTES) {
        await linkFile(first.path, join(this.#directory, pieceName(number, stamp, index, groups.length, offset, first.offset, first.length, first.crc)), this.#container.sync);
        continue;
      }
      const temporary = join(this.#directory, `${number}.${stamp}.${index}.new`);
      const crc = await stageCopy(temporary, group, this.#container.sync, this.key, signal);
      const length = group.reduce((sum, piece) => sum + piece.length, 0);
      await rename(temporary, join(this.#directory, pieceName(number, stamp, index, groups.length, offset, 0, length, crc)));
    }
  }

  /** Sortable by time, so that of two sendings of a part the later is known in any process. */
  #stamp(): string {
    return Date.now().toString(36).padStart(9, "0") + process.hrtime.bigint().toString(36).padStart(13, "0") + randomBytes(3).toString("hex");
  }

  /** The part is durable when this resolves. Earlier sendings of it stay until the upload ends. */
  async #sent(receipt: PartReceipt): Promise<PartReceipt> {
    await this.#container.directories.sync(this.#directory);
    return receipt;
  }

  parts(options?: CallOptions): Promise<PartReceipt[]> {
    return this.#run("list the parts", options?.signal, async () => {
      const latest = new Map<number, PartReceipt>();
      for (const { receipt } of await readParts(this.#directory)) latest.set(receipt.number, receipt);
      return [...latest.values()];
    });
  }

  complete(parts: readonly PartReceipt[], conditions?: WriteConditions & CallOptions): Promise<WriteReceipt> {
    return this.#container.run("complete the upload", this.key, conditions?.signal, async (signal) => {
      const { paths, changes, directories, sync } = this.#container;
      const size = checkParts(LIMITS, parts, this.key);
      const receipt = { etag: this.id, size };
      const found = await readParts(this.#directory).catch((error: unknown) => {
        if (errnoOf(error) === "ENOENT") return undefined;
        throw error;
      });
      if (found === undefined) return this.#completedBefore(receipt);
      const segments = parts.flatMap((part) => this.#segmentsOf(part, found));
      const manifest = { ...this.#container.newManifest(this.key, size, this.#record.metadata, this.#record.type), etag: this.id, data: this.id };
      const file = changes.workPath("new");
      await stageManifest(file, manifest, segments, sync);
      const data = paths.dataDirectory(this.id);
      let record: string | undefined;
      let moved = false;
      await changes.replace(this.key, { file, manifest,
        // On record only under the lock: another process may complete this same upload.
        prepare: async () => {
          record = await changes.record(this.key, this.id);
          await succeeds(mkdir(dirname(data)), "EEXIST");
          await rename(this.#directory, data);
          moved = true;
          await Promise.all([directories.sync(dirname(data)), directories.sync(paths.data)]);
        },
        finish: async () => {
          if (record !== undefined) await unlink(record);
          await this.#tidy(data, segments);
        },
        undo: async () => {
          if (moved) await rename(data, this.#directory);
          if (record !== undefined) await unlink(record);
        },
      }, (current) => {
        if (current?.data !== this.id) checkTarget(current, conditions, this.key);
      }, signal).catch(async (error: unknown) => {
        // Another call for the same upload was faster.
        if (errnoOf(error) === "ENOENT" && !(await exists(this.#directory))) return this.#completedBefore(receipt);
        throw error;
      });
      return { ...receipt, lastModified: manifest.modified };
    });
  }

  #segmentsOf(part: PartReceipt, found: readonly Part[]): readonly Segment[] {
    const match = found.find(({ receipt }) => receipt.number === part.number && receipt.etag === part.etag);
    if (match === undefined) throw new StoreError("invalid", `The store does not have part ${part.number} as its receipt says.`, { key: this.key });
    if (match.receipt.size !== part.size) throw new StoreError("invalid", `Part ${part.number} has ${match.receipt.size} bytes, its receipt says ${part.size}.`, { key: this.key });
    return match.segments;
  }

  async #completedBefore(receipt: WriteReceipt): Promise<WriteReceipt> {
    const current = await readManifest(this.#container.paths, this.key);
    if (current?.data === this.id && current.size === receipt.size) return receipt;
    throw new StoreError("not-found", `There is no upload ${this.id} of this object.`, { key: this.key });
  }

  /** Removes what the object does not consist of. */
  async #tidy(data: string, segments: readonly Segment[]): Promise<void> {
    const used = new Set(segments.map(({ file }) => file));
    for (const file of await readdir(data)) if (!used.has(file)) await unlink(join(data, file));
  }

  abort(options?: CallOptions): Promise<void> {
    return this.#container.run("abort the upload", this.key, options?.signal, async () => {
      const trash = this.#container.changes.workPath("trash");
      if (!(await succeeds(rename(this.#directory, trash), "ENOENT"))) return;
      await this.#container.directories.sync(this.#container.paths.uploads);
      await removeTree(trash);
    });
  }

  /** A missing directory is a missing upload. */
  #run<T>(doing: string, signal: AbortSignal | undefined, work: (signal: AbortSignal | undefined) => Promise<T>): Promise<T> {
    return this.#container.run(doing, this.key, signal, async (inner) => {
      try {
        return await work(inner);
      } catch (error) {
        if (errnoOf(error) === "ENOENT" && !(await exists(this.#directory))) {
          throw new StoreError("not-found", `There is no upload ${this.id} of this object.`, { key: this.key, cause: error });
        }
        throw error;
      }
    });
  }
}
