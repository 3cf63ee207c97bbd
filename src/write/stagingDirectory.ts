// The staging directory of one mount: mode 0700, `ID.data` and `ID.journal` per staged file that reached the disk, and
// the lock. What another daemon left here is never written, renamed or removed by this one; names are random, and files are
// created with O_EXCL.
//
// The lock is the file `lock.N` with the highest N; it holds its owner, or nobody. Who finds no owner alive creates N+1,
// which only one can, and then makes sure that nothing higher exists. A lock is removed only once a higher one is there:
// were it removed first, two who found the same dead owner could both come in.

import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { chmod, link, open, readdir, readFile, rename, stat, unlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { readJournal, type JournalRecord, type Owner } from "./journal.js";
import { makeDirectory } from "../util/directories.js";

export function thisProcess(host: string): Owner {
  return { host, pid: process.pid, boot: bootId(), started: startOf(process.pid) ?? "" };
}

function bootId(): string {
  try {
    return readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim();
  } catch {
    return "";
  }
}

/**
 * Field 22 of /proc/PID/stat (proc_pid_stat(5)); the name in field 2 may hold anything, so count from its end. Undefined for
 * a process that has ended and that nobody has waited for yet: in a container that can be for ever.
 */
function startOf(pid: number): string | undefined {
  try {
    const text = readFileSync(`/proc/${String(pid)}/stat`, "latin1");
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    return fields[0] === "Z" || fields[0] === "X" ? undefined : fields[19];
  } catch {
    return undefined;
  }
}

/** Whether that process still runs. Of another host nothing can be known: taken for alive. */
export function isAlive(owner: Owner, host: string): boolean {
  if (owner.host !== host) return true;
  if (owner.boot !== bootId()) return false;
  if (owner.started !== "") return startOf(owner.pid) === owner.started;
  try {
    process.kill(owner.pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

export class StagingDirectory {
  readonly path: string;
  readonly owner: Owner;
  /** The number of the lock that this process holds. */
  #lock: number | undefined;

  constructor(path: string, host: string) {
    this.path = path;
    this.owner = thisProcess(host);
  }

  /** Makes the directory and takes its lock. Rejects when a live daemon has it. */
  async open(): Promise<void> {
    await makeDirectory(this.path, 0o700);
    await chmod(this.path, 0o700);
    await this.#withOwnFile(`${JSON.stringify(this.owner)}\n`, async (own) => {
      while (this.#lock === undefined) {
        const last = await this.#lastLock();
        const holder = last === 0 ? undefined : await readOwner(this.#lockPath(last));
        if (holder !== undefined && isAlive(holder, this.owner.host)) {
          throw new Error(`The staging directory ${this.path} is in use by process ${String(holder.pid)} on ${holder.host}`);
        }
        // link(2) makes the lock appear with its content, and only where there is none.
        if (!await linked(own, this.#lockPath(last + 1))) continue;
        // A number that others had taken and removed meanwhile: then theirs are higher.
        if (await this.#lastLock() === last + 1) this.#lock = last + 1;
        else await unlink(this.#lockPath(last + 1)).catch(() => undefined);
      }
    });
    for (let number = this.#lock as number - 1; number > 0; number--) {
      const gone = await unlink(this.#lockPath(number)).catch(() => "gone");
      if (gone === "gone") break;
    }
  }

  /** Gives the lock back: it stays as the last number, without an owner. */
  async close(): Promise<void> {
    const lock = this.#lock;
    if (lock === undefined) return;
    this.#lock = undefined;
    await this.#withOwnFile("{}\n", (own) => rename(own, this.#lockPath(lock)));
  }

  #lockPath(number: number): string {
    return join(this.path, `lock.${String(number)}`);
  }

  async #lastLock(): Promise<number> {
    const numbers = (await readdir(this.path)).map((name) => Number(/^lock\.(\d+)$/.exec(name)?.[1] ?? 0));
    return Math.max(0, ...numbers);
  }

  async #withOwnFile(content: string, use: (path: string) => Promise<void>): Promise<void> {
    const own = join(this.path, `new.${randomUUID()}`);
    await writeFile(own, content, { mode: 0o600, flag: "wx" });
    try {
      await use(own);
    } finally {
      await unlink(own).catch(() => undefined);
    }
  }

  /** Paths for one staged file; the files are not created. */
  names(): { readonly data: string; readonly journal: string } {
    const id = randomUUID();
    return { data: join(this.path, `${id}.data`), journal: join(this.path, `${id}.journal`) };
  }

  /** Makes the names in the directory durable. */
  async sync(): Promise<void> {
    const directory = await open(this.path, "r");
    try {
      await directory.sync();
    } finally {
      await directory.close();
    }
  }
}

async function linked(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

async function readOwner(path: string): Promise<Owner | undefined> {
  try {
    const owner = JSON.parse(await readFile(path, "utf8")) as Partial<Owner>;
    return typeof owner.pid === "number" ? owner as Owner : undefined;
  } catch {
    return undefined;
  }
}

/** What a dead daemon left of one staged file. */
export interface LeftBehind {
  /** Undefined when the journal is missing or unreadable. */
  readonly key: string | undefined;
  readonly journal: string | undefined;
  readonly data: string | undefined;
  /** Bytes of the data file (sparse). */
  readonly bytes: number;
  /** When it was begun, or its file last changed; milliseconds. */
  readonly since: number;
  readonly records: readonly JournalRecord[];
  /** Why the journal could not be read. */
  readonly error?: string | undefined;
}

/** Lists what daemons that are not alive any more left in a staging directory; changes nothing. A missing directory is empty. */
export async function leftBehind(directory: string, host: string): Promise<LeftBehind[]> {
  const ids = new Map<string, { data?: string; journal?: string }>();
  for (const name of await readdir(directory).catch(ignoreMissing)) {
    const match = /^([0-9a-f-]{36})\.(data|journal)$/.exec(name);
    if (match === null) continue;
    const files = ids.get(match[1] as string) ?? {};
    ids.set(match[1] as string, { ...files, [match[2] as string]: join(directory, name) });
  }
  const found: LeftBehind[] = [];
  for (const { data, journal } of ids.values()) {
    const item = await describeLeft(data, journal, host);
    if (item !== undefined) found.push(item);
  }
  return found.sort((a, b) => a.since - b.since);
}

async function describeLeft(data: string | undefined, journal: string | undefined, host: string): Promise<LeftBehind | undefined> {
  // A live daemon may remove its files meanwhile: gone is not left behind.
  const facts = await stat((data ?? journal) as string).catch(() => undefined);
  if (facts === undefined) return undefined;
  let records: readonly JournalRecord[] = [];
  let error: string | undefined;
  try {
    if (journal !== undefined) records = (await readJournal(journal)).records;
  } catch (failure) {
    error = (failure as Error).message;
  }
  const begin = records.findLast((record) => record.type === "begin");
  if (begin !== undefined && isAlive(begin.owner, host)) return undefined;
  return { key: begin?.key, journal, data, bytes: data === undefined ? 0 : facts.size, since: begin?.time ?? facts.mtimeMs, records, error };
}

function ignoreMissing(error: unknown): string[] {
  if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
  throw error;
}
