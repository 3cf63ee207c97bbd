// Listings of an account: containers at the top, and one container after the other below.

import { compareUtf8 } from "../util/names.js";
import { isStoreError, StoreError } from "./errors.js";
import type { CallOptions, Capabilities, ContainerInfo, ListPage, ListRequest, ObjectInfo, ObjectStore } from "./objectStore.js";

export interface ListingSources {
  containers(options: CallOptions): Promise<ContainerInfo[]>;
  marker(name: string, created: number | undefined): ObjectInfo;
  readonly capabilities: Capabilities;
}

type Within = <T>(name: string, signal: AbortSignal | undefined, work: (store: ObjectStore) => Promise<T>) => Promise<T>;

/** Where a listing goes on. In `container`, behind its marker, with its own `inner` token; without a container: behind `past` at the top. */
interface Position {
  readonly container?: string | undefined;
  readonly inner?: string | undefined;
  readonly past?: string | undefined;
}

export class AccountListing {
  readonly #sources: ListingSources;

  constructor(sources: ListingSources) {
    this.#sources = sources;
  }

  async page(request: ListRequest, within: Within): Promise<ListPage> {
    const { prefix, delimiter, after, cursor } = request;
    const { list, listOrdered } = this.#sources.capabilities;
    if (list === "none") throw new StoreError("unsupported", "this store cannot list");
    if (delimiter !== undefined && list !== "delimiter") throw new StoreError("unsupported", "this store lists without a delimiter only");
    if (after !== undefined && !listOrdered) throw new StoreError("unsupported", "this store's listings have no order to start from");
    if (after !== undefined && (delimiter !== undefined || cursor !== undefined)) throw new StoreError("invalid", "after goes with neither a delimiter nor a cursor");
    const from: Position = cursor === undefined ? {} : decode(cursor);
    const slash = prefix.indexOf("/");
    if (slash >= 0) return this.#inOne(prefix.slice(0, slash), request, from, within, undefined);
    if (delimiter !== undefined) return this.#top(request, from);
    return this.#acrossAll(request, from, within);
  }

  /** Ordered by the keys of their markers: `a-b/` comes before `a/`. */
  async #containers(prefix: string, signal: AbortSignal | undefined): Promise<ContainerInfo[]> {
    const all = await this.#sources.containers({ signal });
    return all.filter(({ name }) => `${name}/`.startsWith(prefix)).sort((a, b) => compareUtf8(`${a.name}/`, `${b.name}/`));
  }

  async #top({ prefix, limit = Infinity, signal }: ListRequest, from: Position): Promise<ListPage> {
    const rest = (await this.#containers(prefix, signal)).filter(({ name }) => from.past === undefined || compareUtf8(`${name}/`, from.past) > 0);
    const prefixes = rest.slice(0, limit).map(({ name }) => `${name}/`);
    return { objects: [], prefixes, next: rest.length > prefixes.length ? encode({ past: prefixes.at(-1) }) : undefined };
  }

  async #acrossAll(request: ListRequest, from: Position, within: Within): Promise<ListPage> {
    const containers = await this.#containers(request.prefix, request.signal);
    // A container begins at its marker and ends before whatever comes behind "name/" and all that follows it.
    const start = from.container ?? request.after;
    const index = start === undefined ? 0 : containers.findIndex(({ name }) => from.container !== undefined
      ? compareUtf8(`${name}/`, `${from.container}/`) >= 0
      : start.startsWith(`${name}/`) || compareUtf8(`${name}/`, start) > 0);
    const current = index < 0 ? undefined : containers[index];
    if (current === undefined) return { objects: [], prefixes: [] };
    // The one the token was about is gone: its successor starts at its beginning.
    const position = current.name === from.container ? from : {};
    const page = await this.#inOne(current.name, { ...request, prefix: `${current.name}/` }, position, within, current.created);
    const following = containers[index + 1];
    return { ...page, next: page.next ?? (following === undefined ? undefined : encode({ container: following.name, past: "" })) };
  }

  /** A page of one container; `request.prefix` and `after` begin with its name or lie outside of it. */
  async #inOne(name: string, request: ListRequest, from: Position, within: Within, created: number | undefined): Promise<ListPage> {
    const { limit, delimiter, signal, after } = request;
    const marker = `${name}/`;
    const prefix = request.prefix.slice(marker.length);
    const { listMetadata } = this.#sources.capabilities;
    // A token that is at the container's start says so by `past` being empty; behind the marker `past` is absent.
    const fresh = from.container === undefined || from.past === "";
    const behind = after !== undefined && compareUtf8(after, marker) >= 0;
    const showMarker = fresh && prefix === "" && !behind;
    try {
      return await within(name, signal, async (store) => {
        const left = limit === undefined ? undefined : limit - (showMarker ? 1 : 0);
        const objects: ObjectInfo[] = [];
        if (showMarker) {
          const info = this.#sources.marker(name, created);
          objects.push(listMetadata ? info : { ...info, metadata: undefined, contentType: undefined });
        }
        if (left === 0) {
          // Also finds out whether the container is there at all.
          await store.list({ prefix, limit: 1, signal });
          return { objects, prefixes: [], next: encode({ container: name }) };
        }
        if (after !== undefined && behind && !after.startsWith(marker)) return { objects, prefixes: [] };
        const inner = after?.startsWith(marker) === true && after !== marker ? after.slice(marker.length) : undefined;
        const page = await store.list({ prefix, delimiter, limit: left, cursor: from.inner, after: inner, signal });
        objects.push(...page.objects.map((info) => ({ ...info, key: marker + info.key })));
        return { objects, prefixes: page.prefixes.map((one) => marker + one), next: page.next === undefined ? undefined : encode({ container: name, inner: page.next }) };
      });
    } catch (error) {
      if (isStoreError(error, "no-container")) return { objects: [], prefixes: [] };
      throw error;
    }
  }
}

function encode(position: Position): string {
  return Buffer.from(JSON.stringify(position)).toString("base64url");
}

function decode(cursor: string): Position {
  try {
    return JSON.parse(Buffer.from(cursor, "base64url").toString()) as Position;
  } catch (cause) {
    throw new StoreError("invalid", "not a continuation token of this store", { cause });
  }
}
