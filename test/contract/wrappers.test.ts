// Every wrapper keeps the whole contract: whoever holds an ObjectStore need not know what it is wrapped in.

import { openAccount } from "../../src/store/account.js";
import { LimitService, LimitStore, RequestLimit } from "../../src/store/limit.js";
import { MEMORY_CAPABILITIES, type MemoryOptions } from "../../src/store/memory/memoryContainer.js";
import { MemoryService } from "../../src/store/memory/memoryService.js";
import { MemoryStore } from "../../src/store/memory/memoryStore.js";
import type { ObjectStore } from "../../src/store/objectStore.js";
import { ObserveService, ObserveStore } from "../../src/store/observe.js";
import { atPrefix } from "../../src/store/prefix.js";
import { RetryService, RetryStore } from "../../src/store/retry.js";
import { ServiceWrapper, StoreWrapper } from "../../src/store/wrapper.js";
import { CountingStore } from "../stores/countingStore.js";
import { FaultyStore } from "../stores/faultyStore.js";
import { SlowStore } from "../stores/slowStore.js";
import { objectServiceContract, objectStoreContract } from "./objectStore.js";

function wrapped(name: string, wrap: (inner: ObjectStore) => ObjectStore, options: MemoryOptions = {}, concurrency = 100): void {
  const first = new MemoryStore(options);
  objectStoreContract({
    name: `${name} over memory`, concurrency,
    open: () => Promise.resolve(wrap(first)),
    openSecond: () => Promise.resolve(wrap(new MemoryStore(first.container))),
    openUnreachable: () => {
      const dead = new FaultyStore(new MemoryStore(options));
      dead.fail({ times: Infinity, fault: { kind: "throw", error: "unavailable" } });
      return Promise.resolve(wrap(dead));
    },
  });
}

const odd: MemoryOptions = { etags: "unique", pageSize: 3, emptyPages: true, chunkSize: 777, capabilities: { rename: "atomic", presign: true, ttl: true, versions: true } };

wrapped("no wrapper's own", (inner) => new StoreWrapper(inner));
wrapped("retry", (inner) => new RetryStore(inner, { baseDelay: 0, throttledDelay: 0 }));
wrapped("retry, with generations", (inner) => new RetryStore(inner, { baseDelay: 0, throttledDelay: 0 }), odd);
// A case holds as many streams open as it is told to: no more than there are places.
wrapped("limit of many", (inner) => new LimitStore(inner, new RequestLimit()), {}, 64);
const one = new RequestLimit({ streams: 4, calls: 4 });
wrapped("limit of few, shared", (inner) => new LimitStore(inner, one), odd, 4);
wrapped("observe", (inner) => new ObserveStore(inner));
wrapped("prefix", (inner) => atPrefix(inner, "some/w\u00e9ird prefix/"));
wrapped("prefix within a name, odd store", (inner) => atPrefix(inner, "some/na"), odd);
wrapped("counting, slow by nothing and without faults", (inner) => new CountingStore(new SlowStore(new FaultyStore(inner))));
wrapped("all of them", (inner) => new ObserveStore(new RetryStore(new LimitStore(atPrefix(inner, "p/"), new RequestLimit()), { baseDelay: 0 })), {}, 64);

/** An account closes its service; this one is shared by two. */
class Shared extends ServiceWrapper {
  override close(): Promise<void> { return Promise.resolve(); }
}

for (const [name, options] of [["account", {}], ["account of odd containers", odd]] as const) {
  const service = new MemoryService(options);
  const open = async (): Promise<ObjectStore> => {
    await service.createContainer("box").catch(() => undefined);
    return openAccount(new Shared(service), { assumed: MEMORY_CAPABILITIES });
  };
  objectStoreContract({
    name: `${name} over memory`, open, openSecond: open, root: "box/",
    // At the top there are containers only.
    refuses: (key) => !key.startsWith("box/"),
  });
}

objectServiceContract({
  name: "all wrappers over memory",
  open: () => Promise.resolve(new ObserveService(new RetryService(new LimitService(new MemoryService(), new RequestLimit()), { baseDelay: 0 }))),
});
