import { derive, reject } from "../config/rules.js";
import { gatherFacts } from "../config/facts.js";
import type { ReadyConfig } from "../config/config.js";
import type { Resolved } from "../config/resolve.js";
import { MountFailure, toFailure } from "../mount/failure.js";
import { resolveMountpoint } from "../mount/mountpoint.js";
import { serve } from "../mount/serve.js";
import { ensureStateDirectories } from "../mount/stateDirectory.js";
import type { Invocation } from "./arguments.js";
import { isBackgroundChild, report, startInBackground } from "./background.js";
import { ownRuntimeDirectory, resolveInvocation } from "./context.js";
import type { ExitName } from "./exitCodes.js";
import { say } from "./output.js";
import { VERSION } from "./version.js";

const SCHEME = /^[a-z][a-z0-9+.-]*:\/\//i;

export interface Prepared {
  readonly url: string;
  readonly mountpoint: string;
  readonly resolved: Resolved;
  readonly config: ReadyConfig;
}

/** Options, rules and places, before anything is done. @throws ConfigError, MountFailure */
export async function prepare(invocation: Invocation, url: string, directory: string, foreground: boolean): Promise<Prepared> {
  if (!SCHEME.test(url) && SCHEME.test(directory)) {
    throw new MountFailure("usage", `The URL comes first: objmount mount ${directory} ${url}.`);
  }
  const resolved = await resolveInvocation(invocation, url);
  const mountpoint = await resolveMountpoint(directory);
  const facts = await gatherFacts(url, mountpoint, process.env);
  const wanted = { ...resolved.config, foreground: resolved.config.foreground || foreground };
  const contradictions = reject(wanted, facts);
  if (contradictions.length > 0) throw new MountFailure("usage", contradictions.join(" "));
  const config = derive(wanted, facts);
  await ensureStateDirectories(config);
  return { url, mountpoint, resolved, config };
}

export async function mountCommand(invocation: Invocation): Promise<ExitName> {
  const { url, dir } = invocation.positional as { url: string; dir: string };
  const prepared = await prepare(invocation, url, dir, false);
  if (prepared.config.foreground || isBackgroundChild()) return await runDaemon(prepared);
  await startInBackground(prepared.config);
  return "ok";
}

/** Serves the mount until it ends. `mounted` is called once it answers. */
export async function runDaemon(prepared: Prepared, mounted?: () => Promise<void>): Promise<ExitName> {
  const background = isBackgroundChild();
  const { url, mountpoint, resolved, config } = prepared;
  // A daemon holds no directory but its own.
  process.chdir("/");
  try {
    return await serve({
      url, mountpoint, config, backend: resolved.backend, mountFlags: resolved.mountFlags, environment: resolved.environment, version: VERSION,
      runtimeDirectory: ownRuntimeDirectory(config.runtimeDir),
      note: (text) => background ? report({ type: "note", text }) : say(text),
      ready: async () => {
        await report({ type: "ready" });
        await mounted?.();
      },
    });
  } catch (error) {
    if (!background || !process.connected) throw error;
    const failure = toFailure(error, `mounting ${url}`);
    await report({ type: "failed", kind: failure.kind, message: failure.message });
    return failure.kind;
  }
}
