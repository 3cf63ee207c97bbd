// The service protocol of sd_notify(3): one datagram per state to the socket in $NOTIFY_SOCKET. Node has no unix
// datagrams, so they are sent by whoever can: an injected sender (the addon), else systemd-notify(1), which is where
// systemd is. The unit says NotifyAccess=all for it. Nothing happens, and nothing fails, where no socket is named.

import { execFile } from "node:child_process";
import { childEnvironment } from "../util/childEnvironment.js";
import type { Logger } from "../util/log.js";

/** Sends one datagram; throws when it cannot. `path` as in the variable: "@" in front means the abstract name space. */
export type DatagramSender = (path: string, data: Buffer) => void;

/** WATCHDOG_USEC of sd_watchdog_enabled(3) as the period to answer in, milliseconds; undefined when none is wanted of us. */
export function watchdogPeriod(environment: NodeJS.ProcessEnv, pid: number): number | undefined {
  const microseconds = Number(environment["WATCHDOG_USEC"]);
  const forPid = environment["WATCHDOG_PID"];
  if (!Number.isSafeInteger(microseconds) || microseconds <= 0) return undefined;
  if (forPid !== undefined && forPid !== "" && Number(forPid) !== pid) return undefined;
  return Math.max(1, Math.floor(microseconds / 2000));
}

export interface NotifierOptions {
  readonly environment: NodeJS.ProcessEnv;
  readonly logger: Logger;
  readonly send?: DatagramSender | undefined;
}

export class ServiceNotifier {
  readonly #socket: string | undefined;
  readonly #options: NotifierOptions;
  #watchdog: NodeJS.Timeout | undefined;
  /** systemd-notify runs one after the other, so that states arrive in order. */
  #queue: Promise<void> = Promise.resolve();
  #warned = false;

  constructor(options: NotifierOptions) {
    const socket = options.environment["NOTIFY_SOCKET"];
    this.#socket = socket === undefined || socket === "" ? undefined : socket;
    this.#options = options;
  }

  ready(status: string): Promise<void> {
    return this.#notify(["READY=1", `MAINPID=${process.pid}`, `STATUS=${status}`]);
  }

  status(text: string): Promise<void> {
    return this.#notify([`STATUS=${text}`]);
  }

  stopping(status: string): Promise<void> {
    return this.#notify(["STOPPING=1", `STATUS=${status}`]);
  }

  /** The stop may take this much longer from now. */
  extend(milliseconds: number): Promise<void> {
    return this.#notify([`EXTEND_TIMEOUT_USEC=${milliseconds * 1000}`]);
  }

  /** Answers the watchdog as long as `alive` says yes. */
  startWatchdog(alive: () => Promise<boolean>): void {
    const period = this.#socket === undefined ? undefined : watchdogPeriod(this.#options.environment, process.pid);
    if (period === undefined) return;
    this.#watchdog = setInterval(() => {
      void alive().then((yes) => yes ? this.#notify(["WATCHDOG=1"]) : undefined, () => undefined);
    }, period);
    this.#watchdog.unref();
  }

  stopWatchdog(): void {
    clearInterval(this.#watchdog);
  }

  #notify(lines: readonly string[]): Promise<void> {
    const socket = this.#socket;
    if (socket === undefined) return Promise.resolve();
    this.#queue = this.#queue.then(() => this.#send(socket, lines)).catch((error: unknown) => {
      if (!this.#warned) this.#options.logger.warn({ err: error }, "the service manager could not be told the state");
      this.#warned = true;
    });
    return this.#queue;
  }

  async #send(socket: string, lines: readonly string[]): Promise<void> {
    if (this.#options.send !== undefined) {
      this.#options.send(socket, Buffer.from(lines.join("\n")));
      return;
    }
    await new Promise<void>((resolve, reject) => {
      execFile("systemd-notify", [...lines], { env: childEnvironment({ NOTIFY_SOCKET: socket }), timeout: 10_000 },
        (error) => { if (error === null) resolve(); else reject(error); });
    });
  }
}
