// Reading small files without a trip through the thread pool. What the page cache holds is read in about 5 us this way, and in
// 80 us (alone) or 25 us (many at once) the other way; a disk that must be waited for would stop everything else meanwhile. So
// each such read is timed: after a slow one the next ones go by the thread pool. On network file systems and FUSE, where a
// read may hang (or be answered by this very process), it is never done.

import { closeSync, openSync, readSync } from "node:fs";
import { statfs } from "node:fs/promises";

const SLOW_MS = 2;
/** Reads that go by the thread pool after a slow one. */
const PAUSE = 64;

/** statfs f_type (linux/magic.h): NFS, FUSE, SMB, CIFS, SMB2, 9P, Ceph, AFS, Coda, OCFS2, GFS2, Lustre. */
const REMOTE = new Set([0x6969, 0x65735546, 0x517b, 0xff534d42, 0xfe534d42, 0x01021997, 0x00c36400, 0x5346414f, 0x73757245, 0x7461636f, 0x01161970, 0x0bd00bd0]);

export class QuickReads {
  readonly #enabled: boolean;
  #pause = 0;

  constructor(enabled: boolean) {
    this.#enabled = enabled;
  }

  /** For files on the file system that holds `path`. */
  static async at(path: string): Promise<QuickReads> {
    const { type } = await statfs(path);
    return new QuickReads(process.platform === "linux" && !REMOTE.has(type >>> 0));
  }

  /** Asked before each read; counts the pause down. */
  get allowed(): boolean {
    if (!this.#enabled) return false;
    if (this.#pause === 0) return true;
    this.#pause -= 1;
    return false;
  }

  /** Runs `read`, which waits for nothing but the disk. */
  run<T>(read: () => T): T {
    const began = performance.now();
    try {
      return read();
    } finally {
      if (performance.now() - began > SLOW_MS) this.#pause = PAUSE;
    }
  }
}

/** The start of a file, at most as much as `buffer` holds, as a slice of it. */
export function readStart(path: string, buffer: Buffer): Buffer {
  const fd = openSync(path, "r");
  try {
    return buffer.subarray(0, readSync(fd, buffer, 0, buffer.length, 0));
  } finally {
    closeSync(fd);
  }
}
