// The account above memory containers.

import { throwIfAborted } from "../abort.js";
import { StoreError } from "../errors.js";
import type { CallOptions, ContainerInfo, ObjectService, Usage } from "../objectStore.js";
import { compareUtf8 } from "../../util/names.js";
import { MemoryContainer, type MemoryOptions } from "./memoryContainer.js";
import { MemoryStore } from "./memoryStore.js";

export interface MemoryServiceOptions extends MemoryOptions {
  /** Options of single containers, instead of the service's. */
  readonly containers?: Readonly<Record<string, MemoryOptions>> | undefined;
}

export class MemoryService implements ObjectService {
  readonly label = "memory://";
  readonly #options: MemoryServiceOptions;
  readonly #containers = new Map<string, MemoryContainer>();
  #closed = false;

  constructor(options: MemoryServiceOptions = {}) {
    this.#options = options;
  }

  async containers(options?: CallOptions): Promise<ContainerInfo[]> {
    await this.#start(options?.signal);
    return [...this.#containers.values()].map(({ name, created }) => ({ name, created })).sort((a, b) => compareUtf8(a.name, b.name));
  }

  async createContainer(name: string, options?: CallOptions): Promise<void> {
    await this.#start(options?.signal);
    if (!/^[^/\0]{1,255}$/u.test(name) || name === "." || name === ".." || !name.isWellFormed()) {
      throw new StoreError("invalid", `${JSON.stringify(name)} cannot name a container`);
    }
    if (this.#containers.has(name)) throw new StoreError("exists", `the container ${name} exists already`);
    this.#containers.set(name, new MemoryContainer(name, this.#options.containers?.[name] ?? this.#options));
  }

  async deleteContainer(name: string, options?: CallOptions): Promise<void> {
    await this.#start(options?.signal);
    const found = this.#containers.get(name);
    if (found === undefined) return;
    if (found.size > 0) throw new StoreError("not-empty", `the container ${name} is not empty`);
    found.deleted = true;
    this.#containers.delete(name);
  }

  async container(name: string, options?: CallOptions): Promise<MemoryStore> {
    await this.#start(options?.signal);
    const found = this.#containers.get(name);
    if (found === undefined) throw new StoreError("no-container", `there is no container ${name}`);
    return new MemoryStore(found, (other) => this.#containers.get(other));
  }

  async usage(options?: CallOptions): Promise<Usage> {
    await this.#start(options?.signal);
    const all = [...this.#containers.values()];
    return { usedBytes: all.reduce((sum, one) => sum + one.bytes, 0), objects: all.reduce((sum, one) => sum + one.size, 0) };
  }

  close(): Promise<void> {
    this.#closed = true;
    return Promise.resolve();
  }

  async #start(signal: AbortSignal | undefined): Promise<void> {
    throwIfAborted(signal);
    await new Promise<void>(setImmediate);
    throwIfAborted(signal);
    if (this.#closed) throw new StoreError("aborted", "the service is closed");
  }
}
