// Directories that last: made with their parents, their names synced to the disk once for all who wait (group commit).

import { mkdir, rmdir } from "node:fs/promises";
import { dirname } from "node:path";
import { succeeds, syncDirectory } from "./api.js";
import type { QuickReads } from "./quick.js";

/** Directories remembered as durable; forgetting one costs a sync. */
const REMEMBERED = 20_000;

export class Directories {
  readonly #sync: boolean;
  readonly #running = new Map<string, { readonly now: Promise<void>; next: Promise<void> | undefined }>();
  readonly #durable = new Set<string>();

  readonly #quick: QuickReads;

  /** @param sync false: nothing is written through (the option file-sync). */
  constructor(sync: boolean, quick: QuickReads) {
    this.#sync = sync;
    this.#quick = quick;
  }

  /** Every change of names in `directory` made before this call is on the disk when it resolves. */
  sync(directory: string): Promise<void> {
    if (!this.#sync) return Promise.resolve();
    const running = this.#running.get(directory);
    // One that has begun may have missed this caller's change; the next one serves all who come until it begins.
    if (running !== undefined) return (running.next ??= running.now.then(() => this.#start(directory), () => this.#start(directory)));
    return this.#start(directory);
  }

  #start(directory: string): Promise<void> {
    const entry = { now: syncDirectory(directory, this.#quick).finally(() => {
      if (this.#running.get(directory) === entry) this.#running.delete(directory);
    }), next: undefined };
    this.#running.set(directory, entry);
    return entry.now;
  }

  /** Makes `directory` and what is missing above it, down from `top`, which must be there: ENOENT when it is not. */
  async make(directory: string, top: string): Promise<void> {
    if (directory === top) return;
    try {
      await mkdir(directory);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === "EEXIST") return;
      if (code !== "ENOENT" || dirname(directory) === top) throw error;
      await this.make(dirname(directory), top);
      await succeeds(mkdir(directory), "EEXIST");
    }
  }

  /** Syncs `directory` and the names of all directories from `top` down to it, the latter once per instance. */
  async syncDown(directory: string, top: string): Promise<void> {
    const waits = [this.sync(directory)];
    for (let at = directory; at !== top && !this.#durable.has(at); at = dirname(at)) {
      waits.push(this.sync(dirname(at)));
    }
    await Promise.all(waits);
    for (let at = directory; at !== top && this.#sync; at = dirname(at)) {
      if (this.#durable.has(at)) break;
      if (this.#durable.size >= REMEMBERED) this.#durable.clear();
      this.#durable.add(at);
    }
  }

  /** Removes `directory` and those above it, below `top`, as long as they are empty. */
  async prune(directory: string, top: string): Promise<void> {
    for (let at = directory; at !== top; at = dirname(at)) {
      this.#durable.delete(at);
      // Not empty, gone already, or not allowed: whoever lists it next tries again.
      if (!(await succeeds(rmdir(at), "ENOTEMPTY", "EEXIST", "ENOENT", "EACCES", "EPERM", "EROFS", "EBUSY"))) return;
    }
  }
}
