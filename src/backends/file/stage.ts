// Bytes into files that are complete and durable before any name refers to them.

import { copyFile, constants, link, unlink } from "node:fs/promises";
import { crc32 } from "node:zlib";
import { readBody, collectBody } from "../../store/body.js";
import { throwIfAborted } from "../../store/abort.js";
import { StoreError } from "../../store/errors.js";
import type { Body } from "../../store/objectStore.js";
import { close, errnoOf, fdatasync, open, read, write } from "./api.js";
import { encodeHead, hexCrc, type Manifest, type Segment } from "./manifest.js";

/** Up to here an object is gathered in memory and written by one call. */
const SMALL_BYTES = 64 * 1024;
/** Below this, bytes are copied where a link would do: many tiny pieces read slowly, and a link keeps its whole file on the disk. */
export const LINK_BYTES = 256 * 1024;
/** A long body is flushed every so often while it is still arriving, so that the last flush is short. */
const FLUSH_BYTES = 64 * 1024 * 1024;
const COPY_BYTES = 1024 * 1024;

/** An exclusively created file that is there whole and on the disk when `fill` and this resolve, and not there at all otherwise. */
async function newFile<T>(path: string, sync: boolean, fill: (fd: number) => Promise<T>): Promise<T> {
  const fd = await open(path, "wx");
  try {
    const result = await fill(fd);
    if (sync) await fdatasync(fd);
    return result;
  } catch (error) {
    await unlink(path).catch(() => undefined);
    throw error;
  } finally {
    close(fd);
  }
}

/** Writes the body from `position` on. @returns the CRC-32 of its bytes, as eight digits. */
async function pour(fd: number, position: number, body: Body, sync: boolean, key: string, signal: AbortSignal | undefined): Promise<string> {
  let at = position;
  let crc = 0;
  let flushed = position;
  let flush: Promise<void> | undefined;
  try {
    for await (const chunk of readBody(body, signal, key)) {
      await write(fd, chunk, at);
      crc = crc32(chunk, crc);
      at += chunk.length;
      if (sync && at - flushed >= FLUSH_BYTES) {
        await flush;
        flushed = at;
        flush = fdatasync(fd);
        flush.catch(() => undefined);
      }
    }
  } finally {
    // Not closed under a flush that is still running; its failure is the writer's.
    await flush;
  }
  return hexCrc(crc);
}

/** Writes an object file with its bytes in it. @returns the manifest with the CRC filled in. */
export async function stageObject(path: string, manifest: Manifest, body: Body, sync: boolean, signal?: AbortSignal): Promise<Manifest> {
  const { key } = manifest;
  if (body.length <= SMALL_BYTES) {
    const bytes = await collectBody(body, signal, key);
    const whole = { ...manifest, crc: hexCrc(crc32(bytes)) };
    await newFile(path, sync, (fd) => write(fd, Buffer.concat([encodeHead(whole), bytes]), 0));
    return whole;
  }
  return newFile(path, sync, async (fd) => {
    const placeholder = encodeHead({ ...manifest, crc: "00000000" });
    const crc = await pour(fd, placeholder.length, body, sync, key, signal);
    const whole = { ...manifest, crc };
    await write(fd, encodeHead(whole), 0);
    return whole;
  });
}

/** Writes an object file that refers to segments. */
export async function stageManifest(path: string, manifest: Manifest, segments: readonly Segment[], sync: boolean): Promise<void> {
  await newFile(path, sync, (fd) => write(fd, encodeHead(manifest, segments), 0));
}

/** Writes a file of nothing but the body. @returns its CRC-32. */
export function stageBytes(path: string, body: Body, sync: boolean, key: string, signal?: AbortSignal): Promise<string> {
  return newFile(path, sync, (fd) => pour(fd, 0, body, sync, key, signal));
}

/** A piece of an existing file. */
export interface Piece {
  readonly path: string;
  readonly offset: number;
  readonly length: number;
}

/** Writes a file of the pieces' bytes, one after the other. ENOENT when one of their files is gone. @returns its CRC-32. */
export function stageCopy(path: string, pieces: readonly Piece[], sync: boolean, key: string, signal?: AbortSignal): Promise<string> {
  return newFile(path, sync, async (fd) => {
    const buffer = Buffer.allocUnsafe(COPY_BYTES);
    let at = 0;
    let crc = 0;
    for (const piece of pieces) {
      const source = await open(piece.path, "r");
      try {
        for (let done = 0; done < piece.length;) {
          throwIfAborted(signal, key);
          const want = Math.min(COPY_BYTES, piece.length - done);
          if (await read(source, buffer, want, piece.offset + done) < want) {
            throw new StoreError("corrupt", `The segment file ${piece.path} is cut short.`, { key, retry: "never" });
          }
          const chunk = buffer.subarray(0, want);
          await write(fd, chunk, at);
          crc = crc32(chunk, crc);
          at += want;
          done += want;
        }
      } finally {
        close(source);
      }
    }
    return hexCrc(crc);
  });
}

/**
 * Gives an immutable file a second name; where links are not possible (or it has too many), a copy of it, which shares its
 * blocks on file systems that can. ENOENT when it is gone.
 */
export async function linkFile(from: string, to: string, sync: boolean): Promise<void> {
  try {
    await link(from, to);
  } catch (error) {
    if (!["EPERM", "ENOTSUP", "ENOSYS", "EMLINK", "EXDEV", "EACCES"].includes(errnoOf(error) ?? "")) throw error;
    try {
      await copyFile(from, to, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
      if (!sync) return;
      const fd = await open(to, "r+");
      await fdatasync(fd).finally(() => close(fd));
    } catch (failure) {
      if (errnoOf(failure) !== "EEXIST") await unlink(to).catch(() => undefined);
      throw failure;
    }
  }
}
