// Mounts for tests: the real program in a process of its own, and commands that run beside it. The test process itself
// never serves a mount, so it may touch one (asynchronously, through child processes with a time limit).

import { execFile, spawn, type ChildProcess } from "node:child_process";
import { accessSync, constants, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

export const ROOT = resolve(import.meta.dirname, "../..");
export const BIN = join(ROOT, "bin/objmount");

/** Why mounts cannot be tested here, or undefined. Said once per file, in one line. */
export function whyNoMount(): string | undefined {
  try {
    accessSync("/dev/fuse", constants.R_OK | constants.W_OK);
  } catch {
    return "skipped: /dev/fuse is missing or not permitted here";
  }
  if (process.getuid?.() !== 0 && whyMissing("fusermount3") !== undefined) return "skipped: not root, and fusermount3 (package fuse3) is missing";
  return undefined;
}

/** Why a tool's case cannot run, or undefined. */
export function whyMissing(tool: string): string | undefined {
  for (const folder of (process.env["PATH"] ?? "").split(":")) {
    try {
      accessSync(join(folder, tool), constants.X_OK);
      return undefined;
    } catch { /* look on */ }
  }
  return `skipped: ${tool} is not installed`;
}

export interface RunOptions {
  readonly cwd?: string;
  readonly env?: Record<string, string>;
  readonly input?: string;
  /** Milliseconds after which the command is killed and the promise rejects: a hang must not hang the tests. */
  readonly limit?: number;
}

/** Runs a command; rejects with its output when it fails. @returns standard output. */
export function run(command: string, args: readonly string[], options: RunOptions = {}): Promise<string> {
  return new Promise((done, fail) => {
    const child = execFile(command, args, {
      cwd: options.cwd, env: { ...process.env, LC_ALL: "C.UTF-8", ...options.env }, encoding: "utf8",
      timeout: options.limit ?? 120_000, killSignal: "SIGKILL", maxBuffer: 64 << 20,
    }, (error, stdout, stderr) => {
      if (error === null) done(stdout);
      else fail(new Error(`${command} ${args.join(" ")} failed (${String(error.code ?? error.signal)}): ${stderr.slice(-4000)}${stdout.slice(-2000)}`));
    });
    if (options.input !== undefined) child.stdin?.end(options.input);
  });
}

/** Runs a shell script with `set -euo pipefail`. */
export function sh(script: string, options: RunOptions = {}): Promise<string> {
  return run("bash", ["-c", `set -euo pipefail\n${script}`], options);
}

export function tempDir(label: string): string {
  return mkdtempSync(join(tmpdir(), `objmount-${label}-`));
}

/** True when something is mounted at `directory`; asks the kernel's table, never the mount. */
export function isMounted(directory: string): boolean {
  return readFileSync("/proc/self/mountinfo", "utf8").split("\n").some((line) => line.split(" ")[4] === directory.replaceAll(" ", "\\040"));
}

export interface MountRequest {
  readonly url: string;
  readonly args?: readonly string[];
  readonly env?: Record<string, string>;
  /** Where to mount; a fresh directory otherwise. */
  readonly directory?: string;
}

/** One running `objmount mount -f`. */
export class Mounted {
  readonly directory: string;
  readonly #child: ChildProcess;
  readonly #output: string[] = [];
  readonly #request: MountRequest;
  readonly #state: string;
  readonly #exited: Promise<number | null>;

  private constructor(request: MountRequest, directory: string, state: string) {
    this.#request = request;
    this.directory = directory;
    this.#state = state;
    this.#child = spawn(process.execPath, [BIN, "mount", request.url, directory, "-f", "--state-dir", state, ...(request.args ?? [])], {
      env: { ...process.env, ...request.env }, stdio: ["ignore", "pipe", "pipe"],
    });
    const keep = (chunk: Buffer): void => { this.#output.push(chunk.toString()); };
    this.#child.stdout?.on("data", keep);
    this.#child.stderr?.on("data", keep);
    this.#exited = new Promise((done) => this.#child.once("exit", (code) => { done(code); }));
  }

  static async start(request: MountRequest): Promise<Mounted> {
    const directory = request.directory ?? tempDir("mnt");
    mkdirSync(directory, { recursive: true });
    return Mounted.#launch(request, directory, tempDir("state"));
  }

  static async #launch(request: MountRequest, directory: string, state: string): Promise<Mounted> {
    const mounted = new Mounted(request, directory, state);
    for (let tries = 0; !isMounted(directory); tries++) {
      if (mounted.#child.exitCode !== null || tries > 600) {
        mounted.#child.kill("SIGKILL");
        throw new Error(`no mount of ${request.url}: ${mounted.output}`);
      }
      await new Promise((next) => setTimeout(next, 50));
    }
    await run("stat", [directory], { limit: 30_000 });
    return mounted;
  }

  get pid(): number { return this.#child.pid as number; }
  get output(): string { return this.#output.join(""); }

  /** SIGTERM, which drains. @returns the exit code. */
  async stop(): Promise<number | null> {
    this.#child.kill("SIGTERM");
    const limit = setTimeout(() => { this.#child.kill("SIGKILL"); }, 110_000);
    const code = await this.#exited;
    clearTimeout(limit);
    if (isMounted(this.directory)) {
      await run("umount", ["-l", this.directory]);
      throw new Error(`the mount outlived its daemon: ${this.output}`);
    }
    return code;
  }

  /** Unmounts and mounts again with nothing cached: what is seen then is what the store has. */
  async again(): Promise<Mounted> {
    const code = await this.stop();
    if (code !== 0) throw new Error(`exit code ${String(code)}: ${this.output}`);
    rmSync(this.#state, { recursive: true, force: true });
    return Mounted.#launch(this.#request, this.directory, tempDir("state"));
  }

  /** For afterAll: stops, whatever happened, and removes what `start` made. */
  async dispose(): Promise<void> {
    try {
      if (this.#child.exitCode === null && this.#child.signalCode === null) await this.stop();
    } finally {
      rmSync(this.#state, { recursive: true, force: true });
      if (this.#request.directory === undefined && !isMounted(this.directory)) rmSync(this.directory, { recursive: true, force: true });
    }
  }

  /** Peak resident memory of the daemon, bytes. */
  peakMemory(): number {
    const line = /VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${this.pid}/status`, "utf8"));
    return Number(line?.[1] ?? 0) * 1024;
  }
}
