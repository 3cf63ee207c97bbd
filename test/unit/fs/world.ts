// A mount without a kernel: ObjectFilesystem over the memory store, driven by paths as the kernel would drive it.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ObjectFilesystem } from "../../../src/fs/objectFilesystem.js";
import { FsError, type ErrnoName } from "../../../src/fs/errors.js";
import { OPEN_FLAGS, ROOT_INO, type Attributes, type Context, type DirectoryEntry, type Entry, type Fh, type Ino, type Notifier } from "../../../src/fs/filesystem.js";
import type { FilesystemOptions } from "../../../src/fs/options.js";
import { CachedReads } from "../../../src/read/cachedReads.js";
import { bufferBody } from "../../../src/fs/bodies.js";
import { MemoryStore } from "../../../src/store/memory/memoryStore.js";
import type { MemoryOptions } from "../../../src/store/memory/memoryContainer.js";
import type { Metadata } from "../../../src/store/objectStore.js";
import { ByteBudget } from "../../../src/util/byteBudget.js";
import { systemClock, type Clock } from "../../../src/util/clock.js";
import { silentLogger } from "../../../src/util/log.js";
import { StagedWrites } from "../../../src/write/stagedWrites.js";
import { CountingStore } from "../../stores/countingStore.js";
import { FaultyStore } from "../../stores/faultyStore.js";

export const { O_RDONLY, O_WRONLY, O_RDWR, O_TRUNC, O_APPEND, O_EXCL } = OPEN_FLAGS;
export const S3_LIKE = { listMetadata: false } as const;

export interface WorldOptions {
  readonly memory?: MemoryOptions;
  readonly fs?: Partial<FilesystemOptions>;
  readonly world?: World;
  readonly onConflict?: "fail" | "copy";
}

export interface Listed extends DirectoryEntry { readonly attributes: Attributes | undefined }

export class World {
  /** The store as others use it, uncounted. */
  readonly outside: MemoryStore;
  readonly store: CountingStore;
  readonly faults: FaultyStore;
  readonly fs: ObjectFilesystem;
  readonly notices: string[] = [];
  readonly clock: Clock & { advance(milliseconds: number): void };
  readonly context: Context = { uid: 1000, gid: 1000, pid: 1, signal: new AbortController().signal };
  readonly reads: CachedReads;
  readonly writes: StagedWrites;
  readonly #directory: string;
  /** What the kernel would have to forget. */
  readonly #counts = new Map<number, number>();

  private constructor(directory: string, options: WorldOptions) {
    this.#directory = directory;
    let offset = 0;
    this.clock = { ...systemClock, now: () => systemClock.now() + offset, monotonic: () => systemClock.monotonic() + offset, advance: (ms) => { offset += ms; } };
    this.outside = options.world === undefined ? new MemoryStore({ pageSize: 7, ...options.memory }) : new MemoryStore(options.world.outside.container);
    this.faults = new FaultyStore(this.outside);
    this.store = new CountingStore(this.faults);
    const budget = new ByteBudget(64 << 20);
    const parts = { store: this.store, budget, logger: silentLogger, clock: this.clock };
    this.reads = new CachedReads(parts);
    this.writes = new StagedWrites({ ...parts, directory, options: { partSize: 64 << 10, onConflict: options.onConflict ?? "fail" } });
    this.fs = new ObjectFilesystem({ store: this.store, reads: this.reads, writes: this.writes, clock: this.clock, options: { uid: 500, gid: 500, ...options.fs } });
    const notifier: Notifier = {
      invalidateInode: (ino) => { this.notices.push(`inode ${ino}`); },
      invalidateEntry: (parent, name) => { this.notices.push(`entry ${parent} ${name}`); },
      deleteEntry: (parent, _child, name) => { this.notices.push(`delete ${parent} ${name}`); },
    };
    this.fs.setNotifier(notifier);
  }

  static async open(options: WorldOptions = {}): Promise<World> {
    const world = new World(await mkdtemp(join(tmpdir(), "objmount-fs-")), options);
    await world.fs.prepare();
    return world;
  }

  /** Ends the mount; every count must be back at zero. */
  async close(): Promise<void> {
    this.forgetAll();
    try {
      await this.fs.destroy();
      await this.reads.close();
    } finally {
      await this.writes.close();
      await rm(this.#directory, { recursive: true, force: true });
    }
  }

  counted(entry: Entry): Entry {
    this.#counts.set(entry.attributes.ino, (this.#counts.get(entry.attributes.ino) ?? 0) + 1);
    return entry;
  }

  /** The kernel drops all it knows. */
  forgetAll(): void {
    for (const [ino, count] of this.#counts) this.fs.forget(ino as Ino, count);
    this.#counts.clear();
    this.fs.checkInvariants();
  }

  /** Lets every cached answer run out. */
  later(): void { this.clock.advance(120_000); }

  async lookup(parent: Ino, name: string): Promise<Attributes> {
    const entry = await this.fs.lookup(this.context, parent, name);
    if (entry.attributes === undefined) throw new FsError("ENOENT", name);
    return this.counted(entry).attributes;
  }

  async resolve(path: string): Promise<Ino> {
    let at = ROOT_INO;
    for (const name of path.split("/").filter((part) => part !== "")) at = (await this.lookup(at, name)).ino;
    return at;
  }

  async at(path: string): Promise<[Ino, string]> {
    const cut = path.lastIndexOf("/");
    return [await this.resolve(path.slice(0, Math.max(0, cut))), path.slice(cut + 1)];
  }

  async stat(path: string): Promise<Attributes> {
    const ino = await this.resolve(path);
    return (await this.fs.getattr(this.context, ino, undefined)).attributes;
  }

  async mkdir(path: string, mode = 0o755): Promise<Attributes> {
    const [parent, name] = await this.at(path);
    return this.counted(await this.fs.mkdir(this.context, parent, name, mode)).attributes;
  }

  async create(path: string, flags: number = O_RDWR, mode = 0o644): Promise<{ ino: Ino; fh: Fh }> {
    const [parent, name] = await this.at(path);
    const reply = await this.fs.create(this.context, parent, name, mode, flags);
    return { ino: this.counted(reply.entry).attributes.ino, fh: reply.open.fh };
  }

  async open(path: string, flags: number = O_RDONLY): Promise<{ ino: Ino; fh: Fh; keepCache: boolean }> {
    const ino = await this.resolve(path);
    const { fh, keepCache } = await this.fs.open(this.context, ino, flags);
    return { ino, fh, keepCache: keepCache === true };
  }

  async close_({ ino, fh }: { ino: Ino; fh: Fh }): Promise<void> {
    try {
      await this.fs.flush(this.context, ino, fh);
    } finally {
      await this.fs.release(this.context, ino, fh).catch(() => undefined);
    }
  }

  write({ ino, fh }: { ino: Ino; fh: Fh }, offset: number, text: string | Buffer): Promise<number> {
    return this.fs.write(this.context, ino, fh, offset, Buffer.from(text));
  }

  async readAt({ ino, fh }: { ino: Ino; fh: Fh }, offset = 0, length = 1 << 20): Promise<string> {
    return Buffer.concat(await this.fs.read(this.context, ino, fh, offset, length)).toString("latin1");
  }

  /** open(O_CREAT|O_TRUNC), write, close. */
  async put(path: string, text: string | Buffer, mode = 0o644): Promise<void> {
    const file = await this.create(path, O_WRONLY | O_TRUNC, mode);
    try {
      await this.write(file, 0, text);
    } finally {
      await this.close_(file);
    }
  }

  async cat(path: string): Promise<string> {
    const file = await this.open(path);
    try {
      return await this.readAt(file);
    } finally {
      await this.close_(file);
    }
  }

  async rm(path: string): Promise<void> {
    const [parent, name] = await this.at(path);
    await this.fs.unlink(this.context, parent, name);
  }

  async rmdir(path: string): Promise<void> {
    const [parent, name] = await this.at(path);
    await this.fs.rmdir(this.context, parent, name);
  }

  async mv(from: string, to: string, flags = 0): Promise<void> {
    const [parent, name] = await this.at(from);
    const [newParent, newName] = await this.at(to);
    await this.fs.rename(this.context, parent, name, newParent, newName, flags);
  }

  /** `take`: entries per call, to try small replies. Without "." and "..". */
  async list(path: string, { plus = true, take = Infinity } = {}): Promise<Listed[]> {
    const ino = await this.resolve(path);
    const { fh } = await this.fs.opendir(this.context, ino);
    try {
      return await this.drain(ino, fh, { plus, take });
    } finally {
      await this.fs.releasedir(this.context, ino, fh);
    }
  }

  async drain(ino: Ino, fh: Fh, { plus = true, take = Infinity, from = 0 } = {}): Promise<Listed[]> {
    const out: Listed[] = [];
    for (let offset = from, more = true; more;) {
      let taken = 0;
      const sink = {
        add: (item: DirectoryEntry, entry?: Entry): boolean => {
          if (taken === take) return false;
          taken += 1;
          offset = item.offset;
          if (entry !== undefined) this.#counts.set(item.ino, (this.#counts.get(item.ino) ?? 0) + 1);
          if (item.name !== "." && item.name !== "..") out.push({ ...item, attributes: entry?.attributes });
          return true;
        },
      };
      await (plus ? this.fs.readdirplus(this.context, ino, fh, offset, sink) : this.fs.readdir(this.context, ino, fh, offset, sink));
      more = taken > 0;
    }
    return out;
  }

  async ls(path = ""): Promise<string[]> {
    return (await this.list(path)).map((item) => item.name).sort();
  }

  async putOutside(key: string, text: string, metadata?: Metadata, contentType?: string): Promise<void> {
    await this.outside.put(key, bufferBody(Buffer.from(text)), { metadata, contentType });
  }

  async keys(prefix = ""): Promise<string[]> {
    const keys: string[] = [];
    let cursor: string | undefined;
    do {
      const page = await this.outside.list({ prefix, cursor });
      keys.push(...page.objects.map((object) => object.key));
      cursor = page.next;
    } while (cursor !== undefined);
    return keys;
  }

  async contentOf(key: string): Promise<string> {
    const pieces: Buffer[] = [];
    for await (const piece of await this.outside.get(key)) pieces.push(piece);
    return Buffer.concat(pieces).toString("latin1");
  }
}

/** The errno a call fails with, or undefined when it succeeds. */
export async function errnoOf(work: Promise<unknown>): Promise<ErrnoName | undefined> {
  try {
    await work;
    return undefined;
  } catch (error) {
    if (error instanceof FsError) return error.errno;
    throw error;
  }
}
