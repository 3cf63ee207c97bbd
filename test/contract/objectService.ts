// The contract of ObjectService: containers come, go, and are never mistaken for empty ones.

import assert from "node:assert/strict";
import { afterAll, beforeAll, describe, it } from "vitest";
import { isStoreError } from "../../src/store/errors.js";
import type { ObjectService } from "../../src/store/objectStore.js";
import { bytes, failure, putBytes, read, rejects, sameBytes } from "./harness.js";

export interface ObjectServiceContractOptions {
  readonly name: string;
  open(): Promise<ObjectService>;
  /** Opens one more service on the same account. */
  readonly openSecond?: (() => Promise<ObjectService>) | undefined;
  readonly dispose?: (() => Promise<void>) | undefined;
  /** A name for the n-th container of the suite, valid at this service and used by nobody else. */
  readonly containerName?: ((index: number) => string) | undefined;
  /** Cases this server is known to fail, each with the reason. An unknown name fails the suite. */
  readonly known?: Readonly<Record<string, string>> | undefined;
}

export interface ServiceContext {
  readonly service: ObjectService;
  readonly second: ObjectService;
  readonly openSecond: (() => Promise<ObjectService>) | undefined;
  /** A new name each time. */
  readonly fresh: () => string;
}

export interface ServiceCase {
  readonly name: string;
  readonly run: (t: ServiceContext) => Promise<void>;
}

const names = async (service: ObjectService): Promise<string[]> => (await service.containers()).map((container) => container.name);

export const SERVICE_CASES: readonly ServiceCase[] = [
  {
    name: "a container that was created is listed and opens empty",
    async run({ service, second, fresh }) {
      const name = fresh();
      await service.createContainer(name);
      assert.equal((await names(second)).filter((one) => one === name).length, 1);
      const store = await second.container(name);
      if (store.capabilities.list !== "none") assert.deepEqual(await store.list({ prefix: "" }), { objects: [], prefixes: [], next: undefined });
      await putBytes(store, "a", "x");
      sameBytes(await read(await service.container(name), "a"), Buffer.from("x"));
    },
  },
  {
    name: "creating what is there is exists",
    async run({ service, second, fresh }) {
      const name = fresh();
      await service.createContainer(name);
      await putBytes(await service.container(name), "a", "x");
      await rejects(service.createContainer(name), "exists");
      await rejects(second.createContainer(name), "exists");
      sameBytes(await read(await second.container(name), "a"), Buffer.from("x"));
    },
  },
  {
    name: "an empty container can be deleted, and deleting again is success",
    async run({ service, second, fresh }) {
      const name = fresh();
      await service.createContainer(name);
      const store = await service.container(name);
      await putBytes(store, "a", "x");
      await store.delete("a");
      await service.deleteContainer(name);
      assert.ok(!(await names(second)).includes(name));
      await service.deleteContainer(name);
      await service.deleteContainer(fresh());
    },
  },
  {
    name: "a container with objects is not-empty, and stays",
    async run({ service, second, fresh }) {
      const name = fresh();
      await service.createContainer(name);
      await putBytes(await service.container(name), "deep/er/x", "x");
      await rejects(second.deleteContainer(name), "not-empty");
      sameBytes(await read(await second.container(name), "deep/er/x"), Buffer.from("x"));
    },
  },
  {
    name: "a missing container is no-container, never an empty one",
    async run({ service, second, fresh }) {
      await rejects(service.container(fresh()), "no-container");
      const name = fresh();
      await service.createContainer(name);
      const store = await service.container(name);
      await second.deleteContainer(name);
      if (store.capabilities.list !== "none") await rejects(store.list({ prefix: "" }), "no-container");
      await rejects(store.get("a"), "no-container");
      await rejects(putBytes(store, "a", "x"), "no-container");
      if (store.capabilities.upload !== false) await rejects(store.beginUpload("a"), "no-container");
      await rejects(service.container(name), "no-container");
    },
  },
  {
    name: "containers do not mix",
    async run({ service, fresh }) {
      const [one, two] = [fresh(), fresh()];
      await service.createContainer(one);
      await service.createContainer(two);
      const [a, b] = [await service.container(one), await service.container(two)];
      await putBytes(a, "same", "in one");
      await rejects(b.head("same"), "not-found");
      await putBytes(b, "same", "in two");
      sameBytes(await read(a, "same"), Buffer.from("in one"));
      await b.delete("same");
      sameBytes(await read(a, "same"), Buffer.from("in one"));
    },
  },
  {
    name: "a copy may come from another container",
    async run({ service, fresh }) {
      const [one, two] = [fresh(), fresh()];
      await service.createContainer(one);
      await service.createContainer(two);
      const [a, b] = [await service.container(one), await service.container(two)];
      if (b.capabilities.copy === false) return;
      const { etag } = await putBytes(a, "from \u00e9", bytes(5000), { contentType: "text/plain" });
      await b.copy("from \u00e9", "to", { fromContainer: one, sourceIfMatch: etag });
      sameBytes(await read(b, "to"), bytes(5000));
      assert.equal((await b.head("to")).contentType, "text/plain");
      await rejects(b.copy("none", "to", { fromContainer: one }), "not-found");
      await rejects(b.copy("from", "to", { fromContainer: fresh() }), "no-container", "not-found");
    },
  },
  {
    name: "what cannot name a container is invalid",
    async run({ service }) {
      for (const bad of ["", "a/b", "..", "nul\0"]) await rejects(service.createContainer(bad), "invalid");
    },
  },
  {
    name: "of many who create one container, one wins",
    async run({ service, second, fresh }) {
      const name = fresh();
      const settled = await Promise.allSettled([service, second, service, second].map((one) => one.createContainer(name)));
      for (const result of settled) if (result.status === "rejected") assert.ok(isStoreError(result.reason, "exists"), String(result.reason));
      assert.equal(settled.filter((result) => result.status === "fulfilled").length, 1);
    },
  },
  {
    name: "a call whose signal has fired is aborted",
    async run({ service, fresh }) {
      const name = fresh();
      const signal = AbortSignal.abort();
      await rejects(service.createContainer(name, { signal }), "aborted");
      await rejects(service.containers({ signal }), "aborted");
      await rejects(service.container(name, { signal }), "aborted");
      await rejects(service.deleteContainer(name, { signal }), "aborted");
      assert.ok(!(await names(service)).includes(name));
    },
  },
  {
    name: "usage tells or is unsupported",
    async run({ service }) {
      try {
        const { usedBytes } = await service.usage();
        assert.ok(usedBytes === undefined || usedBytes >= 0);
      } catch (error) {
        assert.ok(isStoreError(error, "unsupported"), String(error));
      }
    },
  },
  {
    name: "after close every call is aborted",
    async run({ openSecond, fresh }) {
      if (openSecond === undefined) return;
      const service = await openSecond();
      await service.close();
      await service.close();
      for (const call of [service.containers(), service.createContainer(fresh()), service.container(fresh())]) {
        assert.ok(isStoreError(await failure(call), "aborted"));
      }
    },
  },
];

/** A service under test. */
export class ServiceRun {
  readonly #options: ObjectServiceContractOptions;
  readonly #service: ObjectService;
  readonly #second: ObjectService;
  readonly #made: string[] = [];
  readonly #stamp = Date.now().toString(36) + Math.random().toString(36).slice(2, 6);

  constructor(service: ObjectService, second: ObjectService | undefined, options: ObjectServiceContractOptions) {
    this.#service = service;
    this.#second = second ?? service;
    this.#options = options;
  }

  static async start(options: ObjectServiceContractOptions): Promise<ServiceRun> {
    return new ServiceRun(await options.open(), await options.openSecond?.(), options);
  }

  async run(one: ServiceCase): Promise<void> {
    try {
      await one.run({
        service: this.#service, second: this.#second, openSecond: this.#options.openSecond,
        fresh: () => {
          const index = this.#made.length;
          const name = this.#options.containerName?.(index) ?? `contract-${this.#stamp}-${index}`;
          this.#made.push(name);
          return name;
        },
      });
    } finally {
      await this.#clean();
    }
  }

  async #clean(): Promise<void> {
    for (const { name } of await this.#service.containers()) {
      if (!this.#made.includes(name)) continue;
      const store = await this.#service.container(name);
      const { objects } = await store.list({ prefix: "" });
      await store.deleteMany(objects.map((object) => object.key));
      await this.#service.deleteContainer(name);
    }
  }

  async end(): Promise<void> {
    if (this.#second !== this.#service) await this.#second.close();
    await this.#service.close();
    await this.#options.dispose?.();
  }
}

export function objectServiceContract(options: ObjectServiceContractOptions): void {
  for (const name of Object.keys(options.known ?? {})) if (!SERVICE_CASES.some((one) => one.name === name)) throw new Error(`the contract has no case "${name}"`);
  describe(`ObjectService contract: ${options.name}`, () => {
    let run: ServiceRun | undefined;
    beforeAll(async () => { run = await ServiceRun.start(options); });
    afterAll(async () => { await run?.end(); });
    for (const one of SERVICE_CASES) {
      const reason = options.known?.[one.name];
      it.skipIf(reason !== undefined)(reason === undefined ? one.name : `${one.name} (known: ${reason})`, () => (run as ServiceRun).run(one));
    }
  });
}
