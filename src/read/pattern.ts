// How one handle is being read. The kernel sends the reads of one stream side by side and out of order, so a stream is not
// "the next read begins where the last one ended": reads that touch each other are joined into runs, whatever their order,
// and a run that grows at its right end is a sequential reader, which gets a cursor. Several streams in one handle get one each.

const KiB = 1024;
const MiB = 1024 * KiB;

/** A read this far behind a cursor's head still belongs to it: the kernel's requests overtake each other. */
const BEHIND = 2 * MiB;
/** A read this far beyond the window still does: one largest request of the kernel may have been overtaken. */
const BEYOND = 1 * MiB;
const MAX_RUNS = 16;
const MAX_CURSORS = 4;
/** A cursor that so many reads of its handle have not touched is left behind. */
const LEFT_BEHIND = 32;
/** The same once the reader has begun another sequential stream. */
const LEFT_FOR_ANOTHER = 2;
/** Cursors that ended below this were not worth their window: the next one must prove itself longer. */
const WORTHWHILE = 4 * MiB;
const LONGEST_PROOF = 16 * MiB;

/** One sequential stream. */
export class Cursor {
  /** Where it was recognised. */
  readonly start: number;
  /** End of the furthest read. */
  head: number;
  /** Everything below has been asked for. */
  asked: number;
  /** How far beyond `head` is to be asked for. */
  window: number;
  /** The window has not yet grown for reads from here on. */
  grownAt: number;
  /** Number of the handle's last read that belonged to it. */
  lastRead: number;

  constructor(start: number, head: number, window: number, lastRead: number) {
    this.start = start;
    this.head = head;
    this.asked = head;
    this.window = window;
    this.grownAt = head;
    this.lastRead = lastRead;
  }
}

interface Run { start: number; end: number }

export class ReadPattern {
  readonly #firstWindow: number;
  readonly #onLeft: (cursor: Cursor) => void;
  #cursors: Cursor[] = [];
  #runs: Run[] = [];
  #reads = 0;
  /** Length a run must have to be taken for a stream. */
  #proof = 0;

  /** @param onLeft told of every cursor that is given up: what it asked for is of no use. */
  constructor(firstWindow: number, onLeft: (cursor: Cursor) => void) {
    this.#firstWindow = firstWindow;
    this.#onLeft = onLeft;
  }

  get reads(): number { return this.#reads; }
  get cursors(): readonly Cursor[] { return this.#cursors; }

  /** Takes a read into account. @returns the stream it belongs to; undefined for one that stands alone so far. */
  note(start: number, end: number): Cursor | undefined {
    this.#reads += 1;
    let cursor = this.#cursors.find((one) => start >= one.head - BEHIND && start <= Math.max(one.asked, one.head) + BEYOND);
    if (cursor === undefined) {
      cursor = this.#join(start, end);
      if (cursor !== undefined) {
        this.#leave((one) => this.#reads - one.lastRead >= LEFT_FOR_ANOTHER);
        this.#cursors.unshift(cursor);
        if (this.#cursors.length > MAX_CURSORS) this.#leave((one) => one === this.#cursors.at(-1));
      }
    } else {
      cursor.head = Math.max(cursor.head, end);
      cursor.lastRead = this.#reads;
    }
    this.#leave((one) => this.#reads - one.lastRead >= LEFT_BEHIND);
    return cursor;
  }

  /** Ends all streams. */
  end(): void {
    this.#leave(() => true);
    this.#runs = [];
  }

  /** Joins the read with the runs it touches. @returns a new cursor when that makes a sequential stream. */
  #join(start: number, end: number): Cursor | undefined {
    const run: Run = { start, end };
    let grewRight = false;
    this.#runs = this.#runs.filter((one) => {
      if (start > one.end || end < one.start) return true;
      if (start > one.start && end > one.end) grewRight = true;
      run.start = Math.min(run.start, one.start);
      run.end = Math.max(run.end, one.end);
      return false;
    });
    if (grewRight && run.end - run.start >= this.#proof) return new Cursor(run.start, run.end, this.#firstWindow, this.#reads);
    this.#runs.unshift(run);
    this.#runs.length = Math.min(this.#runs.length, MAX_RUNS);
    return undefined;
  }

  #leave(which: (cursor: Cursor) => boolean): void {
    const left = this.#cursors.filter(which);
    if (left.length === 0) return;
    this.#cursors = this.#cursors.filter((one) => !left.includes(one));
    for (const cursor of left) {
      const useful = cursor.head - cursor.start >= WORTHWHILE;
      this.#proof = useful ? 0 : Math.min(LONGEST_PROOF, Math.max(MiB, 2 * this.#proof));
      this.#onLeft(cursor);
    }
  }
}
