// kill -9 before every single change of the disk that an operation makes: afterwards there is the old object or the new
// one, whole, and nothing is left over once the store is opened again.

import { createHash } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { bodyOf } from "../../../src/store/body.js";
import { isStoreError } from "../../../src/store/errors.js";
import { collectStream } from "../../../src/store/objectStream.js";
import type { ObjectStore } from "../../../src/store/objectStore.js";
import { compile, runNode } from "./compiled.js";
import { findLeftovers } from "./fsck.js";
import { Place } from "./tools.js";

let compiled: Awaited<ReturnType<typeof compile>>;
beforeAll(async () => { compiled = await compile("crash"); });
afterAll(async () => { await compiled.remove(); });

async function putParts(store: ObjectStore, key: string, letters: string): Promise<void> {
  const upload = await store.beginUpload(key);
  const parts = [];
  for (const [index, letter] of letters.split("").entries()) {
    parts.push(await upload.putPart(index + 1, index * 300_000, index === letters.length - 1, bodyOf(Buffer.alloc(300_000, letter))));
  }
  await upload.complete(parts);
}

/** What a key holds: its bytes' hash and its metadata. */
async function contentOf(store: ObjectStore, key: string): Promise<string> {
  try {
    const stream = await store.get(key);
    const bytes = await collectStream(stream);
    return `${createHash("sha256").update(bytes).digest("hex").slice(0, 16)} ${JSON.stringify(stream.info.metadata)}`;
  } catch (error) {
    if (isStoreError(error, "not-found")) return "nothing";
    throw error;
  }
}

const KEYS = ["dir/x", "other", "single", "new/deep/x"];

async function contents(store: ObjectStore): Promise<string> {
  return (await Promise.all(KEYS.map(async (key) => `${key}: ${await contentOf(store, key)}`))).join("\n");
}

/** A store in the state before the operation, closed. */
async function prepare(operation: string): Promise<{ readonly place: Place; readonly before: string; readonly upload: string }> {
  const place = await Place.make();
  const service = await place.open({ sync: false });
  await service.createContainer("c");
  const store = await service.container("c");
  await putParts(store, "dir/x", "ab");
  await putParts(store, "other", "cd");
  await store.put("single", bodyOf(Buffer.alloc(400_000, "s")));
  let upload = "-";
  if (operation === "complete") {
    const begun = await store.beginUpload("dir/x");
    await begun.putPart(1, 0, true, bodyOf(Buffer.alloc(500_000, "u")));
    upload = begun.id;
  }
  const before = await contents(store);
  await service.close();
  return { place, before, upload };
}

const OPERATIONS = ["put", "put in a new directory", "complete", "copy", "rename", "delete", "metadata", "metadata of one file"];

describe.each(OPERATIONS)("killed during %s", (operation) => {
  it("leaves the old or the new, whole, and nothing besides", async () => {
    let after: string | undefined;
    let steps = Infinity;
    // The first run is not killed: it tells how many steps there are, and what the new state is.
    for (let killAt = 0; killAt <= steps; killAt++) {
      const { place, before, upload } = await prepare(operation);
      try {
        const ended = await runNode("crashWorker.mjs", [compiled.directory, place.root, operation, String(killAt), upload]);
        if (killAt === 0) {
          expect(ended, ended.stderr).toMatchObject({ code: 0 });
          steps = Number(ended.stdout);
          expect(steps).toBeGreaterThan(3);
        } else {
          expect(ended, ended.stderr).toMatchObject({ signal: "SIGKILL" });
        }
        const store = await (await place.open()).container("c");
        const now = await contents(store);
        if (killAt === 0) {
          after = now;
          expect(now).not.toBe(before);
        } else {
          expect([before, after], `step ${killAt} of ${steps}`).toContain(now);
        }
        // Whoever comes next can do the same thing.
        if (operation === "complete") {
          const resumed = await store.resumeUpload("dir/x", upload);
          if (now === before) await resumed.complete(await resumed.parts());
          expect(await contents(store)).toBe(after);
        }
        await store.list({ prefix: "" });
        expect(await findLeftovers(place.root), `step ${killAt} of ${steps}`).toEqual([]);
      } finally {
        await place.remove();
      }
    }
  }, 120_000);
});

describe.each(["complete", "rename", "delete"])("killed during %s while another instance has the store open", (operation) => {
  it("does not stand in the other one's way", async () => {
    for (let killAt = 1, killed = true; killed; killAt++) {
      const { place, upload } = await prepare(operation);
      try {
        const other = await (await place.open()).container("c");
        const ended = await runNode("crashWorker.mjs", [compiled.directory, place.root, operation, String(killAt), upload]);
        killed = ended.signal === "SIGKILL";
        expect(killed ? killAt : ended.code, ended.stderr).toBe(killed ? killAt : 0);
        // The dead one may have died with this key locked: it is noticed, and cleared up after, right here.
        await other.put("dir/x", bodyOf("later"));
        const store = await (await place.open()).container("c");
        expect((await collectStream(await store.get("dir/x"))).toString()).toBe("later");
        expect(await contentOf(store, "other")).toBe(await contentOf(other, "other"));
        expect(await findLeftovers(place.root), `step ${killAt}`).toEqual([]);
      } finally {
        await place.remove();
      }
    }
  }, 120_000);
});
