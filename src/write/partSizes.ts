// The grid of parts for data that is sent from the first byte on: part n always covers the same bytes, however long
// the object becomes, so parts can be sent before the length is known.
//
// Sizes grow in ten steps of maxParts/10 parts each: 8 MiB x 1000, 16 MiB x 1000 ... 4 GiB x 1000 for S3, which holds
// 7.9 TiB. Small files get small parts (short waits at close), and the largest object still fits.

import type { PartLimits } from "../store/objectStore.js";

interface Step { readonly number: number; readonly offset: number; readonly size: number; readonly count: number }

export class PartSizes {
  readonly #steps: readonly Step[];
  /** Bytes that fit into all parts together. */
  readonly capacity: number;

  private constructor(steps: readonly Step[]) {
    this.#steps = steps;
    const last = steps.at(-1) as Step;
    this.capacity = last.offset + last.size * last.count;
  }

  /**
   * @param partSize what the first parts should have; forced into the limits.
   * @param known the object's length where it is known, or a guess: `capacity` is at least that much, and up to the
   *   largest object but where that would make the first parts needlessly long.
   */
  static of(limits: PartLimits, partSize: number, known = 0): PartSizes {
    const first = Math.min(limits.maxSize, Math.max(limits.minSize, partSize, 1));
    if (limits.equalSizes) {
      return uniform(limits, Math.min(limits.maxSize, Math.max(first, Math.ceil(known / limits.maxParts))));
    }
    const all = limits.maxSize * limits.maxParts;
    for (let growth = 1; growth <= 64; growth++) {
      const sizes = new PartSizes(steps(limits, first, growth));
      if (sizes.capacity >= Math.min(limits.maxObjectSize, all)) return sizes;
      // Where only parts of maxSize hold the largest object (Azure), small ones are still better for what is not so large.
      if (growth === 64 && sizes.capacity >= known && sizes.capacity >= all / 2) return sizes;
    }
    return uniform(limits, Math.min(limits.maxSize, Math.max(first, Math.ceil(Math.min(limits.maxObjectSize, all) / limits.maxParts))));

    function uniform(of: PartLimits, size: number): PartSizes {
      return new PartSizes([{ number: 1, offset: 0, size, count: of.maxParts }]);
    }
  }

  /** @param number 1-based. */
  offset(number: number): number {
    const step = this.#step((s) => number < s.number + s.count);
    return step.offset + (number - step.number) * step.size;
  }

  /** Length of a full part. */
  length(number: number): number {
    return this.#step((s) => number < s.number + s.count).size;
  }

  /** How many parts an object of `size` bytes has; at least one. */
  count(size: number): number {
    const step = this.#step((s) => size <= s.offset + s.size * s.count);
    return Math.max(1, step.number - 1 + Math.ceil((size - step.offset) / step.size));
  }

  #step(found: (step: Step) => boolean): Step {
    return this.#steps.find(found) ?? (this.#steps.at(-1) as Step);
  }
}

function steps(limits: PartLimits, first: number, growth: number): Step[] {
  const perStep = Math.ceil(limits.maxParts / 10);
  const made: Step[] = [];
  let size = first;
  let offset = 0;
  for (let number = 1; number <= limits.maxParts; number += perStep) {
    const count = Math.min(perStep, limits.maxParts - number + 1);
    made.push({ number, offset, size, count });
    offset += size * count;
    size = Math.min(limits.maxSize, size * growth);
  }
  return made;
}
