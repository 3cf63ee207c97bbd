// What a backend folder offers to the registry: its scheme, how its URLs are read, and how its service is opened.

import type { ObjectService } from "../store/objectStore.js";
import type { Clock } from "../util/clock.js";
import type { Logger } from "../util/log.js";

/** A mount's source, taken apart: `scheme://...`, percent-decoding done. Carries no secret. */
export interface StoreUrl {
  readonly scheme: string;
  /** Absent: the whole account, every container a top-level directory. */
  readonly container?: string | undefined;
  /** Key prefix inside the container, "" for all of it. Ends in "/" unless empty. */
  readonly prefix: string;
  /** What the URL says about the place of the service: the store's absolute directory for `file`; absent where options name it. */
  readonly location?: string | undefined;
}

export interface BackendContext {
  readonly logger: Logger;
  readonly clock: Clock;
}

export interface Backend {
  readonly scheme: string;
  /**
   * Reads a URL of this scheme. Throws a StoreError of kind `invalid` whose message is one clear sentence. Asks no network;
   * `file` alone looks at the local disk, to tell a store's root from a container in it.
   */
  parse(url: string): StoreUrl;
  /**
   * Opens the account that the URL lies in; the caller then opens `url.container` and applies `url.prefix`.
   * @param options by the names of the backend's option table (options.ts); what is absent has the table's default.
   */
  open(url: StoreUrl, options: Readonly<Record<string, unknown>>, context: BackendContext): Promise<ObjectService>;
}
