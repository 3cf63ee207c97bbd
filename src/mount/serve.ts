// A daemon's life: mount, say so, serve, drain, end.

import { connectOrClean, ensureRuntimeDirectory, socketPath } from "../control/directory.js";
import { ControlError, type PendingStatus } from "../control/protocol.js";
import { ControlServer } from "../control/server.js";
import { sendDatagram, whyNoAddon } from "../fuse/channel.js";
import { createLogger, LOG_LEVELS, setLogLevel, type LogLevel, type Logger } from "../util/log.js";
import { systemClock } from "../util/clock.js";
import { MountFailure, toFailure } from "./failure.js";
import { mountStore, type MountRequest } from "./mountStore.js";
import { detachMount, prepareMountpoint, probeMount } from "./mountpoint.js";
import { ServiceNotifier } from "./notify.js";
import type { MountSession } from "./session.js";

/** While it drains, the service manager is asked for this much more time, over and over. */
const EXTEND_MS = 60_000;
const EXTEND_EVERY_MS = 15_000;
/** The same signal again within this time is the same wish. */
const ECHO_MS = 500;

export interface ServeRequest extends Omit<MountRequest, "logger" | "clock" | "signal"> {
  readonly environment: NodeJS.ProcessEnv;
  readonly runtimeDirectory: string;
  /** A line for the person who waits: something was put right on the way. */
  readonly note: (text: string) => Promise<void>;
  /** Called once the mount answers. */
  readonly ready: () => Promise<void>;
}

/** @returns how it ended. @throws MountFailure when the mount could not be made */
export async function serve(request: ServeRequest): Promise<"ok" | "unsaved"> {
  const { config, mountpoint } = request;
  const logger = createLogger({ level: config.logLevel, file: config.logFile, format: config.logFormat });
  const notifier = new ServiceNotifier({ environment: request.environment, logger, send: whyNoAddon() === undefined ? sendDatagram : undefined });
  // A first signal while the store is still being opened gives up; later it drains.
  const opening = new AbortController();
  const signals = new Signals(() => opening.abort(new MountFailure("timeout", "Interrupted before the mount answered.")));
  try {
    for (const note of await prepareMountpoint(mountpoint)) {
      logger.info(note);
      await request.note(note);
    }
    await claim(request);
    const session = await start(request, logger, opening.signal);
    return await live(request, session, logger, notifier, signals);
  } finally {
    signals.dispose();
    await flush(logger);
  }
}

/** The runtime directory is ours, and no daemon serves this mountpoint. */
async function claim({ runtimeDirectory, mountpoint }: ServeRequest): Promise<void> {
  try {
    await ensureRuntimeDirectory(runtimeDirectory);
    const other = await connectOrClean(socketPath(runtimeDirectory, mountpoint));
    if (other === undefined) return;
    other.close();
    throw new MountFailure("already-mounted", `Process ${other.greeting.pid} still serves a mount that was on ${mountpoint}: wait until it has ended ("objmount status").`);
  } catch (error) {
    if (error instanceof ControlError && error.code === "silent") throw new MountFailure("already-mounted", error.message, error);
    if (error instanceof ControlError || (error as NodeJS.ErrnoException).code !== undefined) {
      const { code } = error as NodeJS.ErrnoException;
      throw new MountFailure("state-directory", error instanceof ControlError ? error.message
        : `The runtime directory ${runtimeDirectory} cannot be made or used (${String(code)}): name another with --runtime-dir.`, error);
    }
    throw error;
  }
}

async function start(request: ServeRequest, logger: Logger, interrupted: AbortSignal): Promise<MountSession> {
  const { config, url, mountpoint } = request;
  const late = AbortSignal.timeout(config.mountTimeout);
  const signal = AbortSignal.any([late, interrupted]);
  try {
    const session = await mountStore({ ...request, logger, clock: systemClock, signal });
    const answer = await probeMount(mountpoint, config.mountTimeout);
    if (answer !== "alive") {
      await detachMount(mountpoint);
      throw new MountFailure("mount-refused", `${url} was mounted on ${mountpoint}, but the mount does not answer (${answer}): it was taken away again.`);
    }
    return session;
  } catch (error) {
    if (interrupted.aborted) throw interrupted.reason;
    if (late.aborted) throw new MountFailure("timeout", `${url} did not answer within --mount-timeout (${config.mountTimeout / 1000} s): check the endpoint and the network.`, error);
    throw toFailure(error, `mounting ${url}`);
  }
}

async function live(request: ServeRequest, session: MountSession, logger: Logger, notifier: ServiceNotifier, signals: Signals): Promise<"ok" | "unsaved"> {
  const { url, mountpoint } = request;
  const control = new ControlServer({
    path: socketPath(request.runtimeDirectory, mountpoint), version: request.version, logger,
    handlers: {
      status: async () => session.status(),
      unmount: async ({ lazy }, event) => await session.unmount(lazy, event),
      "log-level": async ({ level }) => {
        if (!(LOG_LEVELS as readonly string[]).includes(level)) throw new ControlError("invalid", `"${level}" is no log level.`);
        setLogLevel(logger, level as LogLevel);
        return { level };
      },
    },
  });
  await control.listen();
  logger.info({ url, mountpoint, driver: session.status().driver }, "mounted");

  let left: readonly PendingStatus[] | undefined;
  const stopped = new Promise<void>((resolve) => {
    signals.first = (signal) => {
      logger.info({ signal }, "draining");
      void drain(session, notifier, mountpoint).then((found) => { left = found; resolve(); }, (error: unknown) => {
        logger.error({ err: error }, "draining failed");
        left = session.left();
        resolve();
      });
    };
    signals.second = () => { void abandon(request, session, logger); };
  });
  signals.replay();

  await request.ready();
  await notifier.ready(`${url} on ${mountpoint}`);
  notifier.startWatchdog(async () => await probeMount(mountpoint) === "alive");

  await Promise.race([stopped, session.closed.then((found) => { left ??= found; })]);
  notifier.stopWatchdog();
  await notifier.stopping("closing");
  await control.close();
  logger.info({ unsaved: left?.length ?? 0 }, "unmounted");
  return (left?.length ?? 0) === 0 ? "ok" : "unsaved";
}

async function drain(session: MountSession, notifier: ServiceNotifier, mountpoint: string): Promise<readonly PendingStatus[]> {
  notifier.stopWatchdog();
  await notifier.stopping(`saving what was written to ${mountpoint}`);
  const more = (): void => { void notifier.extend(EXTEND_MS); };
  more();
  const timer = setInterval(more, EXTEND_EVERY_MS);
  let last = 0;
  try {
    return await session.stop(({ files, bytes }) => {
      if (Date.now() - last < 2000) return;
      last = Date.now();
      void notifier.status(`saving ${files} files, ${bytes} bytes to go`);
    });
  } finally {
    clearInterval(timer);
  }
}

/** The second signal: says what is left, and goes. */
async function abandon({ note }: ServeRequest, session: MountSession, logger: Logger): Promise<void> {
  const left = await session.abandon();
  for (const file of left) {
    const text = `"${file.key}" is not in the store; its bytes are in ${file.file}`;
    logger.error(text);
    await note(text);
  }
  await note(left.length === 0 ? "ended at once" : `ended at once, with ${left.length} unsaved file${left.length === 1 ? "" : "s"}`);
  await flush(logger);
  process.exit(130);
}

function flush(logger: Logger): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, 2000).unref();
    logger.flush(() => resolve());
  });
}

/** SIGINT and SIGTERM, told apart by their order. What came before anybody listened is kept. */
class Signals {
  first: ((signal: NodeJS.Signals) => void) | undefined;
  second: (() => void) | undefined;
  readonly #early: () => void;
  readonly #received: NodeJS.Signals[] = [];
  #last = -Infinity;
  readonly #take = (signal: NodeJS.Signals): void => {
    // A terminal signals the whole group, and npm passes on what it gets: one Ctrl-C may arrive twice.
    const echo = this.#received.at(-1) === signal && performance.now() - this.#last < ECHO_MS;
    this.#last = performance.now();
    if (echo) return;
    this.#received.push(signal);
    if (this.first === undefined) this.#early();
    else if (this.#received.length === 1) this.first(signal);
    else this.second?.();
  };

  constructor(early: () => void) {
    this.#early = early;
    process.on("SIGINT", this.#take).on("SIGTERM", this.#take);
    // A terminal that goes away is not the end of a mount.
    process.on("SIGHUP", ignore);
  }

  /** Hands over a signal that arrived between the store's answer and the first listener. */
  replay(): void {
    const signal = this.#received[0];
    if (signal !== undefined) this.first?.(signal);
  }

  dispose(): void {
    process.off("SIGINT", this.#take).off("SIGTERM", this.#take).off("SIGHUP", ignore);
  }
}

function ignore(): void {}
