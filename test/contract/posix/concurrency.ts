import { open, readdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "vitest";
import { sh } from "../../mount/harness.js";
import type { Cases } from "../filesystem.js";
import { bytesOf, holds, MiB } from "./support.js";

export function concurrencyCases(it: Cases): void {
  it("several processes that append with >> lose no line and mix none", async (directory) => {
    await sh("for p in 1 2 3 4 5 6; do (for i in $(seq 40); do echo \"process $p line $i of the log\" >> log; done) & done; wait", { cwd: directory });
    const lines = (await readFile(join(directory, "log"), "utf8")).trimEnd().split("\n");
    const wanted = [1, 2, 3, 4, 5, 6].flatMap((p) => Array.from({ length: 40 }, (_, i) => `process ${p} line ${i + 1} of the log`));
    expect(lines.sort()).toEqual(wanted.sort());
  });

  it("a file replaced over and over is always one version, whole", async (directory) => {
    const path = join(directory, "f");
    const version = (round: number): Buffer => Buffer.alloc(100_000 + round * 1000, 0x41 + round % 26);
    await writeFile(path, version(0));
    let done = false;
    const reader = async (): Promise<number> => {
      let read = 0;
      while (!done) {
        // Replaced between two of its reads: that is ESTALE, and the next open is the new version.
        const bytes = await readFile(path).catch((error: NodeJS.ErrnoException) => {
          if (error.code !== "ESTALE" && !(error.code === "ENOENT" && it.lacks("never-missing"))) throw error;
          return undefined;
        });
        if (bytes === undefined) continue;
        expect(bytes.length, "a length that was never written").toBeGreaterThanOrEqual(100_000);
        expect(bytes.equals(version((bytes.length - 100_000) / 1000)), "a mix").toBe(true);
        read += 1;
      }
      return read;
    };
    const readers = Promise.allSettled([reader(), reader(), reader()]);
    for (let round = 1; round <= 40; round++) {
      await writeFile(join(directory, "next"), version(round));
      await rename(join(directory, "next"), path);
    }
    done = true;
    for (const one of await readers) {
      if (one.status === "rejected") throw one.reason;
      expect(one.value).toBeGreaterThan(0);
    }
    await holds(path, version(40));
  });

  it("many files written and read at once are each their own", async (directory) => {
    await Promise.all(Array.from({ length: 24 }, async (_, i) => {
      const path = join(directory, `f${i}`);
      const bytes = bytesOf(50_000 + i * 7919, i + 1);
      await writeFile(path, bytes);
      await holds(path, bytes);
      await rename(path, `${path}.done`);
      await holds(`${path}.done`, bytes);
    }));
    expect(await readdir(directory)).toHaveLength(24);
  });

  it("many readers of one large file all get its bytes", async (directory) => {
    const bytes = bytesOf(12 * MiB);
    await writeFile(join(directory, "f"), bytes);
    await Promise.all(Array.from({ length: 8 }, () => holds(join(directory, "f"), bytes)));
  });

  it("many writers of one file, each of its own part, lose nothing", async (directory) => {
    const path = join(directory, "f");
    const size = 200_000;
    await writeFile(path, Buffer.alloc(8 * size));
    await Promise.all(Array.from({ length: 8 }, async (_, i) => {
      const file = await open(path, "r+");
      const bytes = bytesOf(size, i + 1);
      for (let at = 0; at < size; at += 10_000) await file.write(bytes, at, 10_000, i * size + at);
      await file.close();
    }));
    await holds(path, Buffer.concat(Array.from({ length: 8 }, (_, i) => bytesOf(size, i + 1))));
  });
}
