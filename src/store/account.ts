// A whole service as one store, whose keys are `container/key`: what a mount without a container shows.
//
// - A container is also the object `container/`, empty and without metadata, as a directory marker is: `head` finds it, listings
//   show it, an empty `put` of it creates the container, `delete` deletes it (`not-empty` while it has objects).
// - `list("", "/")` gives the containers as common prefixes.
// - No other object can be at the top: a key without a slash is `invalid` to write and `not-found` to read.
// - What is in a missing container is `not-found` to readers and an empty listing, as below a missing directory; writers get
//   `no-container`.
// - Containers may differ in what they can. `capabilities` is the least of those that were opened by `openAccount`; a container that
//   can less still and turns up later answers `unsupported`, or checks conditions by the narrower way its backend documents.
// - Containers are opened when first asked for something, and closed with the account.

import { orAborted } from "./abort.js";
import { checkConditions, checkKey, preconditionError } from "./checks.js";
import { mergeCapabilities } from "./accountCapabilities.js";
import { AccountListing } from "./accountListing.js";
import { isStoreError, StoreError } from "./errors.js";
import { objectStream } from "./objectStream.js";
import type {
  Body, ByteRange, CallOptions, Capabilities, CopyOptions, DeleteOptions, GetOptions, ListPage, ListRequest, Metadata, ObjectInfo, ObjectService,
  ObjectStore, ObjectStream, PartReceipt, PutOptions, Upload, Usage, WriteConditions, WriteReceipt,
} from "./objectStore.js";

type SetMetadataOptions = CallOptions & { readonly ifMatch?: string | undefined; readonly contentType?: string | undefined };
type UploadCopyOptions = CallOptions & { readonly sourceIfMatch?: string | undefined; readonly fromContainer?: string | undefined };

/** The etag of every container's marker: there is but one version of it. */
const MARKER_ETAG = "container";
/** Containers opened for their capabilities. */
const PROBES = 8;

export interface AccountOptions extends CallOptions {
  /** What a container will be able to do, where the account has none to ask yet. */
  readonly assumed: Capabilities;
  /** How many containers are opened to find the least they all can, 8. */
  readonly probes?: number | undefined;
}

/** Asks for the containers and what they can do. Containers that withhold themselves (`denied`) are shown and not counted. */
export async function openAccount(service: ObjectService, options: AccountOptions): Promise<AccountStore> {
  const containers = await service.containers({ signal: options.signal });
  const opened = new Map<string, Promise<ObjectStore>>();
  const capabilities: Capabilities[] = [];
  await Promise.all(containers.slice(0, options.probes ?? PROBES).map(async ({ name }) => {
    const opening = service.container(name, { signal: options.signal });
    try {
      capabilities.push((await opening).capabilities);
      opened.set(name, opening);
    } catch (error) {
      if (!isStoreError(error, "denied", "no-container", "unsupported")) throw error;
    }
  }));
  return new AccountStore(service, mergeCapabilities(capabilities.length > 0 ? capabilities : [options.assumed]), opened);
}

interface Place {
  readonly container: string;
  /** "" is the container itself. */
  readonly key: string;
}

export class AccountStore implements ObjectStore {
  readonly label: string;
  readonly capabilities: Capabilities;
  readonly #service: ObjectService;
  readonly #stores: Map<string, Promise<ObjectStore>>;
  readonly #listing: AccountListing;
  #closed = false;

  constructor(service: ObjectService, capabilities: Capabilities, opened: ReadonlyMap<string, Promise<ObjectStore>> = new Map()) {
    this.#service = service;
    this.label = service.label;
    this.capabilities = capabilities;
    this.#stores = new Map(opened);
    this.#listing = new AccountListing({
      containers: (options) => service.containers(options),
      marker: (name, created) => markerInfo(name, created),
      capabilities,
    });
  }

  // --- places

  #place(key: string): Place {
    if (this.#closed) throw new StoreError("aborted", "the account is closed", { key });
    checkKey(key, this.capabilities.maxKeyBytes);
    const slash = key.indexOf("/");
    return slash < 0 ? { container: "", key } : { container: key.slice(0, slash), key: key.slice(slash + 1) };
  }

  /** For writing: `invalid` where no object can be. */
  #target(key: string): Place {
    const place = this.#place(key);
    if (!nameable(place.container)) throw new StoreError("invalid", "at the top of an account there are containers only", { key });
    return place;
  }

  /** For writing an object: not a container's marker. */
  #object(key: string): Place {
    const place = this.#target(key);
    if (place.key === "") throw new StoreError("unsupported", `${place.container} is a container`, { key });
    return place;
  }

  #open(name: string, signal?: AbortSignal): Promise<ObjectStore> {
    const known = this.#stores.get(name);
    if (known !== undefined) return known;
    // Not with the caller's signal: others wait for the same container.
    const opening = this.#service.container(name);
    this.#stores.set(name, opening);
    opening.catch(() => { if (this.#stores.get(name) === opening) this.#stores.delete(name); });
    return orAborted(opening, signal, name);
  }

  /** Runs `work` on the container; one that is gone is forgotten, so that a new one of its name is opened anew. */
  async #in<T>(name: string, signal: AbortSignal | undefined, work: (store: ObjectStore) => Promise<T>): Promise<T> {
    try {
      return await work(await this.#open(name, signal));
    } catch (error) {
      if (isStoreError(error, "no-container")) this.#forget(name);
      throw error;
    }
  }

  /** The same for reading: what is in a missing container is not there. */
  async #readIn<T>(key: string, signal: AbortSignal | undefined, work: (store: ObjectStore, key: string) => Promise<T>): Promise<T> {
    const place = this.#place(key);
    if (!nameable(place.container)) throw new StoreError("not-found", "there is no such container", { key });
    try {
      return await this.#in(place.container, signal, (store) => work(store, place.key));
    } catch (error) {
      if (isStoreError(error, "no-container")) throw new StoreError("not-found", "there is no such container", { key, cause: error });
      throw error;
    }
  }

  #forget(name: string): void {
    const opening = this.#stores.get(name);
    this.#stores.delete(name);
    opening?.then((store) => store.close()).catch(() => undefined);
  }

  // --- reading

  async head(key: string, options?: CallOptions): Promise<ObjectInfo> {
    return this.#readIn(key, options?.signal, async (store, inner) => {
      if (inner !== "") return { ...await store.head(inner, options), key };
      await alive(store, options);
      return markerInfo(key.slice(0, -1), undefined);
    });
  }

  async list(request: ListRequest): Promise<ListPage> {
    if (this.#closed) throw new StoreError("aborted", "the account is closed");
    return this.#listing.page(request, (name, signal, work) => this.#in(name, signal, work));
  }

  async get(key: string, range?: ByteRange, options?: GetOptions): Promise<ObjectStream> {
    return this.#readIn(key, options?.signal, async (store, inner) => {
      if (inner === "") {
        await alive(store, options);
        if (options?.ifMatch !== undefined && options.ifMatch !== MARKER_ETAG) throw preconditionError(key);
        if (range !== undefined) throw new StoreError("range", "a container has no bytes", { key });
        return objectStream({ info: markerInfo(key.slice(0, -1), undefined), start: 0, length: 0, open: () => [], signal: options?.signal });
      }
      const stream = await store.get(inner, range, options);
      return {
        info: { ...stream.info, key }, start: stream.start, length: stream.length,
        cancel: () => stream.cancel(),
        [Symbol.asyncIterator]: () => stream[Symbol.asyncIterator](),
      };
    });
  }

  async presign(key: string, seconds: number): Promise<string> {
    const { container, key: inner } = this.#object(key);
    return this.#in(container, undefined, (store) => store.presign(inner, seconds));
  }

  async usage(options?: CallOptions): Promise<Usage> {
    if (this.#closed) throw new StoreError("aborted", "the account is closed");
    return this.#service.usage(options);
  }

  // --- writing

  async put(key: string, body: Body, options?: PutOptions): Promise<WriteReceipt> {
    const { container, key: inner } = this.#target(key);
    if (inner !== "") return this.#in(container, options?.signal, (store) => store.put(inner, body, options));
    checkConditions(options, key);
    if (body.length > 0) throw new StoreError("invalid", "a container has no bytes of its own", { key });
    if (options?.ifMatch !== undefined) {
      await this.head(key, options);
      if (options.ifMatch !== MARKER_ETAG) throw preconditionError(key);
      return { etag: MARKER_ETAG, size: 0 };
    }
    try {
      await this.#service.createContainer(container, { signal: options?.signal });
    } catch (error) {
      if (!isStoreError(error, "exists")) throw error;
      if (options?.ifNoneMatch !== undefined) throw preconditionError(key, "the container exists already");
    }
    return { etag: MARKER_ETAG, size: 0 };
  }

  /** Across containers too; `fromContainer` is part of `from` here. */
  async copy(from: string, to: string, options?: CopyOptions): Promise<WriteReceipt> {
    const source = this.#source(from, options);
    const target = this.#object(to);
    return this.#in(target.container, options?.signal, (store) =>
      store.copy(source.key, target.key, { ...options, fromContainer: source.container === target.container ? undefined : source.container }));
  }

  #source(from: string, options: { readonly fromContainer?: string | undefined } | undefined): Place {
    return this.#object(options?.fromContainer === undefined ? from : `${options.fromContainer}/${from}`);
  }

  async delete(key: string, options?: DeleteOptions): Promise<void> {
    const { container, key: inner } = this.#place(key);
    if (!nameable(container)) return;
    if (inner !== "") {
      await this.#in(container, options?.signal, (store) => store.delete(inner, options)).catch(unlessNoContainer);
      return;
    }
    await this.#service.deleteContainer(container, { signal: options?.signal });
    this.#forget(container);
  }

  async deleteMany(keys: readonly string[], options?: CallOptions): Promise<{ readonly key: string; readonly error: unknown }[]> {
    const byContainer = new Map<string, string[]>();
    const markers: string[] = [];
    for (const key of keys) {
      const place = this.#place(key);
      if (place.key === "") markers.push(key);
      else if (nameable(place.container)) byContainer.set(place.container, [...byContainer.get(place.container) ?? [], place.key]);
    }
    const failed = (await Promise.all([...byContainer].map(async ([name, inner]) => {
      const some = await this.#in(name, options?.signal, (store) => store.deleteMany(inner, options)).catch(unlessNoContainer) ?? [];
      return some.map(({ key, error }) => ({ key: `${name}/${key}`, error }));
    }))).flat();
    // Last: their objects may be among the others.
    for (const key of markers) await this.delete(key, options).catch((error: unknown) => { failed.push({ key, error }); });
    return failed;
  }

  async setMetadata(key: string, metadata: Metadata, options?: SetMetadataOptions): Promise<WriteReceipt> {
    const { container, key: inner } = this.#object(key);
    return this.#in(container, options?.signal, (store) => store.setMetadata(inner, metadata, options));
  }

  async rename(from: string, to: string, _options?: CallOptions & WriteConditions): Promise<void> {
    this.#object(from);
    this.#object(to);
    throw new StoreError("unsupported", "an account has no renames: they would have to reach across containers", { key: from });
  }

  async beginUpload(key: string, options?: PutOptions): Promise<Upload> {
    const { container, key: inner } = this.#object(key);
    return this.#upload(key, container, await this.#in(container, options?.signal, (store) => store.beginUpload(inner, options)));
  }

  async resumeUpload(key: string, id: string, options?: PutOptions): Promise<Upload> {
    const { container, key: inner } = this.#object(key);
    return this.#upload(key, container, await this.#in(container, options?.signal, (store) => store.resumeUpload(inner, id, options)));
  }

  #upload(key: string, container: string, upload: Upload): Upload {
    return {
      key, id: upload.id,
      putPart: (number: number, offset: number, last: boolean, body: Body, options?: CallOptions): Promise<PartReceipt> =>
        upload.putPart(number, offset, last, body, options),
      copyPart: async (number: number, offset: number, from: string, range: ByteRange, options?: UploadCopyOptions): Promise<PartReceipt> => {
        const source = this.#source(from, options);
        return upload.copyPart(number, offset, source.key, range, { ...options, fromContainer: source.container === container ? undefined : source.container });
      },
      parts: (options?: CallOptions): Promise<PartReceipt[]> => upload.parts(options),
      complete: (parts: readonly PartReceipt[], conditions?: WriteConditions & CallOptions): Promise<WriteReceipt> => upload.complete(parts, conditions),
      abort: (options?: CallOptions): Promise<void> => upload.abort(options),
    };
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    const opened = await Promise.allSettled(this.#stores.values());
    this.#stores.clear();
    await Promise.allSettled(opened.flatMap((one) => one.status === "fulfilled" ? [one.value.close()] : []));
    await this.#service.close();
  }
}

/** An open store may stand on a container that is gone by now. */
async function alive(store: ObjectStore, options: CallOptions | undefined): Promise<void> {
  if (store.capabilities.list !== "none") await store.list({ prefix: "", limit: 1, signal: options?.signal });
}

function nameable(container: string): boolean {
  return container !== "" && container !== "." && container !== "..";
}

function unlessNoContainer(error: unknown): undefined {
  if (!isStoreError(error, "no-container")) throw error;
  return undefined;
}

function markerInfo(name: string, created: number | undefined): ObjectInfo {
  return { key: `${name}/`, size: 0, etag: MARKER_ETAG, lastModified: created ?? 0, metadata: {}, contentType: "application/x-directory" };
}
