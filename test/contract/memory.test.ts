import type { Capabilities } from "../../src/store/objectStore.js";
import type { MemoryOptions } from "../../src/store/memory/memoryContainer.js";
import { MemoryService } from "../../src/store/memory/memoryService.js";
import { MemoryStore } from "../../src/store/memory/memoryStore.js";
import { FaultyStore } from "../stores/faultyStore.js";
import { objectServiceContract, objectStoreContract } from "./objectStore.js";

function memory(name: string, options: MemoryOptions = {}): void {
  const first = new MemoryStore(options);
  objectStoreContract({
    name,
    open: () => Promise.resolve(first),
    openSecond: () => Promise.resolve(new MemoryStore(first.container)),
    openUnreachable: () => {
      const store = new FaultyStore(new MemoryStore(options));
      store.fail({ times: Infinity, fault: { kind: "throw", error: "unavailable" } });
      return Promise.resolve(store);
    },
  });
}

const less: Partial<Capabilities> = {
  list: "flat", listOrdered: false, listMetadata: false, conditionalPut: "none", conditionalComplete: "none", conditionalGet: false, conditionalDelete: false,
  upload: false, resume: false, copyPart: false, copy: false, metadata: false, usage: false,
};

memory("memory");
memory("memory with generations and small, empty pages", { etags: "unique", pageSize: 5, emptyPages: true, capabilities: { versions: true, ttl: true, rename: "atomic" } });
memory("memory as S3 without conditions", {
  chunkSize: 1000, timeGranularity: 1000,
  capabilities: {
    listMetadata: false, conditionalPut: "none", conditionalComplete: "none", conditionalDelete: false, metadata: { maxBytes: 2048, update: "copy" },
    upload: { minSize: 5 << 20, maxSize: 5 * 2 ** 30, maxParts: 10_000, maxObjectSize: 5 * 2 ** 40, equalSizes: false }, copyPart: { minSize: 5 << 20 },
  },
});
memory("memory with create only and equal parts", {
  capabilities: { conditionalPut: "create", conditionalComplete: "create", presign: true, upload: { minSize: 100, maxSize: 10_000, maxParts: 20, maxObjectSize: 200_000, equalSizes: true } },
});
memory("memory with as little as can be", { capabilities: less });
memory("memory that cannot list", { capabilities: { ...less, list: "none" } });
memory("memory that is immutable", { capabilities: { immutable: true, metadata: { maxBytes: 2048, update: "none" } } });

const service = new MemoryService();
objectServiceContract({ name: "memory", open: () => Promise.resolve(service) });
