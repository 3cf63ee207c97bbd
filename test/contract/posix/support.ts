// What the cases share.

import { open, readFile, writeFile } from "node:fs/promises";
import { expect } from "vitest";
import { run } from "../../mount/harness.js";

export const KiB = 1024;
export const MiB = 1024 * KiB;

/** Bytes that tell where they come from. */
export function bytesOf(size: number, seed = 1): Buffer {
  const words = new Uint32Array(Math.ceil(size / 4));
  for (let i = 0, x = seed >>> 0; i < words.length; i++) {
    x = (Math.imul(x, 1_664_525) + 1_013_904_223) >>> 0;
    words[i] = x;
  }
  return Buffer.from(words.buffer, 0, size);
}

/** The operation fails with one of these errnos. */
export async function refused(work: Promise<unknown>, ...codes: string[]): Promise<void> {
  const code = await work.then(() => "success", (error: NodeJS.ErrnoException) => error.code ?? String(error));
  expect(codes).toContain(code);
}

/** The file has exactly these bytes. */
export async function holds(path: string | Buffer, bytes: Buffer | string): Promise<void> {
  const found = await readFile(path);
  const wanted = Buffer.from(bytes);
  expect(found.length).toBe(wanted.length);
  if (!found.equals(wanted)) {
    const at = found.findIndex((byte, i) => byte !== wanted[i]);
    throw new Error(`${String(path)} differs from byte ${at} on`);
  }
}

/** Writes without O_TRUNC or O_APPEND at a place. */
export async function writeAt(path: string, bytes: Buffer | string, position: number): Promise<void> {
  const file = await open(path, "r+");
  try {
    await file.write(Buffer.from(bytes), 0, undefined, position);
  } finally {
    await file.close();
  }
}

export async function make(directory: string, files: Readonly<Record<string, string>>): Promise<void> {
  await Promise.all(Object.entries(files).map(([name, content]) => writeFile(`${directory}/${name}`, content)));
}

/** A Python program, in a directory; what Node has no call for. It fails by an exception. @returns what it prints */
export function python(directory: string, program: string, limit = 50_000): Promise<string> {
  return run("python3", ["-c", `import os, sys, errno\n${program}`], { cwd: directory, limit });
}
