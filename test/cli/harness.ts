// The real program, run as a person runs it, with directories of its own for state, sockets and stores.

import { execFile, spawn, type ChildProcess } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { isMounted, run, whyNoMount } from "../mount/harness.js";

export { isMounted, run, whyNoMount };
export const ROOT = resolve(import.meta.dirname, "../..");
export const BIN = join(ROOT, "bin/objmount");

export interface Outcome { readonly code: number | null; readonly out: string; readonly err: string }

/** Waits for something to become true, looking again and again; fails after a generous limit. */
export async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 1000; tries++) {
    if (await condition()) return;
    await new Promise((next) => { setTimeout(next, 20); });
  }
  throw new Error(`waited in vain until ${what}`);
}

/** One sandbox per test file. `dispose` unmounts and removes everything in it. */
export class Sandbox {
  readonly base = mkdtempSync(join(tmpdir(), "objmount-cli-"));
  readonly env: NodeJS.ProcessEnv;
  readonly #children = new Set<ChildProcess>();
  #names = 0;

  constructor() {
    const keep = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(OBJMOUNT|AWS|NOTIFY|WATCHDOG|XDG)_/.test(name)));
    this.env = {
      ...keep, HOME: this.directory("home"), LC_ALL: "C.UTF-8", AWS_EC2_METADATA_DISABLED: "true",
      OBJMOUNT_STATE_DIR: join(this.base, "state"), OBJMOUNT_RUNTIME_DIR: join(this.base, "run"),
    };
  }

  directory(label: string): string {
    const path = join(this.base, `${label}${++this.#names}`);
    mkdirSync(path, { recursive: true });
    return path;
  }

  /** A new embedded store with the container `photos`. @returns the container's URL. */
  async store(): Promise<string> {
    const root = this.directory("store");
    const at = this.directory("at");
    // Any mount of the account makes containers by mkdir.
    await this.ok("mount", `file://${root}`, at);
    await run("mkdir", [join(at, "photos")], { limit: 20_000 });
    await this.ok("unmount", at);
    return `file://${root}/photos`;
  }

  objmount(...args: string[]): Promise<Outcome> {
    return this.command(process.execPath, [BIN, ...args]);
  }

  command(program: string, args: readonly string[], env: NodeJS.ProcessEnv = this.env): Promise<Outcome> {
    return new Promise((done) => {
      execFile(program, args, { env, cwd: this.base, timeout: 50_000, killSignal: "SIGKILL", encoding: "utf8" }, (error, out, err) => {
        done({ code: error === null ? 0 : typeof error.code === "number" ? error.code : null, out, err });
      });
    });
  }

  async ok(...args: string[]): Promise<string> {
    const { code, out, err } = await this.objmount(...args);
    if (code !== 0) throw new Error(`objmount ${args.join(" ")} ended with ${String(code)}: ${err}${out}`);
    return out;
  }

  /** A foreground mount, once it says that it is mounted. */
  async foreground(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Daemon> {
    const child = spawn(process.execPath, [BIN, "mount", "-f", ...args], { env: { ...this.env, ...env }, cwd: this.base, stdio: ["ignore", "pipe", "pipe"] });
    this.#children.add(child);
    const daemon = new Daemon(child);
    await until(`the mount answers: ${args.join(" ")}`, () => daemon.text.includes(" mounted ") || child.exitCode !== null);
    return daemon;
  }

  /** A writer that has written `text` into `file`, made it `size` bytes long if that is more, and keeps it open until it is ended or hears the end of its input. */
  async writer(file: string, text: string, size = 0): Promise<ChildProcess> {
    const child = spawn(process.execPath, ["-e", `
      const fs = require("node:fs"); const fd = fs.openSync(process.argv[1], "w"); fs.writeSync(fd, process.argv[2]);
      if (Number(process.argv[3]) > 0) fs.ftruncateSync(fd, Number(process.argv[3]));
      console.log("written");
      process.stdin.resume().on("end", () => { try { fs.closeSync(fd); } catch (error) { console.log(error.code); } process.exit(0); });
    `, file, text, String(size)], { stdio: ["pipe", "pipe", "inherit"] });
    this.#children.add(child);
    let said = "";
    child.stdout.on("data", (chunk: Buffer) => { said += chunk.toString(); });
    await until(`${file} is written`, () => said.includes("written"));
    return child;
  }

  async dispose(): Promise<void> {
    for (const child of this.#children) if (child.exitCode === null) child.kill("SIGKILL");
    const mounts = readFileSync("/proc/self/mountinfo", "utf8").split("\n").map((line) => line.split(" ")[4] ?? "").filter((at) => at.startsWith(`${this.base}/`));
    for (const at of mounts.reverse()) {
      await this.objmount("unmount", "--lazy", at);
      if (isMounted(at)) await run("umount", ["-l", at], { limit: 10_000 }).catch(() => undefined);
    }
    rmSync(this.base, { recursive: true, force: true });
  }
}

export class Daemon {
  readonly child: ChildProcess;
  readonly exited: Promise<number | null>;
  text = "";

  constructor(child: ChildProcess) {
    this.child = child;
    const keep = (chunk: Buffer): void => { this.text += chunk.toString(); };
    child.stdout?.on("data", keep);
    child.stderr?.on("data", keep);
    this.exited = new Promise((done) => { child.once("close", (code) => done(code)); });
  }

  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<number | null> {
    this.child.kill(signal);
    return await this.exited;
  }
}
