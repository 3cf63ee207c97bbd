// What wrappers have in common: a store that hands every call on to another one, with three places to step in. A wrapper overrides
// the places it needs; staged uploads go through the same ones.

import { objectStream } from "./objectStream.js";
import type {
  Body, ByteRange, CallOptions, Capabilities, ContainerInfo, CopyOptions, DeleteOptions, GetOptions, ListPage, ListRequest, Metadata, ObjectInfo,
  ObjectService, ObjectStore, ObjectStream, PartReceipt, PutOptions, Upload, Usage, WriteConditions, WriteReceipt,
} from "./objectStore.js";

export type StoreCallName =
  | "head" | "list" | "get" | "put" | "copy" | "delete" | "deleteMany" | "setMetadata" | "rename"
  | "beginUpload" | "resumeUpload" | "putPart" | "copyPart" | "parts" | "complete" | "abort" | "usage" | "presign";
export type ServiceCallName = "containers" | "createContainer" | "deleteContainer" | "container" | "serviceUsage";

/** One call on its way. */
export interface StoreCall {
  readonly name: StoreCallName | ServiceCallName;
  /** The object's key; the prefix of a `list`, the container's name of a service call. */
  readonly key: string | undefined;
  readonly signal: AbortSignal | undefined;
  /** Bytes of the body it sends. */
  readonly sends: number;
  readonly background: boolean;
}

type UploadCopyOptions = CallOptions & { readonly sourceIfMatch?: string | undefined; readonly fromContainer?: string | undefined };
type SetMetadataOptions = CallOptions & { readonly ifMatch?: string | undefined; readonly contentType?: string | undefined };

export class StoreWrapper implements ObjectStore {
  protected readonly inner: ObjectStore;

  constructor(inner: ObjectStore) {
    this.inner = inner;
  }

  get label(): string { return this.inner.label; }
  get capabilities(): Capabilities { return this.inner.capabilities; }

  /** Around every call but `get` (and around that too, unless `onGet` is overridden). */
  protected onCall<T>(_call: StoreCall, work: () => Promise<T>): Promise<T> { return work(); }
  /** Around `get`: what becomes of the stream. */
  protected onGet(call: StoreCall, work: () => Promise<ObjectStream>): Promise<ObjectStream> { return this.onCall(call, work); }
  /** What is sent instead of a body. */
  protected onBody(_call: StoreCall, body: Body): Body { return body; }

  /** One call through the places above. */
  protected through<T>(name: StoreCall["name"], key: string | undefined, options: CallOptions | undefined, work: () => Promise<T>): Promise<T> {
    return this.onCall({ name, key, signal: options?.signal, sends: 0, background: options?.priority === "background" }, work);
  }

  head(key: string, options?: CallOptions): Promise<ObjectInfo> {
    return this.through("head", key, options, () => this.inner.head(key, options));
  }

  list(request: ListRequest): Promise<ListPage> {
    return this.through("list", request.prefix, request, () => this.inner.list(request));
  }

  get(key: string, range?: ByteRange, options?: GetOptions): Promise<ObjectStream> {
    return this.onGet({ name: "get", key, signal: options?.signal, sends: 0, background: options?.priority === "background" }, () => this.inner.get(key, range, options));
  }

  put(key: string, body: Body, options?: PutOptions): Promise<WriteReceipt> {
    const call: StoreCall = { name: "put", key, signal: options?.signal, sends: body.length, background: options?.priority === "background" };
    return this.onCall(call, () => this.inner.put(key, this.onBody(call, body), options));
  }

  copy(from: string, to: string, options?: CopyOptions): Promise<WriteReceipt> {
    return this.through("copy", to, options, () => this.inner.copy(from, to, options));
  }

  delete(key: string, options?: DeleteOptions): Promise<void> {
    return this.through("delete", key, options, () => this.inner.delete(key, options));
  }

  deleteMany(keys: readonly string[], options?: CallOptions): Promise<{ readonly key: string; readonly error: unknown }[]> {
    return this.through("deleteMany", undefined, options, () => this.inner.deleteMany(keys, options));
  }

  setMetadata(key: string, metadata: Metadata, options?: SetMetadataOptions): Promise<WriteReceipt> {
    return this.through("setMetadata", key, options, () => this.inner.setMetadata(key, metadata, options));
  }

  rename(from: string, to: string, options?: CallOptions & WriteConditions): Promise<void> {
    return this.through("rename", to, options, () => this.inner.rename(from, to, options));
  }

  async beginUpload(key: string, options?: PutOptions): Promise<Upload> {
    return this.wrapUpload(await this.through("beginUpload", key, options, () => this.inner.beginUpload(key, options)));
  }

  async resumeUpload(key: string, id: string, options?: PutOptions): Promise<Upload> {
    return this.wrapUpload(await this.through("resumeUpload", key, options, () => this.inner.resumeUpload(key, id, options)));
  }

  protected wrapUpload(upload: Upload): Upload {
    const { key } = upload;
    return {
      key, id: upload.id,
      putPart: (number: number, offset: number, last: boolean, body: Body, options?: CallOptions): Promise<PartReceipt> => {
        const call: StoreCall = { name: "putPart", key, signal: options?.signal, sends: body.length, background: options?.priority === "background" };
        return this.onCall(call, () => upload.putPart(number, offset, last, this.onBody(call, body), options));
      },
      copyPart: (number: number, offset: number, from: string, range: ByteRange, options?: UploadCopyOptions): Promise<PartReceipt> =>
        this.through("copyPart", key, options, () => upload.copyPart(number, offset, from, range, options)),
      parts: (options?: CallOptions): Promise<PartReceipt[]> => this.through("parts", key, options, () => upload.parts(options)),
      complete: (parts: readonly PartReceipt[], conditions?: WriteConditions & CallOptions): Promise<WriteReceipt> =>
        this.through("complete", key, conditions, () => upload.complete(parts, conditions)),
      abort: (options?: CallOptions): Promise<void> => this.through("abort", key, options, () => upload.abort(options)),
    };
  }

  usage(options?: CallOptions): Promise<Usage> {
    return this.through("usage", undefined, options, () => this.inner.usage(options));
  }

  presign(key: string, seconds: number): Promise<string> {
    return this.through("presign", key, undefined, () => this.inner.presign(key, seconds));
  }

  close(): Promise<void> {
    return this.inner.close();
  }
}

/** The same for a service; `wrapStore` says what becomes of the containers it opens. */
export class ServiceWrapper implements ObjectService {
  protected readonly inner: ObjectService;

  constructor(inner: ObjectService) {
    this.inner = inner;
  }

  get label(): string { return this.inner.label; }

  protected onCall<T>(_call: StoreCall, work: () => Promise<T>): Promise<T> { return work(); }
  protected wrapStore(store: ObjectStore, _name: string): ObjectStore { return store; }

  #through<T>(name: ServiceCallName, key: string | undefined, options: CallOptions | undefined, work: () => Promise<T>): Promise<T> {
    return this.onCall({ name, key, signal: options?.signal, sends: 0, background: options?.priority === "background" }, work);
  }

  containers(options?: CallOptions): Promise<ContainerInfo[]> {
    return this.#through("containers", undefined, options, () => this.inner.containers(options));
  }

  createContainer(name: string, options?: CallOptions): Promise<void> {
    return this.#through("createContainer", name, options, () => this.inner.createContainer(name, options));
  }

  deleteContainer(name: string, options?: CallOptions): Promise<void> {
    return this.#through("deleteContainer", name, options, () => this.inner.deleteContainer(name, options));
  }

  async container(name: string, options?: CallOptions): Promise<ObjectStore> {
    return this.wrapStore(await this.#through("container", name, options, () => this.inner.container(name, options)), name);
  }

  usage(options?: CallOptions): Promise<Usage> {
    return this.#through("serviceUsage", undefined, options, () => this.inner.usage(options));
  }

  close(): Promise<void> {
    return this.inner.close();
  }
}

/** The same stream, with `each` called (and awaited) before a piece is handed on, and `free` once at its end, however it ends. */
export function tapStream(stream: ObjectStream, signal: AbortSignal | undefined, each: ((piece: Buffer) => void | Promise<void>) | undefined,
  free?: (completed: boolean) => void): ObjectStream {
  return objectStream({
    info: stream.info, start: stream.start, length: stream.length, signal,
    open: () => each === undefined ? stream : tap(stream, each),
    free: (completed) => {
      if (!completed) stream.cancel();
      free?.(completed);
    },
  });
}

/** The same body, with `each` called (and awaited) before a piece is handed on. */
export function tapBody(body: Body, each: (piece: Buffer) => void | Promise<void>): Body {
  return { length: body.length, open: () => tap(body.open(), each) };
}

async function* tap(source: AsyncIterable<Buffer> | Iterable<Buffer>, each: (piece: Buffer) => void | Promise<void>): AsyncGenerator<Buffer> {
  for await (const piece of source) {
    await each(piece);
    yield piece;
  }
}
