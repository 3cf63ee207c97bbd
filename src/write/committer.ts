// Makes an object of a staged file: one put, a multipart upload (streamed before, or planned now), or an update of the
// metadata alone. The caller holds the file's gate, so nothing changes underneath.

import { isStoreError, StoreError } from "../store/errors.js";
import type { WriteConditions, WriteReceipt } from "../store/objectStore.js";
import { conflictKey } from "./conflictName.js";
import { longestObject, type WriteContext } from "./context.js";
import type { Journal } from "./journal.js";
import { PartSizes } from "./partSizes.js";
import { planParts, type PlannedPart } from "./plan.js";
import type { StagedData } from "./stagedData.js";
import { Streaming } from "./streaming.js";
import type { Committed, ObjectDescription, StageRequest } from "./types.js";
import { UploadSession, type CopySource } from "./uploadSession.js";

const MIB = 1024 * 1024;

export interface CommitRequest {
  readonly key: string;
  /** What the key must have; undefined: it must not exist. */
  readonly expected: string | undefined;
  /** Where the unchanged bytes are. */
  readonly source: CopySource | undefined;
  /** No byte differs from the base: only the description is to be written. */
  readonly metadataOnly: boolean;
}

export interface CommitOutcome {
  readonly committed: Committed;
  /** What the upload was begun with, before its bytes were sent; the description may be another one by now. */
  readonly streamedAs?: ObjectDescription | undefined;
}

export class Committer {
  readonly #context: WriteContext;
  readonly #data: StagedData;
  readonly #describe: StageRequest["describe"];
  readonly #journal: () => Journal | undefined;
  #streaming: Streaming | undefined;
  /** An upload that a failed commit left, and what it was to become. */
  #planned: { readonly session: UploadSession; readonly plan: readonly PlannedPart[]; readonly copies: boolean } | undefined;
  #mayStream: boolean;

  constructor(context: WriteContext, data: StagedData, describe: StageRequest["describe"], journal: () => Journal | undefined) {
    this.#context = context;
    this.#data = data;
    this.#describe = describe;
    this.#journal = journal;
    this.#mayStream = context.store.capabilities.upload !== false;
  }

  /** Bytes that the store has of the commit to come. */
  get acknowledged(): number { return (this.#streaming?.session ?? this.#planned?.session)?.acknowledged ?? 0; }

  /** Before bytes in [start, end) change. A part on its way that has some of them is called back first. */
  async beforeChange(start: number, end: number): Promise<void> {
    if (this.#planned !== undefined) await this.#discardPlanned();
    if (this.#streaming !== undefined) await this.#streaming.invalidate(start, end);
    // Sequential enough: nothing twice, and out of order only as far as the kernel's parallel write-back goes.
    else if (this.#data.rewrites(start, end) || start < this.#data.size - this.#context.options.partSize) this.#mayStream = false;
  }

  /** After a write: begins to stream when the file is long enough and has been written from the first byte on. */
  advance(key: string): void {
    const { upload } = this.#context.store.capabilities;
    const { streamThreshold, partSize } = this.#context.options;
    if (upload === false || !this.#mayStream || this.#data.baseLimit > 0) return;
    const staged = this.#data.contiguous;
    if (this.#streaming === undefined) {
      if (staged <= streamThreshold || staged !== this.#data.size) return;
      this.#streaming = new Streaming(this.#session(key), PartSizes.of(upload, partSize), this.#context, this.#data);
    } else if (staged > this.#streaming.sizes.capacity && this.#streaming.sizes.capacity < longestObject(this.#context.store)) {
      // More bytes than the parts hold: the upload starts over with longer ones, from the staged bytes.
      const sizes = PartSizes.of(upload, partSize, Math.min(longestObject(this.#context.store), this.#streaming.sizes.capacity * 8));
      void this.#streaming.session.abort();
      this.#streaming.stop();
      this.#streaming = new Streaming(this.#session(key), sizes, this.#context, this.#data);
    }
    this.#streaming.advance();
  }

  /** Back-pressure for the writer. */
  async room(signal?: AbortSignal): Promise<void> {
    await this.#streaming?.room(signal);
  }

  /** Calls back what is on its way, at once; `discard` follows when the file is at rest. */
  cancel(): void {
    this.#streaming?.stop();
    this.#streaming?.session.cancel();
    this.#planned?.session.cancel();
  }

  /** Ends every upload; the staged bytes stay. */
  async discard(): Promise<void> {
    const streaming = this.#streaming;
    this.#streaming = undefined;
    streaming?.stop();
    await streaming?.session.abort();
    await this.#discardPlanned();
    this.#data.parts.free();
  }

  /** Rejects with StoreError or the staging file's error. After `precondition`, `onConflict` has been done. */
  async run(request: CommitRequest): Promise<CommitOutcome> {
    const conditions = request.expected === undefined ? { ifNoneMatch: "*" } as const : { ifMatch: request.expected };
    try {
      return await this.#commit(request, conditions);
    } catch (error) {
      const { onConflict, hostName } = this.#context.options;
      if (!isStoreError(error, "precondition") || request.metadataOnly || onConflict === "fail") throw error;
      this.#context.logger.warn({ key: request.key, err: error, onConflict }, "the object was changed by somebody else");
      if (onConflict === "overwrite") return await this.#commit(request, {});
      await this.discard();
      for (let again = 1; ; again++) {
        const key = conflictKey(request.key, hostName, this.#context.clock.now(), this.#context.store.capabilities.maxKeyBytes, again);
        try {
          return await this.#commit({ ...request, key }, { ifNoneMatch: "*" });
        } catch (failure) {
          if (!isStoreError(failure, "precondition") || again === 10) throw failure;
          await this.discard();
          // The name was taken, or else the version whose unchanged bytes are needed is gone: then no name helps.
          await this.#context.store.head(key).catch(() => { throw failure; });
        }
      }
    }
  }

  async #commit(request: CommitRequest, conditions: WriteConditions): Promise<CommitOutcome> {
    const { capabilities } = this.#context.store;
    const { putThreshold } = this.#context.options;
    const { size } = this.#data;
    if (request.metadataOnly && request.source !== undefined && this.#updatesMetadata(size)) return await this.#describeOnly(request, request.source);
    if (capabilities.upload === false || size === 0 || (size <= putThreshold && size <= capabilities.maxPutSize)) {
      await this.discard();
      return await this.#put(request, conditions);
    }
    try {
      return await this.#upload(request, conditions);
    } catch (error) {
      if (!isStoreError(error, "not-found")) throw error;
      // The object that is to be replaced is gone, or the upload is (aborted by a lifecycle rule): then it is sent anew.
      await this.discard();
      await this.#mustExist(request, conditions, error);
      return await this.#upload(request, conditions);
    }
  }

  async #mustExist(request: CommitRequest, conditions: WriteConditions, cause: unknown): Promise<void> {
    const key = conditions.ifMatch !== undefined ? request.key : this.#data.baseLimit > 0 ? request.source?.key : undefined;
    if (key === undefined) return;
    try {
      await this.#context.store.head(key);
    } catch (error) {
      throw isStoreError(error, "not-found") ? removedElsewhere(key, cause) : error;
    }
  }

  #updatesMetadata(size: number): boolean {
    const { metadata, copy } = this.#context.store.capabilities;
    if (metadata === false) return true;
    return metadata.update === "in-place" || (metadata.update === "copy" && copy !== false && size <= copy.maxSize);
  }

  async #describeOnly({ key }: CommitRequest, source: CopySource): Promise<CommitOutcome> {
    const { metadata, contentType } = this.#describe();
    const { size } = this.#data;
    if (this.#context.store.capabilities.metadata === false) return { committed: { key, etag: source.etag, size, metadata, contentType } };
    try {
      const receipt = await this.#context.store.setMetadata(key, metadata, { ifMatch: source.etag, contentType });
      return { committed: { key, etag: receipt.etag, size, lastModified: receipt.lastModified, metadata, contentType } };
    } catch (error) {
      throw isStoreError(error, "not-found") ? removedElsewhere(key, error) : error;
    }
  }

  async #put({ key }: CommitRequest, conditions: WriteConditions): Promise<CommitOutcome> {
    const { store, transfers, counters } = this.#context;
    const { size } = this.#data;
    const description = this.#describe();
    const body = this.#data.body(0, size);
    let receipt: WriteReceipt;
    try {
      receipt = await transfers.run(() => store.put(key, body, { ...this.#context.putOptions(description), ...conditions }));
    } catch (error) {
      if (body.failure !== undefined) throw body.failure;
      throw conditions.ifMatch !== undefined && isStoreError(error, "not-found") ? removedElsewhere(key, error) : error;
    } finally {
      body.done(false);
    }
    counters.uploadedBytes += size;
    checkSize(key, receipt.size, size);
    return {
      committed: { key, etag: receipt.etag, size, lastModified: receipt.lastModified, metadata: description.metadata, contentType: description.contentType },
    };
  }

  async #upload(request: CommitRequest, conditions: WriteConditions): Promise<CommitOutcome> {
    const { session, plan } = this.#plan(request);
    try {
      await this.#sendAll(session, plan, request.source);
    } catch (error) {
      if (isStoreError(error, "precondition", "invalid")) await this.discard();
      throw error;
    }
    let receipt: WriteReceipt;
    try {
      receipt = await session.complete(plan, conditions as { readonly ifMatch?: string; readonly ifNoneMatch?: "*" });
    } catch (error) {
      // Kept where the same parts may still become an object; otherwise the next try sends them anew.
      if (!isStoreError(error, "unavailable", "throttled", "denied", "quota", "aborted", "precondition")) await this.discard();
      throw error;
    }
    this.#streaming = undefined;
    this.#planned = undefined;
    const lastModified = await this.#verify(request.key, receipt);
    const { metadata, contentType } = session.description;
    return { committed: { key: request.key, etag: receipt.etag, size: this.#data.size, lastModified, metadata, contentType }, streamedAs: session.description };
  }

  /** The length of what the store made; another version by now says nothing about ours. */
  async #verify(key: string, receipt: WriteReceipt): Promise<number | undefined> {
    checkSize(key, receipt.size, this.#data.size);
    try {
      const info = await this.#context.store.head(key);
      if (info.etag !== receipt.etag) return receipt.lastModified;
      checkSize(key, info.size, this.#data.size);
      return info.lastModified;
    } catch (error) {
      if (isStoreError(error, "corrupt")) throw error;
      // The store has acknowledged the object; a lost answer to this question does not take that back.
      this.#context.logger.debug({ key, err: error }, "the completed object could not be asked about");
      return receipt.lastModified;
    }
  }

  /** The upload to go on with: the streamed one, what a failed commit left, or a new one. */
  #plan(request: CommitRequest): { readonly session: UploadSession; readonly plan: readonly PlannedPart[] } {
    const { size } = this.#data;
    const copies = this.#context.store.capabilities.copyPart !== false && request.source !== undefined && this.#data.baseLimit > 0;
    if (this.#streaming !== undefined) {
      const { session, sizes } = this.#streaming;
      this.#streaming.stop();
      if (session.key === request.key && size <= sizes.capacity) return { session, plan: gridOf(sizes, size) };
      this.#streaming = undefined;
      void session.abort();
    }
    if (this.#planned !== undefined && (this.#planned.session.key !== request.key || this.#planned.copies !== copies)) {
      void this.#planned.session.abort();
      this.#planned = undefined;
    }
    this.#planned ??= { session: this.#session(request.key), plan: this.#planOf(size, copies), copies };
    return this.#planned;
  }

  #planOf(size: number, copies: boolean): PlannedPart[] {
    const { capabilities } = this.#context.store;
    const { partSize, worthCopying, uploadConcurrency } = this.#context.options;
    const limits = capabilities.upload;
    if (limits === false) throw new StoreError("unsupported", "this store has no uploads by parts");
    const kept = copies ? this.#data.kept() : [];
    const bytes = kept.reduce((sum, span) => sum + span.end - span.start, 0);
    const copySize = this.#context.options.copySize ?? Math.min(512 * MIB, Math.max(32 * MIB, Math.ceil(bytes / uploadConcurrency)));
    return planParts({ size, kept, limits, copyPart: copies ? capabilities.copyPart : false, partSize, copySize, worthCopying });
  }

  /** Parallel; after the first failure nothing more is begun, what is on its way ends, and counts. */
  async #sendAll(session: UploadSession, plan: readonly PlannedPart[], source: CopySource | undefined): Promise<void> {
    const failures: unknown[] = [];
    let next = 0;
    const worker = async (): Promise<void> => {
      while (failures.length === 0 && next < plan.length) {
        const part = plan[next] as PlannedPart;
        next += 1;
        await session.send(part, next === plan.length, part.copy ? source : undefined).catch((error: unknown) => { failures.push(error); });
      }
    };
    await Promise.all(Array.from({ length: this.#context.options.uploadConcurrency }, worker));
    if (failures.length > 0) throw failures[0];
  }

  #session(key: string): UploadSession {
    return new UploadSession(key, this.#describe({ streamed: true }), this.#context, this.#data, this.#journal);
  }

  async #discardPlanned(): Promise<void> {
    const planned = this.#planned;
    this.#planned = undefined;
    await planned?.session.abort();
  }
}

/** Whether a reader of the metadata would see a difference. */
export function sameDescription(a: ObjectDescription, b: ObjectDescription): boolean {
  const text = ({ metadata, contentType, expires }: ObjectDescription): string =>
    JSON.stringify([Object.entries(metadata).sort(([x], [y]) => (x < y ? -1 : 1)), contentType ?? null, expires ?? null]);
  return text(a) === text(b);
}

function gridOf(sizes: PartSizes, size: number): PlannedPart[] {
  return Array.from({ length: sizes.count(size) }, (_, i) => {
    const offset = sizes.offset(i + 1);
    return { number: i + 1, offset, length: Math.min(sizes.length(i + 1), size - offset), copy: false };
  });
}

function removedElsewhere(key: string, cause: unknown): StoreError {
  return new StoreError("precondition", `${key} was removed by somebody else while it was being written`, { key, cause });
}

function checkSize(key: string, got: number, wanted: number): void {
  if (got !== wanted) throw new StoreError("corrupt", `the store made ${String(got)} bytes of the ${String(wanted)} that were sent as ${key}`, { key });
}
