// One object being written: the state table of types.ts over StagedData (the bytes) and Committer (the way to the store).
//
// Writes share the gate; commit, append, truncate, retarget and orphan have it alone. A commit therefore sees one
// snapshot, and writes that arrive meanwhile wait for it. Reads need no gate.
//
// A caller's signal ends that caller's waiting, never the commit: half of an aborted conditional put could still arrive
// at the store and would then look like somebody else's change. The commit goes on, and close joins it.

import type { FileHandle } from "node:fs/promises";
import { unlink } from "node:fs/promises";
import { basename } from "node:path";
import { StoreError } from "../store/errors.js";
import { Committer, sameDescription } from "./committer.js";
import { longestObject, type OpenedBase, type WriteContext } from "./context.js";
import { Gate } from "./gate.js";
import { Journal } from "./journal.js";
import { StagedData } from "./stagedData.js";
import type { Committed, PendingFile, StagedFile, StagedState, StageRequest } from "./types.js";
import type { CopySource } from "./uploadSession.js";

const FETCH_STEP = 1024 * 1024;

export class StagedObject implements StagedFile {
  readonly #context: WriteContext;
  readonly #describe: StageRequest["describe"];
  readonly #data: StagedData;
  readonly #committer: Committer;
  readonly #gate = new Gate();
  readonly #onClosed: (file: StagedObject) => void;
  readonly #names: { readonly data: string; readonly journal: string };
  #key: string;
  #expected: string | undefined;
  /** The key under which the base's bytes are; it differs from `#key` for a file that was renamed before its object was. */
  #baseKey: string;
  #state: StagedState;
  /** Bytes or size differ from the base. */
  #dirty: boolean;
  /** Raised by touch; `#described` is what the last commit wrote. */
  #touches = 0;
  #described = 0;
  #since: number;
  #last: Committed | undefined;
  #error: unknown;
  #running: Promise<Committed> | undefined;
  #further: Promise<Committed> | undefined;
  #orphaned = false;
  #closing: Promise<void> | undefined;
  #journal: Journal | undefined;
  /** The journal's present generation has its `begin`. */
  #begun = false;
  #kept = false;
  /** The bytes of a failed commit are durable in the staging directory. */
  #saved = false;
  /** The base that this file opened itself, and must close. */
  #ownBase: OpenedBase | undefined;

  constructor(context: WriteContext, request: StageRequest, onClosed: (file: StagedObject) => void) {
    this.#context = context;
    this.#describe = (how) => request.describe(how);
    this.#key = request.key;
    this.#baseKey = request.key;
    this.#expected = request.base?.etag;
    this.#onClosed = onClosed;
    this.#names = context.directory.names();
    const { memoryFile, sliceSize } = context.options;
    const baseLimit = request.truncate === true ? 0 : request.base?.size ?? 0;
    this.#data = new StagedData(request.base, baseLimit, {
      budget: context.budget, pool: context.pool, partPool: context.partPool, memoryFile, sliceSize, createFile: () => this.#createFile(),
    });
    this.#committer = new Committer(context, this.#data, this.#describe, () => this.#journalNow());
    // What has no object yet has something to commit, whatever the caller thinks.
    this.#dirty = request.dirty || request.base === undefined || baseLimit !== request.base.size;
    this.#state = this.#dirty ? "dirty" : "clean";
    this.#since = context.clock.now();
  }

  get key(): string { return this.#key; }
  get size(): number { return this.#data.size; }
  get state(): StagedState { return this.#state; }
  get etag(): string | undefined { return this.#expected; }
  /** Something is not at the store, and will be sent by the next commit. */
  get uncommitted(): boolean { return !this.#orphaned && (this.#state === "dirty" || this.#state === "committing"); }
  /** Closed with a failed commit: the bytes are on disk (or, when the disk refused them, in memory). */
  get kept(): boolean { return this.#kept; }

  async read(offset: number, length: number, signal?: AbortSignal): Promise<readonly Buffer[]> {
    this.#notClosed();
    return await this.#data.read(offset, length, signal);
  }

  async write(offset: number, data: Buffer, signal?: AbortSignal): Promise<void> {
    this.#writable();
    const leave = await this.#unlessAborted(this.#gate.share(signal), signal);
    try {
      this.#notFailed();
      await this.#place(offset, data);
    } finally {
      leave();
    }
    await this.#room(signal);
  }

  async append(data: Buffer, signal?: AbortSignal): Promise<number> {
    this.#writable();
    const leave = await this.#unlessAborted(this.#gate.alone(signal), signal);
    let offset: number;
    try {
      this.#notFailed();
      offset = this.#data.size;
      await this.#place(offset, data);
    } finally {
      leave();
    }
    await this.#room(signal);
    return offset;
  }

  async truncate(size: number): Promise<void> {
    this.#writable();
    const leave = await this.#gate.alone();
    try {
      this.#notFailed();
      this.#fits(size);
      const from = Math.min(size, this.#data.size);
      if (size === this.#data.size) return;
      await this.#committer.beforeChange(from, Infinity);
      this.#changed();
      await this.#data.truncate(size);
    } finally {
      leave();
    }
  }

  seek(offset: number, whence: "data" | "hole"): number | undefined {
    this.#notClosed();
    return this.#data.seek(offset, whence);
  }

  async commit(signal?: AbortSignal): Promise<Committed> {
    if (this.#state === "closed" || this.#closing !== undefined) throw badDescriptor();
    return await this.#waitFor(this.#commit(), signal);
  }

  touch(): void {
    if (this.#state === "closed") return;
    this.#touches += 1;
    if (this.#state === "clean") this.#setDirtyState();
  }

  async retarget(key: string, etag: string | undefined): Promise<void> {
    const leave = await this.#gate.alone();
    try {
      await this.#committer.discard();
      const { base } = this.#data;
      if (base !== undefined && etag !== undefined) {
        // The object was moved along: the unchanged bytes are under the new key now. Otherwise they stay where they were.
        this.#data.moveBase(this.#openBase(key, etag, base.size));
        this.#baseKey = key;
      }
      this.#key = key;
      this.#expected = etag;
      if (this.#last !== undefined) this.#last = { ...this.#last, key, etag: etag ?? this.#last.etag };
      this.#begun = false;
    } finally {
      leave();
    }
  }

  async orphan(): Promise<void> {
    this.#orphaned = true;
    // Parts on their way are called back; what makes the object visible is never interrupted, so it cannot arrive after the unlink.
    this.#committer.cancel();
    const leave = await this.#gate.alone();
    try {
      await this.#committer.discard();
      if (this.#state === "failed") this.#state = "dirty";
      this.#error = undefined;
    } finally {
      leave();
    }
  }

  restore(): void {
    if (!this.#orphaned || this.#state === "closed") return;
    this.#orphaned = false;
    // A commit that met the orphan has sent nothing, whatever state it left.
    if (this.#state === "clean" && (this.#dirty || this.#touches > 0)) this.#setDirtyState();
  }

  async fetch(): Promise<void> {
    for (;;) {
      // Nobody writes between the reading of a piece and its arrival here, or old bytes would be put over new ones.
      const leave = await this.#gate.alone();
      try {
        this.#notClosed();
        const span = this.#data.missing(FETCH_STEP);
        if (span === undefined) return;
        const length = span.end - span.start;
        await this.#data.fill(span.start, Buffer.concat(await this.#data.read(span.start, length), length));
      } finally {
        leave();
      }
    }
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /** Commits what is not at the store, or joins who does; unlike `commit` also while the file is being closed. */
  async settle(signal?: AbortSignal): Promise<void> {
    await this.#waitFor(this.#commit(), signal);
  }

  /** What is dirty is in the staging directory when it resolves, whatever becomes of its commit. Never throws. */
  async keep(): Promise<void> {
    if (!this.#orphaned) await this.#keep(this.#error ?? "the daemon was ended before it was committed");
  }

  pending(): PendingFile | undefined {
    if (this.#orphaned || this.#state === "clean" || (this.#state === "closed" && !this.#kept)) return undefined;
    return {
      key: this.#key, state: this.#kept ? "failed" : this.#state, size: this.#data.size, uploaded: this.#committer.acknowledged, since: this.#since,
      file: this.#data.onDisk || this.#saved ? this.#names.data : "(memory)",
      error: this.#error === undefined ? undefined : messageOf(this.#error),
    };
  }

  /** Bytes that only this host has. */
  get unsentBytes(): number { return Math.max(0, this.#data.changedBytes - this.#committer.acknowledged); }

  #commit(): Promise<Committed> {
    if (this.#orphaned || this.#state === "clean") return Promise.resolve(this.#answer());
    if (this.#running === undefined) return this.#start();
    if (this.#gate.waiting === 0 && this.#touches === this.#described) return this.#running;
    this.#further ??= this.#running.then(ignore, ignore).then(() => {
      this.#further = undefined;
      return this.#running ?? this.#start();
    });
    return this.#further;
  }

  #start(): Promise<Committed> {
    this.#state = "committing";
    // Joined by calls that come before the snapshot is taken: their description is part of it.
    this.#described = this.#touches;
    const run = (async () => {
      const leave = await this.#gate.alone();
      try {
        return await this.#run();
      } finally {
        this.#running = undefined;
        leave();
      }
    })();
    this.#running = run;
    // Callers may all have gone; the state keeps the error.
    run.catch(ignore);
    return run;
  }

  async #run(): Promise<Committed> {
    const touches = this.#touches;
    this.#described = touches;
    try {
      if (!this.#orphaned) await this.#store();
    } catch (error) {
      if (this.#orphaned) {
        this.#state = "dirty";
        return this.#answer();
      }
      await this.#fail(error);
      throw error;
    }
    this.#error = undefined;
    this.#state = this.#touches === touches || this.#orphaned ? "clean" : "dirty";
    if (!this.#orphaned) this.#context.counters.committed += 1;
    return this.#answer();
  }

  async #store(): Promise<void> {
    const { base } = this.#data;
    let metadataOnly = !this.#dirty && this.#baseKey === this.#key && base?.etag === this.#expected;
    // Again only when the description changed while an upload was on its way.
    for (let round = 0; round < 3; round++) {
      const { committed, streamedAs } = await this.#committer.run({ key: this.#key, expected: this.#expected, source: this.#source(), metadataOnly });
      this.#adopt(committed);
      if (streamedAs === undefined || sameDescription(streamedAs, this.#describe({ streamed: true }))) return;
      metadataOnly = true;
    }
  }

  #source(): CopySource | undefined {
    const { base } = this.#data;
    return base === undefined ? undefined : { key: this.#baseKey, etag: base.etag };
  }

  /** What was committed is the base of what comes. */
  #adopt(committed: Committed): void {
    const { key, etag, size } = committed;
    this.#data.rebase(this.#openBase(key, etag, size));
    this.#key = key;
    this.#baseKey = key;
    this.#expected = etag;
    this.#last = committed;
    this.#dirty = false;
    if (this.#begun) this.#journal?.append({ type: "complete", key, etag, size });
    this.#begun = false;
    this.#saved = false;
  }

  #openBase(key: string, etag: string, size: number): OpenedBase {
    this.#ownBase?.close?.();
    this.#ownBase = this.#context.openBase({ key, etag, size });
    return this.#ownBase;
  }

  async #fail(error: unknown): Promise<void> {
    this.#state = "failed";
    this.#error = error;
    this.#context.counters.failed += 1;
    await this.#keep(error);
    this.#context.logger.error({ key: this.#key, file: this.pending()?.file, err: error },
      this.#dirty ? "a file could not be committed; its bytes are kept" : "the metadata of a file could not be written");
  }

  /** Data first, then the record that speaks of it, then the directory (journal.ts). */
  async #keep(why: unknown): Promise<void> {
    if (!this.#dirty) return;
    try {
      const ranges = await this.#data.persist();
      const journal = this.#journalNow();
      if (journal === undefined) return;
      const { size, baseLimit } = this.#data;
      journal.append({ type: "staged", size, baseLimit, ranges, error: messageOf(why) });
      await journal.flush();
      await this.#context.directory.sync();
      this.#saved = true;
    } catch (failure) {
      this.#context.logger.error({ key: this.#key, err: failure }, "the bytes of a failed commit could not be written to the staging directory");
    }
  }

  async #close(): Promise<void> {
    // A write that was queued behind the commit makes a second round necessary; a failure ends it, logged and in the state.
    let leave = await this.#settled();
    for (let tries = 0; this.uncommitted && tries < 3; tries++) {
      leave();
      leave = await this.#settled();
    }
    try {
      this.#kept = !this.#orphaned && this.#state !== "clean" && this.#dirty;
      this.#state = "closed";
      await this.#committer.discard();
      this.#ownBase?.close?.();
      if (this.#kept) await this.#journal?.close();
      else await this.#remove();
      // Bytes that the disk refused stay in memory: nowhere else are they.
      if (!this.#kept || this.#data.onDisk) await this.#data.close();
    } catch (error) {
      this.#context.logger.warn({ key: this.#key, err: error }, "a staged file could not be closed cleanly");
    } finally {
      leave();
      this.#onClosed(this);
    }
  }

  async #settled(): Promise<() => void> {
    if (this.uncommitted) await this.#commit().catch(ignore);
    return await this.#gate.alone();
  }

  async #remove(): Promise<void> {
    const journal = this.#journal;
    if (journal === undefined) return;
    journal.append({ type: "done" });
    await journal.close();
    // The data goes first: a journal without data that ends in `done` tells what happened, data without a journal does not.
    await unlink(this.#names.data).catch(ignore);
    await unlink(this.#names.journal).catch(ignore);
  }

  async #createFile(): Promise<FileHandle> {
    this.#journal ??= await Journal.create(this.#names.journal);
    this.#journalNow();
    try {
      return await this.#context.openFile(this.#names.data, "wx+", 0o600);
    } catch (error) {
      // What an attempt before left is ours: the name is random.
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
      return await this.#context.openFile(this.#names.data, "w+", 0o600);
    }
  }

  /** The journal with a `begin` for what is being written now. */
  #journalNow(): Journal | undefined {
    if (this.#journal !== undefined && !this.#begun) {
      this.#begun = true;
      const { base } = this.#data;
      this.#journal.append({
        type: "begin", key: this.#key, data: basename(this.#names.data), owner: this.#context.directory.owner, time: this.#since,
        store: this.#context.store.label, expected: this.#expected,
        base: base === undefined ? undefined : { key: this.#baseKey, etag: base.etag, size: base.size },
      });
    }
    return this.#journal;
  }

  async #place(offset: number, data: Buffer): Promise<void> {
    const end = offset + data.length;
    this.#fits(end);
    if (data.length === 0) return;
    await this.#committer.beforeChange(offset, end);
    this.#changed();
    await this.#data.write(offset, data);
    if (!this.#orphaned) this.#committer.advance(this.#key);
  }

  /** Back-pressure. An interrupt ends the waiting alone: the bytes are in place, and told otherwise an appender would write them twice. */
  async #room(signal: AbortSignal | undefined): Promise<void> {
    try {
      await this.#committer.room(signal);
    } catch (error) {
      if (signal?.aborted !== true) throw error;
    }
  }

  #changed(): void {
    this.#dirty = true;
    if (this.#state === "clean") this.#setDirtyState();
  }

  #setDirtyState(): void {
    this.#state = "dirty";
    this.#since = this.#context.clock.now();
  }

  #answer(): Committed {
    if (this.#last !== undefined) return this.#last;
    const { metadata, contentType } = this.#describe();
    return { key: this.#key, etag: this.#expected ?? "", size: this.#data.size, metadata, contentType };
  }

  #fits(size: number): void {
    const longest = longestObject(this.#context.store);
    if (size <= longest) return;
    throw Object.assign(new Error(`${this.#key} would have ${String(size)} bytes; the store takes up to ${String(longest)}`), { code: "EFBIG" });
  }

  #notClosed(): void {
    if (this.#state === "closed") throw badDescriptor();
  }

  #writable(): void {
    if (this.#state === "closed" || this.#closing !== undefined) throw badDescriptor();
    this.#notFailed();
  }

  #notFailed(): void {
    this.#notClosed();
    if (this.#state === "failed") throw this.#error as Error;
  }

  #aborted(signal: AbortSignal): StoreError {
    return new StoreError("aborted", `the operation on ${this.#key} was interrupted`, { key: this.#key, cause: signal.reason });
  }

  async #unlessAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
    try {
      return await work;
    } catch (error) {
      throw signal?.aborted === true ? this.#aborted(signal) : error;
    }
  }

  async #waitFor<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
    if (signal === undefined) return await work;
    if (signal.aborted) throw this.#aborted(signal);
    return await new Promise<T>((resolve, reject) => {
      const onAbort = (): void => { reject(this.#aborted(signal)); };
      signal.addEventListener("abort", onAbort, { once: true });
      work.then(resolve, reject).finally(() => { signal.removeEventListener("abort", onAbort); });
    });
  }
}

function badDescriptor(): Error {
  return Object.assign(new Error("the staged file is closed"), { code: "EBADF" });
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function ignore(): void {
  // Told elsewhere.
}
