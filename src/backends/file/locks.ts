// Who may replace a key right now, among the calls of this instance and among all instances on the store. A lock is a hard
// link to its holder's owner file: link(2) takes it at once or says EEXIST, and reading it names the holder. It is held
// only for the swap of one name. A dead holder's lock is never just removed: what the holder was in the middle of is
// settled first (recover.ts).

import { link, unlink, writeFile } from "node:fs/promises";
import { StoreError } from "../../store/errors.js";
import { throwIfAborted } from "../../store/abort.js";
import type { Clock } from "../../util/clock.js";
import { errnoOf, exists, readSmall, succeeds } from "./api.js";
import type { ContainerPaths } from "./layout.js";
import { describeOwner, parseOwner, type Owner } from "./owner.js";

/** How long a call waits for another instance before it answers `unavailable`. */
const PATIENCE_MS = 30_000;
/** Waits double from 1 ms to this. */
const LONGEST_WAIT_MS = 32;

/** What the work under a lock may ask of it. */
export interface Held {
  /** The lock stays when the work ends: something is unsettled, and recovery must come before the next change. */
  keep(): void;
}

export class Locks {
  readonly #paths: ContainerPaths;
  readonly #owner: Owner;
  readonly #clock: Clock;
  readonly #recover: (token: string) => Promise<void>;
  /** The last call in line for each key, of this instance. */
  readonly #lines = new Map<string, Promise<void>>();

  constructor(paths: ContainerPaths, owner: Owner, clock: Clock, recover: (token: string) => Promise<void>) {
    this.#paths = paths;
    this.#owner = owner;
    this.#clock = clock;
    this.#recover = recover;
  }

  /** Runs `work` while nobody else changes any of these keys. */
  async hold<T>(keys: readonly string[], work: (held: Held) => Promise<T>, signal?: AbortSignal): Promise<T> {
    // One order for all, so that two calls with two keys never wait for each other.
    const paths = [...new Set(keys.map((key) => this.#paths.lock(key)))].sort();
    const taken: (() => Promise<void>)[] = [];
    let keep = false;
    try {
      for (const path of paths) taken.push(await this.#take(path, keys, signal));
      return await work({ keep: () => { keep = true; } });
    } finally {
      for (const release of taken.toReversed()) await (keep ? undefined : release());
    }
  }

  async #take(path: string, keys: readonly string[], signal: AbortSignal | undefined): Promise<() => Promise<void>> {
    const before = this.#lines.get(path);
    let leave = (): void => {};
    const line = new Promise<void>((resolve) => { leave = resolve; });
    const tail = before === undefined ? line : before.then(() => line);
    this.#lines.set(path, tail);
    const step = (): void => {
      leave();
      if (this.#lines.get(path) === tail) this.#lines.delete(path);
    };
    try {
      await before;
      await this.#link(path, keys, signal);
    } catch (error) {
      step();
      throw error;
    }
    return async () => {
      try {
        await succeeds(unlink(path), "ENOENT");
      } finally {
        step();
      }
    };
  }

  async #link(path: string, keys: readonly string[], signal: AbortSignal | undefined): Promise<void> {
    const started = this.#clock.monotonic();
    for (let wait = 1;; wait = Math.min(wait * 2, LONGEST_WAIT_MS)) {
      throwIfAborted(signal, keys[0]);
      if (await this.#try(path)) return;
      const text = await readSmall(path);
      if (text === undefined) continue;
      const holder = parseOwner(text);
      if (holder !== undefined && wait >= 8 && !(await this.#owner.lives(holder.token))) {
        await this.#recover(holder.token);
        continue;
      }
      if (this.#clock.monotonic() - started > PATIENCE_MS) {
        throw new StoreError("unavailable", `${describeOwner(holder)} has kept the object locked for ${PATIENCE_MS / 1000} seconds.`, { key: keys[0] });
      }
      // An aborted sleep is noticed at the head of the loop.
      await this.#clock.sleep(wait, signal).catch(() => undefined);
    }
  }

  /** True when the lock is ours now, false when somebody has it. */
  async #try(path: string): Promise<boolean> {
    try {
      await link(this.#owner.path, path);
      return true;
    } catch (error) {
      switch (errnoOf(error)) {
        case "EEXIST": return false;
        case "ENOENT":
          // Either the container is gone, or this instance was silent so long that it was taken for dead.
          if (await exists(this.#owner.path)) throw new StoreError("no-container", `The container ${this.#paths.name} is not there.`, { cause: error });
          await this.#owner.returnToLife();
          return false;
        case "EPERM": case "ENOTSUP": case "ENOSYS": case "EMLINK":
          // No hard links here: an exclusively created file with the same content.
          return succeeds(writeFile(path, this.#owner.text, { flag: "wx" }), "EEXIST");
        default: throw error;
      }
    }
  }
}
