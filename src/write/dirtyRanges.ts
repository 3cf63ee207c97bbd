// A set of byte ranges, kept as sorted, disjoint, non-adjacent half-open intervals.

export interface Span {
  readonly start: number;
  /** Exclusive. */
  readonly end: number;
}

/** Every method takes half-open intervals; an empty one (`end <= start`) is allowed and means nothing. */
export class DirtyRanges {
  // Parallel arrays: start i < end i < start i+1.
  readonly #starts: number[] = [];
  readonly #ends: number[] = [];
  #bytes = 0;

  /** Bytes in the set. */
  get bytes(): number { return this.#bytes; }
  get count(): number { return this.#starts.length; }

  add(start: number, end: number): void {
    if (end <= start) return;
    const last = this.#ends.length - 1;
    if (last >= 0 && this.#ends[last] === start) {
      this.#ends[last] = end;
      this.#bytes += end - start;
      return;
    }
    // Everything from `from` to `to` (exclusive) touches the new interval and melts into it.
    const from = this.#firstEndingAtOrAfter(start);
    let to = from;
    let low = start;
    let high = end;
    while (to < this.#starts.length && (this.#starts[to] as number) <= end) {
      low = Math.min(low, this.#starts[to] as number);
      high = Math.max(high, this.#ends[to] as number);
      this.#bytes -= (this.#ends[to] as number) - (this.#starts[to] as number);
      to += 1;
    }
    this.#starts.splice(from, to - from, low);
    this.#ends.splice(from, to - from, high);
    this.#bytes += high - low;
  }

  remove(start: number, end: number): void {
    if (end <= start) return;
    const from = this.#firstEndingAtOrAfter(start + 1);
    let to = from;
    const keep: Span[] = [];
    while (to < this.#starts.length && (this.#starts[to] as number) < end) {
      const low = this.#starts[to] as number;
      const high = this.#ends[to] as number;
      this.#bytes -= Math.min(high, end) - Math.max(low, start);
      if (low < start) keep.push({ start: low, end: start });
      if (high > end) keep.push({ start: end, end: high });
      to += 1;
    }
    if (to === from) return;
    this.#starts.splice(from, to - from, ...keep.map((span) => span.start));
    this.#ends.splice(from, to - from, ...keep.map((span) => span.end));
  }

  clear(): void {
    this.#starts.length = 0;
    this.#ends.length = 0;
    this.#bytes = 0;
  }

  /** Whether all of the interval is in the set. */
  covers(start: number, end: number): boolean {
    if (end <= start) return true;
    const at = this.#firstEndingAtOrAfter(start + 1);
    return at < this.#starts.length && (this.#starts[at] as number) <= start && (this.#ends[at] as number) >= end;
  }

  /** Whether any of the interval is in the set. */
  overlaps(start: number, end: number): boolean {
    if (end <= start) return false;
    const at = this.#firstEndingAtOrAfter(start + 1);
    return at < this.#starts.length && (this.#starts[at] as number) < end;
  }

  /** The parts of the interval that are in the set, ascending. */
  within(start: number, end: number): Span[] {
    const found: Span[] = [];
    for (let i = this.#firstEndingAtOrAfter(start + 1); i < this.#starts.length && (this.#starts[i] as number) < end; i++) {
      found.push({ start: Math.max(start, this.#starts[i] as number), end: Math.min(end, this.#ends[i] as number) });
    }
    return found;
  }

  /** The parts of the interval that are not in the set, ascending. */
  holes(start: number, end: number): Span[] {
    const found: Span[] = [];
    let at = start;
    for (const span of this.within(start, end)) {
      if (span.start > at) found.push({ start: at, end: span.start });
      at = span.end;
    }
    if (at < end) found.push({ start: at, end });
    return found;
  }

  all(): Span[] {
    return this.#starts.map((start, i) => ({ start, end: this.#ends[i] as number }));
  }

  /** The end of the interval that holds `offset`, or `offset` itself when none does. */
  endOfRun(offset: number): number {
    const at = this.#firstEndingAtOrAfter(offset + 1);
    return at < this.#starts.length && (this.#starts[at] as number) <= offset ? (this.#ends[at] as number) : offset;
  }

  /** The first offset at or after `offset` that is in the set. */
  next(offset: number): number | undefined {
    const at = this.#firstEndingAtOrAfter(offset + 1);
    return at < this.#starts.length ? Math.max(offset, this.#starts[at] as number) : undefined;
  }

  #firstEndingAtOrAfter(offset: number): number {
    let low = 0;
    let high = this.#ends.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#ends[middle] as number) < offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
