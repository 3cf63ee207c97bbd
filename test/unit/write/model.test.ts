// Random work on one staged file against a Buffer, over stores with limits so tiny that every way of committing is taken.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Capabilities } from "../../../src/store/objectStore.js";
import { MemoryContainer } from "../../../src/store/memory/memoryContainer.js";
import { openFromStore } from "../../../src/write/context.js";
import { pattern, request, setup, text, type Setup } from "./helpers.js";
import type { StagedFile } from "../../../src/write/types.js";

const upload = { minSize: 5, maxSize: 40, maxParts: 60, maxObjectSize: 2000, equalSizes: false };
const STORES: Record<string, Partial<Capabilities>> = {
  "copying parts": { upload, copyPart: { minSize: 6 } },
  "without copyPart": { upload, copyPart: false },
  "equal parts": { upload: { ...upload, equalSizes: true }, copyPart: { minSize: 1 } },
  "put alone": { upload: false, copyPart: false, maxPutSize: 2000 },
  "metadata by copy": { upload, metadata: { maxBytes: 2048, update: "copy" }, copy: { maxSize: 100 } },
  "metadata not at all": { upload, metadata: { maxBytes: 2048, update: "none" } },
};

type Step =
  | { readonly do: "write"; readonly at: number; readonly length: number }
  | { readonly do: "append"; readonly length: number }
  | { readonly do: "truncate"; readonly size: number }
  | { readonly do: "read"; readonly at: number; readonly length: number }
  | { readonly do: "commit" | "touch" | "reopen" };

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant("write" as const), at: fc.nat(900), length: fc.integer({ min: 1, max: 150 }) }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant("append" as const), length: fc.integer({ min: 1, max: 90 }) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("truncate" as const), size: fc.nat(900) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("read" as const), at: fc.nat(1000), length: fc.integer({ min: 1, max: 400 }) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom("commit" as const, "touch" as const, "reopen" as const) }) },
);

class World {
  readonly #at: Setup;
  #file: StagedFile;
  #model: Buffer;
  #mode = 0;
  #seed = 1;

  private constructor(at: Setup, file: StagedFile, model: Buffer) {
    this.#at = at;
    this.#file = file;
    this.#model = model;
  }

  static async begin(at: Setup, initial: number | undefined, truncate: boolean): Promise<World> {
    const bytes = pattern(initial ?? 0, 77);
    const base = initial === undefined ? undefined : await at.base("k", bytes);
    const world = new World(at, undefined as unknown as StagedFile, truncate ? Buffer.alloc(0) : bytes);
    world.#file = await at.writes.stage(request("k", { base, truncate, dirty: base === undefined || truncate, describe: world.#describe }));
    if (base !== undefined) world.#file.touch();
    return world;
  }

  readonly #describe = (): { metadata: { mode: string } } => ({ metadata: { mode: String(this.#mode) } });

  async step(one: Step): Promise<void> {
    const file = this.#file;
    switch (one.do) {
      case "write":
      case "append": {
        const data = pattern(one.length, this.#seed++);
        const at = one.do === "write" ? one.at : this.#model.length;
        const grown = Buffer.alloc(Math.max(this.#model.length, at + data.length));
        this.#model.copy(grown);
        data.copy(grown, at);
        if (grown.length > 2000) return;
        this.#model = grown;
        if (one.do === "write") await file.write(at, data);
        else expect(await file.append(data)).toBe(at);
        data.fill(0xee);
        break;
      }
      case "truncate": {
        const cut = Buffer.alloc(one.size);
        this.#model.copy(cut);
        this.#model = cut;
        await file.truncate(one.size);
        break;
      }
      case "read": {
        const got = Buffer.concat([...await file.read(one.at, one.length)]);
        expect(got.equals(this.#model.subarray(one.at, one.at + one.length)), "what is read").toBe(true);
        break;
      }
      case "touch":
        this.#mode += 1;
        file.touch();
        break;
      case "commit":
        await this.#commit();
        break;
      case "reopen": {
        await file.close();
        await this.#check();
        const base = openFromStore(this.#at.memory)(await this.#at.memory.head("k"));
        this.#file = await this.#at.writes.stage(request("k", { base, dirty: false, describe: this.#describe }));
        break;
      }
    }
    expect(this.#file.size).toBe(this.#model.length);
  }

  async #commit(): Promise<void> {
    const committed = await this.#file.commit();
    expect(this.#file.state).toBe("clean");
    expect(committed.size).toBe(this.#model.length);
    expect((await this.#at.memory.head("k")).etag).toBe(committed.etag);
    await this.#check();
  }

  async #check(): Promise<void> {
    expect((await this.#at.bytes("k")).equals(this.#model), "what is at the store").toBe(true);
    expect((await this.#at.memory.head("k")).metadata).toEqual({ mode: String(this.#mode) });
  }

  async end(): Promise<void> {
    await this.#commit();
    expect(await text(this.#file.read(0, 5000))).toBe(this.#model.toString("latin1"));
    await this.#file.close();
    await this.#at.writes.close();
    expect(this.#at.memory.container.uploads.size === 0 || [...this.#at.memory.container.uploads.values()].every((one) => one.receipt !== undefined)).toBe(true);
    expect(this.#at.budget.used).toBe(0);
    expect(this.#at.writes.stats().pending).toEqual([]);
  }
}

describe.each(Object.entries(STORES))("a staged file over a store: %s", (_, capabilities) => {
  it.each(["md5", "unique"] as const)("is the Buffer that the same steps make (etags: %s)", async (etags) => {
    await fc.assert(fc.asyncProperty(fc.option(fc.nat(900), { nil: undefined }), fc.boolean(), fc.nat(200), fc.array(step, { maxLength: 25 }),
      async (initial, truncate, memoryFile, steps) => {
        const at = await setup({
          partSize: 16, putThreshold: 20, streamThreshold: 40, uploadConcurrency: 3, totalConcurrency: 4, worthCopying: 1, copySize: 25, sliceSize: 7, memoryFile,
        }, new MemoryContainer("c", { etags, capabilities }));
        const world = await World.begin(at, initial, truncate && initial !== undefined);
        for (const one of steps) await world.step(one);
        await world.end();
      }), { numRuns: 60 });
  });
});
