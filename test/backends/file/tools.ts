// Stores in directories that go away again.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FileService, type FileServiceOptions } from "../../../src/backends/file/index.js";
import { systemClock } from "../../../src/util/clock.js";
import { silentLogger } from "../../../src/util/log.js";
import type { ObjectStore } from "../../../src/store/objectStore.js";

export const WEEK = 7 * 24 * 3600 * 1000;

/** A directory with any number of open services on it. */
export class Place {
  readonly root: string;
  readonly #services: FileService[] = [];

  private constructor(root: string) {
    this.root = root;
  }

  static async make(): Promise<Place> {
    return new Place(await mkdtemp(join(tmpdir(), "objmount-file-")));
  }

  async open(options: Partial<FileServiceOptions> = {}): Promise<FileService> {
    const service = await FileService.open(this.root, { sync: true, uploadExpiry: WEEK, ...options }, { logger: silentLogger, clock: systemClock });
    this.#services.push(service);
    return service;
  }

  /** One more instance, on the container `c`. */
  async store(options: Partial<FileServiceOptions> = {}): Promise<ObjectStore> {
    const service = await this.open(options);
    await service.createContainer("c").catch(() => undefined);
    return service.container("c");
  }

  async remove(): Promise<void> {
    await Promise.all(this.#services.map((service) => service.close()));
    await rm(this.root, { recursive: true, force: true });
  }
}
