// Locks of inodes. Each inode has three: `tree` of a directory (shared by whoever changes something below it, exclusive for whoever
// moves or removes it), `names` of a directory (one change of its names at a time), `object` of a file (one change of
// its object at a time). An operation asks for all it needs in one call; they are taken in one order for everybody
// (tree by depth and number, names by number, objects by number), so nobody waits in a circle.

export type LockKind = "tree" | "names" | "object";

interface Waiter { readonly exclusive: boolean; readonly wake: () => void }

/** Shared or exclusive, first come first served. */
export class Lock {
  #readers = 0;
  #writer = false;
  readonly #waiting: Waiter[] = [];

  get idle(): boolean { return this.#readers === 0 && !this.#writer && this.#waiting.length === 0; }

  /** @returns undefined when taken at once. */
  take(exclusive: boolean): Promise<void> | undefined {
    if (this.#waiting.length === 0 && this.#free(exclusive)) {
      this.#enter(exclusive);
      return undefined;
    }
    return new Promise((resolve) => { this.#waiting.push({ exclusive, wake: resolve }); });
  }

  leave(exclusive: boolean): void {
    if (exclusive) this.#writer = false;
    else this.#readers -= 1;
    for (;;) {
      const next = this.#waiting[0];
      if (next === undefined || !this.#free(next.exclusive)) return;
      this.#waiting.shift();
      this.#enter(next.exclusive);
      next.wake();
    }
  }

  #free(exclusive: boolean): boolean {
    return !this.#writer && (!exclusive || this.#readers === 0);
  }

  #enter(exclusive: boolean): void {
    if (exclusive) this.#writer = true;
    else this.#readers += 1;
  }
}

export interface Wanted {
  readonly lock: Lock;
  readonly kind: LockKind;
  readonly depth: number;
  readonly ino: number;
  readonly exclusive: boolean;
}

const RANK: Readonly<Record<LockKind, number>> = { tree: 0, names: 1, object: 2 };

/** Takes all of them in the common order. Asked for twice, a lock is taken once, exclusively if either wants that. @returns what gives them back. */
export async function takeAll(wanted: readonly Wanted[]): Promise<() => void> {
  const merged = new Map<Lock, Wanted>();
  for (const want of wanted) {
    const other = merged.get(want.lock);
    if (other === undefined || (want.exclusive && !other.exclusive)) merged.set(want.lock, want);
  }
  const ordered = [...merged.values()].sort((a, b) => RANK[a.kind] - RANK[b.kind] || a.depth - b.depth || a.ino - b.ino);
  for (const { lock, exclusive } of ordered) {
    const waiting = lock.take(exclusive);
    if (waiting !== undefined) await waiting;
  }
  let held = true;
  return () => {
    if (!held) return;
    held = false;
    for (const { lock, exclusive } of ordered.toReversed()) lock.leave(exclusive);
  };
}
