// All files of a mount that are being written.

import { open } from "node:fs/promises";
import type { ObjectStore } from "../store/objectStore.js";
import type { ByteBudget } from "../util/byteBudget.js";
import type { Clock } from "../util/clock.js";
import type { Logger } from "../util/log.js";
import { Semaphore } from "../util/semaphore.js";
import { openFromStore, type OpenBase, type WriteContext } from "./context.js";
import { MemoryPool } from "./memoryBytes.js";
import { resolveOptions, type WriteOptions } from "./options.js";
import { leftBehind, StagingDirectory, type LeftBehind } from "./stagingDirectory.js";
import { StagedObject } from "./stagedObject.js";
import type { PendingFile, StagedFile, StageRequest, Writes, WriteStats } from "./types.js";

export interface StagedWritesParts {
  readonly store: ObjectStore;
  /** The staging directory: one per mount, local, made with mode 0700 when it is missing. */
  readonly directory: string;
  readonly budget: ByteBudget;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly options?: WriteOptions | undefined;
  /** How unchanged bytes are read after a commit or a rename: through src/read's caches. Absent: straight from the store. */
  readonly openBase?: OpenBase | undefined;
  /** Opens data files; for tests. */
  readonly openFile?: typeof open | undefined;
}

export class StagedWrites implements Writes {
  readonly #context: WriteContext;
  readonly #files = new Set<StagedObject>();
  /** Closed, and not at the store. */
  readonly #kept = new Set<StagedObject>();
  #opened: Promise<void> | undefined;
  #closed: Promise<void> | undefined;

  constructor({ store, directory, budget, logger, clock, options = {}, openBase, openFile }: StagedWritesParts) {
    const resolved = resolveOptions(options, budget);
    this.#context = {
      store, budget, logger, clock, options: resolved,
      directory: new StagingDirectory(directory, resolved.hostName),
      pool: new MemoryPool(budget, resolved.memoryTotal),
      partPool: new MemoryPool(budget, resolved.partMemory),
      transfers: new Semaphore(resolved.totalConcurrency),
      counters: { committed: 0, failed: 0, uploadedBytes: 0, copiedBytes: 0 },
      openBase: openBase ?? openFromStore(store),
      openFile: openFile ?? open,
      putOptions: ({ metadata, contentType, expires }) => ({
        metadata: store.capabilities.metadata === false ? undefined : metadata,
        contentType,
        expires: store.capabilities.ttl ? expires : undefined,
      }),
    };
  }

  /**
   * Makes and locks the staging directory; rejects with a sentence for people when that fails or a live daemon has it.
   * `stage` calls it when nobody has. Idempotent.
   */
  open(): Promise<void> {
    this.#opened ??= this.#context.directory.open();
    return this.#opened;
  }

  /** What daemons before this one left in the directory. */
  async leftBehind(): Promise<LeftBehind[]> {
    return await leftBehind(this.#context.directory.path, this.#context.options.hostName);
  }

  async stage(request: StageRequest): Promise<StagedFile> {
    if (this.#closed !== undefined) throw new Error("the mount is closing: no file can be opened for writing");
    await this.open();
    const file = new StagedObject(this.#context, request, (closed) => {
      this.#files.delete(closed);
      if (closed.kept) this.#kept.add(closed);
    });
    this.#files.add(file);
    return file;
  }

  stats(): WriteStats {
    const pending: PendingFile[] = [];
    let pendingBytes = 0;
    for (const file of [...this.#files, ...this.#kept]) {
      const line = file.pending();
      if (line === undefined) continue;
      pending.push(line);
      pendingBytes += file.unsentBytes;
    }
    return { pending, pendingBytes, ...this.#context.counters };
  }

  async sync(signal?: AbortSignal): Promise<void> {
    const results = await Promise.allSettled([...this.#files].filter((file) => file.uncommitted).map((file) => file.settle(signal)));
    const failed = results.find((result) => result.status === "rejected");
    if (failed !== undefined) throw failed.reason as Error;
  }

  /** For a daemon that must end now: everything dirty is in the staging directory, with its journal, when it resolves. Never throws. */
  async keep(): Promise<void> {
    await Promise.all([...this.#files].map((file) => file.keep()));
  }

  close(): Promise<void> {
    this.#closed ??= (async () => {
      await Promise.all([...this.#files].map((file) => file.close()));
      await this.#opened?.then(() => this.#context.directory.close(), () => undefined);
    })();
    return this.#closed;
  }
}
