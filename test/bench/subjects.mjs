// What is measured: objmount with both front ends, rclone mount and s3fs (Debian's packages). Each subject mounts one
// bucket on a directory, and tells its process id so that memory and processor time can be read.

import { execFile, spawn } from "node:child_process";
import { accessSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";

const exec = promisify(execFile);
const ROOT = resolve(import.meta.dirname, "../..");

function onPath(tool) {
  return (process.env.PATH ?? "").split(":").some((folder) => { try { accessSync(join(folder, tool)); return true; } catch { return false; } });
}

const mounted = (directory) => readFileSync("/proc/self/mountinfo", "utf8").split("\n").some((line) => line.split(" ")[4] === directory);

async function until(what, condition, limit = 30_000) {
  const end = Date.now() + limit;
  while (!condition()) {
    if (Date.now() > end) throw new Error(`${what} did not happen in ${limit} ms`);
    await new Promise((next) => setTimeout(next, 10));
  }
}

/** A mount of one bucket. `stop` unmounts and waits for the process's end: everything is at the store then. */
class Mount {
  constructor(directory, child, output) {
    Object.assign(this, { directory, child, output });
    this.pid = child.pid;
  }

  usage() {
    try {
      const stat = readFileSync(`/proc/${this.pid}/stat`, "utf8").split(") ")[1].split(" ");
      const peak = Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${this.pid}/status`, "utf8"))?.[1] ?? 0);
      return { cpuSeconds: (Number(stat[11]) + Number(stat[12])) / 100, peakMiB: peak / 1024 };
    } catch {
      return { cpuSeconds: NaN, peakMiB: NaN };
    }
  }

  async stop() {
    const gone = new Promise((done) => { if (this.child.exitCode !== null) done(); else this.child.once("exit", done); });
    for (let tries = 0; mounted(this.directory) && tries < 50; tries++) {
      await exec("umount", [this.directory]).catch(() => new Promise((next) => setTimeout(next, 100)));
    }
    if (mounted(this.directory)) await exec("umount", ["-l", this.directory]);
    const limit = setTimeout(() => this.child.kill("SIGKILL"), 60_000);
    await gone;
    clearTimeout(limit);
    rmSync(this.directory, { recursive: true, force: true });
  }
}

async function launch(command, args, env, directory) {
  const output = [];
  // What the machine's own environment says of certificates and proxies is not part of the comparison.
  const clean = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(AWS_|https?_proxy|all_proxy)/i.test(name)));
  const child = spawn(command, args, { env: { ...clean, ...env }, stdio: ["ignore", "pipe", "pipe"] });
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => { if (output.length < 200) output.push(chunk.toString()); });
  let failure;
  child.once("error", (error) => { failure = error; });
  await until(`${command}: the mount`, () => {
    if (failure !== undefined) throw failure;
    if (child.exitCode !== null) throw new Error(`${command} ended with ${child.exitCode}: ${output.join("")}`);
    return mounted(directory);
  });
  await exec("stat", [directory]);
  return new Mount(directory, child, output);
}

const mountpoint = () => mkdtempSync(join(tmpdir(), "objmount-bench-"));

function objmount(driver) {
  return {
    name: driver === "native" ? "objmount" : "objmount (fuse-native)",
    ours: true,
    available: () => true,
    version: async () => JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")).version,
    start: ({ endpoint, bucket, key, secret }) => {
      const directory = mountpoint();
      const state = mkdtempSync(join(tmpdir(), "objmount-bench-state-"));
      return launch(process.execPath, [join(ROOT, "bin/objmount"), "mount", `s3://${bucket}`, directory, "-f", "--driver", driver, "--endpoint", endpoint,
        "--region", "us-east-1", "--state-dir", state, "--log-level", "warn", ...(process.env.OBJMOUNT_BENCH_ARGS?.split(" ") ?? [])],
        { AWS_ACCESS_KEY_ID: key, AWS_SECRET_ACCESS_KEY: secret }, directory);
    },
  };
}

/** rclone: `off` commits at close, `full` is what random writing needs (it uploads after close; the row waits for that). */
function rclone(mode) {
  return {
    name: mode === "off" ? "rclone" : "rclone (vfs-cache full)",
    ours: false,
    available: () => onPath("rclone"),
    version: async () => (await exec("rclone", ["version"])).stdout.split("\n")[0].replace("rclone ", ""),
    start: ({ endpoint, bucket, key, secret }) => {
      const directory = mountpoint();
      const cache = mkdtempSync(join(tmpdir(), "objmount-bench-rclone-"));
      return launch("rclone", ["mount", `x:${bucket}`, directory, "--vfs-cache-mode", mode, "--cache-dir", cache, "--config", "/dev/null",
        ...(mode === "off" ? [] : ["--vfs-write-back", "0s"])], {
        RCLONE_CONFIG_X_TYPE: "s3", RCLONE_CONFIG_X_PROVIDER: "Other", RCLONE_CONFIG_X_ENDPOINT: endpoint, RCLONE_CONFIG_X_ACCESS_KEY_ID: key,
        RCLONE_CONFIG_X_SECRET_ACCESS_KEY: secret, RCLONE_CONFIG_X_REGION: "us-east-1", RCLONE_CONFIG_X_FORCE_PATH_STYLE: "true",
      }, directory);
    },
  };
}

const s3fs = {
  name: "s3fs",
  ours: false,
  available: () => onPath("s3fs"),
  version: async () => /V?(\d+\.\d+)/.exec((await exec("s3fs", ["--version"])).stdout)?.[1] ?? "?",
  start: ({ endpoint, bucket, key, secret }) => {
    const directory = mountpoint();
    const folder = mkdtempSync(join(tmpdir(), "objmount-bench-s3fs-"));
    mkdirSync(join(folder, "tmp"));
    writeFileSync(join(folder, "passwd"), `${key}:${secret}\n`, { mode: 0o600 });
    return launch("s3fs", [bucket, directory, "-f", "-o", `url=${endpoint}`, "-o", "use_path_request_style", "-o", `passwd_file=${join(folder, "passwd")}`,
      "-o", `tmpdir=${join(folder, "tmp")}`, "-o", "endpoint=us-east-1", "-o", "sigv4"], {}, directory);
  },
};

export const SUBJECTS = [objmount("native"), objmount("fuse-native"), rclone("off"), rclone("full"), s3fs];
export { until };
