// Run by `npm install`: builds the addon where it can be built. Never fails an installation: without the addon the
// second front end serves the mount, and one sentence says so. Nothing is built again while the sources are unchanged.

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { delimiter, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const HERE = dirname(fileURLToPath(import.meta.url));
const BUILD = join(HERE, "build");
const ADDON = join(BUILD, "Release", "objmount_fuse.node");
/** What the last attempt came to: `{hash}` of a good build, or `{hash, why}`. Read by src/fuse/channel.ts as well. */
const STATUS = join(BUILD, "status.json");
const ROOT = dirname(HERE);
/** Where the second front end's package is put when npm has left it out. Read by src/fuse/libfuse.ts as well. */
const SECOND = join(BUILD, "fuse-native");

/** Why the addon cannot be used here, in one clause; undefined when it is built. */
export function whyUnavailable() {
  if (process.platform !== "linux") return `the kernel channel of ${process.platform} is not /dev/fuse`;
  if (existsSync(ADDON)) return undefined;
  return readStatus().why ?? "its addon was not built (npm install builds it)";
}

function readStatus() {
  try {
    return JSON.parse(readFileSync(STATUS, "utf8"));
  } catch {
    return {};
  }
}

/** Changes with every source and with what they are compiled for. Node-API is the same in all versions of Node: one build serves them. */
function sourceHash() {
  const hash = createHash("sha256").update(`${process.platform} ${process.arch}\n`);
  for (const name of readdirSync(HERE).toSorted()) {
    if (/\.(?:c|h|gyp)$/.test(name)) hash.update(`${name}\n`).update(readFileSync(join(HERE, name)));
  }
  return hash.digest("hex");
}

function onPath(name) {
  return (process.env["PATH"] ?? "").split(delimiter).map((folder) => join(folder, name)).find((file) => existsSync(file));
}

/** The folder above include/node of this very node, or undefined: node-gyp then fetches the headers by itself. */
function localHeaders() {
  const prefix = resolve(process.execPath, "../..");
  return existsSync(join(prefix, "include/node/node_api.h")) ? prefix : undefined;
}

function nodeGyp() {
  const candidates = [process.env["npm_config_node_gyp"], resolve(process.execPath, "../../lib/node_modules/npm/node_modules/node-gyp/bin/node-gyp.js")];
  const script = candidates.find((file) => file !== undefined && existsSync(file));
  if (script !== undefined) return [process.execPath, script];
  const command = onPath("node-gyp");
  return command === undefined ? undefined : [command];
}

function run(command, args, log, cwd = HERE) {
  const result = spawnSync(command, args, { cwd, encoding: "utf8", timeout: 300_000 });
  log.push(`$ ${[command, ...args].join(" ")}`, result.stdout ?? "", result.stderr ?? "", result.error?.message ?? "");
  return result.status === 0 && existsSync(ADDON);
}

/** A compiler and headers are enough for these few files, where node-gyp lacks its Python or make. */
function compileDirectly(compiler, headers, log) {
  mkdirSync(dirname(ADDON), { recursive: true });
  const sources = readdirSync(HERE).filter((name) => name.endsWith(".c"));
  return run(compiler, ["-std=gnu11", "-O2", "-fPIC", "-shared", "-pthread", "-DNAPI_VERSION=8", "-D_GNU_SOURCE",
    `-DNODE_GYP_MODULE_NAME=objmount_fuse`, `-I${join(headers, "include/node")}`, "-o", ADDON, ...sources], log);
}

/** @returns undefined, or the clause that says why there is no addon. */
function build(log) {
  if (process.platform !== "linux") return whyUnavailable();
  const compiler = [process.env["CC"], "cc", "gcc", "clang"].find((name) => name !== undefined && name !== "" && onPath(name) !== undefined);
  if (compiler === undefined) return "no C compiler was found when it was installed (install gcc, then run npm install)";
  const gyp = nodeGyp();
  const headers = localHeaders();
  rmSync(BUILD, { recursive: true, force: true });
  if (gyp !== undefined) {
    const [command, ...first] = gyp;
    const args = [...first, "rebuild", "--silent", ...(headers === undefined ? [] : [`--nodedir=${headers}`])];
    if (run(command, args, log)) return undefined;
  }
  if (headers !== undefined && compileDirectly(compiler, headers, log)) return undefined;
  if (gyp === undefined && headers === undefined) return "neither node-gyp nor Node's C headers were found when it was installed";
  return `its addon did not compile (${join(BUILD, "build.log")} tells more)`;
}

function hasFuseNative() {
  return [ROOT, SECOND].some((folder) => existsSync(join(folder, "node_modules/fuse-native/package.json")));
}

/**
 * fuse-native comes with a binary and with the libfuse.so.2 that it needs, but its install script tries the binary without the
 * library, finds no compiler to make another, and npm then leaves the whole package out. Fetched without its scripts it
 * works. @returns undefined, or the clause that says why it is not there.
 */
function fetchFuseNative(log) {
  if (hasFuseNative()) return undefined;
  // The only processor that the package has a binary for.
  if (process.platform !== "linux" || process.arch !== "x64") return `the package fuse-native has no binary for ${process.platform} on ${process.arch}`;
  const npm = process.env["npm_execpath"];
  if (npm === undefined || /(?:^|,)optional/.test(process.env["npm_config_omit"] ?? "")) return "the package fuse-native was left out";
  const lock = JSON.parse(readFileSync(join(ROOT, "package-lock.json"), "utf8"));
  mkdirSync(SECOND, { recursive: true });
  writeFileSync(join(SECOND, "package.json"), `${JSON.stringify({ private: true, dependencies: { "fuse-native": lock.packages["node_modules/fuse-native"].version } })}\n`);
  // npm has it in its cache from a moment ago.
  run(process.execPath, [npm, "install", "--ignore-scripts", "--prefer-offline", "--no-package-lock", "--no-audit", "--no-fund"], log, SECOND);
  return hasFuseNative() ? undefined : `the package fuse-native could not be fetched (${join(BUILD, "build.log")} tells more)`;
}

export function install() {
  const hash = sourceHash();
  const before = readStatus();
  if (before.hash === hash && before.why === undefined && existsSync(ADDON)) return;
  const log = [];
  let why;
  try {
    why = build(log);
  } catch (error) {
    why = `its addon could not be built: ${error instanceof Error ? error.message : String(error)}`;
  }
  let second;
  try {
    if (why !== undefined) second = fetchFuseNative(log);
  } catch (error) {
    second = `the package fuse-native could not be fetched: ${error instanceof Error ? error.message : String(error)}`;
  }
  try {
    mkdirSync(BUILD, { recursive: true });
    writeFileSync(join(BUILD, "build.log"), log.join("\n"));
    writeFileSync(STATUS, `${JSON.stringify({ hash, ...(why === undefined ? {} : { why }) })}\n`);
  } catch (error) {
    why ??= `its build folder cannot be written: ${error instanceof Error ? error.message : String(error)}`;
  }
  console.log(why === undefined
    ? "objmount: the native front end was built; mounts use it."
    : second === undefined ? `objmount: mounts will use the fuse-native package, because ${why}.`
      : `objmount: nothing can be mounted yet, because ${why}, and ${second}.`);
}

if (process.argv[1] !== undefined && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) install();
