// The contract must catch every store that is wrong on purpose, in the case that says what is wrong; and the same case passes on the
// sound store it was made of.

import { describe, expect, it } from "vitest";
import { BROKEN, takenForMissing, type Broken } from "../broken/stores.js";
import { BROKEN_SERVICES } from "../broken/services.js";
import { BROKEN_UPLOADS } from "../broken/uploads.js";
import { MemoryContainer } from "../../src/store/memory/memoryContainer.js";
import { MemoryService } from "../../src/store/memory/memoryService.js";
import { MemoryStore } from "../../src/store/memory/memoryStore.js";
import type { ObjectStore } from "../../src/store/objectStore.js";
import { SERVICE_CASES, ServiceRun } from "./objectService.js";
import { ContractRun, OBJECT_STORE_CASES } from "./objectStore.js";
import type { ContractCase } from "./harness.js";

const CASES: readonly ContractCase[] = Object.values(OBJECT_STORE_CASES).flat();

function caseOf(name: string): ContractCase {
  const found = CASES.find((one) => one.name === name);
  if (found === undefined) throw new Error(`the contract has no case "${name}"`);
  return found;
}

async function outcome(one: Broken, name: string, open: (container: MemoryContainer) => ObjectStore): Promise<unknown> {
  const container = new MemoryContainer("box", one.options);
  const store = open(container);
  const openSecond = (): Promise<ObjectStore> => Promise.resolve(open(container));
  const run = new ContractRun(store, open(container), { name: one.name, openSecond, openUnreachable: () => Promise.resolve(takenForMissing()) });
  try {
    const skipped = await run.run(caseOf(name));
    return skipped === undefined ? "passed" : `skipped: ${skipped}`;
  } catch (error) {
    return error;
  } finally {
    await run.end();
  }
}

for (const [subject, stores] of Object.entries({ ...BROKEN, uploads: BROKEN_UPLOADS })) {
  describe(`the contract catches, in ${subject}`, () => {
    for (const one of stores) {
      it(one.name, async () => {
        for (const name of one.caught) {
          expect(await outcome(one, name, (container) => one.open(container)), name).toBeInstanceOf(Error);
          // What makes the case fail is what is broken, and nothing else.
          if (!name.startsWith("a server that cannot be reached")) expect(await outcome(one, name, (container) => new MemoryStore(container)), name).toBe("passed");
        }
      });
    }
  });
}

describe("the contract catches, in services", () => {
  for (const { name, caught, wrap } of BROKEN_SERVICES) {
    it(name, async () => {
      const one = SERVICE_CASES.find((service) => service.name === caught);
      if (one === undefined) throw new Error(`the contract has no case "${caught}"`);
      const sound = new MemoryService();
      await new ServiceRun(sound, undefined, { name, open: () => Promise.resolve(sound) }).run(one);
      const wrong = wrap(new MemoryService());
      const run = new ServiceRun(wrong, undefined, { name, open: () => Promise.resolve(wrong) });
      await expect(run.run(one)).rejects.toThrow();
    });
  }
});

describe("the contract", () => {
  it("has a broken store for nearly every case that applies to one", () => {
    const caught = new Set(Object.values(BROKEN).flat().concat(BROKEN_UPLOADS).flatMap((one) => one.caught));
    const uncaught = CASES.map((one) => one.name).filter((name) => !caught.has(name));
    expect(caught.size).toBeGreaterThan(uncaught.length);
  });

  it("has a name of its own for every case", () => {
    expect(new Set(CASES.map((one) => one.name)).size).toBe(CASES.length);
  });
});
