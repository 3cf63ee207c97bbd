// Many readers and writers in one directory, each byte checked. Usage: soakWorker.mjs DIR SECONDS READERS WRITERS.
// A file is made of 4 KiB cells that carry (name, version, cell number), so a reader can tell a mix of two versions,
// a lost write, or foreign bytes. Writers replace files by writing a new one and renaming it over the old one, in the
// way of editors, while readers hold the old one open. Exits 0 and prints a JSON line of counts; any wrong byte or
// error ends it with exit code 1 and one line that says what and where.

import { open, readdir, rename, rm, stat, mkdir } from "node:fs/promises";
import { join } from "node:path";

const [directory, seconds, readers, writers] = [process.argv[2], ...process.argv.slice(3).map(Number)];
const CELL = 4096;
const NAMES = 48;
const stopAt = Date.now() + seconds * 1000;
const counts = { reads: 0, readBytes: 0, commits: 0, writtenBytes: 0, renames: 0, lists: 0, deletes: 0 };
// Newest version known to be committed, by name: a fresh open may never show an older one.
const committed = new Map();
const writing = new Set();

function content(name, version, cells) {
  const bytes = Buffer.alloc(cells * CELL);
  for (let cell = 0; cell < cells; cell++) {
    bytes.write(`${name}:${version}:${cells}:${cell}\n`, cell * CELL, "latin1");
    bytes.fill(version & 255, cell * CELL + 64, (cell + 1) * CELL);
  }
  return bytes;
}

function checkCell(bytes, at, where) {
  const [name, version, cells, cell] = bytes.toString("latin1", at, at + 60).split("\n")[0].split(":");
  const filler = Number(version) & 255;
  for (let i = at + 64; i < at + CELL; i++) if (bytes[i] !== filler) throw new Error(`${where}: byte ${i - at} of cell ${cell} is ${bytes[i]}, not ${filler}`);
  return { name, version: Number(version), cells: Number(cells), cell: Number(cell) };
}

const any = (n) => Math.floor(Math.random() * n);

async function writer() {
  while (Date.now() < stopAt) {
    const name = `f${any(NAMES)}`;
    if (writing.has(name)) { await new Promise(setImmediate); continue; }
    writing.add(name);
    try {
      const version = (committed.get(name) ?? 0) + 1;
      const cells = Math.random() < 0.1 ? 512 + any(3000) : 1 + any(64);
      const bytes = content(name, version, cells);
      const handle = await open(join(directory, `${name}.new`), "w");
      for (let at = 0; at < bytes.length;) {
        const { bytesWritten } = await handle.write(bytes, at, Math.min(bytes.length - at, 1 + any(1 << 20)), at);
        at += bytesWritten;
      }
      if (Math.random() < 0.3) await handle.sync();
      await handle.close();
      await rename(join(directory, `${name}.new`), join(directory, name));
      committed.set(name, version);
      counts.commits += 1;
      counts.renames += 1;
      counts.writtenBytes += bytes.length;
      if (Math.random() < 0.05) {
        await mkdir(join(directory, `d-${name}`), { recursive: true });
        await rm(join(directory, `d-${name}`), { recursive: true });
        counts.deletes += 1;
      }
    } finally {
      writing.delete(name);
    }
  }
}

async function reader() {
  while (Date.now() < stopAt) {
    if (Math.random() < 0.05) {
      const before = [...committed.keys()];
      const names = await readdir(directory);
      for (const name of before) if (!names.includes(name)) throw new Error(`readdir does not show ${name}, which is committed`);
      counts.lists += 1;
      continue;
    }
    const name = [...committed.keys()][any(committed.size)];
    if (name === undefined) { await new Promise((next) => setTimeout(next, 10)); continue; }
    const least = committed.get(name);
    const path = join(directory, name);
    const handle = await open(path, "r");
    try {
      const { size } = await handle.stat();
      let seen = 0;
      const rounds = 1 + any(6);
      for (let round = 0; round < rounds; round++) {
        const from = any(size / CELL);
        const span = Math.min(size / CELL - from, 1 + any(80));
        const bytes = Buffer.alloc(span * CELL);
        const { bytesRead } = await handle.read(bytes, 0, bytes.length, from * CELL);
        if (bytesRead !== bytes.length) throw new Error(`${path}: ${bytesRead} bytes of ${bytes.length} at ${from * CELL}, size ${size}`);
        for (let at = 0; at < bytes.length; at += CELL) {
          const cell = checkCell(bytes, at, path);
          if (cell.name !== name || cell.cell !== from + at / CELL || cell.cells * CELL !== size) throw new Error(`${path}: cell ${JSON.stringify(cell)} where ${from + at / CELL} of ${size / CELL} belongs`);
          if (seen === 0) seen = cell.version;
          if (cell.version !== seen) throw new Error(`${path}: versions ${seen} and ${cell.version} in one open file`);
        }
        counts.reads += 1;
        counts.readBytes += bytesRead;
      }
      if (seen !== 0 && seen < least) throw new Error(`${path}: an open after the commit of version ${least} shows ${seen}`);
    } finally {
      await handle.close();
    }
  }
}

try {
  await Promise.all([...Array.from({ length: writers }, writer), ...Array.from({ length: readers }, reader)]);
  for (const [name, version] of committed) {
    const path = join(directory, name);
    const { size } = await stat(path);
    const handle = await open(path, "r");
    const bytes = Buffer.alloc(size);
    await handle.read(bytes, 0, size, 0);
    await handle.close();
    for (let at = 0; at < size; at += CELL) {
      const cell = checkCell(bytes, at, path);
      if (cell.version !== version || cell.cell !== at / CELL) throw new Error(`${path}: cell ${JSON.stringify(cell)} at the end, version ${version} was committed`);
    }
  }
  process.stdout.write(`${JSON.stringify({ ...counts, versions: Object.fromEntries(committed) })}\n`);
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(1);
}
