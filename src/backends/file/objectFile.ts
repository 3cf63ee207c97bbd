// Opening and reading object files.

import { existsSync, openSync, readSync } from "node:fs";
import { stat } from "node:fs/promises";
import { StoreError } from "../../store/errors.js";
import { close, errnoOf, exists, open, read } from "./api.js";
import type { ContainerPaths } from "./layout.js";
import { decodeHead, decodeSegments, HEAD_BYTES, headLength, LINE_BYTES, type Head, type Manifest, type Segment } from "./manifest.js";
import { readStart, type QuickReads } from "./quick.js";

/** A descriptor and what was read from the start of its file. The caller closes `fd`. */
export interface OpenObject {
  readonly fd: number;
  readonly path: string;
  readonly bytes: Buffer;
  readonly head: Head;
}

/** Buffers for heads: reading one is the most frequent thing here, and nothing of it is kept. */
const spare: Buffer[] = [];

function borrow(): Buffer {
  return spare.pop() ?? Buffer.allocUnsafeSlow(HEAD_BYTES);
}

function giveBack(buffer: Buffer): void {
  if (spare.length < 64) spare.push(buffer);
}

async function readHead(fd: number, path: string, buffer: Buffer, quick?: QuickReads): Promise<{ readonly bytes: Buffer; readonly head: Head }> {
  let bytes = buffer.subarray(0, quick?.allowed === true ? quick.run(() => readSync(fd, buffer, 0, buffer.length, 0)) : await read(fd, buffer, buffer.length, 0));
  const wanted = bytes.length < LINE_BYTES ? 0 : LINE_BYTES + headLength(bytes, path).record;
  if (wanted > bytes.length && bytes.length === buffer.length) {
    const longer = Buffer.allocUnsafe(wanted);
    bytes = longer.subarray(0, await read(fd, longer, wanted, 0));
  }
  return { bytes, head: decodeHead(bytes, path) };
}

/** @param window how much of the file to read at once. `undefined` when there is no such file. Throws `corrupt`. */
export async function openObject(path: string, window: number, quick: QuickReads): Promise<OpenObject | undefined> {
  let fd: number;
  try {
    fd = quick.allowed ? quick.run(() => openSync(path, "r")) : await open(path, "r");
  } catch (error) {
    if (errnoOf(error) === "ENOENT" || errnoOf(error) === "ENAMETOOLONG") return undefined;
    throw error;
  }
  try {
    return { fd, path, ...await readHead(fd, path, Buffer.allocUnsafe(window), quick) };
  } catch (error) {
    close(fd);
    throw error;
  }
}

/**
 * The manifest of the object of a key; undefined when there is none (`no-container` when that is why).
 * @param damagedToo a damaged file counts as an object without segments: it can be replaced and removed.
 */
export async function readManifest(paths: ContainerPaths, key: string, damagedToo = false): Promise<Manifest | undefined> {
  try {
    const manifest = await manifestAt(paths.object(key), paths.quick);
    if (manifest === undefined && !(paths.quick.allowed ? paths.quick.run(() => existsSync(paths.objects)) : await exists(paths.objects))) {
      throw new StoreError("no-container", `The container ${paths.name} is not there.`, { key });
    }
    return manifest;
  } catch (error) {
    if (!damagedToo || !(error instanceof StoreError) || error.kind !== "corrupt") throw error;
    return { key, size: 0, etag: "", modified: 0, metadata: {} };
  }
}

/** The manifest in an object file; undefined when there is no such file. */
export async function manifestAt(path: string, quick: QuickReads): Promise<Manifest | undefined> {
  const buffer = borrow();
  let fd: number | undefined;
  try {
    if (quick.allowed) {
      const bytes = quick.run(() => readStart(path, buffer));
      if (bytes.length < buffer.length || LINE_BYTES + headLength(bytes, path).record <= bytes.length) return decodeHead(bytes, path).manifest;
    }
    fd = await open(path, "r");
    return (await readHead(fd, path, buffer)).head.manifest;
  } catch (error) {
    if (errnoOf(error) === "ENOENT" || errnoOf(error) === "ENAMETOOLONG") return undefined;
    throw error;
  } finally {
    giveBack(buffer);
    if (fd !== undefined) close(fd);
  }
}

/** For a listing: a damaged file is an object too, never hidden; reading it says what is wrong. */
export async function manifestForListing(path: string, key: string, quick: QuickReads): Promise<Manifest | undefined> {
  try {
    return await manifestAt(path, quick);
  } catch (error) {
    if (!(error instanceof StoreError) || error.kind !== "corrupt") throw error;
    const { size, mtimeMs } = await stat(path);
    return { key, size, etag: `damaged-${Math.round(mtimeMs)}`, modified: Math.round(mtimeMs), metadata: {} };
  }
}

/** Tables of segments by the data directory they belong to: it is read for every range, and a large object has a long one. */
const TABLES = 64;

export class SegmentTables {
  readonly #known = new Map<string, readonly Segment[]>();

  /** The segments of an open object that has a data directory. */
  async of(object: OpenObject): Promise<readonly Segment[]> {
    const id = object.head.manifest.data as string;
    const known = this.#known.get(id);
    if (known !== undefined) return known;
    let { bytes } = object;
    if (bytes.length < object.head.dataStart) {
      const all = Buffer.allocUnsafe(object.head.dataStart);
      bytes = all.subarray(0, await read(object.fd, all, all.length, 0));
    }
    const segments = decodeSegments(bytes, object.head, object.path);
    const oldest = this.#known.size >= TABLES ? this.#known.keys().next().value : undefined;
    if (oldest !== undefined) this.#known.delete(oldest);
    this.#known.set(id, segments);
    return segments;
  }
}
