// The only place that asks twice. What may be repeated:
//
// - head, list, get, usage, presign, parts, containers, container, resumeUpload: change nothing.
// - delete, deleteMany, abort, deleteContainer: the second time finds nothing to do. Of deleteMany only the keys that failed.
// - put, copy, setMetadata without a condition; putPart, copyPart: the second time does the same again.
// - put, copy, setMetadata with a condition, complete, rename: never blindly, when the answer was lost (`transient`); see lostAnswer.ts.
//   `throttled` and `credentials` are answers: the store has not acted.
// - beginUpload: a lost answer may leave an upload behind that nobody knows; it is told to `onLeak`, and begun again.
// - createContainer: `exists` after a lost answer is taken for our own.
// - A stream of `get` that breaks goes on from where it was, pinned to the etag it began with. Where bytes are `corrupt`, what was
//   delivered may be wrong too: that is the caller's to start over.
//
// Waits: full jitter below an exponential bound; a Retry-After is honoured; a signal ends them at once.

import { abortedError } from "./abort.js";
import { StoreError, isStoreError } from "./errors.js";
import { headOrNone, resolveComplete, resolveCopy, resolvePut, resolveSetMetadata, type Resolution, type Resolver } from "./lostAnswer.js";
import { objectStream } from "./objectStream.js";
import type {
  Body, ByteRange, CallOptions, CopyOptions, GetOptions, Metadata, ObjectService, ObjectStore, ObjectStream, PartReceipt, PutOptions, Upload,
  WriteConditions, WriteReceipt,
} from "./objectStore.js";
import { RetryPolicy, type RetryOptions, type RetryStats } from "./retryPolicy.js";
import { ServiceWrapper, StoreWrapper, type StoreCall } from "./wrapper.js";

export { RetryBudget, type RetryOptions, type RetryStats } from "./retryPolicy.js";

/** What a stream that may be resumed stands on at the moment. */
interface Reading {
  current: ObjectStream;
  ended: boolean;
}

export class RetryStore extends StoreWrapper {
  readonly #policy: RetryPolicy;
  readonly #options: RetryOptions;
  readonly #resolver: Resolver;

  constructor(inner: ObjectStore, options: RetryOptions = {}) {
    super(inner);
    this.#options = options;
    this.#policy = new RetryPolicy(options);
    // Questions are not retried within: one that fails counts as a try of the call it is for.
    this.#resolver = { store: inner, compareBytes: options.compareBytes ?? 64 << 20 };
  }

  get stats(): Readonly<RetryStats> { return this.#policy.stats; }

  protected override onCall<T>(call: StoreCall, work: () => Promise<T>): Promise<T> {
    const noteLeak = call.name === "beginUpload" ? (error: StoreError): void => this.#leaked(call.key ?? "", error) : undefined;
    return this.#policy.run(call.name, call.key, call.signal, work, noteLeak);
  }

  #leaked(key: string, error: StoreError): void {
    if (error.retry !== "transient") return;
    this.#policy.stats.leaks += 1;
    this.#policy.log.warn({ key, kind: error.kind, code: error.code }, "an upload may have been begun that nobody will end");
    this.#options.onLeak?.({ key, error });
  }

  /** Repeats `work`; before a try that follows a lost answer, `resolve` says whether there is need for one. */
  async #resolved<T>(call: string, key: string, options: CallOptions | undefined, work: () => Promise<T>,
    resolve: (lost: StoreError) => Promise<T | "again">): Promise<T> {
    let lost: StoreError | undefined;
    return this.#policy.run(call, key, options?.signal, async () => {
      if (lost === undefined) return work();
      const found = await resolve(lost);
      if (found !== "again") return found;
      try {
        return await work();
      } catch (error) {
        // The earlier try may have been under way still when we asked.
        if (!isStoreError(error, "precondition", "exists", "not-found")) throw error;
        const late = await resolve(lost);
        if (late === "again") throw error;
        return late;
      }
    }, (error) => { if (error.retry === "transient") lost = error; });
  }

  override put(key: string, body: Body, options?: PutOptions): Promise<WriteReceipt> {
    if (options === undefined || !conditional(options)) return super.put(key, body, options);
    return this.#resolved("put", key, options, () => this.inner.put(key, body, options),
      (lost): Promise<Resolution> => resolvePut(this.#resolver, key, body, options, lost));
  }

  override copy(from: string, to: string, options?: CopyOptions): Promise<WriteReceipt> {
    const onItself = from === to && options?.sourceIfMatch !== undefined;
    if (options === undefined || !(conditional(options) || onItself)) return super.copy(from, to, options);
    return this.#resolved("copy", to, options, () => this.inner.copy(from, to, options),
      (lost): Promise<Resolution> => resolveCopy(this.#resolver, from, to, options, lost));
  }

  override setMetadata(key: string, metadata: Metadata,
    options?: CallOptions & { readonly ifMatch?: string | undefined; readonly contentType?: string | undefined }): Promise<WriteReceipt> {
    if (options?.ifMatch === undefined) return super.setMetadata(key, metadata, options);
    return this.#resolved("setMetadata", key, options, () => this.inner.setMetadata(key, metadata, options),
      async (): Promise<Resolution> => resolveSetMetadata(key, await headOrNone(this.inner, key, options), metadata, options.contentType, options.ifMatch));
  }

  override rename(from: string, to: string, options?: CallOptions & WriteConditions): Promise<void> {
    return this.#resolved<void>("rename", to, options, () => this.inner.rename(from, to, options), async () => {
      if (await headOrNone(this.inner, from, options) !== undefined) return "again";
      if (await headOrNone(this.inner, to, options) !== undefined) return undefined;
      throw new StoreError("not-found", "neither the object to rename nor its new name is there", { key: from });
    });
  }

  override async deleteMany(keys: readonly string[], options?: CallOptions): Promise<{ readonly key: string; readonly error: unknown }[]> {
    const failed: { readonly key: string; readonly error: unknown }[] = [];
    let left: readonly { readonly key: string; readonly error: unknown }[] = keys.map((key) => ({ key, error: undefined }));
    try {
      await this.#policy.run("deleteMany", undefined, options?.signal, async () => {
        const now = await this.inner.deleteMany(left.map(({ key }) => key), options);
        const again = now.filter(({ error }) => isStoreError(error) && error.retry !== "never");
        failed.push(...now.filter((one) => !again.includes(one)));
        left = again;
        if (again.length > 0) throw again[0]?.error;
      });
      return failed;
    } catch (error) {
      if (left.some((one) => one.error === error)) return [...failed, ...left];
      throw error;
    }
  }

  override async get(key: string, range?: ByteRange, options?: GetOptions): Promise<ObjectStream> {
    const first = await super.get(key, range, options);
    const reading: Reading = { current: first, ended: false };
    return objectStream({
      info: first.info, start: first.start, length: first.length, signal: options?.signal,
      open: () => this.#resuming(first, options, reading),
      free: (completed) => {
        reading.ended = true;
        if (!completed) reading.current.cancel();
      },
    });
  }

  async *#resuming(first: ObjectStream, options: GetOptions | undefined, reading: Reading): AsyncGenerator<Buffer> {
    const { key, etag } = first.info;
    const end = first.start + first.length;
    const attempts = this.#policy.attempts("get", key, options?.signal);
    let at = first.start;
    let stream: ObjectStream | undefined = first;
    for (;;) {
      try {
        if (stream === undefined) {
          stream = await this.inner.get(key, { start: at, length: end - at }, { ...options, ifMatch: etag });
          reading.current = stream;
          // Cancelled while it was asked for: nobody else would free it.
          if (reading.ended) stream.cancel();
          this.#checkResumed(stream, first, at, end);
        }
        for await (const piece of stream) {
          at += piece.length;
          attempts.progressed();
          yield piece;
        }
        if (at < end) throw new StoreError("unavailable", `the body ended ${end - at} bytes early`, { key });
        attempts.succeeded();
        return;
      } catch (error) {
        if (isStoreError(error, "corrupt")) throw error;
        if (at === end && isStoreError(error, "unavailable")) return;
        if (reading.ended) throw error;
        await attempts.wait(attempts.mayRepeat(error));
        if (reading.ended) throw abortedError(options?.signal, key);
        this.#policy.stats.resumed += 1;
        stream = undefined;
      }
    }
  }

  // Where a service does not know conditional reads, the answer still says what it is an answer about.
  #checkResumed(stream: ObjectStream, first: ObjectStream, at: number, end: number): void {
    if (stream.info.etag === first.info.etag && stream.start === at && stream.length === end - at) return;
    stream.cancel();
    throw new StoreError("precondition", "the object changed while it was read", { key: first.info.key });
  }

  protected override wrapUpload(upload: Upload): Upload {
    const wrapped = super.wrapUpload(upload);
    return {
      ...wrapped,
      complete: async (parts: readonly PartReceipt[], conditions?: WriteConditions & CallOptions): Promise<WriteReceipt> => {
        let lost = false;
        return this.#policy.run("complete", upload.key, conditions?.signal, async () => {
          try {
            return await upload.complete(parts, conditions);
          } catch (error) {
            if (!lost || !isStoreError(error, "precondition", "not-found", "exists")) throw error;
            return resolveComplete(this.inner, upload, parts, conditions, error);
          }
        }, (error) => { if (error.retry === "transient") lost = true; });
      },
    };
  }
}

function conditional(conditions: WriteConditions): boolean {
  return conditions.ifMatch !== undefined || conditions.ifNoneMatch !== undefined;
}

export class RetryService extends ServiceWrapper {
  readonly #policy: RetryPolicy;
  readonly #options: RetryOptions;

  constructor(inner: ObjectService, options: RetryOptions = {}) {
    super(inner);
    this.#policy = new RetryPolicy(options);
    this.#options = { ...options, budget: this.#policy.budget };
  }

  protected override onCall<T>(call: StoreCall, work: () => Promise<T>): Promise<T> {
    return this.#policy.run(call.name, call.key, call.signal, work);
  }

  protected override wrapStore(store: ObjectStore): ObjectStore {
    return new RetryStore(store, this.#options);
  }

  override createContainer(name: string, options?: CallOptions): Promise<void> {
    let lost = false;
    return this.#policy.run("createContainer", name, options?.signal, async () => {
      try {
        await this.inner.createContainer(name, options);
      } catch (error) {
        if (!lost || !isStoreError(error, "exists")) throw error;
      }
    }, (error) => { if (error.retry === "transient") lost = true; });
  }
}
