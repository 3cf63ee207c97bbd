import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { PartLimits } from "../../../src/store/objectStore.js";
import { PartSizes } from "../../../src/write/partSizes.js";
import { planParts, type PlanRequest } from "../../../src/write/plan.js";
import { MIB } from "./helpers.js";

const GIB = 1024 * MIB;
const S3: PartLimits = { minSize: 5 * MIB, maxSize: 5 * GIB, maxParts: 10_000, maxObjectSize: 5 * 1024 * GIB, equalSizes: false };

function check(request: PlanRequest): void {
  const { limits, size, copyPart, kept } = request;
  const parts = planParts(request);
  expect(parts.length).toBeLessThanOrEqual(limits.maxParts);
  let at = 0;
  for (const [i, part] of parts.entries()) {
    const last = i === parts.length - 1;
    expect(part.number).toBe(i + 1);
    expect(part.offset).toBe(at);
    expect(part.length).toBeGreaterThan(0);
    expect(part.length).toBeLessThanOrEqual(limits.maxSize);
    if (!last) expect(part.length).toBeGreaterThanOrEqual(limits.minSize);
    if (limits.equalSizes) {
      if (last) expect(part.length).toBeLessThanOrEqual((parts[0] as { length: number }).length);
      else expect(part.length).toBe((parts[0] as { length: number }).length);
    }
    if (part.copy) {
      expect(copyPart).not.toBe(false);
      if (copyPart !== false && !last) expect(part.length).toBeGreaterThanOrEqual(copyPart.minSize);
      expect(kept.some((span) => span.start <= part.offset && span.end >= part.offset + part.length)).toBe(true);
    }
    at += part.length;
  }
  expect(at).toBe(size);
}

const requests = fc.record({
  minSize: fc.integer({ min: 1, max: 12 }), width: fc.integer({ min: 1, max: 40 }), maxParts: fc.integer({ min: 1, max: 40 }),
  equalSizes: fc.boolean(), copyMin: fc.option(fc.integer({ min: 1, max: 15 })), fill: fc.double({ min: 0, max: 1, noNaN: true }),
  partSize: fc.integer({ min: 1, max: 60 }), copySize: fc.integer({ min: 1, max: 60 }), worth: fc.integer({ min: 1, max: 20 }),
  cuts: fc.array(fc.nat(2000), { maxLength: 40 }),
}).map(({ minSize, width, maxParts, equalSizes, copyMin, fill, partSize, copySize, worth, cuts }): PlanRequest => {
  const maxSize = minSize - 1 + width;
  const limits = { minSize, maxSize, maxParts, maxObjectSize: maxSize * maxParts, equalSizes };
  const size = 1 + Math.floor(fill * (limits.maxObjectSize - 1));
  const edges = [...new Set(cuts.filter((cut) => cut <= size))].sort((a, b) => a - b);
  const kept = [];
  for (let i = 0; i + 1 < edges.length; i += 2) kept.push({ start: edges[i] as number, end: edges[i + 1] as number });
  return { size, kept, limits, copyPart: copyMin === null ? false : { minSize: copyMin }, partSize, copySize, worthCopying: worth };
});

describe("planParts", () => {
  it("covers the object exactly, in order, within all limits", () => {
    fc.assert(fc.property(requests, check), { numRuns: 5000 });
  });

  const large = { limits: S3, copyPart: { minSize: 5 * MIB }, partSize: 8 * MIB, copySize: 32 * MIB, worthCopying: MIB };

  it.each([0, 1, 3 * MIB, 100 * MIB + 7, 255 * MIB, 256 * MIB - 1])("sends less than 20 MiB for one byte changed at %i of 256 MiB", (at) => {
    const size = 256 * MIB;
    const request = { ...large, size, kept: [{ start: 0, end: at }, { start: at + 1, end: size }].filter(({ start, end }) => end > start) };
    check(request);
    const sent = planParts(request).filter((part) => !part.copy).reduce((sum, part) => sum + part.length, 0);
    expect(sent).toBeLessThanOrEqual(8 * MIB);
    expect(sent).toBeGreaterThan(0);
  });

  it("sends nothing but the tail of an append, and nothing of a cut", () => {
    const append = planParts({ ...large, size: 100 * MIB + 10, kept: [{ start: 0, end: 100 * MIB }] });
    expect(append.filter((part) => !part.copy).map((part) => part.length)).toEqual([10]);
    const cut = planParts({ ...large, size: 50 * MIB, kept: [{ start: 0, end: 50 * MIB }] });
    expect(cut.every((part) => part.copy)).toBe(true);
  });

  it("copies in ranges that can go in parallel", () => {
    expect(planParts({ ...large, size: 256 * MIB, kept: [{ start: 0, end: 256 * MIB }] }).length).toBe(8);
  });

  it("stays within the number of parts however scattered the changes are", () => {
    const size = 2000 * GIB;
    const kept = Array.from({ length: 100_000 }, (_, i) => ({ start: i * 20 * MIB + 1, end: (i + 1) * 20 * MIB }));
    check({ ...large, size, kept: kept.filter(({ end }) => end <= size).slice(0, 100_000) });
  }, 60_000);
});

describe("PartSizes", () => {
  it("fits the largest object of S3 into its parts, beginning with small ones", () => {
    const sizes = PartSizes.of(S3, 8 * MIB);
    expect(sizes.capacity).toBeGreaterThanOrEqual(S3.maxObjectSize);
    expect([sizes.length(1), sizes.length(1000), sizes.length(1001)]).toEqual([8 * MIB, 8 * MIB, 16 * MIB]);
    expect(sizes.length(10_000)).toBeLessThanOrEqual(S3.maxSize);
    expect(sizes.offset(1001)).toBe(8000 * MIB);
    expect(sizes.count(0)).toBe(1);
    expect(sizes.count(8 * MIB)).toBe(1);
    expect(sizes.count(8 * MIB + 1)).toBe(2);
  });

  it("has parts without gaps, within the limits, for any limits", () => {
    fc.assert(fc.property(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 0, max: 500 }), fc.integer({ min: 1, max: 60 }), fc.boolean(),
      fc.integer({ min: 1, max: 100 }), fc.double({ min: 0, max: 1, noNaN: true }), (minSize, more, maxParts, equalSizes, partSize, fill) => {
        const maxSize = minSize + more;
        const known = Math.floor(maxSize * maxParts * fill);
        const sizes = PartSizes.of({ minSize, maxSize, maxParts, maxObjectSize: maxSize * maxParts, equalSizes }, partSize, known);
        expect(sizes.capacity).toBeGreaterThanOrEqual(known);
        expect(sizes.count(known)).toBeLessThanOrEqual(maxParts);
        for (let n = 1; n <= maxParts; n++) {
          expect(sizes.length(n)).toBeGreaterThanOrEqual(minSize);
          expect(sizes.length(n)).toBeLessThanOrEqual(maxSize);
          if (n > 1) expect(sizes.offset(n)).toBe(sizes.offset(n - 1) + sizes.length(n - 1));
          if (equalSizes) expect(sizes.length(n)).toBe(sizes.length(1));
        }
      }));
  });
});
