// What the cases of the contract are written with. A case is a plain function over an open store, so that vitest and the runner of
// the deliberately broken stores (test/broken) execute the same ones.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { inspect } from "node:util";
import { bodyOf } from "../../src/store/body.js";
import { isStoreError, type StoreErrorKind } from "../../src/store/errors.js";
import type { Body, Capabilities, ByteRange, GetOptions, ListRequest, ObjectInfo, ObjectStore, PartLimits, PutOptions, WriteReceipt } from "../../src/store/objectStore.js";
import { collectStream } from "../../src/store/objectStream.js";

export interface ContractContext {
  readonly store: ObjectStore;
  readonly capabilities: Capabilities;
  /** Another store on the same container, as a second mount would have; the same one where there is none. */
  readonly second: ObjectStore;
  /** Opens one more, for a case that closes it; undefined where there is none. The case closes it. */
  readonly openSecond: (() => Promise<ObjectStore>) | undefined;
  /** A store whose server cannot be reached, where there is one. */
  readonly openUnreachable: (() => Promise<ObjectStore>) | undefined;
  /** Starts every key of this case; ends in "/". */
  readonly prefix: string;
  /** `prefix` and the name. */
  readonly key: (name: string) => string;
  /** Keys outside `prefix` that must be deleted afterwards. */
  readonly alsoClean: (key: string) => void;
  /** Keys the server is known to refuse: it must say `invalid`, and nothing else may happen. */
  readonly refuses: (key: string) => boolean;
  /** How many objects "many" are: more than a page of the service. */
  readonly many: number;
  readonly concurrency: number;
}

export interface ContractCase {
  /** Unique; this is what a broken store is expected to fail. */
  readonly name: string;
  /** Whether it applies. Absent: to every store. */
  readonly when?: ((capabilities: Capabilities) => boolean) | undefined;
  readonly run: (t: ContractContext) => Promise<void>;
}

/** Bytes that are the same for the same seed, and different at every offset that matters. */
export function bytes(length: number, seed = 1): Buffer {
  const words = new Uint32Array(Math.ceil(length / 4));
  let state = (seed * 2654435761) >>> 0;
  for (let i = 0; i < words.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    words[i] = state;
  }
  return Buffer.from(words.buffer, 0, length);
}

export function sha(data: Buffer): string {
  return createHash("sha256").update(data).digest("hex");
}

/** Equal bytes, said shortly when they are not. */
export function sameBytes(actual: Buffer, expected: Buffer, what = "the bytes"): void {
  if (actual.equals(expected)) return;
  let at = 0;
  while (at < actual.length && actual[at] === expected[at]) at += 1;
  assert.fail(`${what} differ: ${actual.length} bytes instead of ${expected.length}, from offset ${at} on`);
}

/** The promise rejects with a StoreError of one of the kinds. */
export async function rejects(promise: Promise<unknown>, ...kinds: StoreErrorKind[]): Promise<void> {
  let error: unknown;
  try {
    await promise;
  } catch (caught) {
    error = caught;
  }
  if (error === undefined) assert.fail(`succeeded, expected ${kinds.join(" or ")}`);
  assert.ok(isStoreError(error), `not a StoreError: ${inspect(error)}`);
  if (!kinds.includes(error.kind)) assert.fail(`kind ${error.kind} (${error.message}), expected ${kinds.join(" or ")}`);
}

export async function read(store: ObjectStore, key: string, range?: ByteRange, options?: GetOptions): Promise<Buffer> {
  return collectStream(await store.get(key, range, options));
}

export async function putBytes(store: ObjectStore, key: string, data: Buffer | string, options?: PutOptions): Promise<WriteReceipt> {
  return store.put(key, bodyOf(data), options);
}

/** Whether the object is there, by `head`. */
export async function exists(store: ObjectStore, key: string): Promise<boolean> {
  try {
    await store.head(key);
    return true;
  } catch (error) {
    if (isStoreError(error, "not-found")) return false;
    throw error;
  }
}

export interface Listing {
  readonly objects: readonly ObjectInfo[];
  readonly keys: readonly string[];
  readonly prefixes: readonly string[];
  readonly pages: number;
}

/** All pages of a listing. */
export async function listAll(store: ObjectStore, request: Omit<ListRequest, "cursor">): Promise<Listing> {
  const objects: ObjectInfo[] = [];
  const prefixes: string[] = [];
  let cursor: string | undefined;
  let pages = 0;
  do {
    const { after, ...rest } = request;
    const page = await store.list(cursor === undefined ? { ...rest, after } : { ...rest, cursor });
    if (request.limit !== undefined) {
      const got = page.objects.length + page.prefixes.length;
      assert.ok(got <= request.limit, `a page of ${got} entries, ${request.limit} were asked for`);
    }
    objects.push(...page.objects);
    prefixes.push(...page.prefixes);
    cursor = page.next;
    pages += 1;
    assert.ok(pages < 100_000, "the listing does not end");
  } while (cursor !== undefined);
  return { objects, prefixes, keys: objects.map((object) => object.key), pages };
}

/** A promise and what settles it. */
export interface Gate {
  readonly opened: Promise<void>;
  open(): void;
}

export function gate(): Gate {
  let open!: () => void;
  const opened = new Promise<void>((resolve) => { open = resolve; });
  return { opened, open };
}

/** A body that yields half, tells `reached`, waits for `go`, and yields the rest. */
export function haltingBody(data: Buffer): { readonly body: Body; readonly reached: Promise<void>; go(): void } {
  const reached = gate();
  const go = gate();
  const half = data.length >>> 1;
  return {
    reached: reached.opened,
    go: () => go.open(),
    body: {
      length: data.length,
      async *open() {
        yield data.subarray(0, half);
        reached.open();
        await go.opened;
        yield data.subarray(half);
      },
    },
  };
}

/** A body that yields half and then fails. */
export function failingBody(data: Buffer, error: Error): Body {
  return {
    length: data.length,
    async *open() {
      yield data.subarray(0, data.length >>> 1);
      throw error;
    },
  };
}

/** Runs `work` for 0..count-1, `width` at a time. */
export async function parallel<T>(count: number, width: number, work: (index: number) => Promise<T>): Promise<T[]> {
  const results: T[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < count) {
      const index = next++;
      results[index] = await work(index);
    }
  };
  await Promise.all(Array.from({ length: Math.min(width, count) }, worker));
  return results;
}

export function limitsOf(capabilities: Capabilities): PartLimits {
  assert.ok(capabilities.upload !== false);
  return capabilities.upload;
}

/** A length that every part may have. */
export function partSize(capabilities: Capabilities): number {
  const limits = limitsOf(capabilities);
  const copyMin = capabilities.copyPart === false ? 1 : capabilities.copyPart.minSize;
  return Math.min(limits.maxSize, Math.max(limits.minSize, copyMin, 1000));
}

/** Every error of the chain of causes. */
export function causes(error: unknown): unknown[] {
  const chain: unknown[] = [];
  for (let at = error; at !== undefined && at !== null && chain.length < 20; at = (at as { cause?: unknown }).cause) chain.push(at);
  return chain;
}

/** What a promise rejects with. */
export async function failure(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  return assert.fail("succeeded, expected a failure");
}
