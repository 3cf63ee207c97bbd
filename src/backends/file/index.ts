// The embedded store: a directory of the local disk holds the containers. Opened at once by as many processes as like to.

import { mkdir, readdir, rename, rmdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { orAborted, throwIfAborted } from "../../store/abort.js";
import { StoreError } from "../../store/errors.js";
import type { CallOptions, ContainerInfo, ObjectService, ObjectStore, Usage } from "../../store/objectStore.js";
import type { Backend, BackendContext, StoreUrl } from "../backend.js";
import { errnoOf, exists, succeeds, toStoreError } from "./api.js";
import { Changes, removeTree } from "./changes.js";
import { Container } from "./container.js";
import { Directories } from "./directories.js";
import { ContainerPaths, StorePaths, type StoreFormat } from "./layout.js";
import { Listing } from "./listing.js";
import { Locks } from "./locks.js";
import { checkContainerName } from "./names.js";
import { SegmentTables } from "./objectFile.js";
import { FILE_OPTIONS } from "./options.js";
import { openRoot } from "./root.js";
import { Owner } from "./owner.js";
import { parseFileUrl } from "./parse.js";
import { QuickReads } from "./quick.js";
import { Reader } from "./reader.js";
import { clearAfter, containerNames, removeHalfDeleted, sweep, withRight, type RecoverySurroundings } from "./recover.js";
import { diskUsage, FileStore } from "./store.js";

export interface FileServiceOptions {
  /** Write through to the disk before acknowledging. */
  readonly sync: boolean;
  /** Milliseconds. */
  readonly uploadExpiry: number;
}

export class FileService implements ObjectService {
  readonly label: string;
  readonly #paths: StorePaths;
  readonly #format: StoreFormat;
  readonly #quick: QuickReads;
  readonly #options: FileServiceOptions;
  readonly #context: BackendContext;
  readonly #owner: Owner;
  readonly #directories: Directories;
  readonly #around: RecoverySurroundings;
  readonly #open = new Set<Container>();
  readonly #others = new Map<string, Container>();
  #closed = false;

  private constructor(paths: StorePaths, format: StoreFormat, quick: QuickReads, options: FileServiceOptions, context: BackendContext, owner: Owner) {
    this.label = pathToFileURL(paths.root).href;
    this.#paths = paths;
    this.#format = format;
    this.#quick = quick;
    this.#options = options;
    this.#context = context;
    this.#owner = owner;
    this.#directories = new Directories(options.sync, quick);
    this.#around = { paths, owner, clock: context.clock, logger: context.logger, containerPaths: (name) => this.#containerPaths(name) };
  }

  /** @param root absolute. Made a store when it is missing (its parent must exist) or empty. */
  static async open(root: string, options: FileServiceOptions, context: BackendContext): Promise<FileService> {
    try {
      const format = await openRoot(root);
      const paths = new StorePaths(root);
      const service = new FileService(paths, format, await QuickReads.at(root), options, context, await Owner.enter(paths, context.clock));
      try {
        await sweep(service.#around, options.uploadExpiry);
      } catch (error) {
        // What is left of others is no reason not to serve.
        context.logger.warn({ err: error }, "could not clear up what earlier instances left in the store");
      }
      return service;
    } catch (error) {
      throw toStoreError(error, `open the store in ${root}`);
    }
  }

  async containers(options?: CallOptions): Promise<ContainerInfo[]> {
    return this.#run("list the containers", options?.signal, async () => {
      const infos = await Promise.all((await containerNames(this.#paths)).map(async (name): Promise<ContainerInfo[]> => {
        if (!(await exists(this.#containerPaths(name).objects))) return [];
        const { birthtimeMs } = await stat(this.#containerPaths(name).directory);
        return [birthtimeMs > 0 ? { name, created: Math.round(birthtimeMs) } : { name }];
      }));
      return infos.flat().sort((a, b) => (a.name < b.name ? -1 : 1));
    });
  }

  async createContainer(name: string, options?: CallOptions): Promise<void> {
    return this.#run("create the container", options?.signal, async () => {
      checkContainerName(name);
      const paths = this.#containerPaths(name);
      const made = join(this.#paths.trash, this.#owner.nextName("new"));
      await mkdir(made);
      for (const part of ContainerPaths.parts) await mkdir(join(made, part));
      await this.#directories.sync(made);
      const created = await withRight(this.#around, async () => {
        await removeHalfDeleted(paths, this.#paths, this.#owner);
        return succeeds(rename(made, paths.directory), "ENOTEMPTY", "EEXIST", "ENOTDIR");
      });
      if (!created) {
        await removeTree(made);
        throw new StoreError("exists", `The container ${name} exists already.`);
      }
      await this.#directories.sync(this.#paths.root);
    });
  }

  async deleteContainer(name: string, options?: CallOptions): Promise<void> {
    return this.#run("delete the container", options?.signal, async () => {
      checkContainerName(name);
      const paths = this.#containerPaths(name);
      if (!(await exists(paths.objects))) return;
      const empty = await new Listing(paths).isEmpty();
      throwIfAborted(options?.signal);
      await withRight(this.#around, async () => {
        // The kernel decides: without `objects` there is no container, and with anything in it rmdir refuses.
        if (!empty || !(await removedEmpty(paths.objects))) throw new StoreError("not-empty", `The container ${name} is not empty.`);
        await this.#directories.sync(paths.directory);
        await removeHalfDeleted(paths, this.#paths, this.#owner);
      });
      await this.#directories.sync(this.#paths.root);
    });
  }

  async container(name: string, options?: CallOptions): Promise<ObjectStore> {
    return this.#run("open the container", options?.signal, async () => {
      const container = await this.#container(name);
      const tables = new SegmentTables();
      return new FileStore(`${this.label.replace(/\/$/, "")}/${encodeURIComponent(name)}`, container, new Reader(container.paths, tables), new Listing(container.paths));
    });
  }

  async #container(name: string): Promise<Container> {
    checkContainerName(name);
    const paths = this.#containerPaths(name);
    // Lists it: a directory that may not be read answers `denied` now, not later.
    await readdir(paths.locks).then(() => stat(paths.objects)).catch((error: unknown) => {
      if (errnoOf(error) === "ENOENT" || errnoOf(error) === "ENOTDIR") throw new StoreError("no-container", `The container ${name} is not there.`, { cause: error });
      throw error;
    });
    const locks = new Locks(paths, this.#owner, this.#context.clock, (token) => clearAfter(this.#around, token));
    const container = new Container({
      paths, directories: this.#directories, changes: new Changes(paths, this.#directories, this.#owner, locks), tables: new SegmentTables(),
      clock: this.#context.clock, sync: this.#options.sync, other: (other) => this.#other(other),
    });
    this.#open.add(container);
    return container;
  }

  async #other(name: string): Promise<Container> {
    const known = this.#others.get(name);
    if (known !== undefined) {
      await known.require();
      return known;
    }
    const container = await this.#container(name);
    this.#others.set(name, container);
    return container;
  }

  async usage(options?: CallOptions): Promise<Usage> {
    return this.#run("ask the disk for its usage", options?.signal, () => diskUsage(this.#paths.root));
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await Promise.all([...this.#open].map((container) => container.close()));
    await this.#owner.leave();
  }

  async #run<T>(doing: string, signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
    if (this.#closed) throw new StoreError("aborted", "The store is closed.");
    throwIfAborted(signal);
    try {
      return await orAborted(work(), signal);
    } catch (error) {
      throw toStoreError(error, doing);
    }
  }

  #containerPaths(name: string): ContainerPaths {
    return new ContainerPaths(this.#paths.root, name, this.#format.folded, this.#quick);
  }
}

async function removedEmpty(directory: string): Promise<boolean> {
  return await succeeds(rmdir(directory), "ENOTEMPTY", "EEXIST", "ENOENT") || !(await exists(directory));
}

function option(options: Readonly<Record<string, unknown>>, name: (typeof FILE_OPTIONS)[number]["name"]): unknown {
  return options[name] ?? FILE_OPTIONS.find((row) => row.name === name)?.default;
}

export const fileBackend: Backend = {
  scheme: "file",
  parse: parseFileUrl,
  open: (url: StoreUrl, options, context) => {
    if (url.location === undefined) throw new StoreError("invalid", "A file URL names a directory: file:///DIRECTORY.");
    return FileService.open(url.location, { sync: option(options, "file-sync") === true, uploadExpiry: Number(option(options, "file-upload-expiry")) }, context);
  },
};
