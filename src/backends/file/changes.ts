// How a key comes to another object: by one rename(2) under its lock, and with the segments of the version that loses
// removed afterwards, whatever happens in between. Before segments can become orphans a change record is written:
// work/TOKEN.N.change says {key, data}: "unless the object of this key uses this data directory, the directory goes".
// A record is removed before the lock is given back, so a record whose key its writer does not hold locked speaks of
// segments that no object has ever used.

import { rename, rm, unlink, writeFile, mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { StoreError } from "../../store/errors.js";
import { throwIfAborted } from "../../store/abort.js";
import { errnoOf, exists, succeeds } from "./api.js";
import type { Directories } from "./directories.js";
import type { ContainerPaths } from "./layout.js";
import type { Held, Locks } from "./locks.js";
import type { Manifest } from "./manifest.js";
import { readManifest } from "./objectFile.js";
import type { Owner } from "./owner.js";

export interface ChangeRecord {
  readonly key: string;
  readonly data: string;
}

/** Throws to refuse the change. */
export type Check = (current: Manifest | undefined) => void | Promise<void>;

export interface Replacement {
  /** A complete, durable object file in work/. */
  readonly file: string;
  readonly manifest: Manifest;
  /** The record of new segments (of `manifest.data`), when there are any. */
  readonly record?: string | undefined;
  /** Runs under the lock, after the check: the last thing before the object becomes visible. */
  readonly prepare?: (() => Promise<void>) | undefined;
  /** Runs under the lock once the object is visible. */
  readonly finish?: (() => Promise<void>) | undefined;
  /** When it did not become visible: takes back `prepare`, and what was made for it. Absent: new segments are given up. */
  readonly undo?: (() => Promise<void>) | undefined;
}

export class Changes {
  readonly paths: ContainerPaths;
  readonly directories: Directories;
  readonly #owner: Owner;
  readonly #locks: Locks;

  constructor(paths: ContainerPaths, directories: Directories, owner: Owner, locks: Locks) {
    this.paths = paths;
    this.directories = directories;
    this.#owner = owner;
    this.#locks = locks;
  }

  workPath(kind: "new" | "change" | "trash"): string {
    return join(this.paths.work, this.#owner.nextName(kind));
  }

  /** @returns the path of the record. */
  async record(key: string, data: string): Promise<string> {
    const path = this.workPath("change");
    await this.inContainer(writeFile(path, JSON.stringify({ key, data } satisfies ChangeRecord)));
    return path;
  }

  /** Makes the empty data directory of new segments. */
  async makeData(id: string): Promise<string> {
    const directory = this.paths.dataDirectory(id);
    await succeeds(mkdir(dirname(directory)), "EEXIST");
    await mkdir(directory);
    return directory;
  }

  /** Takes a data directory out of use; what it returns is to be removed when no lock is held. */
  async discard(id: string): Promise<string> {
    const trash = this.workPath("trash");
    await succeeds(rename(this.paths.dataDirectory(id), trash), "ENOENT");
    return trash;
  }

  /** Gives up new segments that no object uses, with their record. */
  async giveUp(id: string, record: string): Promise<void> {
    const trash = await this.discard(id);
    await unlink(record);
    await removeTree(trash);
  }

  /** Makes `replacement` the object of `key`, if `check` allows it; durable when it resolves. On failure nothing has changed. */
  async replace(key: string, replacement: Replacement, check: Check, signal?: AbortSignal): Promise<void> {
    const path = this.paths.object(key);
    const trash: string[] = [];
    let state: "staged" | "visible" | "taken back" = "staged";
    const takeBack = async (): Promise<void> => {
      if (state !== "staged") return;
      state = "taken back";
      await this.#takeBack(replacement);
    };
    try {
      await this.#locks.hold([key], async (held) => {
        try {
          const current = await readManifest(this.paths, key, true);
          await check(current);
          throwIfAborted(signal, key);
          const old = current?.data === replacement.manifest.data ? undefined : current?.data;
          await this.#swap(key, old, held, trash, async () => {
            await replacement.prepare?.();
            await this.#place(replacement.file, path, key);
            state = "visible";
          }, async () => {
            if (replacement.record !== undefined) await unlink(replacement.record);
            await replacement.finish?.();
          });
        } catch (error) {
          await takeBack().catch(() => held.keep());
          throw error;
        }
      }, signal);
    } catch (error) {
      await takeBack().catch(() => undefined);
      throw error;
    }
    await this.directories.syncDown(dirname(path), this.paths.objects);
    await removeTrees(trash);
  }

  async #takeBack(replacement: Replacement): Promise<void> {
    await unlink(replacement.file);
    const { data } = replacement.manifest;
    if (replacement.undo !== undefined) await replacement.undo();
    else if (replacement.record !== undefined && data !== undefined) await this.giveUp(data, replacement.record);
  }

  /** @returns false when there was nothing. `sync` false: the caller syncs the directory itself. */
  async remove(key: string, check: Check, signal?: AbortSignal, sync = true): Promise<boolean> {
    const path = this.paths.object(key);
    const trash: string[] = [];
    const found = await this.#locks.hold([key], async (held) => {
      const current = await readManifest(this.paths, key, true);
      await check(current);
      if (current === undefined) return false;
      throwIfAborted(signal, key);
      await this.#swap(key, current.data, held, trash, () => unlink(path));
      return true;
    }, signal);
    if (!found) return false;
    await this.directories.prune(dirname(path), this.paths.objects);
    if (sync) await this.syncAbove(dirname(path));
    await removeTrees(trash);
    return true;
  }

  /** Gives the object of `from` the key `to`, as one step. */
  async move(from: string, to: string, check: Check, signal?: AbortSignal): Promise<void> {
    const source = this.paths.object(from);
    const target = this.paths.object(to);
    const trash: string[] = [];
    await this.#locks.hold([from, to], async (held) => {
      const moving = await readManifest(this.paths, from);
      if (moving === undefined) throw new StoreError("not-found", "There is no such object.", { key: from });
      const current = await readManifest(this.paths, to);
      await check(current);
      throwIfAborted(signal, to);
      if (from === to) return;
      // No record of these segments may come back to life under the old key.
      if (moving.data !== undefined) await this.directories.sync(this.paths.work);
      await this.#swap(to, current?.data, held, trash, () => this.#place(source, target, to));
    }, signal);
    if (from === to) return;
    await this.directories.prune(dirname(source), this.paths.objects);
    await Promise.all([this.directories.syncDown(dirname(target), this.paths.objects), this.syncAbove(dirname(source))]);
    await removeTrees(trash);
  }

  /** Under the lock: does `step` with the segments `old` on record, then takes them away. */
  async #swap(key: string, old: string | undefined, held: Held, trash: string[], step: () => Promise<void>, after?: () => Promise<void>): Promise<void> {
    const record = old === undefined ? undefined : await this.record(key, old);
    try {
      await step();
    } catch (error) {
      if (record !== undefined) await unlink(record).catch(() => held.keep());
      throw error;
    }
    try {
      if (old !== undefined) {
        // The name must have changed on the disk before what it stood for goes.
        await this.directories.syncDown(dirname(this.paths.object(key)), this.paths.objects);
        trash.push(await this.discard(old));
      }
      await after?.();
      if (record !== undefined) await unlink(record);
    } catch (error) {
      held.keep();
      throw error;
    }
  }

  async #place(file: string, path: string, key: string): Promise<void> {
    for (let tries = 0;; tries++) {
      try {
        return await rename(file, path);
      } catch (error) {
        if (errnoOf(error) !== "ENOENT" || tries >= 20 || !(await exists(file))) throw error;
        // Another instance may prune the directory again before the rename: then once more.
        await this.inContainer(this.directories.make(dirname(path), this.paths.objects), key);
      }
    }
  }

  /** Syncs the lowest directory that is still there, at or above `directory`. */
  async syncAbove(directory: string): Promise<void> {
    let at = directory;
    while (at !== this.paths.objects && !(await exists(at))) at = dirname(at);
    await this.directories.sync(at);
  }

  /** What fails with ENOENT because the container is gone, says so. */
  async inContainer<T>(call: Promise<T>, key?: string): Promise<T> {
    try {
      return await call;
    } catch (error) {
      if (errnoOf(error) === "ENOENT") await requireContainer(this.paths, key);
      throw error;
    }
  }
}

export async function requireContainer(paths: ContainerPaths, key?: string): Promise<void> {
  if (!(await exists(paths.objects))) throw new StoreError("no-container", `The container ${paths.name} is not there.`, { key });
}

export async function removeTree(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true });
}

/** What cannot be removed now is trash in work/ and goes with the next opening after this instance. */
async function removeTrees(paths: readonly string[]): Promise<void> {
  for (const path of paths) await removeTree(path).catch(() => undefined);
}
