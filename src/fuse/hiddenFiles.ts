// Files that libfuse hides. Where an open file is unlinked, or another one is renamed onto it, libfuse first renames it to a name that
// it makes up (.fuse_hidden and 16 hex digits), and unlinks that one after the last close. The made-up name never reaches the
// filesystem. What is to be done is known only by what follows:
//
// - a rename onto the name: the filesystem does it in one step, as it was meant;
// - nothing: it was an unlink, which is done a moment later. Whoever asks for the name, or for a directory above it, waits for that. Its
//   error can no longer be told to the caller, and goes to the log.

import { FsError } from "../fs/errors.js";
import type { Ino } from "../fs/filesystem.js";
import type { Found } from "./paths.js";

const MADE_UP = /^\.fuse_hidden[0-9a-f]{16}$/;
/** How many made-up names are remembered after their end. */
const REMEMBERED = 1000;
/** How long a rename is waited for, in milliseconds: it is on its way from a thread of this process. */
const GRACE = 25;

interface Removal {
  readonly path: string;
  readonly ino: Ino;
  readonly done: Promise<void>;
  /** The rename has come: nothing is to be unlinked. */
  cancel(): void;
  /** Without waiting any longer. */
  now(): void;
}

export class HiddenFiles {
  readonly #unlink: (path: string, ino: Ino) => Promise<void>;
  readonly #files = new Map<string, Found>();
  /** Made-up names that are over: the kernel may still be on its way to what they led to. */
  readonly #over = new Set<string>();
  /** By the path that is to go. */
  readonly #removals = new Map<string, Removal>();

  /** @param unlink removes the name if it still leads to that inode; never rejects */
  constructor(unlink: (path: string, ino: Ino) => Promise<void>) {
    this.#unlink = unlink;
  }

  get size(): number { return this.#files.size; }

  /** Whether libfuse could have made that name up. */
  isMadeUp(path: string): boolean {
    return MADE_UP.test(path.slice(path.lastIndexOf("/") + 1));
  }

  /** @throws ESTALE for a name that is over: the file was replaced between the kernel's lookup and its next step, and it looks again */
  get(path: string): Found | undefined {
    if (this.#over.size > 0 && this.#over.has(path)) throw new FsError("ESTALE", "the file was replaced meanwhile");
    return this.#files.get(path);
  }

  /** `madeUp` leads to the inode from now on, whose counts become the entry's; `path` goes, unless a rename onto it follows. */
  hide(path: string, madeUp: string, found: Found): void {
    this.#files.set(madeUp, found);
    let decide!: (unlink: boolean) => void;
    const decided = new Promise<boolean>((resolve) => { decide = resolve; });
    // Twice around the event loop: when this process was held up, the rename may be waiting behind the timer.
    const timer = setTimeout(() => setImmediate(() => setImmediate(() => decide(true))), GRACE);
    const done = decided.then(async (unlink) => {
      clearTimeout(timer);
      if (unlink) await this.#unlink(path, found.ino);
    }).finally(() => {
      if (this.#removals.get(path) === removal) this.#removals.delete(path);
    });
    const removal: Removal = { path, ino: found.ino, done, cancel: () => decide(false), now: () => decide(true) };
    this.#removals.set(path, removal);
  }

  /** libfuse unlinks the name that it made up. @returns what it led to */
  reveal(madeUp: string): Found | undefined {
    const found = this.#files.get(madeUp);
    if (!this.#files.delete(madeUp)) return undefined;
    this.#over.add(madeUp);
    for (const oldest of this.#over) {
      if (this.#over.size <= REMEMBERED) break;
      this.#over.delete(oldest);
    }
    return found;
  }

  /** A rename onto `path` begins, which replaces what is there. Until `end`, others go on waiting. */
  replacing(path: string): { end(): void } | undefined {
    const removal = this.#removals.get(path);
    return removal === undefined ? undefined : { end: () => removal.cancel() };
  }

  /** Resolves when `path` is gone, if it is to go. @param below whether what lies below it matters, too */
  async settled(path: string, below: boolean): Promise<void> {
    if (this.#removals.size === 0) return;
    for (const removal of this.#removals.values()) {
      if (removal.path === path || (below && removal.path.startsWith(path === "/" ? "/" : `${path}/`))) await removal.done;
    }
  }

  /** The same for an inode, by whatever name or handle. */
  async settledInode(ino: Ino): Promise<void> {
    if (this.#removals.size === 0) return;
    for (const removal of this.#removals.values()) if (removal.ino === ino) await removal.done;
  }

  /** Everything that is to go goes now. */
  async flush(): Promise<void> {
    for (const removal of this.#removals.values()) {
      removal.now();
      await removal.done;
    }
  }

  /** At the end of the mount. @returns what is still hidden */
  close(): readonly Found[] {
    const left = [...this.#files.values()];
    this.#files.clear();
    return left;
  }
}
