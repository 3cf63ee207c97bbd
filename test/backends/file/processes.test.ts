// Several processes on one store at once.

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { bodyOf } from "../../../src/store/body.js";
import { isStoreError } from "../../../src/store/errors.js";
import { collectStream } from "../../../src/store/objectStream.js";
import { compile, runNode } from "./compiled.js";
import { findLeftovers } from "./fsck.js";
import { Place } from "./tools.js";

let compiled: Awaited<ReturnType<typeof compile>>;
let place: Place;
beforeAll(async () => {
  compiled = await compile("processes");
  place = await Place.make();
});
afterAll(async () => {
  await compiled.remove();
  await place.remove();
});

describe("two processes on one store", () => {
  it("never both win a swap", async () => {
    const store = await place.store();
    await store.put("counter", bodyOf("0"));
    const ended = await Promise.all([1, 2, 3].map(() => runNode("swapWorker.mjs", [compiled.directory, place.root, "count", "60"])));
    for (const one of ended) expect(one, one.stderr).toMatchObject({ code: 0 });
    expect((await collectStream(await store.get("counter"))).toString()).toBe("180");
  });

  it("show a reader one version at a time, though both replace it all the while", async () => {
    const store = await place.store();
    await store.put("versions", bodyOf(Buffer.alloc(1000, "x")), { metadata: { letter: "x" } });
    let running = true;
    const writers = Promise.all(["a", "b"].map((letter) => runNode("swapWorker.mjs", [compiled.directory, place.root, "versions", "40", letter])))
      .finally(() => { running = false; });
    const seen = new Set<string>();
    const read = async (): Promise<void> => {
      try {
        const stream = await store.get("versions");
        const { letter } = stream.info.metadata as { letter: string };
        const bytes = await collectStream(stream);
        seen.add(letter);
        expect(bytes.equals(Buffer.alloc(stream.info.size, letter))).toBe(true);
      } catch (error) {
        // Replaced under the reader.
        if (!isStoreError(error, "precondition")) throw error;
      }
    };
    try {
      while (running) await read();
    } finally {
      await writers;
    }
    for (const one of await writers) expect(one, one.stderr).toMatchObject({ code: 0 });
    expect(seen.size).toBeGreaterThan(1);
    expect(await findLeftovers(place.root)).toEqual([]);
  });
});
