import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Block, VersionBlocks } from "../../../src/read/blockCache.js";
import { Fetch } from "../../../src/read/fetch.js";
import { Piece } from "../../../src/read/piece.js";
import { KiB, pattern } from "./rig.js";

function pieceOf(start: number, length: number): Piece {
  const blocks = new VersionBlocks({ key: "k", etag: "e", size: start + length });
  return new Piece(new Block(blocks, 0), new Fetch(blocks, { start, length }, undefined), start, length, false);
}

function all(piece: Piece): Buffer[] {
  const out: Buffer[] = [];
  piece.slices(piece.start, piece.end, out);
  return out;
}

describe("a piece", () => {
  it("gives back what it was given, from anywhere to anywhere, while it arrives and afterwards", () => {
    fc.assert(fc.property(fc.array(fc.integer({ min: 1, max: 40_000 }), { minLength: 1, maxLength: 12 }), fc.nat(), fc.nat(), fc.boolean(), (sizes, a, b, own) => {
      const length = sizes.reduce((sum, size) => sum + size, 0);
      const bytes = pattern(length);
      const piece = pieceOf(1000, length);
      let at = 0;
      for (const size of sizes) {
        const chunk = bytes.subarray(at, at + size);
        piece.append(own ? Buffer.from(Uint8Array.prototype.slice.call(chunk).buffer) : chunk);
        at += size;
        const from = Math.min(a % length, at);
        const to = Math.min(from + b % length, at);
        const out: Buffer[] = [];
        piece.slices(1000 + from, 1000 + to, out);
        expect(Buffer.concat(out).equals(bytes.subarray(from, to))).toBe(true);
        expect(piece.has(1000 + at)).toBe(true);
        expect(piece.has(1001 + at)).toBe(at === length);
      }
    }));
  });

  it("keeps chunks that own their memory, whatever is handed out later", () => {
    const piece = pieceOf(0, 128 * KiB);
    const chunks = [Buffer.alloc(64 * KiB, 1), Buffer.alloc(64 * KiB, 2)];
    for (const chunk of chunks) piece.append(chunk);
    expect(all(piece).map((chunk) => chunk.buffer)).toEqual(chunks.map((chunk) => chunk.buffer));
    expect(all(piece)[0]).toBe(chunks[0]);
  });

  it("gathers crumbs, so that no slab of a socket is kept alive by a few bytes of it", () => {
    const slab = Buffer.alloc(64 * KiB, 3);
    const piece = pieceOf(0, 20_000);
    for (let at = 0; at < 20_000; at += 100) piece.append(slab.subarray(at, at + 100));
    const kept = all(piece);
    expect(kept.length).toBeLessThanOrEqual(2);
    expect(new Set(kept.map((chunk) => chunk.buffer)).has(slab.buffer)).toBe(false);
    const held = kept.reduce((sum, chunk) => sum + chunk.buffer.byteLength, 0);
    expect(held).toBeLessThanOrEqual(20_000);
  });

  it("does not keep a nearly empty gathering Buffer between large chunks", () => {
    const piece = pieceOf(0, 64 * KiB + 10);
    piece.append(Buffer.alloc(64 * KiB).subarray(0, 10));
    piece.append(Buffer.alloc(64 * KiB));
    expect(all(piece).map((chunk) => chunk.buffer.byteLength)).toEqual([10, 64 * KiB]);
  });

  it("never changes what it has handed out", () => {
    const piece = pieceOf(0, 300);
    piece.append(Buffer.alloc(100, 1).subarray(0, 50));
    const out: Buffer[] = [];
    piece.slices(0, 50, out);
    piece.append(Buffer.alloc(1000, 2).subarray(0, 250));
    expect(out).toEqual([Buffer.alloc(50, 1)]);
  });

  it("wakes a watcher once: when its bytes are there, or when it is dropped", () => {
    const piece = pieceOf(0, 100);
    const woken: string[] = [];
    piece.watch(10, () => woken.push("ten"));
    piece.watch(90, () => woken.push("ninety"));
    const stop = piece.watch(5, () => woken.push("stopped"));
    stop();
    piece.append(Buffer.alloc(20));
    piece.append(Buffer.alloc(20));
    expect(woken).toEqual(["ten"]);
    piece.drop();
    expect(woken).toEqual(["ten", "ninety"]);
    expect(piece.has(1)).toBe(false);
  });
});
