// Services that are wrong on purpose.

import { isStoreError } from "../../src/store/errors.js";
import { MemoryStore } from "../../src/store/memory/memoryStore.js";
import type { CallOptions, ContainerInfo, ObjectService, ObjectStore } from "../../src/store/objectStore.js";
import { ServiceWrapper } from "../../src/store/wrapper.js";

export interface BrokenService {
  readonly name: string;
  readonly caught: string;
  readonly wrap: (service: ObjectService) => ObjectService;
}

export const BROKEN_SERVICES: readonly BrokenService[] = [
  {
    name: "a missing container is an empty one", caught: "a missing container is no-container, never an empty one",
    wrap: (service) => new class extends ServiceWrapper {
      override container(name: string, options?: CallOptions): Promise<ObjectStore> { return super.container(name, options).catch(() => new MemoryStore()); }
    }(service),
  },
  {
    name: "creating what is there is success", caught: "creating what is there is exists",
    wrap: (service) => new class extends ServiceWrapper {
      override async createContainer(name: string, options?: CallOptions): Promise<void> {
        await super.createContainer(name, options).catch((error: unknown) => { if (!isStoreError(error, "exists")) throw error; });
      }
    }(service),
  },
  {
    name: "a container is deleted with what is in it", caught: "a container with objects is not-empty, and stays",
    wrap: (service) => new class extends ServiceWrapper {
      override async deleteContainer(name: string, options?: CallOptions): Promise<void> {
        const store = await super.container(name);
        await store.deleteMany((await store.list({ prefix: "" })).objects.map((object) => object.key));
        await super.deleteContainer(name, options);
      }
    }(service),
  },
  {
    name: "deleting a missing container throws", caught: "an empty container can be deleted, and deleting again is success",
    wrap: (service) => new class extends ServiceWrapper {
      override async deleteContainer(name: string, options?: CallOptions): Promise<void> {
        await super.container(name);
        await super.deleteContainer(name, options);
      }
    }(service),
  },
  {
    name: "all containers are one", caught: "containers do not mix",
    wrap: (service) => {
      const shared = new MemoryStore();
      return new class extends ServiceWrapper {
        protected override wrapStore(): ObjectStore { return shared; }
      }(service);
    },
  },
  {
    name: "a new container is not listed", caught: "a container that was created is listed and opens empty",
    wrap: (service) => new class extends ServiceWrapper {
      override containers(): Promise<ContainerInfo[]> { return Promise.resolve([]); }
    }(service),
  },
  {
    name: "any name is taken", caught: "what cannot name a container is invalid",
    wrap: (service) => new class extends ServiceWrapper {
      override createContainer(name: string, options?: CallOptions): Promise<void> { return super.createContainer(encodeURIComponent(`x${name}`).replaceAll("%00", "0"), options); }
    }(service),
  },
];
