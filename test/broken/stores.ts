// Stores that are wrong on purpose, each in one way that real ones were, with the case of the contract that must catch it. They prove
// that the contract can fail.

import { bodyOf, collectBody } from "../../src/store/body.js";
import { StoreError, isStoreError } from "../../src/store/errors.js";
import type { MemoryContainer, MemoryOptions } from "../../src/store/memory/memoryContainer.js";
import { MemoryStore } from "../../src/store/memory/memoryStore.js";
import type {
  Body, ByteRange, CallOptions, CopyOptions, DeleteOptions, GetOptions, ListPage, ListRequest, Metadata, ObjectInfo, ObjectStore, ObjectStream,
  PutOptions, WriteReceipt,
} from "../../src/store/objectStore.js";
import { StoreWrapper } from "../../src/store/wrapper.js";
import { FaultyStore } from "../stores/faultyStore.js";

export interface Broken {
  /** What is wrong. */
  readonly name: string;
  /** Names of cases, each of which must fail. */
  readonly caught: readonly string[];
  readonly options?: MemoryOptions | undefined;
  open(container: MemoryContainer): ObjectStore;
}

type StoreClass = new (inner: ObjectStore) => ObjectStore;

function broken(name: string, caught: string | readonly string[], how: StoreClass, options?: MemoryOptions): Broken {
  return { name, caught: typeof caught === "string" ? [caught] : caught, options, open: (container) => new how(new MemoryStore(container)) };
}

/** The stream with other bytes or facts. */
function bent(stream: ObjectStream, change: { readonly length?: number; readonly pieces?: (source: AsyncIterable<Buffer>) => AsyncIterable<Buffer> }): ObjectStream {
  return {
    info: stream.info, start: stream.start, length: change.length ?? stream.length,
    cancel: () => stream.cancel(),
    [Symbol.asyncIterator]: () => (change.pieces?.(stream) ?? stream)[Symbol.asyncIterator](),
  };
}

function mapKeys(map: (key: string) => string): StoreClass {
  return class extends StoreWrapper {
    override async head(key: string, options?: CallOptions): Promise<ObjectInfo> { return { ...await super.head(map(key), options), key }; }
    override get(key: string, range?: ByteRange, options?: GetOptions): Promise<ObjectStream> { return super.get(map(key), range, options); }
    override put(key: string, body: Body, options?: PutOptions): Promise<WriteReceipt> { return super.put(map(key), body, options); }
    override delete(key: string, options?: DeleteOptions): Promise<void> { return super.delete(map(key), options); }
  };
}

function mapMetadata(map: (name: string, value: string) => [string, string]): StoreClass {
  return class extends StoreWrapper {
    override async head(key: string, options?: CallOptions): Promise<ObjectInfo> {
      const info = await super.head(key, options);
      return { ...info, metadata: Object.fromEntries(Object.entries(info.metadata ?? {}).map(([name, value]) => map(name, value))) };
    }
  };
}

function mapPage(map: (page: ListPage, request: ListRequest) => ListPage): StoreClass {
  return class extends StoreWrapper {
    override async list(request: ListRequest): Promise<ListPage> { return map(await super.list(request), request); }
  };
}

function mapRequest(map: (request: ListRequest) => ListRequest): StoreClass {
  return class extends StoreWrapper {
    override list(request: ListRequest): Promise<ListPage> { return super.list(map(request)); }
  };
}

function mapPut(map: (options: PutOptions | undefined) => PutOptions | undefined): StoreClass {
  return class extends StoreWrapper {
    override put(key: string, body: Body, options?: PutOptions): Promise<WriteReceipt> { return super.put(key, body, map(options)); }
  };
}

const writing: readonly Broken[] = [
  broken("a put is visible half way",
    ["a put is not visible before it is whole", "during a replacement the old version is there, whole", "a body that fails leaves nothing, or what was there"],
    class extends StoreWrapper {
      override async put(key: string, body: Body, options?: PutOptions): Promise<WriteReceipt> {
        const pieces: Buffer[] = [];
        for await (const piece of body.open()) {
          pieces.push(piece);
          if (pieces.length === 1) await super.put(key, bodyOf(...pieces));
        }
        return super.put(key, bodyOf(...pieces), options);
      }
    }),
  broken("the bytes of a body are kept, not copied", "the buffers of a body are neither changed nor kept", class extends StoreWrapper {
    readonly #kept = new Map<string, readonly Buffer[]>();
    override async put(key: string, body: Body, options?: PutOptions): Promise<WriteReceipt> {
      const pieces: Buffer[] = [];
      for await (const piece of body.open()) pieces.push(piece);
      this.#kept.set(key, pieces);
      return super.put(key, body, options);
    }
    override async get(key: string, range?: ByteRange, options?: GetOptions): Promise<ObjectStream> {
      const kept = this.#kept.get(key) ?? [];
      return bent(await super.get(key, range, options), { async *pieces() { yield* kept; } });
    }
  }),
  broken("a short body is filled up", "a body that is shorter or longer than it said is refused", class extends StoreWrapper {
    override async put(key: string, body: Body, options?: PutOptions): Promise<WriteReceipt> {
      const pieces: Buffer[] = [];
      for await (const piece of body.open()) pieces.push(piece);
      return super.put(key, bodyOf(Buffer.concat(pieces, body.length)), options);
    }
  }),
  broken("ifNoneMatch is ignored", "ifNoneMatch creates what is missing and spares what is there", mapPut((options) => ({ ...options, ifNoneMatch: undefined }))),
  broken("ifMatch is ignored by put", "ifMatch replaces the version that was meant and no other", mapPut((options) => ({ ...options, ifMatch: undefined }))),
  broken("conditions are checked by a look before, and declared enforced", [
    "of many who create, exactly one wins", "of many who replace one version, exactly one wins", "no increment is lost by clients that swap",
    "a create that is overtaken while its body is on the way fails", "a replacement that is overtaken while its body is on the way fails",
  ], class extends StoreWrapper {
    override async put(key: string, body: Body, options: PutOptions = {}): Promise<WriteReceipt> {
      const found = await super.head(key).catch(() => undefined);
      const { ifMatch, ifNoneMatch, ...rest } = options;
      if ((ifNoneMatch !== undefined && found !== undefined) || (ifMatch !== undefined && found?.etag !== ifMatch)) throw new StoreError("precondition", "no", { key });
      return super.put(key, body, rest);
    }
  }),
  broken("an etag is the object's, not the version's", "an overwrite replaces bytes and etag", class extends StoreWrapper {
    override async head(key: string, options?: CallOptions): Promise<ObjectInfo> { return { ...await super.head(key, options), etag: key }; }
    override async put(key: string, body: Body, options?: PutOptions): Promise<WriteReceipt> { return { ...await super.put(key, body, options), etag: key }; }
  }),
  broken("put tells another etag than head", "what was put comes back, and head agrees", class extends StoreWrapper {
    override async put(key: string, body: Body, options?: PutOptions): Promise<WriteReceipt> { return { ...await super.put(key, body, options), etag: "other" }; }
  }),
  broken("deleting what is missing throws", "delete removes, and deleting what is missing is success", class extends StoreWrapper {
    override async delete(key: string, options?: DeleteOptions): Promise<void> {
      await super.head(key);
      await super.delete(key, options);
    }
  }),
  broken("deleteMany takes a thousand and forgets the rest", "deleteMany removes all of many, missing ones too", class extends StoreWrapper {
    override deleteMany(keys: readonly string[], options?: CallOptions): ReturnType<ObjectStore["deleteMany"]> { return super.deleteMany(keys.slice(0, 1000), options); }
  }),
  broken("delete ignores ifMatch", "a conditional delete removes the version that was meant and no other", class extends StoreWrapper {
    override delete(key: string): Promise<void> { return super.delete(key); }
  }),
  broken("parallel puts are mixed", "of parallel puts to one key one wins whole, and readers see whole ones", class extends StoreWrapper {
    #last: Buffer = Buffer.alloc(0);
    override async put(key: string, body: Body, options?: PutOptions): Promise<WriteReceipt> {
      const mine = await collectBody(body);
      const mixed = Buffer.concat([mine.subarray(0, mine.length >>> 1), this.#last.subarray(mine.length >>> 1), mine]).subarray(0, mine.length);
      this.#last = mine;
      return super.put(key, bodyOf(mixed), options);
    }
  }),
];

const reading: readonly Broken[] = [
  broken("ifMatch is ignored by get", "get of a version that is gone is precondition", class extends StoreWrapper {
    override get(key: string, range?: ByteRange, options?: GetOptions): Promise<ObjectStream> { return super.get(key, range, { ...options, ifMatch: undefined }); }
  }),
  broken("a stream goes on in the new version", "a reader of the old version gets it whole, or an error", class extends StoreWrapper {
    override async get(key: string, range?: ByteRange, options?: GetOptions): Promise<ObjectStream> {
      const stream = await super.get(key, range, options);
      const { inner } = this;
      return bent(stream, {
        async *pieces() {
          stream.cancel();
          for (let at = stream.start; at < stream.start + stream.length; at += 65_536) yield* await inner.get(key, { start: at, length: 65_536 });
        },
      });
    }
  }),
  broken("ranges end one byte early", "ranges are exact, and cut at the end", class extends StoreWrapper {
    override get(key: string, range?: ByteRange, options?: GetOptions): Promise<ObjectStream> {
      return super.get(key, range === undefined || range.length < 2 ? range : { start: range.start, length: range.length - 1 }, options);
    }
  }),
  broken("ranges are ignored", ["ranges are exact, and cut at the end", "parallel ranges make up the object"], class extends StoreWrapper {
    override get(key: string, _range?: ByteRange, options?: GetOptions): Promise<ObjectStream> { return super.get(key, undefined, options); }
  }),
  broken("a range past the end is empty", "a range outside the object is range", class extends StoreWrapper {
    override async get(key: string, range?: ByteRange, options?: GetOptions): Promise<ObjectStream> {
      try {
        return await super.get(key, range, options);
      } catch (error) {
        if (!isStoreError(error, "range")) throw error;
        return bent(await super.get(key, undefined, options), { length: 0, async *pieces() { yield* []; } });
      }
    }
  }),
  broken("a stream ends early without an error", ["bodies of many sizes, in many pieces, arrive whole", "a slow reader gets everything"], class extends StoreWrapper {
    override async get(key: string, range?: ByteRange, options?: GetOptions): Promise<ObjectStream> {
      return bent(await super.get(key, range, options), {
        async *pieces(source) {
          let left = 100_000;
          for await (const piece of source) {
            yield piece.subarray(0, left);
            left -= piece.length;
            if (left <= 0) return;
          }
        },
      });
    }
  }),
  broken("the buffers handed out are used again", "the buffers received belong to the receiver", class extends StoreWrapper {
    override async get(key: string, range?: ByteRange, options?: GetOptions): Promise<ObjectStream> {
      const shared = Buffer.alloc(65_536);
      return bent(await super.get(key, range, options), {
        async *pieces(source) { for await (const piece of source) yield shared.subarray(0, piece.copy(shared)); },
      });
    }
  }),
  broken("what is missing is an Error of its own kind", "a missing key is not-found", class extends StoreWrapper {
    override async head(key: string, options?: CallOptions): Promise<ObjectInfo> {
      return super.head(key, options).catch(() => { throw new Error("ENOENT"); });
    }
  }),
  broken("a missing object is an empty one", "a missing key is not-found", class extends StoreWrapper {
    override async head(key: string, options?: CallOptions): Promise<ObjectInfo> {
      return super.head(key, options).catch(() => ({ key, size: 0, etag: "", lastModified: 0 }));
    }
  }),
];

const naming: readonly Broken[] = [
  broken("keys are normalised", "awkward keys hold their own bytes", mapKeys((key) => key.normalize("NFC"))),
  broken("keys are decoded once too often", "awkward keys hold their own bytes", mapKeys((key) => key.replaceAll("%25", "%"))),
  broken("plus is a space", "awkward keys hold their own bytes", mapKeys((key) => key.replaceAll("+", " ").replaceAll("plus sign", "space in name"))),
  broken("keys ignore case", "awkward keys hold their own bytes", mapKeys((key) => key.toLowerCase())),
  broken("slashes in a row are one", "awkward keys hold their own bytes", mapKeys((key) => key.replace(/\/{2,}/g, "/"))),
  broken("a slash at the end is dropped", "a name, the name with a slash and names below it are different objects", mapKeys((key) => key.replace(/(?<=.)\/$/, ""))),
  broken("keys walk out of the container", "bare keys that look like paths stay in the container", mapKeys((key) => key.replace(/^(\.\.|a\/\.\.\/\.\.)?\//, "") || "root")),
  broken("a key that is too long is cut", "the longest keys work, longer ones are invalid", mapKeys((key) => key.slice(0, 900))),
  broken("lone surrogates are replaced", "what is no key is invalid", mapKeys((key) => key.toWellFormed())),
  broken("listings show keys as the wire has them", "awkward keys are listed as they are",
    mapPage((page) => ({ ...page, objects: page.objects.map((info) => ({ ...info, key: info.key.replaceAll("&", "&amp;") })) }))),
  broken("common prefixes are decoded once too often", "awkward keys are rolled up as they are",
    mapPage((page) => ({ ...page, prefixes: page.prefixes.map((prefix) => prefix.replaceAll("%25", "%")) }))),
];

function seenBefore(): StoreClass {
  return class extends StoreWrapper {
    readonly #answers = new Map<string, ListPage>();
    override async list(request: ListRequest): Promise<ListPage> {
      const { signal: _signal, ...question } = request;
      const text = JSON.stringify(question);
      const page = this.#answers.get(text) ?? await super.list(request);
      this.#answers.set(text, page);
      return page;
    }
  };
}

const listing: readonly Broken[] = [
  broken("listings are in no order, and declared ordered", "listings are in UTF-8 byte order",
    mapPage((page) => ({ ...page, objects: [...page.objects].reverse() }))),
  broken("listings are in UTF-16 order", "listings are in UTF-8 byte order",
    mapPage((page) => ({ ...page, objects: [...page.objects].sort((a, b) => (a.key < b.key ? -1 : 1)) }))),
  broken("a common prefix comes again on the next page", "pages of every length make up the same listing", class extends StoreWrapper {
    #last: string | undefined;
    override async list(request: ListRequest): Promise<ListPage> {
      const page = await super.list(request);
      const again = request.cursor !== undefined && this.#last !== undefined && request.limit !== undefined && page.objects.length + page.prefixes.length < request.limit;
      const prefixes = again ? [this.#last as string, ...page.prefixes] : page.prefixes;
      this.#last = page.prefixes.at(-1);
      return { ...page, prefixes };
    }
  }),
  broken("the last page is lost", "many objects need many pages and are all there",
    mapPage((page, request) => request.cursor !== undefined && page.next === undefined ? { objects: [], prefixes: [] } : page)),
  broken("an empty page ends the listing", "pages of every length make up the same listing",
    mapPage((page) => page.objects.length + page.prefixes.length === 0 ? { ...page, next: undefined } : page), { emptyPages: true }),
  broken("only one page is ever given", "many objects need many pages and are all there", mapPage((page) => ({ ...page, next: undefined }))),
  broken("after includes the key itself", "after starts strictly behind a key", class extends StoreWrapper {
    override async list(request: ListRequest): Promise<ListPage> {
      const page = await super.list(request);
      const { after } = request;
      const own = after?.startsWith(request.prefix) === true ? await super.head(after).catch(() => undefined) : undefined;
      return own === undefined ? page : { ...page, objects: [own, ...page.objects] };
    }
  }),
  broken("prefixes are directories", "prefixes cut anywhere, not at slashes only",
    mapPage((page, { prefix }) => ({ ...page, objects: page.objects.filter(({ key }) => prefix.endsWith("/") || key === prefix || key.startsWith(`${prefix}/`)) }))),
  broken("the delimiter is ignored", "a delimiter rolls up, each common prefix once", mapRequest((request) => ({ ...request, delimiter: undefined }))),
  broken("markers are hidden", "a delimiter rolls up, each common prefix once",
    mapPage((page) => ({ ...page, objects: page.objects.filter(({ key }) => !key.endsWith("/")) }))),
  broken("limits are ignored", "pages of every length make up the same listing", mapRequest((request) => ({ ...request, limit: undefined }))),
  broken("listings lag behind", ["a listing follows every put and delete", "what is acknowledged is seen by everybody at once"], seenBefore()),
  broken("pages are counted off, not kept by key", "what stays during a listing is listed exactly once", class extends StoreWrapper {
    override async list(request: ListRequest): Promise<ListPage> {
      const at = Number(request.cursor ?? 0);
      const all = await super.list({ ...request, cursor: undefined, limit: undefined });
      const limit = request.limit ?? 1000;
      return { objects: all.objects.slice(at, at + limit), prefixes: [], next: at + limit < all.objects.length ? String(at + limit) : undefined };
    }
  }),
  broken("listings tell another etag than head", "a listing has every key once, with the facts of head",
    mapPage((page) => ({ ...page, objects: page.objects.map((info) => ({ ...info, etag: `"${info.etag}"` })) }))),
  broken("listings carry no metadata, and are declared to", "listings carry metadata exactly where that is declared",
    mapPage((page) => ({ ...page, objects: page.objects.map((info) => ({ ...info, metadata: undefined })) }))),
];

const describing: readonly Broken[] = [
  broken("metadata names are upper-cased", "metadata comes back as it was put", mapMetadata((name, value) => [name.toUpperCase(), value])),
  broken("metadata values are Latin-1", "metadata comes back as it was put", mapMetadata((name, value) => [name, Buffer.from(value).toString("latin1")])),
  broken("metadata values are trimmed", "metadata comes back as it was put", mapMetadata((name, value) => [name, value.trim()])),
  broken("encoded words are decoded", "metadata comes back as it was put", mapMetadata((name, value) => [name, value.replace(/^=\?utf-8\?b\?w6k=\?=$/i, "\u00e9")])),
  broken("underscores become dashes", "metadata comes back as it was put", mapMetadata((name, value) => [name.replaceAll("_", "-"), value])),
  broken("metadata outlives an overwrite", "no metadata is an empty record, also after an overwrite", class extends StoreWrapper {
    override async put(key: string, body: Body, options?: PutOptions): Promise<WriteReceipt> {
      const before = await super.head(key).catch(() => undefined);
      return super.put(key, body, { ...options, metadata: { ...before?.metadata, ...options?.metadata } });
    }
  }),
  broken("too much metadata is dropped", "metadata up to the limit is kept, beyond it is invalid", class extends StoreWrapper {
    override put(key: string, body: Body, options?: PutOptions): Promise<WriteReceipt> {
      return super.put(key, body, JSON.stringify(options?.metadata ?? {}).length > 2000 ? { ...options, metadata: undefined } : options);
    }
  }),
  broken("content types are guessed", "content types come back", mapPut((options) => ({ ...options, contentType: "application/octet-stream" }))),
  broken("setMetadata ignores ifMatch", "setMetadata is for exactly the version that was meant", class extends StoreWrapper {
    override setMetadata(key: string, metadata: Metadata): Promise<WriteReceipt> { return super.setMetadata(key, metadata); }
  }),
  broken("setMetadata adds", "setMetadata replaces the metadata and keeps the bytes", class extends StoreWrapper {
    override async setMetadata(key: string, metadata: Metadata, options?: CallOptions): Promise<WriteReceipt> {
      return super.setMetadata(key, { ...(await super.head(key)).metadata, ...metadata }, options);
    }
  }),
  broken("a copy forgets the metadata", "a copy has the bytes, the metadata and the content type", class extends StoreWrapper {
    override copy(from: string, to: string, options?: CopyOptions): Promise<WriteReceipt> { return super.copy(from, to, { ...options, metadata: options?.metadata ?? {} }); }
  }),
  broken("a copy ignores the conditions on its target", "a copy keeps to the conditions on its target", class extends StoreWrapper {
    override copy(from: string, to: string, options?: CopyOptions): Promise<WriteReceipt> {
      return super.copy(from, to, { ...options, ifMatch: undefined, ifNoneMatch: undefined });
    }
  }),
  broken("a copy takes any version", "a copy takes only the source version that was meant", class extends StoreWrapper {
    override copy(from: string, to: string, options?: CopyOptions): Promise<WriteReceipt> { return super.copy(from, to, { ...options, sourceIfMatch: undefined }); }
  }),
  broken("a rename is a copy and a delete, and declared atomic", "of many renames to one free name, one wins", class extends StoreWrapper {
    override async rename(from: string, to: string, options?: CopyOptions): Promise<void> {
      const taken = options?.ifNoneMatch !== undefined && await super.head(to).then(() => true, () => false);
      if (taken) throw new StoreError("precondition", "taken", { key: to });
      await super.copy(from, to);
      await super.delete(from);
    }
  }, { capabilities: { rename: "atomic" } }),
];

const ending: readonly Broken[] = [
  broken("signals are ignored", "a call whose signal has fired is aborted and does nothing", class extends StoreWrapper {
    override put(key: string, body: Body, options?: PutOptions): Promise<WriteReceipt> { return super.put(key, body, { ...options, signal: undefined }); }
  }),
  broken("an abort leaves as the platform's error", "a call whose signal has fired is aborted and does nothing", class extends StoreWrapper {
    override async head(key: string, options?: CallOptions): Promise<ObjectInfo> {
      options?.signal?.throwIfAborted();
      return super.head(key, options);
    }
  }),
  broken("streams ignore the signal", "a stream whose signal fires ends with aborted", class extends StoreWrapper {
    override get(key: string, range?: ByteRange, options?: GetOptions): Promise<ObjectStream> { return super.get(key, range, { ...options, signal: undefined }); }
  }),
  broken("listeners stay on the signal", "a signal that lives long is left without listeners", class extends StoreWrapper {
    override head(key: string, options?: CallOptions): Promise<ObjectInfo> {
      options?.signal?.addEventListener("abort", () => undefined);
      return super.head(key, options);
    }
  }),
  broken("close does nothing", "after close every call is aborted", class extends StoreWrapper {
    override close(): Promise<void> { return Promise.resolve(); }
  }),
  broken("capabilities can be changed", "capabilities are frozen, plain, and make sense", class extends StoreWrapper {
    override get capabilities(): ObjectStore["capabilities"] { return { ...super.capabilities }; }
  }),
  {
    name: "what cannot be reached is not there", caught: ["a server that cannot be reached is unavailable, never not-found"],
    open: (container) => new MemoryStore(container),
  },
  broken("usage is made up", "usage counts", class extends StoreWrapper {
    override usage(): ReturnType<ObjectStore["usage"]> { return Promise.resolve({ usedBytes: Number.NaN }); }
  }),
  broken("what is not declared is done all the same", "copies that are not declared are unsupported", class extends StoreWrapper {
    override async copy(from: string, to: string): Promise<WriteReceipt> { return this.inner.put(to, bodyOf(from)); }
  }, { capabilities: { copy: false } }),
];

/** The unreachable store of the one that is wrong about it. */
export function takenForMissing(): ObjectStore {
  const store = new FaultyStore(new MemoryStore());
  store.fail({ times: Infinity, fault: { kind: "throw", error: "not-found" } });
  return store;
}

export const BROKEN: Readonly<Record<string, readonly Broken[]>> = { writing, reading, naming, listing, describing, ending };
