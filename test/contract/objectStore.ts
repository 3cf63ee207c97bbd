// The contract of ObjectStore (src/store/objectStore.ts) as a suite that every backend, wrapper and fake passes. What a store
// declares is tested; what it does not declare must be refused. A suite is one container; every case has a prefix of its own.

import { afterAll, beforeAll, describe, it } from "vitest";
import type { ObjectStore } from "../../src/store/objectStore.js";
import { conditionCases } from "./cases/conditions.js";
import { copyCases } from "./cases/copies.js";
import { endCases } from "./cases/ends.js";
import { keyCases } from "./cases/keys.js";
import { listingCases } from "./cases/listing.js";
import { metadataCases } from "./cases/metadata.js";
import { objectCases } from "./cases/objects.js";
import { partCopyCases } from "./cases/partCopies.js";
import { rangeCases } from "./cases/ranges.js";
import { uploadCases } from "./cases/uploads.js";
import { listAll, type ContractCase, type ContractContext } from "./harness.js";

export { objectServiceContract, type ObjectServiceContractOptions } from "./objectService.js";

export interface ObjectStoreContractOptions {
  /** Of the suite, in the report. */
  readonly name: string;
  /** Opens the store under test on a container that nobody else uses. Called once. */
  open(): Promise<ObjectStore>;
  /** Opens one more store on the same container, as another process would. Closed by the suite. */
  readonly openSecond?: (() => Promise<ObjectStore>) | undefined;
  /** A store of the same kind whose server is not there; may reject instead. */
  readonly openUnreachable?: (() => Promise<ObjectStore>) | undefined;
  /** After the suite, when its stores are closed: remove the container, stop the server. */
  readonly dispose?: (() => Promise<void>) | undefined;
  /** Keys this server is known to refuse; the store must then say `invalid`. Say why where you pass it. */
  readonly refuses?: ((key: string) => boolean) | undefined;
  /** Cases this server is known to fail, each with the reason. An unknown name fails the suite. */
  readonly known?: Readonly<Record<string, string>> | undefined;
  /** Starts every key of the suite (for a store where not every key can be); ends in "/". */
  readonly root?: string | undefined;
  /** Objects of the listing over many pages, default 1,100. */
  readonly many?: number | undefined;
  /** Calls at once, default 100. */
  readonly concurrency?: number | undefined;
}

/** By subject, in the order of reading. */
export const OBJECT_STORE_CASES: Readonly<Record<string, readonly ContractCase[]>> = {
  objects: objectCases,
  ranges: rangeCases,
  keys: keyCases,
  listing: listingCases,
  metadata: metadataCases,
  conditions: conditionCases,
  copies: copyCases,
  uploads: uploadCases,
  "parts copied and resumed": partCopyCases,
  ends: endCases,
};

/** A container under test, and what runs the cases on it. */
export class ContractRun {
  readonly store: ObjectStore;
  readonly #second: ObjectStore;
  readonly #options: Omit<ObjectStoreContractOptions, "open">;
  readonly #root = `c${Date.now().toString(36)}${Math.random().toString(36).slice(2, 8)}`;
  #count = 0;

  constructor(store: ObjectStore, second: ObjectStore | undefined, options: Omit<ObjectStoreContractOptions, "open">) {
    this.store = store;
    this.#second = second ?? store;
    this.#options = options;
  }

  static async start(options: ObjectStoreContractOptions): Promise<ContractRun> {
    const store = await options.open();
    return new ContractRun(store, await options.openSecond?.(), options);
  }

  /** Runs one case. @returns why not, when it does not apply. */
  async run(one: ContractCase): Promise<string | undefined> {
    const { capabilities } = this.store;
    if (one.when?.(capabilities) === false) return "not declared";
    const prefix = `${this.#options.root ?? ""}${this.#root}/${++this.#count}/`;
    const others: string[] = [];
    const context: ContractContext = {
      store: this.store, second: this.#second, capabilities, prefix,
      openSecond: this.#options.openSecond, openUnreachable: this.#options.openUnreachable,
      key: (name) => prefix + name,
      alsoClean: (key) => { others.push(key); },
      refuses: this.#options.refuses ?? (() => false),
      many: this.#options.many ?? 1100, concurrency: this.#options.concurrency ?? 100,
    };
    try {
      await one.run(context);
    } finally {
      await this.#clean(prefix, others);
    }
    return undefined;
  }

  /** Best effort: what a case leaves behind is in nobody's way, and its own failure matters more. */
  async #clean(prefix: string, others: readonly string[]): Promise<void> {
    const { list, immutable } = this.store.capabilities;
    if (immutable) return;
    try {
      const left = list === "none" ? [] : (await listAll(this.store, { prefix })).keys;
      const gone = [...left, ...others.filter((key) => this.#options.refuses?.(key) !== true)];
      if (gone.length > 0) await this.store.deleteMany(gone);
    } catch {
      // See above.
    }
  }

  async end(): Promise<void> {
    if (this.#second !== this.store) await this.#second.close();
    await this.store.close();
    await this.#options.dispose?.();
  }
}

/** Declares the suite for vitest. */
export function objectStoreContract(options: ObjectStoreContractOptions): void {
  const names = new Set(Object.values(OBJECT_STORE_CASES).flat().map((one) => one.name));
  for (const name of Object.keys(options.known ?? {})) if (!names.has(name)) throw new Error(`the contract has no case "${name}"`);

  describe(`ObjectStore contract: ${options.name}`, () => {
    let run: ContractRun | undefined;
    beforeAll(async () => { run = await ContractRun.start(options); });
    afterAll(async () => { await run?.end(); });

    for (const [subject, cases] of Object.entries(OBJECT_STORE_CASES)) {
      describe(subject, () => {
        for (const one of cases) {
          const reason = options.known?.[one.name];
          it.skipIf(reason !== undefined)(reason === undefined ? one.name : `${one.name} (known: ${reason})`, async ({ skip }) => {
            const why = await (run as ContractRun).run(one);
            if (why !== undefined) skip(why);
          });
        }
      });
    }
  });
}
