// One multipart upload of one staged file: which parts the store has, which are on their way, and which must be sent
// again because their bytes changed. Sent from by the writer's stream (streaming.ts) and by a commit (committer.ts).

import { StoreError } from "../store/errors.js";
import type { PartReceipt, Upload } from "../store/objectStore.js";
import type { Journal } from "./journal.js";
import type { PlannedPart } from "./plan.js";
import { Semaphore } from "../util/semaphore.js";
import type { StagedData } from "./stagedData.js";
import type { WriteContext } from "./context.js";
import type { ObjectDescription } from "./types.js";

interface SentPart {
  readonly offset: number;
  readonly length: number;
  readonly last: boolean;
  /** Fires when the part's bytes are about to change. */
  readonly cancel: AbortController;
  /** Settles, never rejects, when the call is over. */
  over: Promise<void>;
  receipt: PartReceipt | undefined;
}

/** Where a copied part comes from. */
export interface CopySource { readonly key: string; readonly etag: string }

export class UploadSession {
  readonly key: string;
  /** What the upload was begun with. */
  readonly description: ObjectDescription;
  readonly #context: WriteContext;
  readonly #data: StagedData;
  readonly #journal: () => Journal | undefined;
  readonly #parts = new Map<number, SentPart>();
  readonly #places: Semaphore;
  #upload: Promise<Upload> | undefined;
  #ended = false;
  #cancelled = false;
  #acknowledged = 0;

  constructor(key: string, description: ObjectDescription, context: WriteContext, data: StagedData, journal: () => Journal | undefined) {
    this.key = key;
    this.description = description;
    this.#context = context;
    this.#data = data;
    this.#journal = journal;
    this.#places = new Semaphore(context.options.uploadConcurrency);
  }

  /** Bytes that the store has acknowledged and that still count. */
  get acknowledged(): number { return this.#acknowledged; }

  /** Whether the store has exactly this part. */
  has(part: PlannedPart, last: boolean): boolean {
    const sent = this.#parts.get(part.number);
    return sent?.receipt !== undefined && sent.offset === part.offset && sent.length === part.length && sent.last === last;
  }

  /** Waits for what is on its way, then sends the part unless the store has it. Rejects with the store's or the staging file's error. */
  async send(part: PlannedPart, last: boolean, source?: CopySource): Promise<void> {
    await this.#parts.get(part.number)?.over;
    this.#notCancelled();
    if (this.has(part, last)) return;
    this.#forget(part.number);
    const cancel = new AbortController();
    const sent: SentPart = { offset: part.offset, length: part.length, last, cancel, over: Promise.resolve(), receipt: undefined };
    this.#parts.set(part.number, sent);
    const work = this.#transfer(part, last, source, cancel.signal);
    sent.over = work.then(() => undefined, () => undefined);
    let receipt: PartReceipt;
    try {
      receipt = await work;
    } catch (error) {
      if (this.#parts.get(part.number) === sent) this.#parts.delete(part.number);
      throw error;
    }
    if (cancel.signal.aborted) throw new StoreError("aborted", "the part's bytes changed while it was sent", { key: this.key });
    sent.receipt = receipt;
    this.#acknowledged += part.length;
    this.#journal()?.append({ type: "part", id: (await this.#begun()).id, receipt });
  }

  /** The bytes [start, end) are about to change: parts with any of them no longer count, and none is being read when this answers. */
  async invalidate(start: number, end: number): Promise<number> {
    const waits: Promise<void>[] = [];
    for (const [number, part] of this.#parts) {
      if (part.offset >= end || part.offset + part.length <= start) continue;
      this.#forget(number);
      part.cancel.abort(new StoreError("aborted", "the part's bytes changed while it was sent", { key: this.key }));
      waits.push(part.over);
    }
    await Promise.all(waits);
    return waits.length;
  }

  /** Makes the object. All parts of the plan have been sent. */
  async complete(plan: readonly PlannedPart[], conditions: { readonly ifMatch?: string; readonly ifNoneMatch?: "*" }) {
    const upload = await this.#begun();
    this.#notCancelled();
    const receipts = plan.map((part) => this.#parts.get(part.number)?.receipt as PartReceipt);
    const receipt = await upload.complete(receipts, conditions);
    this.#ended = true;
    return receipt;
  }

  /** Nothing more is sent, and nothing completed, unless the completion is on its way already. */
  cancel(): void {
    this.#cancelled = true;
    void this.invalidate(0, Infinity);
  }

  /** Ends the upload at the store; a failure is logged, for the store keeps an unfinished upload until somebody ends it. */
  async abort(): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    await this.invalidate(0, Infinity);
    const upload = await this.#upload?.catch(() => undefined);
    if (upload === undefined) return;
    try {
      await upload.abort();
      this.#journal()?.append({ type: "abort", id: upload.id });
    } catch (error) {
      this.#context.logger.warn({ key: this.key, upload: upload.id, err: error }, "an upload could not be aborted");
    }
  }

  #notCancelled(): void {
    if (this.#cancelled) throw new StoreError("aborted", `the upload of ${this.key} was called back`, { key: this.key });
  }

  #forget(number: number): void {
    const part = this.#parts.get(number);
    if (part?.receipt !== undefined) this.#acknowledged -= part.length;
    this.#parts.delete(number);
  }

  /** The upload is begun with the first part; after a failure the next part tries again. */
  #begun(): Promise<Upload> {
    this.#upload ??= (async () => {
      try {
        const upload = await this.#context.store.beginUpload(this.key, this.#context.putOptions(this.description));
        this.#journal()?.append({ type: "upload", key: this.key, id: upload.id });
        return upload;
      } catch (error) {
        this.#upload = undefined;
        throw error;
      }
    })();
    return this.#upload;
  }

  async #transfer(part: PlannedPart, last: boolean, source: CopySource | undefined, signal: AbortSignal): Promise<PartReceipt> {
    const { transfers, counters } = this.#context;
    return await this.#places.run(() => transfers.run(async () => {
      const upload = await this.#begun();
      signal.throwIfAborted();
      if (source !== undefined) {
        const receipt = await upload.copyPart(part.number, part.offset, source.key, { start: part.offset, length: part.length },
          { sourceIfMatch: source.etag, signal });
        counters.copiedBytes += part.length;
        return receipt;
      }
      const body = this.#data.body(part.offset, part.length, signal);
      let sent = false;
      try {
        const receipt = await upload.putPart(part.number, part.offset, last, body, { signal });
        counters.uploadedBytes += part.length;
        sent = true;
        return receipt;
      } catch (error) {
        throw body.failure ?? error;
      } finally {
        body.done(sent);
      }
    }, signal), signal);
  }
}
