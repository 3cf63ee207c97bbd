// What every command begins with: the options, the environment, the place of the control sockets.

import { BACKEND_ROWS } from "../config/backendTables.js";
import { resolveOptions, type Resolved } from "../config/resolve.js";
import { defaultRuntimeDirectory, runtimeDirectories } from "../control/directory.js";
import { MountFailure } from "../mount/failure.js";
import type { Invocation } from "./arguments.js";

/** Refuses a URL that carries a password or a token: every user could read it in ps(1) and in fstab. */
export function refuseCredentials(url: string): void {
  if (/^[^/]*:\/\/[^/?#]*@/.test(url) || /[?&](?:[a-z-]*signature|[a-z-]*token|[a-z-]*secret[a-z-]*|sig|password|accesskey)=/i.test(url)) {
    throw new MountFailure("url", "The URL carries credentials, which every user could read in ps and fstab: give them in the environment, in the configuration file or in the vendor's own files (docs/OPTIONS.md), and change these.");
  }
}

/** Reads all sources; the environment of this process gets what --env-file adds, for the vendors' credential chains. */
export async function resolveInvocation(invocation: Invocation, url: string | undefined): Promise<Resolved> {
  if (url !== undefined) refuseCredentials(url);
  const resolved = await resolveOptions({ url, flags: invocation.flags, mountOptions: invocation.mountOptions, environment: process.env }, BACKEND_ROWS);
  Object.assign(process.env, resolved.environment);
  return resolved;
}

export function ownRuntimeDirectory(chosen: string | undefined): string {
  return chosen ?? defaultRuntimeDirectory(process.geteuid?.() ?? 0, process.env);
}

/** The directories in which a mount's socket may be; a named one is the only one. */
export async function searchDirectories(invocation: Invocation): Promise<string[]> {
  const { config } = await resolveInvocation(invocation, undefined);
  if (config.runtimeDir !== undefined) return [config.runtimeDir];
  return await runtimeDirectories(ownRuntimeDirectory(undefined), process.geteuid?.() ?? 0);
}
