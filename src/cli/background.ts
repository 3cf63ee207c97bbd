// Going to the background: the command starts itself once more, detached, and waits until that process says over a pipe
// that the mount answers, or why it does not. The child's standard error goes to its log file, so that even a crash of
// Node itself is kept.

import { spawn, type ChildProcess } from "node:child_process";
import { open } from "node:fs/promises";
import type { ReadyConfig } from "../config/config.js";
import { MountFailure, type FailureKind } from "../mount/failure.js";
import { say } from "./output.js";

const VARIABLE = "OBJMOUNT_BACKGROUND";
/** How much longer than its own limit the child is waited for. */
const GRACE_MS = 15_000;

type Report =
  | { readonly type: "note"; readonly text: string }
  | { readonly type: "ready" }
  | { readonly type: "failed"; readonly kind: FailureKind; readonly message: string };

/** True in the process that is to become the daemon. */
export function isBackgroundChild(): boolean {
  return process.env[VARIABLE] === "1" && process.send !== undefined;
}

/** In the child: tells the waiting command, and after the last word lets go of it. A command that is gone is no error. */
export async function report(message: Report): Promise<void> {
  if (!isBackgroundChild()) return;
  await new Promise<void>((resolve) => { process.send?.(message, undefined, undefined, () => resolve()); });
  if (message.type !== "note" && process.connected) {
    process.disconnect();
    delete process.env[VARIABLE];
  }
}

/** In the command: starts the daemon and waits for its word. @throws MountFailure with the daemon's first error */
export async function startInBackground(config: ReadyConfig): Promise<void> {
  const log = await open(config.logFile as string, "a", 0o600);
  const [script, ...args] = process.argv.slice(1);
  const child = spawn(process.execPath, [...process.execArgv, script as string, ...args], {
    detached: true, stdio: ["ignore", log.fd, log.fd, "ipc"], env: { ...process.env, [VARIABLE]: "1" },
  });
  const interrupt = (signal: NodeJS.Signals): void => { child.kill(signal); };
  process.on("SIGINT", interrupt).on("SIGTERM", interrupt);
  try {
    await outcome(child, config);
  } finally {
    process.off("SIGINT", interrupt).off("SIGTERM", interrupt);
    await log.close();
    if (child.connected) child.disconnect();
    child.unref();
  }
}

function outcome(child: ChildProcess, config: ReadyConfig): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      child.kill("SIGKILL");
      reject(new MountFailure("timeout", `The mount did not answer within --mount-timeout; ${config.logFile as string} may tell why.`));
    }, config.mountTimeout + GRACE_MS);
    const end = (failure?: MountFailure): void => {
      clearTimeout(timer);
      if (failure === undefined) resolve(); else reject(failure);
    };
    child.on("message", (message) => {
      const word = message as Report;
      if (word.type === "note") void say(word.text);
      else if (word.type === "ready") end();
      else end(new MountFailure(word.kind, word.message));
    });
    child.on("error", (error) => end(new MountFailure("unexpected", `The daemon could not be started: ${error.message}.`, error)));
    // "close" comes after the last message was read, "exit" may come before.
    child.on("close", (code, signal) => {
      end(new MountFailure("unexpected", `The daemon ended (${signal ?? `code ${String(code)}`}) before the mount answered; ${config.logFile as string} tells more.`));
    });
  });
}
