// The composition root: every part of a mount is made here, from the store up to the kernel, and closed in the opposite order.

import { join } from "node:path";
import type { ReadyConfig } from "../config/config.js";
import { mountId } from "../config/rules.js";
import type { OptionValue } from "../config/values.js";
import type { RequestCounts } from "../control/protocol.js";
import { ObjectFilesystem } from "../fs/objectFilesystem.js";
import { mountFilesystem } from "../fuse/driver.js";
import { CachedReads } from "../read/cachedReads.js";
import type { ObjectStore } from "../store/objectStore.js";
import { LATENCY_BOUNDS, type CallStats, type StoreMetrics } from "../store/observe.js";
import { PrefixStore } from "../store/prefix.js";
import { ByteBudget } from "../util/byteBudget.js";
import type { Clock } from "../util/clock.js";
import type { Logger } from "../util/log.js";
import { StagedWrites } from "../write/stagedWrites.js";
import { openContainer, openWholeAccount, openWrappedService, type OpenedService } from "./openStore.js";
import { MountSession } from "./session.js";
import { makeDirectory } from "../util/directories.js";

export interface MountRequest {
  readonly url: string;
  /** Absolute, looked at by prepareMountpoint. */
  readonly mountpoint: string;
  readonly config: ReadyConfig;
  readonly backend: Readonly<Record<string, OptionValue>>;
  /** "nosuid", "nodev", "noexec", "noatime". */
  readonly mountFlags: readonly string[];
  readonly version: string;
  readonly logger: Logger;
  readonly clock: Clock;
  /** Gives up while the store is being opened. */
  readonly signal: AbortSignal;
}

/** Resolves when the kernel has agreed to the mount. @throws StoreError, MountError; nothing is left open or mounted then */
export async function mountStore(request: MountRequest): Promise<MountSession> {
  const { config, logger, clock, signal } = request;
  const closing: (() => Promise<unknown>)[] = [];
  const close = async (): Promise<void> => {
    for (const step of closing.reverse().splice(0)) await step().catch((error: unknown) => logger.error({ err: error }, "a part of the mount did not close"));
  };
  try {
    const opened = await openWrappedService(request);
    closing.push(() => opened.service.close());
    const store = await openStore(opened, config, signal);
    closing.push(() => store.close());

    const budget = new ByteBudget(config.memoryLimit);
    const reads = new CachedReads({ store, budget, logger, clock, options: { maxWindow: config.maxWindow, mountRanges: config.readConcurrency } });
    closing.push(() => reads.close());
    const writes = new StagedWrites({
      store, directory: config.stagingDir, budget, logger, clock,
      options: { partSize: config.partSize, totalConcurrency: config.uploadConcurrency, onConflict: config.onConflict },
      // Unchanged bytes of a file being written come through the block cache.
      openBase: (version) => {
        const handle = reads.open(version);
        return { etag: version.etag, size: version.size, read: (offset, length, abort) => handle.read(offset, length, abort), close: () => handle.close() };
      },
    });
    await writes.open();
    closing.push(() => writes.close());
    for (const left of await writes.leftBehind()) {
      logger.warn({ key: left.key, data: left.data, bytes: left.bytes }, "an earlier daemon left bytes that never got into the store: they are kept in the staging directory");
    }

    const filesystem = new ObjectFilesystem({ store, reads, writes, logger, clock, options: await filesystemOptions(request) });
    const frontEnd = await mountFilesystem(config.driver, filesystem, {
      mountpoint: request.mountpoint, fsname: config.fsname ?? request.url, readOnly: config.readOnly, allowOther: config.allowOther,
      suid: !request.mountFlags.includes("nosuid"), dev: !request.mountFlags.includes("nodev"),
      exec: !request.mountFlags.includes("noexec"), atime: !request.mountFlags.includes("noatime"),
      logger, wireLog: config.debugFuse ? (line) => logger.info(line) : undefined,
    });
    return new MountSession({
      url: request.url, version: request.version, config, logger, clock, label: store.label, frontEnd, writes, budget, close, keep: () => writes.keep(),
      readStats: () => reads.stats(), requests: () => requestCounts(opened.metrics),
    });
  } catch (error) {
    await close();
    throw error;
  }
}

/** The container below the URL's prefix; without a container, all of them as directories. */
async function openStore(opened: OpenedService, config: ReadyConfig, signal: AbortSignal): Promise<ObjectStore> {
  const { container, prefix } = opened.parsed;
  if (container === undefined) return await openWholeAccount(opened, signal);
  const store = await openContainer(opened, container, config.createContainer, signal);
  return prefix === "" ? store : new PrefixStore(store, prefix);
}

async function filesystemOptions({ url, mountpoint, config }: MountRequest): Promise<ConstructorParameters<typeof ObjectFilesystem>[0]["options"]> {
  const remembered = join(config.stateDir, "attributes");
  await makeDirectory(remembered, 0o700);
  return {
    uid: config.uid, gid: config.gid, umask: config.umask, fileMode: config.fileMode, dirMode: config.dirMode, readOnly: config.readOnly,
    entryTimeoutMs: config.entryTimeout, attributesTimeoutMs: config.attrTimeout, negativeTimeoutMs: config.negativeTimeout,
    listingTtlMs: config.listTtl, attributes: config.attributes, attributeFile: join(remembered, `${mountId(url, mountpoint)}.log`),
  };
}

function requestCounts(metrics: StoreMetrics): Record<string, RequestCounts> {
  return Object.fromEntries(Object.entries(metrics.snapshot()).map(([name, { count, errors, sent, received, latency }]) =>
    [name, { count, errors: errors as Record<string, number>, sent, received, medianMs: median(latency) }]));
}

/** The upper bound of the class in which the middle one lies; above the last bound, the last bound. */
function median(latency: CallStats["latency"]): number | undefined {
  const half = latency.reduce((sum, count) => sum + count, 0) / 2;
  if (half === 0) return undefined;
  let seen = 0;
  const at = latency.findIndex((count) => (seen += count) >= half);
  return LATENCY_BOUNDS[Math.min(at, LATENCY_BOUNDS.length - 1)];
}
