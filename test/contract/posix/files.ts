import { copyFile, open, readFile, stat, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "vitest";
import type { Cases } from "../filesystem.js";
import { bytesOf, holds, KiB, MiB, python, writeAt } from "./support.js";

const SIZES = [0, 1, 4095, 4096, 4097, 128 * KiB - 1, 128 * KiB, 128 * KiB + 1, MiB - 1, MiB + 1, 9 * MiB + 17];

export function fileCases(it: Cases): void {
  it("what is written is read back, at sizes around every border", async (directory) => {
    for (const size of SIZES) {
      const path = join(directory, `f${size}`);
      await writeFile(path, bytesOf(size, size));
      expect((await stat(path)).size).toBe(size);
      await holds(path, bytesOf(size, size));
    }
  });

  it("a read across the end is cut there, and one past it finds nothing", async (directory) => {
    const path = join(directory, "f");
    await writeFile(path, "0123456789");
    const file = await open(path);
    try {
      expect((await file.read(Buffer.alloc(100), 0, 100, 7)).bytesRead).toBe(3);
      expect((await file.read(Buffer.alloc(100), 0, 100, 10)).bytesRead).toBe(0);
      expect((await file.read(Buffer.alloc(100), 0, 100, 1_000_000)).bytesRead).toBe(0);
    } finally {
      await file.close();
    }
  });

  it("any part can be read, in any order", async (directory) => {
    const bytes = bytesOf(5 * MiB + 3);
    const path = join(directory, "f");
    await writeFile(path, bytes);
    const file = await open(path);
    try {
      for (let i = 0, x = 7; i < 200; i++) {
        x = (Math.imul(x, 1_103_515_245) + 12_345) >>> 0;
        const at = x % bytes.length;
        const length = 1 + (x >>> 8) % (200 * KiB);
        const { bytesRead, buffer } = await file.read(Buffer.alloc(length), 0, length, at);
        expect(buffer.subarray(0, bytesRead).equals(bytes.subarray(at, at + length)), `${at}+${length}`).toBe(true);
      }
    } finally {
      await file.close();
    }
  });

  it("overwriting some bytes leaves all others", async (directory) => {
    const path = join(directory, "f");
    const bytes = bytesOf(3 * MiB);
    await writeFile(path, bytes);
    for (const [at, text] of [[0, "start"], [MiB - 2, "border"], [2_000_003, "middle"], [3 * MiB - 3, "end"]] as const) {
      await writeAt(path, text, at);
      bytes.write(text, at);
    }
    await holds(path, bytes);
  });

  it("writing across the end makes the file longer", async (directory) => {
    const path = join(directory, "f");
    await writeFile(path, "abc");
    await writeAt(path, "XYZ", 2);
    await holds(path, "abXYZ");
  });

  it("writing past the end leaves zeros between", async (directory) => {
    const path = join(directory, "f");
    await writeFile(path, "head");
    await writeAt(path, "tail", 6 * MiB + 5);
    const wanted = Buffer.alloc(6 * MiB + 9);
    wanted.write("head");
    wanted.write("tail", 6 * MiB + 5);
    await holds(path, wanted);
  });

  it("random writes through one handle end up where they were put", async (directory) => {
    const path = join(directory, "f");
    const wanted = Buffer.alloc(2 * MiB);
    const file = await open(path, "w+");
    try {
      await file.truncate(wanted.length);
      for (let i = 0, x = 3; i < 300; i++) {
        x = (Math.imul(x, 1_103_515_245) + 12_345) >>> 0;
        const at = x % (wanted.length - 20_000);
        const piece = bytesOf(1 + (x >>> 9) % 20_000, x);
        piece.copy(wanted, at);
        await file.write(piece, 0, piece.length, at);
      }
    } finally {
      await file.close();
    }
    await holds(path, wanted);
  });

  it("O_APPEND writes at the end, wherever the end is by now", async (directory) => {
    const path = join(directory, "f");
    await writeFile(path, "1");
    const one = await open(path, "a");
    const two = await open(path, "a");
    try {
      await one.write("2");
      await two.write("3");
      await one.write("4");
      await two.write("5");
    } finally {
      await one.close();
      await two.close();
    }
    await holds(path, "12345");
    await writeFile(path, "6", { flag: "a" });
    await holds(path, "123456");
  });

  it("truncate makes shorter, longer with zeros, and empty", async (directory) => {
    const path = join(directory, "f");
    const bytes = bytesOf(2 * MiB);
    await writeFile(path, bytes);
    await truncate(path, MiB + 1);
    await holds(path, bytes.subarray(0, MiB + 1));
    await truncate(path, MiB + 100);
    await holds(path, Buffer.concat([bytes.subarray(0, MiB + 1), Buffer.alloc(99)]));
    await truncate(path, 0);
    await holds(path, "");
  });

  it("ftruncate changes what every handle sees", async (directory) => {
    const path = join(directory, "f");
    await writeFile(path, "0123456789");
    const writer = await open(path, "r+");
    const reader = await open(path);
    try {
      await writer.truncate(4);
      expect((await reader.stat()).size).toBe(4);
      expect((await reader.read(Buffer.alloc(10), 0, 10, 0)).bytesRead).toBe(4);
      await writer.truncate(6);
      expect((await reader.read(Buffer.alloc(10), 0, 10, 0)).buffer.subarray(0, 6)).toEqual(Buffer.from("0123\0\0"));
    } finally {
      await writer.close();
      await reader.close();
    }
  });

  it("O_TRUNC empties, and a file opened so and closed unwritten is empty", async (directory) => {
    const path = join(directory, "f");
    await writeFile(path, bytesOf(300_000));
    await (await open(path, "w")).close();
    await holds(path, "");
    await writeFile(path, "short");
    await holds(path, "short");
  });

  it("a file created and closed unwritten is there, and empty", async (directory) => {
    const path = join(directory, "f");
    await (await open(path, "wx")).close();
    await holds(path, "");
  });

  it("copies are equal, whoever copies", async (directory) => {
    const bytes = bytesOf(5 * MiB + 1);
    await writeFile(join(directory, "a"), bytes);
    await copyFile(join(directory, "a"), join(directory, "b"));
    await holds(join(directory, "b"), bytes);
    await writeFile(join(directory, "c"), await readFile(join(directory, "b")));
    await holds(join(directory, "c"), bytes);
  });

  it("a large file written and read as a stream is whole", async (directory) => {
    const path = join(directory, "large");
    const piece = bytesOf(MiB);
    const file = await open(path, "w");
    for (let i = 0; i < 40; i++) {
      piece.writeUInt32LE(i, 0);
      await file.write(piece);
    }
    await file.close();
    const back = await open(path);
    for (let i = 0; i < 40; i++) {
      piece.writeUInt32LE(i, 0);
      const { bytesRead, buffer } = await back.read(Buffer.alloc(MiB), 0, MiB, i * MiB);
      expect(bytesRead === MiB && buffer.equals(piece), `MiB ${i}`).toBe(true);
    }
    await back.close();
  });

  it("mmap reads what is in the file, and a shared mapping writes it", async (directory) => {
    await writeFile(join(directory, "f"), bytesOf(300_000));
    await python(directory, `
import mmap
with open("f", "r+b") as f:
    before = f.read()
    m = mmap.mmap(f.fileno(), 0)
    assert m[:] == before
    m[100_000:100_005] = b"hello"
    m.flush()
    m.close()
with open("f", "rb") as f:
    after = f.read()
assert after == before[:100_000] + b"hello" + before[100_005:]
with open("f", "rb") as f:
    m = mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ)
    assert m[:] == after
    m.close()
`);
  }, { tool: "python3" });

  it("SEEK_DATA and SEEK_HOLE find data where there is some, the end as a hole, and ENXIO past it", async (directory) => {
    await python(directory, `
with open("f", "wb") as f:
    f.write(b"x" * 5000)
fd = os.open("f", os.O_RDONLY)
assert os.lseek(fd, 0, os.SEEK_DATA) == 0
assert os.lseek(fd, 10, os.SEEK_HOLE) == 5000
for whence in (os.SEEK_DATA, os.SEEK_HOLE):
    try:
        os.lseek(fd, 5001, whence)
        raise SystemExit("found something past the end")
    except OSError as e:
        assert e.errno == errno.ENXIO, e
`);
  }, { tool: "python3", needs: "seek-data" });

  it("posix_fallocate makes a file longer and keeps its bytes", async (directory) => {
    await python(directory, `
fd = os.open("f", os.O_RDWR | os.O_CREAT)
os.write(fd, b"abc")
os.posix_fallocate(fd, 0, 70000)
assert os.fstat(fd).st_size == 70000
os.close(fd)
assert open("f", "rb").read() == b"abc" + bytes(69997)
`);
  }, { tool: "python3", needs: "fallocate" });
}
