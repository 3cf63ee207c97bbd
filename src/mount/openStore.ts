// From a URL to the store that a mount works on: the backend's own, then
//
//   observe   counts what goes over the wire
//   limit     bounds how much of it goes at once
//   retry     asks again where that is safe (a waiting retry holds no place of the limit)
//   prefix    the keys below the URL's prefix; or account: all containers as one store

import { stat } from "node:fs/promises";
import { basename, dirname } from "node:path";
import type { MountConfig } from "../config/config.js";
import type { OptionValue } from "../config/values.js";
import { openService, parseStoreUrl, type StoreUrl } from "../backends/registry.js";
import { openAccount } from "../store/account.js";
import { isStoreError } from "../store/errors.js";
import { LimitService, RequestLimit } from "../store/limit.js";
import type { Capabilities, ObjectService, ObjectStore } from "../store/objectStore.js";
import { ObserveService, StoreMetrics } from "../store/observe.js";
import { RetryBudget, RetryService, RetryStore, type RetryOptions } from "../store/retry.js";
import { RetryPolicy } from "../store/retryPolicy.js";
import type { Clock } from "../util/clock.js";
import type { Logger } from "../util/log.js";

export interface StoreRequest {
  readonly url: string;
  readonly config: MountConfig;
  readonly backend: Readonly<Record<string, OptionValue>>;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly signal?: AbortSignal | undefined;
}

export interface OpenedService {
  readonly parsed: StoreUrl;
  readonly service: ObjectService;
  readonly metrics: StoreMetrics;
  /** Below the retries. */
  readonly limited: ObjectService;
  readonly patient: RetryOptions;
  /** Gives up early: for what a person waits for. */
  readonly impatient: RetryOptions;
}

/** Tries of one call while a person waits for the mount. */
const IMPATIENT_ATTEMPTS = 4;

/** @throws StoreError */
export async function openWrappedService({ url, config, backend, logger, clock }: StoreRequest): Promise<OpenedService> {
  const parsed = await namedPlace(await parseStoreUrl(url), config.createContainer);
  const metrics = new StoreMetrics();
  const raw = await openService(parsed, backend, { logger, clock });
  const limited = new LimitService(new ObserveService(raw, { metrics, log: logger, clock }), new RequestLimit({ streams: config.maxRequests, calls: config.maxRequests }));
  const patient: RetryOptions = { maxAttempts: config.retries + 1, deadline: config.retryDeadline, budget: new RetryBudget(), clock, log: logger };
  const impatient = { ...patient, maxAttempts: Math.min(IMPATIENT_ATTEMPTS, config.retries + 1), deadline: Math.min(config.retryDeadline, config.mountTimeout / 2) };
  return { parsed, metrics, limited, patient, impatient, service: new RetryService(limited, patient) };
}

/**
 * Where the place of a service is written in the URL before the container's name, a place that is not there yet could be
 * either of them. Whoever asks for a container to be created has named one.
 */
async function namedPlace(parsed: StoreUrl, createContainer: boolean): Promise<StoreUrl> {
  const { location, container } = parsed;
  if (!createContainer || container !== undefined || location === undefined || location === "/") return parsed;
  const there = await stat(location).then(() => true, (error: NodeJS.ErrnoException) => error.code !== "ENOENT");
  return there ? parsed : { ...parsed, location: dirname(location), container: basename(location) };
}

/** Opens the container of the URL, created first when that is wanted. @throws StoreError */
export async function openContainer({ limited, patient, impatient }: OpenedService, name: string, create: boolean, signal?: AbortSignal): Promise<ObjectStore> {
  const policy = new RetryPolicy(impatient);
  const open = (): Promise<ObjectStore> => policy.run("container", name, signal, () => limited.container(name, { signal }));
  let store: ObjectStore;
  try {
    store = await open();
  } catch (error) {
    if (!create || !isStoreError(error, "no-container")) throw error;
    await createIfMissing(new RetryService(limited, impatient), name, signal);
    store = await open();
  }
  // What is wrong with the permissions is told while somebody listens, not by the first ls.
  if (store.capabilities.list !== "none") await new RetryStore(store, impatient).list({ prefix: "", limit: 1, signal });
  return new RetryStore(store, patient);
}

/** Of containers that are yet to be made, in an account that has none to ask: what every service of today can do. */
const ASSUMED: Capabilities = {
  list: "delimiter", listOrdered: true, listMetadata: false, conditionalPut: "none", conditionalComplete: "none", conditionalGet: true, conditionalDelete: false,
  maxPutSize: 5 * 2 ** 30, upload: { minSize: 5 * 2 ** 20, maxSize: 5 * 2 ** 30, maxParts: 10_000, maxObjectSize: 5 * 2 ** 40, equalSizes: true },
  resume: true, copyPart: false, copy: { maxSize: 5 * 2 ** 30 }, rename: "none", append: false, truncate: false, immutable: false,
  metadata: { maxBytes: 2048, update: "copy" }, ttl: false, checksums: [], containers: true, usage: false, presign: false, versions: false, maxKeyBytes: 1024,
};

/** All containers of the account as one store. @throws StoreError */
export async function openWholeAccount({ service, limited, impatient }: OpenedService, signal?: AbortSignal): Promise<ObjectStore> {
  await new RetryService(limited, impatient).containers({ signal });
  return await openAccount(service, { assumed: ASSUMED, signal });
}

export async function createIfMissing(service: ObjectService, name: string, signal?: AbortSignal): Promise<void> {
  try {
    await service.createContainer(name, { signal });
  } catch (error) {
    // Somebody else was faster: it is there.
    if (!isStoreError(error, "exists")) throw error;
  }
}
