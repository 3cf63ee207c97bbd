// What `objmount doctor` looks at. Each check is one line; nothing is changed but a file written and removed in the state
// directory, and nothing secret is read.

import { execFile } from "node:child_process";
import { constants, existsSync } from "node:fs";
import { access, open, statfs, unlink } from "node:fs/promises";
import { release } from "node:os";
import { join } from "node:path";
import type { ReadyConfig } from "../config/config.js";
import type { Facts } from "../config/rules.js";
import { formatBytes } from "../config/values.js";
import { whyNoAddon } from "../fuse/channel.js";
import { childEnvironment } from "../util/childEnvironment.js";
import { makeDirectory } from "../util/directories.js";
import { homeOf } from "../util/home.js";

export interface Check {
  readonly name: string;
  /** "fail" prevents mounting; "warn" may matter; "info" is only told. */
  readonly state: "ok" | "info" | "warn" | "fail";
  readonly text: string;
}

/** Free space below which staging is called tight. */
const TIGHT_BYTES = 2 ** 30;

export async function machineChecks(config: ReadyConfig, facts: Facts): Promise<Check[]> {
  return [
    nodeCheck(), await deviceCheck(), await fusermountCheck(facts.uid), kernelCheck(), addonCheck(),
    allowOtherCheck(facts), await stateCheck(config.stateDir),
    { name: "memory budget", state: "info", text: `${formatBytes(config.memoryLimit)} of ${formatBytes(Math.floor(facts.memory / 2 ** 20) * 2 ** 20)} that this process may use` },
  ];
}

function nodeCheck(): Check {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  const good = (major === 20 && minor >= 19) || (major === 22 && minor >= 12) || major >= 24;
  return { name: "node", state: good ? "ok" : "fail", text: `${process.version}${good ? "" : ": install Node 20.19, 22.12, 24 or later"}` };
}

async function deviceCheck(): Promise<Check> {
  const name = "/dev/fuse";
  try {
    await access(name, constants.R_OK | constants.W_OK);
    // Opening tells more than the mode: in a container the device may be there and forbidden.
    await (await open(name, "r+")).close();
    return { name, state: "ok", text: "can be opened" };
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? String(error);
    const advice = code === "ENOENT" ? "load the module (modprobe fuse), or give the container the device" : "this user may not open it; in a container, allow the device";
    return { name, state: "fail", text: `${code}: ${advice}` };
  }
}

function run(program: string, args: readonly string[]): Promise<string | undefined> {
  return new Promise((resolve) => {
    execFile(program, args, { timeout: 5000, killSignal: "SIGKILL", env: childEnvironment() }, (error, stdout, stderr) => resolve(error === null ? `${stdout}${stderr}`.trim() : undefined));
  });
}

async function fusermountCheck(uid: number): Promise<Check> {
  const version = await run("fusermount3", ["--version"]);
  if (version !== undefined) return { name: "fusermount3", state: "ok", text: version.replace(/^fusermount3 version: /, "") };
  return uid === 0 ? { name: "fusermount3", state: "info", text: "missing; root does not need it" }
    : { name: "fusermount3", state: "fail", text: "missing: install the package fuse3, which users other than root need" };
}

function kernelCheck(): Check {
  const [major = 0, minor = 0] = release().split(".").map(Number);
  const since = (a: number, b: number): boolean => major > a || (major === a && minor >= b);
  if (!since(5, 4)) return { name: "kernel", state: "warn", text: `${release()}: 5.4 or later is wanted` };
  const has = [since(6, 9) ? "passthrough of local files (as root)" : "no passthrough (from 6.9)", since(6, 13) ? "larger requests" : undefined].filter((word) => word !== undefined);
  return { name: "kernel", state: "ok", text: `${release()}: ${has.join(", ")}` };
}

function addonCheck(): Check {
  const why = whyNoAddon();
  return why === undefined ? { name: "native front end", state: "ok", text: "its addon is built" }
    : { name: "native front end", state: "warn", text: `${why}; the fuse-native package is used instead, which is slower` };
}

function allowOtherCheck({ uid, userAllowOther }: Facts): Check {
  const name = "allow-other";
  if (uid === 0) return { name, state: "ok", text: "may be used by root" };
  return userAllowOther ? { name, state: "ok", text: "allowed to users by /etc/fuse.conf" }
    : { name, state: "info", text: "not allowed to users: needs the line user_allow_other in /etc/fuse.conf" };
}

async function stateCheck(directory: string): Promise<Check> {
  const name = "state directory";
  const probe = join(directory, `.doctor-${process.pid}`);
  try {
    await makeDirectory(directory, 0o700);
    await (await open(probe, "wx", 0o600)).close();
    await unlink(probe);
    const { bavail, bsize } = await statfs(directory);
    const free = bavail * bsize;
    return { name, state: free < TIGHT_BYTES ? "warn" : "ok", text: `${directory}, ${(free / 2 ** 30).toFixed(1)} GiB free${free < TIGHT_BYTES ? ": files being written are staged there; name a larger place with --staging-dir" : ""}` };
  } catch (error) {
    return { name, state: "fail", text: `${directory} cannot be written (${(error as NodeJS.ErrnoException).code ?? String(error)}): name another with --state-dir` };
  }
}

/** Variables and files in which the vendor's chain finds credentials; their names, never their values. */
const CREDENTIAL_SOURCES: Readonly<Record<string, { readonly variables: readonly string[]; readonly files: readonly [variable: string, fallback: string][] }>> = {
  s3: {
    variables: ["OBJMOUNT_S3_ACCESS_KEY_ID", "OBJMOUNT_ACCESS_KEY_ID", "AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE",
      "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"],
    files: [["AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials"], ["AWS_CONFIG_FILE", ".aws/config"]],
  },
};

export function credentialCheck(scheme: string, backend: Readonly<Record<string, unknown>>, environment: NodeJS.ProcessEnv): Check | undefined {
  const sources = CREDENTIAL_SOURCES[scheme];
  if (sources === undefined) return undefined;
  const name = "credentials";
  if (backend["anonymous"] === true) return { name, state: "info", text: "none are used (--anonymous)" };
  const found = [
    ...(backend["access-key-id"] === undefined ? [] : ["the options"]),
    ...sources.variables.filter((variable) => (environment[variable] ?? "") !== ""),
    ...sources.files.map(([variable, fallback]) => environment[variable] ?? join(homeOf(environment), fallback)).filter((file) => existsSync(file)),
  ];
  return found.length === 0 ? { name, state: "warn", text: "none in the environment or in files; only the machine's own role is left" }
    : { name, state: "ok", text: `found in ${[...new Set(found)].join(", ")}` };
}

/** Signed requests are refused when the clocks differ by more than this at most services. */
const SKEW_LIMIT_MS = 5 * 60_000;

/** Asks the endpoint for its Date (RFC 9110 6.6.1). */
export async function clockCheck(endpoint: string): Promise<Check> {
  const name = "clock";
  try {
    const before = Date.now();
    const answer = await fetch(endpoint, { method: "HEAD", redirect: "manual", signal: AbortSignal.timeout(10_000) });
    const theirs = Date.parse(answer.headers.get("date") ?? "");
    if (Number.isNaN(theirs)) return { name, state: "info", text: "the server tells no date" };
    // The header counts whole seconds, the answer took some of them.
    const skew = theirs < before - 1000 ? before - theirs : theirs > Date.now() + 1000 ? theirs - Date.now() : 0;
    if (skew < SKEW_LIMIT_MS) return { name, state: "ok", text: skew === 0 ? "agrees with the server's" : `${Math.round(skew / 1000)} s from the server's` };
    return { name, state: "fail", text: `${Math.round(skew / 1000)} s from the server's, which refuses signed requests then: set this machine's clock` };
  } catch (error) {
    const cause = (error as { cause?: NodeJS.ErrnoException }).cause;
    return { name, state: "info", text: `not checked: ${endpoint} does not answer (${cause?.code ?? (error instanceof Error ? error.message : String(error))})` };
  }
}
