// One mount from the moment it answers to its end: what it does, how it is drained, what is left when it cannot be.

import { ControlError, type DrainProgress, type MountStatus, type PendingStatus, type UnmountResult } from "../control/protocol.js";
import type { ReadyConfig } from "../config/config.js";
import { MountError, type FrontEnd } from "../fuse/types.js";
import type { ReadStats } from "../read/types.js";
import type { ByteBudget } from "../util/byteBudget.js";
import type { Clock } from "../util/clock.js";
import type { Logger } from "../util/log.js";
import type { PendingFile, Writes } from "../write/types.js";

const PROGRESS_MS = 500;

export interface SessionParts {
  readonly url: string;
  readonly version: string;
  readonly config: ReadyConfig;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly label: string;
  readonly frontEnd: FrontEnd;
  readonly writes: Writes;
  /** Everything dirty is on the local disk when it resolves. */
  readonly keep: () => Promise<void>;
  readonly readStats: () => ReadStats;
  readonly budget: ByteBudget;
  readonly requests: () => MountStatus["requests"];
  /** Closes everything below the front end, in order. Called once, after the kernel has let go. */
  readonly close: () => Promise<void>;
}

/**
 * | state    | control unmount                    | stop (signal)                  | the kernel lets go |
 * |----------|------------------------------------|--------------------------------|--------------------|
 * | mounted  | sync, unmount; busy -> mounted     | -> draining                    | -> closed          |
 * | draining | sync, unmount once more            | counts as the second signal    | -> closed          |
 * | closed   | answers what was not saved         | nothing                        | -                  |
 */
export class MountSession {
  /** Resolves when everything is closed, with the files that did not get into the store. Never rejects. */
  readonly closed: Promise<readonly PendingStatus[]>;
  readonly #parts: SessionParts;
  readonly #since: number;
  #state: "mounted" | "draining" = "mounted";

  constructor(parts: SessionParts) {
    this.#parts = parts;
    this.#since = parts.clock.now();
    this.closed = this.#untilClosed();
  }

  async #untilClosed(): Promise<readonly PendingStatus[]> {
    const { frontEnd, logger } = this.#parts;
    await frontEnd.closed.catch((error: unknown) => logger.error({ err: error }, "the mount ended with an error"));
    this.#state = "draining";
    await this.#sync();
    const left = this.left();
    try {
      await this.#parts.close();
    } catch (error) {
      logger.error({ err: error }, "closing failed");
    }
    for (const file of left) logger.error({ key: file.key, file: file.file, error: file.error }, "not in the store: the bytes are kept in the staging directory");
    return left;
  }

  /** Files whose bytes are not in the store now. */
  left(): readonly PendingStatus[] {
    return this.#parts.writes.stats().pending.map(pendingStatus);
  }

  /** For an end that waits for nothing else: the mount is out of the tree, and what is dirty is in the staging directory. */
  async abandon(): Promise<readonly PendingStatus[]> {
    const { frontEnd, logger } = this.#parts;
    await frontEnd.unmount({ lazy: true }).catch((error: unknown) => {
      if (!(error instanceof MountError) || error.code !== "not-mounted") logger.error({ err: error }, "the mount cannot be detached");
    });
    await this.#parts.keep();
    return this.left();
  }

  /**
   * Saves everything, then unmounts. Not lazy: resolves after everything is closed. Lazy: resolves once the mount is
   * out of the tree; it is served until its last user has gone.
   * @throws ControlError `busy`: it is in use, and goes on being served
   */
  async unmount(lazy: boolean, progress: (progress: DrainProgress) => void): Promise<UnmountResult> {
    const { frontEnd } = this.#parts;
    await this.#sync(progress);
    try {
      await frontEnd.unmount({ lazy });
    } catch (error) {
      if (error instanceof MountError && error.code === "busy") throw new ControlError("busy", error.message, error);
      if (!(error instanceof MountError) || error.code !== "not-mounted") throw error;
    }
    return { failed: lazy ? this.left() : await this.closed };
  }

  /**
   * For a signal: out of the tree whether in use or not, everything saved, within --drain-timeout. Resolves with what could
   * not be saved; it is in the staging directory then.
   */
  async stop(progress: (progress: DrainProgress) => void): Promise<readonly PendingStatus[]> {
    this.#state = "draining";
    const { drainTimeout } = this.#parts.config;
    if (drainTimeout === 0) return await this.#drain(progress);
    const limit = AbortSignal.timeout(drainTimeout);
    const late = new Promise<void>((resolve) => { limit.addEventListener("abort", () => resolve(), { once: true }); });
    return await Promise.race([this.#drain(progress), late.then(() => this.abandon())]);
  }

  async #drain(progress: (progress: DrainProgress) => void): Promise<readonly PendingStatus[]> {
    const { frontEnd, logger } = this.#parts;
    await this.#sync(progress);
    try {
      await frontEnd.unmount({ lazy: false });
      return await this.closed;
    } catch (error) {
      if (!(error instanceof MountError)) throw error;
      if (error.code === "not-mounted") return await this.closed;
      logger.warn({ mountpoint: frontEnd.mountpoint }, "the mount is still in use: detached, and what its users write from now on is refused");
    }
    await this.abandon();
    // Users with open files keep the kernel from letting go; what they had written by now is saved, and the end of this
    // process ends the rest.
    await this.#sync(progress);
    return await this.abandon();
  }

  status(): MountStatus {
    const { config, frontEnd, budget, writes, logger } = this.#parts;
    const { pending, ...written } = writes.stats();
    return {
      version: this.#parts.version, pid: process.pid, url: this.#parts.url, store: this.#parts.label, mountpoint: frontEnd.mountpoint,
      since: this.#since, state: this.#state, readOnly: config.readOnly, driver: frontEnd.driver, kernelProtocol: frontEnd.kernel?.protocol,
      log: { level: logger.level, file: config.logFile },
      memory: { limit: budget.limit, used: budget.used, peak: budget.peak, resident: process.memoryUsage.rss() },
      reads: this.#parts.readStats(), writes: written, pending: pending.map(pendingStatus), requests: this.#parts.requests(),
      operations: frontEnd.stats().operations,
    };
  }

  /** Waits until nothing is dirty; failures stay in `left`. */
  async #sync(progress?: (progress: DrainProgress) => void): Promise<void> {
    const { writes, logger } = this.#parts;
    const timer = progress === undefined ? undefined : setInterval(() => {
      const { pending, pendingBytes } = writes.stats();
      if (pending.length > 0) progress({ files: pending.length, bytes: pendingBytes, current: pending[0]?.key });
    }, PROGRESS_MS);
    try {
      await writes.sync();
    } catch (error) {
      logger.warn({ err: error }, "not everything could be saved");
    } finally {
      clearInterval(timer);
    }
  }
}

function pendingStatus({ key, state, size, uploaded, since, file, error }: PendingFile): PendingStatus {
  return { key, state, size, uploaded, since, file, error };
}
