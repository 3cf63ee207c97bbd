import { describe, expect, it } from "vitest";
import { type Cursor, ReadPattern } from "../../../src/read/pattern.js";
import { KiB, MiB } from "./rig.js";

function patternOf(): { pattern: ReadPattern; left: Cursor[] } {
  const left: Cursor[] = [];
  return { left, pattern: new ReadPattern(MiB, (cursor) => left.push(cursor)) };
}
const read = (pattern: ReadPattern, at: number, length: number): Cursor | undefined => pattern.note(at, at + length);

describe("the pattern of reads", () => {
  it("two reads end to end are a stream, and the cursor follows the furthest", () => {
    const { pattern } = patternOf();
    expect(read(pattern, 10 * MiB, 4096)).toBeUndefined();
    const cursor = read(pattern, 10 * MiB + 4096, 4096);
    expect(cursor).toMatchObject({ start: 10 * MiB, head: 10 * MiB + 8192 });
    expect(read(pattern, 10 * MiB + 12_288, 4096)).toBe(cursor);
    expect(read(pattern, 10 * MiB + 8192, 4096)).toBe(cursor);
    expect(cursor?.head).toBe(10 * MiB + 16_384);
  });

  it("reads that overtake each other are joined", () => {
    const { pattern } = patternOf();
    expect(read(pattern, 0, 128 * KiB)).toBeUndefined();
    expect(read(pattern, 256 * KiB, 128 * KiB)).toBeUndefined();
    expect(read(pattern, 128 * KiB, 128 * KiB)).toMatchObject({ start: 0, head: 384 * KiB });
  });

  it("the same place again, and going backwards, are no stream", () => {
    const { pattern } = patternOf();
    for (const at of [8, 8, 8, 7, 6, 5, 4, 3]) expect(read(pattern, at * MiB, MiB)).toBeUndefined();
  });

  it("random pages are no stream", () => {
    const { pattern } = patternOf();
    for (let i = 0, x = 1; i < 2000; i++) {
      x = (Math.imul(x, 1_103_515_245) + 12_345) >>> 0;
      expect(read(pattern, (x % 262_144) * 8192, 4096)).toBeUndefined();
    }
  });

  it("a stream left for another is given up; a single read elsewhere leaves it", () => {
    const { pattern, left } = patternOf();
    read(pattern, 0, MiB);
    const first = read(pattern, MiB, MiB) as Cursor;
    read(pattern, 500 * MiB, 4096);
    expect(read(pattern, 2 * MiB, MiB)).toBe(first);
    read(pattern, 600 * MiB, MiB);
    const second = read(pattern, 601 * MiB, MiB);
    expect(left).toEqual([first]);
    expect(pattern.cursors).toEqual([second]);
  });

  it("a stream that random reads have long replaced is given up", () => {
    const { pattern, left } = patternOf();
    read(pattern, 0, MiB);
    read(pattern, MiB, MiB);
    for (let i = 0; i < 31; i++) read(pattern, (100 + 7 * i) * MiB, 4096);
    expect(left).toHaveLength(0);
    read(pattern, 900 * MiB, 4096);
    expect(left).toHaveLength(1);
  });

  it("streams that ended soon make the next one prove itself longer", () => {
    const { pattern, left } = patternOf();
    const pair = (at: number): Cursor | undefined => {
      read(pattern, at, 256 * KiB);
      return read(pattern, at + 256 * KiB, 256 * KiB);
    };
    expect(pair(100 * MiB)).toBeDefined();
    expect(pair(200 * MiB)).toBeDefined();
    expect(left).toHaveLength(1);
    expect(pair(300 * MiB)).toBeUndefined();
    read(pattern, 300 * MiB + 512 * KiB, 256 * KiB);
    expect(read(pattern, 300 * MiB + 768 * KiB, 256 * KiB)).toBeDefined();
  });

  it("holds a bounded number of streams, and gives up all at the end", () => {
    const { pattern, left } = patternOf();
    for (let round = 0; round < 3; round++) for (let i = 0; i < 6; i++) read(pattern, i * 100 * MiB + round * MiB, MiB);
    expect(pattern.cursors.length).toBeLessThanOrEqual(4);
    const open = pattern.cursors.length;
    const before = left.length;
    pattern.end();
    expect(left.length - before).toBe(open);
  });
});
