import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DirtyRanges } from "../../../src/write/dirtyRanges.js";

const WIDTH = 64;
const interval = fc.tuple(fc.nat(WIDTH), fc.nat(WIDTH)).map(([a, b]) => [Math.min(a, b), Math.max(a, b)] as const);

describe("DirtyRanges", () => {
  it("agrees with a bitmap after any additions and removals", () => {
    fc.assert(fc.property(fc.array(fc.tuple(fc.boolean(), interval), { maxLength: 40 }), interval, (steps, [from, to]) => {
      const ranges = new DirtyRanges();
      const map = Array.from({ length: WIDTH }, () => false);
      for (const [add, [start, end]] of steps) {
        if (add) ranges.add(start, end);
        else ranges.remove(start, end);
        map.fill(add, start, end);
      }
      const all = ranges.all();
      const seen = Array.from({ length: WIDTH }, () => false);
      for (const { start, end } of all) seen.fill(true, start, end);
      expect(seen).toEqual(map);
      // Sorted, disjoint, not adjacent, not empty.
      for (const [i, span] of all.entries()) {
        expect(span.end).toBeGreaterThan(span.start);
        if (i > 0) expect(span.start).toBeGreaterThan((all[i - 1] as { end: number }).end);
      }
      expect(ranges.bytes).toBe(map.filter(Boolean).length);
      const piece = map.slice(from, to);
      expect(ranges.covers(from, to)).toBe(piece.every(Boolean));
      expect(ranges.overlaps(from, to)).toBe(piece.some(Boolean));
      const inside = Array.from({ length: WIDTH }, () => false);
      for (const { start, end } of ranges.within(from, to)) inside.fill(true, start, end);
      for (const { start, end } of ranges.holes(from, to)) {
        expect(map.slice(start, end).some(Boolean)).toBe(false);
        inside.fill(true, start, end);
      }
      expect(inside.filter(Boolean).length).toBe(to - from);
      const next = map.indexOf(true, from);
      expect(ranges.next(from)).toBe(next < 0 ? undefined : next);
      const stop = map.indexOf(false, from);
      expect(ranges.endOfRun(from)).toBe(from >= WIDTH ? from : stop < 0 ? WIDTH : stop);
    }), { numRuns: 2000 });
  });

  it("keeps one interval for sequential additions", () => {
    const ranges = new DirtyRanges();
    for (let i = 0; i < 1000; i++) ranges.add(i * 10, i * 10 + 10);
    expect(ranges.count).toBe(1);
  });
});
