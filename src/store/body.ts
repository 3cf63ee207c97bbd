// Bodies: what is sent, and how a store reads it.

import { read as readCallback } from "node:fs";
import { open } from "node:fs/promises";
import { promisify } from "node:util";
import { orAborted, throwIfAborted } from "./abort.js";
import { StoreError } from "./errors.js";
import type { Body } from "./objectStore.js";

const readFd = promisify(readCallback);

/** How much of a file is read at a time. */
export const FILE_SLICE = 256 * 1024;

/** A body of bytes in memory; strings are UTF-8. The Buffers must not change until the call it is given to has settled. */
export function bodyOf(...pieces: readonly (Buffer | string)[]): Body {
  const buffers = pieces.map((piece) => typeof piece === "string" ? Buffer.from(piece, "utf8") : piece);
  return { length: buffers.reduce((sum, buffer) => sum + buffer.length, 0), open: () => buffers };
}

/**
 * A body of `length` bytes from `offset` of a local file: a descriptor, which stays open and is the caller's, or a path, opened for
 * each reading. A file that ends earlier fails the reading.
 */
export function bodyFromFile(file: number | string, offset: number, length: number, slice: number = FILE_SLICE): Body {
  return { length, open: () => typeof file === "number" ? readSlices(file, offset, length, slice) : readPath(file, offset, length, slice) };
}

async function* readPath(path: string, offset: number, length: number, slice: number): AsyncGenerator<Buffer> {
  const handle = await open(path, "r");
  try {
    yield* readSlices(handle.fd, offset, length, slice);
  } finally {
    await handle.close();
  }
}

async function* readSlices(fd: number, offset: number, length: number, slice: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < length;) {
    const want = Math.min(slice, length - at);
    // A new Buffer each time: the one before may still be on its way into a socket.
    const { bytesRead, buffer } = await readFd(fd, Buffer.allocUnsafe(want), 0, want, offset + at);
    if (bytesRead === 0) throw new Error(`the file ends at ${offset + at}, ${length - at} bytes before the body does`);
    at += bytesRead;
    yield bytesRead === want ? buffer : buffer.subarray(0, bytesRead);
  }
}

/** The part [offset, offset + length) of a body; what comes before is read and dropped. */
export function sliceBody(body: Body, offset: number, length: number): Body {
  return { length, open: () => slices(body, offset, length) };
}

async function* slices(body: Body, offset: number, length: number): AsyncGenerator<Buffer> {
  let skip = offset;
  let left = length;
  if (left === 0) return;
  for await (const chunk of body.open()) {
    if (skip >= chunk.length) {
      skip -= chunk.length;
      continue;
    }
    const piece = chunk.subarray(skip, skip + left);
    skip = 0;
    left -= piece.length;
    yield piece;
    if (left === 0) return;
  }
}

/**
 * Reads a body for sending, and holds it to its promise: exactly `length` bytes, else `invalid` before the last byte too many is
 * handed on. A StoreError thrown by the body passes as it is (a copy through this host reads from another store); anything else
 * becomes `unexpected`, with it as the cause. The signal ends it between and during reads.
 */
export async function* readBody(body: Body, signal?: AbortSignal, key?: string): AsyncGenerator<Buffer> {
  throwIfAborted(signal, key);
  const iterator = iteratorOf(body);
  let sent = 0;
  let ended = false;
  try {
    for (;;) {
      const step = await orAborted(Promise.resolve(iterator.next()), signal, key);
      if (step.done === true) {
        ended = true;
        break;
      }
      sent += step.value.length;
      if (sent > body.length) throw new StoreError("invalid", `the body has more than the promised ${body.length} bytes`, { key });
      if (step.value.length > 0) yield step.value;
    }
  } catch (error) {
    if (error instanceof StoreError) throw error;
    ended = true;
    throw new StoreError("unexpected", `the bytes to send cannot be read: ${error instanceof Error ? error.message : String(error)}`, { key, cause: error });
  } finally {
    // Not awaited: a body that hangs in `next` would hang in `return` too.
    if (!ended) Promise.resolve(iterator.return?.()).catch(() => undefined);
  }
  if (sent < body.length) throw new StoreError("invalid", `the body has ${sent} of the promised ${body.length} bytes`, { key });
}

function iteratorOf(body: Body): Iterator<Buffer> | AsyncIterator<Buffer> {
  const source = body.open();
  return Symbol.asyncIterator in source ? source[Symbol.asyncIterator]() : source[Symbol.iterator]();
}

/** The whole body as one new Buffer. */
export async function collectBody(body: Body, signal?: AbortSignal, key?: string): Promise<Buffer> {
  const out = Buffer.allocUnsafe(body.length);
  let at = 0;
  for await (const chunk of readBody(body, signal, key)) at += chunk.copy(out, at);
  return out;
}
