// What the tests of bad days share: a strict S3 server that fails as it is told, mounts of it that lose patience soon,
// and a hand that works on their files from another process.

import { spawn, type ChildProcess } from "node:child_process";
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { expect } from "vitest";
import type { MountStatus } from "../../src/control/protocol.js";
import { FakeBucket, md5 } from "../backends/fakeS3/bucket.js";
import { ACCOUNT, FakeS3, type Fault, type Seen } from "../backends/fakeS3/server.js";
import { Sandbox, until, type Daemon, type Outcome } from "../cli/harness.js";
import { pattern } from "./fixtures/pattern.mjs";

export { until, type Daemon, type Outcome };

export const MIB = 2 ** 20;
const LIMIT_MS = 40_000;

/** Enough patience for a fault or two, and not for a test's whole time. */
const SHORT = ["--retries", "3", "--retry-deadline", "3s", "--read-timeout", "500ms", "--connect-timeout", "500ms"];
/** What others change is seen at once. */
const FRESH = ["--entry-timeout", "0s", "--attr-timeout", "0s", "--negative-timeout", "0s", "--list-ttl", "0s"];

/** What `objmount` says to a person: one line, one sentence. */
export function sentence(err: string): string {
  expect(err).toMatch(/^objmount: [^\n]+\n$/);
  const text = err.slice("objmount: ".length, -1);
  expect(text, "it is one sentence").not.toMatch(/[.!?] [A-Z"]/);
  expect(text).toMatch(/[.!?]$/);
  for (const secret of SECRETS) expect(text).not.toContain(secret);
  return text;
}

export const SECRETS = [ACCOUNT.secretAccessKey, encodeURIComponent(ACCOUNT.secretAccessKey)];

/** One server, one bucket, and everything that is mounted of it. */
export class BadDays {
  readonly box = new Sandbox();
  readonly bucket = new FakeBucket("us-east-1");
  readonly fake: FakeS3;
  readonly env: NodeJS.ProcessEnv;
  readonly #hands: Hand[] = [];

  private constructor(fake: FakeS3) {
    this.fake = fake;
    fake.buckets.set("photos", this.bucket);
    this.env = { ...this.box.env, AWS_ACCESS_KEY_ID: ACCOUNT.accessKeyId, AWS_SECRET_ACCESS_KEY: ACCOUNT.secretAccessKey };
  }

  static async start(): Promise<BadDays> {
    return new BadDays(await FakeS3.start());
  }

  /** A mount in the foreground of a process of its own; throws with what it said when it did not come about. */
  async mount(args: readonly string[] = [], env: NodeJS.ProcessEnv = {}, directory = this.box.directory("mnt"), url = "s3://photos"): Promise<Mount> {
    const daemon = await this.box.foreground([url, directory, "--endpoint", this.fake.endpoint, "--part-size", "5MiB", ...FRESH, ...SHORT, ...args], { ...this.env, ...env });
    if (daemon.child.exitCode !== null || !daemon.text.includes(" mounted ")) throw new Error(`no mount: ${daemon.text}`);
    return new Mount(this, directory, daemon);
  }

  /** A mount that is refused. The last of two equal options counts. */
  refused(url: string, args: readonly string[] = [], env: NodeJS.ProcessEnv = {}): Promise<Outcome> {
    return this.box.command(process.execPath, [join(import.meta.dirname, "../../bin/objmount"), "mount", url, this.box.directory("refused"), ...args], { ...this.env, ...env });
  }

  hand(): Hand {
    const hand = new Hand();
    this.#hands.push(hand);
    return hand;
  }

  /** The next `times` requests that match meet the fault; those after them do not. @returns how many are still to come. */
  fault(fault: Fault, matches: (seen: Seen) => boolean, times = 1): () => number {
    let left = times;
    this.fake.fault = (seen) => {
      if (left <= 0 || !matches(seen)) return undefined;
      left -= 1;
      return fault;
    };
    return () => left;
  }

  /** The server is well again. */
  well(): void {
    this.fake.fault = undefined;
    this.fake.cut = undefined;
    this.fake.options = {};
    this.fake.accounts = [ACCOUNT];
  }

  /** As another client writes it. */
  others(key: string, data: Buffer | string): void {
    const bytes = Buffer.from(data);
    this.bucket.objects.set(key, { data: bytes, etag: md5(bytes), modified: Date.now(), headers: { "content-type": "text/plain" } });
  }

  text(key: string): string | undefined {
    return this.bucket.objects.get(key)?.data.toString();
  }

  async dispose(): Promise<void> {
    this.well();
    for (const hand of this.#hands) hand.end();
    await this.box.dispose();
    await this.fake.stop();
  }
}

export class Mount {
  readonly directory: string;
  readonly daemon: Daemon;
  readonly #days: BadDays;

  constructor(days: BadDays, directory: string, daemon: Daemon) {
    this.#days = days;
    this.directory = directory;
    this.daemon = daemon;
  }

  get pid(): number { return this.daemon.child.pid as number; }
  /** Everything it has said and logged. */
  get log(): string { return this.daemon.text; }

  path(name: string): string { return join(this.directory, name); }

  async status(): Promise<MountStatus> {
    return JSON.parse(await this.#days.box.ok("status", this.directory, "--json")) as MountStatus;
  }

  /** Ends it. @returns its exit code */
  stop(signal?: NodeJS.Signals): Promise<number | null> {
    return this.daemon.stop(signal);
  }

  /** The bytes that are kept of a file that could not be saved, as `status` and the log name them. */
  async kept(key: string): Promise<Buffer> {
    const file = (await this.status()).pending.find((each) => each.key === key)?.file;
    if (file === undefined) throw new Error(`status does not name ${key}: ${this.log}`);
    expect(this.log).toMatch(new RegExp(`key="?${key}"?.*file="?${file}`));
    expect(await this.#days.box.ok("status", this.directory)).toContain(file);
    return readFileSync(file);
  }
}

/** What a program that dies meets: `call` and its answer, or the errno, after the step that met it: "close EIO". */
export class Hand {
  readonly #child: ChildProcess;
  readonly #waiting: ((answer: { value?: unknown; code?: string; step?: string }) => void)[] = [];

  constructor() {
    this.#child = spawn(process.execPath, [join(import.meta.dirname, "fixtures/hand.mjs")], { stdio: ["pipe", "pipe", "inherit"] });
    createInterface({ input: this.#child.stdout as NodeJS.ReadableStream }).on("line", (line) => { this.#waiting.shift()?.(JSON.parse(line) as { value?: unknown }); });
  }

  async do<T = unknown>(call: string, ...args: unknown[]): Promise<T> {
    const { value, code, step } = await this.#ask(call, args);
    if (code !== undefined) throw new Error(`${call} ${JSON.stringify(args)}: ${step ?? ""} ${code}`);
    return value as T;
  }

  /** "ok", "ENOENT", "close EIO". */
  async outcome(call: string, ...args: unknown[]): Promise<string> {
    const { code, step } = await this.#ask(call, args);
    return code === undefined ? "ok" : `${step ?? ""} ${code}`.trim();
  }

  end(): void {
    this.#child.kill("SIGKILL");
  }

  #ask(call: string, args: unknown[]): Promise<{ value?: unknown; code?: string; step?: string }> {
    return new Promise((done, fail) => {
      const limit = setTimeout(() => fail(new Error(`${call} ${JSON.stringify(args)} hangs`)), LIMIT_MS);
      this.#waiting.push((answer) => { clearTimeout(limit); done(answer); });
      this.#child.stdin?.write(`${JSON.stringify({ call, args })}\n`);
    });
  }
}

export function digestOf(data: Buffer): string {
  return createHash("sha256").update(data).digest("hex");
}

/** A digest of `pattern(size, seed)`, as `hand.do("digest", path)` tells it. */
export function patternDigest(size: number, seed: number): string {
  return digestOf(pattern(size, seed));
}

/** Names in a directory of the local disk, below it too. */
export function everything(directory: string): string[] {
  return readdirSync(directory, { recursive: true }).map(String);
}

export const isGet = (key: string) => (seen: Seen): boolean => seen.method === "GET" && path(seen) === `/photos/${key}`;
export const isPut = (key: string) => (seen: Seen): boolean => seen.method === "PUT" && path(seen) === `/photos/${key}`;
export const isComplete = (key: string) => (seen: Seen): boolean => seen.method === "POST" && path(seen) === `/photos/${key}` && seen.url.includes("uploadId=");
const path = (seen: Pick<Seen, "url">): string => seen.url.split("?")[0] as string;

export const answer = (status: number, code?: string): Fault => ({ kind: "answer", status, ...(code === undefined ? {} : { code }) });
export const page = (status: number): Fault => ({
  kind: "answer", status, headers: { "content-type": "text/html", "x-amz-request-id": "" }, body: "<!DOCTYPE html><html><body>Sign in to the network</body></html>",
});
