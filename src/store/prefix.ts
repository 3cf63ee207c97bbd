// The part of a container below a prefix, as a store of its own: a mount of `s3://bucket/some/where`. Keys lose the prefix on the way up
// and get it on the way down; errors keep the container's own key, which is the one people find in their bucket.

import { checkKey } from "./checks.js";
import { StoreError } from "./errors.js";
import type {
  Body, ByteRange, CallOptions, Capabilities, CopyOptions, DeleteOptions, GetOptions, ListPage, ListRequest, Metadata, ObjectInfo, ObjectStore,
  ObjectStream, PartReceipt, PutOptions, Upload, Usage, WriteConditions, WriteReceipt,
} from "./objectStore.js";

type SetMetadataOptions = CallOptions & { readonly ifMatch?: string | undefined; readonly contentType?: string | undefined };
type UploadCopyOptions = CallOptions & { readonly sourceIfMatch?: string | undefined; readonly fromContainer?: string | undefined };

export class PrefixStore implements ObjectStore {
  readonly label: string;
  readonly capabilities: Capabilities;
  readonly #inner: ObjectStore;
  readonly #prefix: string;

  /** @param prefix taken literally; for a directory it ends in "/". */
  constructor(inner: ObjectStore, prefix: string) {
    this.#inner = inner;
    this.#prefix = prefix;
    this.label = `${inner.label}/${prefix}`;
    this.capabilities = Object.freeze({ ...inner.capabilities, maxKeyBytes: inner.capabilities.maxKeyBytes - Buffer.byteLength(prefix) });
  }

  // The prefix itself may be an object (a directory marker); as a key it would be empty.
  #down(key: string): string {
    checkKey(key, this.capabilities.maxKeyBytes);
    return this.#prefix + key;
  }

  /** A source in another container is named as that container names it. */
  #source(key: string, options: { readonly fromContainer?: string | undefined } | undefined): string {
    return options?.fromContainer === undefined ? this.#down(key) : key;
  }

  #up(info: ObjectInfo): ObjectInfo {
    return { ...info, key: info.key.slice(this.#prefix.length) };
  }

  async head(key: string, options?: CallOptions): Promise<ObjectInfo> {
    return this.#up(await this.#inner.head(this.#down(key), options));
  }

  async list(request: ListRequest): Promise<ListPage> {
    const prefix = this.#prefix + request.prefix;
    const page = await this.#inner.list({ ...request, prefix, after: request.after === undefined ? undefined : this.#prefix + request.after });
    return {
      objects: page.objects.filter((info) => info.key !== this.#prefix).map((info) => this.#up(info)),
      prefixes: page.prefixes.map((one) => one.slice(this.#prefix.length)),
      next: page.next,
    };
  }

  async get(key: string, range?: ByteRange, options?: GetOptions): Promise<ObjectStream> {
    const stream = await this.#inner.get(this.#down(key), range, options);
    return {
      info: this.#up(stream.info), start: stream.start, length: stream.length,
      cancel: () => stream.cancel(),
      [Symbol.asyncIterator]: () => stream[Symbol.asyncIterator](),
    };
  }

  async put(key: string, body: Body, options?: PutOptions): Promise<WriteReceipt> {
    return this.#inner.put(this.#down(key), body, options);
  }

  async copy(from: string, to: string, options?: CopyOptions): Promise<WriteReceipt> {
    return this.#inner.copy(this.#source(from, options), this.#down(to), options);
  }

  async delete(key: string, options?: DeleteOptions): Promise<void> {
    return this.#inner.delete(this.#down(key), options);
  }

  async deleteMany(keys: readonly string[], options?: CallOptions): Promise<{ readonly key: string; readonly error: unknown }[]> {
    const failed = await this.#inner.deleteMany(keys.map((key) => this.#down(key)), options);
    return failed.map(({ key, error }) => ({ key: key.slice(this.#prefix.length), error }));
  }

  async setMetadata(key: string, metadata: Metadata, options?: SetMetadataOptions): Promise<WriteReceipt> {
    return this.#inner.setMetadata(this.#down(key), metadata, options);
  }

  async rename(from: string, to: string, options?: CallOptions & WriteConditions): Promise<void> {
    return this.#inner.rename(this.#down(from), this.#down(to), options);
  }

  async beginUpload(key: string, options?: PutOptions): Promise<Upload> {
    return this.#upload(key, await this.#inner.beginUpload(this.#down(key), options));
  }

  async resumeUpload(key: string, id: string, options?: PutOptions): Promise<Upload> {
    return this.#upload(key, await this.#inner.resumeUpload(this.#down(key), id, options));
  }

  #upload(key: string, upload: Upload): Upload {
    return {
      key, id: upload.id,
      putPart: (number: number, offset: number, last: boolean, body: Body, options?: CallOptions): Promise<PartReceipt> =>
        upload.putPart(number, offset, last, body, options),
      copyPart: async (number: number, offset: number, from: string, range: ByteRange, options?: UploadCopyOptions): Promise<PartReceipt> =>
        upload.copyPart(number, offset, this.#source(from, options), range, options),
      parts: (options?: CallOptions): Promise<PartReceipt[]> => upload.parts(options),
      complete: (parts: readonly PartReceipt[], conditions?: WriteConditions & CallOptions): Promise<WriteReceipt> => upload.complete(parts, conditions),
      abort: (options?: CallOptions): Promise<void> => upload.abort(options),
    };
  }

  /** The whole container's: no service counts below a prefix. */
  usage(options?: CallOptions): Promise<Usage> {
    return this.#inner.usage(options);
  }

  async presign(key: string, seconds: number): Promise<string> {
    return this.#inner.presign(this.#down(key), seconds);
  }

  close(): Promise<void> {
    return this.#inner.close();
  }
}

/** The store itself for the empty prefix. `invalid` for one that leaves no room for keys. */
export function atPrefix(store: ObjectStore, prefix: string): ObjectStore {
  if (prefix === "") return store;
  if (Buffer.byteLength(prefix) >= store.capabilities.maxKeyBytes) throw new StoreError("invalid", `the prefix ${prefix} is longer than a key may be`);
  return new PrefixStore(store, prefix);
}
