// How a changed object is put together from parts: pure arithmetic.
//
// Bytes that equal the base's are copied by the service where they come in runs long enough; everything else is sent.
// A run of sent bytes that is shorter than a part may be takes what it lacks from the copied run after it, so a change
// of one byte in 256 MiB sends one part of the smallest size.

import type { PartLimits } from "../store/objectStore.js";
import type { Span } from "./dirtyRanges.js";
import { PartSizes } from "./partSizes.js";

export interface PlannedPart {
  /** 1-based. */
  readonly number: number;
  readonly offset: number;
  readonly length: number;
  /** The same bytes of the base, copied by the service; otherwise the bytes are sent. */
  readonly copy: boolean;
}

export interface PlanRequest {
  readonly size: number;
  /** Where the object equals the base: ascending, disjoint, within `size`. */
  readonly kept: readonly Span[];
  readonly limits: PartLimits;
  /** Capabilities.copyPart. */
  readonly copyPart: { readonly minSize: number } | false;
  /** Preferred length of a sent part. */
  readonly partSize: number;
  /** Preferred length of a copied part. */
  readonly copySize: number;
  /** A run of kept bytes shorter than this is sent: a request of its own costs more. */
  readonly worthCopying: number;
}

/**
 * Parts in ascending order that cover [0, size) exactly, each within the limits. `size` is at least 1 and at most
 * what the limits allow.
 */
export function planParts(request: PlanRequest): PlannedPart[] {
  const { size, limits, copyPart } = request;
  if (copyPart === false || request.kept.length === 0) return grid(request);
  const shortest = Math.max(1, limits.minSize, copyPart.minSize);
  // Below this width not every length can be cut into allowed pieces; then a uniform grid is all there is.
  if (limits.equalSizes || limits.maxSize < 2 * shortest) return grid(request);
  for (let worth = Math.max(shortest, request.worthCopying); worth <= size; worth *= 2) {
    const parts = cut(runs(request, worth), request, shortest);
    if (parts.length <= limits.maxParts) return parts;
  }
  return grid(request);
}

interface Run extends Span { readonly copy: boolean }

/** Alternating runs: copied ones are at least `worth` long, sent ones at least minSize, but for the last of all. */
function runs({ size, kept, limits }: PlanRequest, worth: number): Run[] {
  const found: Run[] = [];
  let at = 0;
  for (const span of kept) {
    // What stands before the run is sent; if that is too short for a part, it takes from the run.
    const start = span.start > at ? Math.max(span.start, at + limits.minSize) : span.start;
    if (span.end - start < worth) continue;
    if (start > at) found.push({ start: at, end: start, copy: false });
    found.push({ start, end: span.end, copy: true });
    at = span.end;
  }
  if (at < size) found.push({ start: at, end: size, copy: false });
  return found;
}

function cut(all: readonly Run[], { limits, partSize, copySize, size }: PlanRequest, shortest: number): PlannedPart[] {
  const parts: PlannedPart[] = [];
  for (const run of all) {
    const length = run.end - run.start;
    const least = run.copy ? shortest : Math.max(1, limits.minSize);
    const wanted = Math.min(limits.maxSize, Math.max(least, run.copy ? copySize : partSize, Math.ceil(size / limits.maxParts) * 2));
    let pieces = Math.ceil(length / wanted);
    // Even pieces, unless they would be too short: then fewer, longer ones. maxSize >= 2 * least makes that fit.
    if (pieces > 1 && Math.floor(length / pieces) < least) pieces -= 1;
    let at = run.start;
    for (let i = 0; i < pieces; i++) {
      const end = run.start + Math.floor((length * (i + 1)) / pieces);
      parts.push({ number: parts.length + 1, offset: at, length: end - at, copy: run.copy });
      at = end;
    }
  }
  return parts;
}

/** The grid of PartSizes; a part all of whose bytes are kept is copied where that is allowed. */
function grid({ size, kept, limits, copyPart, partSize }: PlanRequest): PlannedPart[] {
  const sizes = PartSizes.of(limits, partSize, size);
  const count = sizes.count(size);
  const parts: PlannedPart[] = [];
  let at = 0;
  for (let number = 1; number <= count; number++) {
    const offset = sizes.offset(number);
    const length = Math.min(sizes.length(number), size - offset);
    while (at < kept.length && (kept[at] as Span).end <= offset) at += 1;
    const span = kept[at];
    const same = span !== undefined && span.start <= offset && span.end >= offset + length;
    parts.push({ number, offset, length, copy: same && copyPart !== false && (length >= copyPart.minSize || number === count) });
  }
  return parts;
}
