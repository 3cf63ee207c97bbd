// Who has the store open. Each open instance keeps one file in owners/; whatever it is in the middle of carries its token,
// so that what a dead instance left behind can be told from what a live one is doing.

import { readFileSync, readlinkSync } from "node:fs";
import { stat, unlink, utimes, writeFile } from "node:fs/promises";
import { randomBytes } from "node:crypto";
import { hostname } from "node:os";
import type { Clock } from "../../util/clock.js";
import { readSmall, succeeds } from "./api.js";
import type { StorePaths } from "./layout.js";

const HEARTBEAT_MS = 10_000;
/** An instance that cannot be looked at (another host or container, before a reboot) is dead when it has been silent for this long. */
const SILENT_MS = 45_000;

export interface OwnerRecord {
  readonly token: string;
  readonly host: string;
  readonly pid: number;
  /** Start time of the process in clock ticks (/proc/PID/stat, field 22): a pid that was used again is not the same process. */
  readonly start?: string | undefined;
  /** Boot and pid namespace: a pid means something only inside both. */
  readonly boot?: string | undefined;
  readonly namespace?: string | undefined;
}

function quietly(read: () => string): string | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

function startTime(pid: number): string | undefined {
  // The second field is the program's name in parentheses and may contain anything.
  const fields = quietly(() => readFileSync(`/proc/${pid}/stat`, "latin1"))?.replace(/^.*\)/s, "").trim().split(" ");
  // A zombie has ended, whether anybody waits for it or not.
  return fields?.[0] === "Z" || fields?.[0] === "X" ? undefined : fields?.[19];
}

function describeSelf(token: string): OwnerRecord {
  return {
    token, host: hostname(), pid: process.pid, start: startTime(process.pid),
    boot: quietly(() => readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim()),
    namespace: quietly(() => readlinkSync("/proc/self/ns/pid")),
  };
}

function pidLives(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

/** One open instance of the store. */
export class Owner {
  readonly token: string;
  readonly path: string;
  readonly #paths: StorePaths;
  readonly #clock: Clock;
  readonly #self: OwnerRecord;
  #heartbeat: NodeJS.Timeout | undefined;
  #counter = 0;

  private constructor(paths: StorePaths, clock: Clock) {
    this.token = randomBytes(8).toString("hex");
    this.path = paths.owner(this.token);
    this.#paths = paths;
    this.#clock = clock;
    this.#self = describeSelf(this.token);
  }

  /** Registers this instance; `leave` takes it out again. */
  static async enter(paths: StorePaths, clock: Clock): Promise<Owner> {
    const owner = new Owner(paths, clock);
    await writeFile(owner.path, owner.text, { flag: "wx" });
    owner.#heartbeat = setInterval(() => {
      const now = new Date(clock.now());
      utimes(owner.path, now, now).catch(() => undefined);
    }, HEARTBEAT_MS);
    owner.#heartbeat.unref();
    return owner;
  }

  /** A name for something this instance is in the middle of, never used twice. */
  nextName(kind: "new" | "change" | "trash"): string {
    this.#counter += 1;
    return `${this.token}.${this.#counter}.${kind}`;
  }

  /** The content of the owner file. */
  get text(): string { return JSON.stringify(this.#self); }

  /** Puts the owner file back after others took this instance for dead. */
  async returnToLife(): Promise<void> {
    await succeeds(writeFile(this.path, this.text, { flag: "wx" }), "EEXIST");
  }

  async leave(): Promise<void> {
    clearInterval(this.#heartbeat);
    await succeeds(unlink(this.path), "ENOENT");
  }

  /** Whether the instance with this token may still be at work. One without an owner file has left or was cleared away. */
  async lives(token: string): Promise<boolean> {
    if (token === this.token) return true;
    const path = this.#paths.owner(token);
    const text = await readSmall(path);
    if (text === undefined) return false;
    const record = parseOwner(text);
    const self = this.#self;
    if (record !== undefined && record.host === self.host && record.boot === self.boot && record.namespace === self.namespace) {
      return pidLives(record.pid) && (record.start === undefined || record.start === startTime(record.pid));
    }
    try {
      const { mtimeMs } = await stat(path);
      return this.#clock.now() - mtimeMs < SILENT_MS;
    } catch {
      return false;
    }
  }
}

/** The content of an owner file or of a lock; undefined when it is still being written, or damaged. */
export function parseOwner(text: string): OwnerRecord | undefined {
  try {
    const record = JSON.parse(text) as OwnerRecord;
    return typeof record.token === "string" && typeof record.pid === "number" ? record : undefined;
  } catch {
    return undefined;
  }
}

export function describeOwner(record: OwnerRecord | undefined): string {
  return record === undefined ? "another process" : `process ${record.pid} on ${record.host}`;
}
