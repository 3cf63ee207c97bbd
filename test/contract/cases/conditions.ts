// Conditional writes: one after the other in every store, against each other where that is declared.

import assert from "node:assert/strict";
import { isStoreError } from "../../../src/store/errors.js";
import type { WriteReceipt } from "../../../src/store/objectStore.js";
import { bytes, exists, haltingBody, parallel, putBytes, read, rejects, sameBytes, type ContractCase, type ContractContext } from "../harness.js";

/** Runs all at once; the index of every winner. The losers must have failed by `precondition`. */
export async function race(tries: readonly (() => Promise<unknown>)[]): Promise<number[]> {
  const settled = await Promise.allSettled(tries.map((one) => one()));
  return settled.flatMap((result, i) => {
    if (result.status === "fulfilled") return [i];
    assert.ok(isStoreError(result.reason, "precondition"), `a loser failed otherwise: ${String(result.reason)}`);
    return [];
  });
}

/** A put whose condition holds when it begins and no longer when it ends. */
async function overtaken(t: ContractContext, key: string, condition: { ifMatch?: string; ifNoneMatch?: "*" }): Promise<void> {
  const halting = haltingBody(bytes(200_000, 1));
  const put = t.store.put(key, halting.body, condition);
  put.catch(() => undefined);
  await Promise.race([halting.reached, put]);
  const other = bytes(1000, 2);
  const { etag } = await putBytes(t.second, key, other);
  halting.go();
  await rejects(put, "precondition");
  assert.equal((await t.store.head(key)).etag, etag);
  sameBytes(await read(t.store, key), other, "the other writer's bytes");
}

export const conditionCases: readonly ContractCase[] = [
  {
    name: "ifNoneMatch creates what is missing and spares what is there",
    async run({ store, second, key }) {
      const { etag } = await putBytes(store, key("a"), "one", { ifNoneMatch: "*" });
      await rejects(putBytes(second, key("a"), "two", { ifNoneMatch: "*" }), "precondition", "exists");
      assert.equal((await second.head(key("a"))).etag, etag);
      sameBytes(await read(second, key("a")), Buffer.from("one"));
    },
  },
  {
    name: "ifMatch replaces the version that was meant and no other",
    when: (c) => !c.immutable,
    async run({ store, second, key }) {
      await rejects(putBytes(store, key("none"), "x", { ifMatch: "0123456789abcdef0123456789abcdef" }), "precondition");
      assert.equal(await exists(store, key("none")), false);
      const first = await putBytes(store, key("a"), "one");
      const next = await putBytes(second, key("a"), "two", { ifMatch: first.etag });
      await rejects(putBytes(store, key("a"), "three", { ifMatch: first.etag }), "precondition");
      sameBytes(await read(store, key("a")), Buffer.from("two"));
      await store.delete(key("a"));
      await rejects(putBytes(store, key("a"), "four", { ifMatch: next.etag }), "precondition");
      assert.equal(await exists(store, key("a")), false);
    },
  },
  {
    name: "both conditions at once are invalid",
    async run({ store, key }) {
      await rejects(putBytes(store, key("a"), "x", { ifMatch: "x", ifNoneMatch: "*" }), "invalid");
    },
  },
  {
    name: "of many who create, exactly one wins",
    when: (c) => c.conditionalPut !== "none",
    async run({ store, second, key }) {
      for (let round = 0; round < 3; round++) {
        const name = key(`r${round}`);
        const winners = await race(Array.from({ length: 16 }, (_, i) => () =>
          putBytes(i % 2 === 0 ? store : second, name, bytes(1000 + i, i + 1), { ifNoneMatch: "*" })));
        assert.equal(winners.length, 1, `${winners.length} winners`);
        sameBytes(await read(store, name), bytes(1000 + (winners[0] as number), (winners[0] as number) + 1), "the winner's bytes");
      }
    },
  },
  {
    name: "of many who replace one version, exactly one wins",
    when: (c) => c.conditionalPut === "swap" && !c.immutable,
    async run({ store, second, key }) {
      for (let round = 0; round < 3; round++) {
        const name = key(`r${round}`);
        const { etag } = await putBytes(store, name, "base");
        const winners = await race(Array.from({ length: 16 }, (_, i) => () =>
          putBytes(i % 2 === 0 ? store : second, name, bytes(1000 + i, i + 1), { ifMatch: etag })));
        assert.equal(winners.length, 1, `${winners.length} winners`);
        sameBytes(await read(store, name), bytes(1000 + (winners[0] as number), (winners[0] as number) + 1), "the winner's bytes");
      }
    },
  },
  {
    name: "a create that is overtaken while its body is on the way fails",
    when: (c) => c.conditionalPut !== "none",
    run: (t) => overtaken(t, t.key("a"), { ifNoneMatch: "*" }),
  },
  {
    name: "a replacement that is overtaken while its body is on the way fails",
    when: (c) => c.conditionalPut === "swap" && !c.immutable,
    async run(t) {
      const { etag } = await putBytes(t.store, t.key("a"), "base");
      await overtaken(t, t.key("a"), { ifMatch: etag });
    },
  },
  {
    name: "no increment is lost by clients that swap",
    when: (c) => c.conditionalPut === "swap" && !c.immutable,
    async run({ store, second, key }) {
      const name = key("counter");
      await putBytes(store, name, "0");
      const clients = 6;
      const each = 5;
      await parallel(clients, clients, async (client) => {
        const mine = client % 2 === 0 ? store : second;
        for (let done = 0; done < each;) {
          const stream = await mine.get(name);
          const pieces: Buffer[] = [];
          try {
            for await (const piece of stream) pieces.push(piece);
            // Unequal lengths, so that two clients never write the same bytes.
            const count = Number(Buffer.concat(pieces).toString().split(" ")[0]) + 1;
            await putBytes(mine, name, `${count} ${client} ${done}`, { ifMatch: stream.info.etag });
            done += 1;
          } catch (error) {
            if (!isStoreError(error, "precondition")) throw error;
          }
        }
      });
      assert.equal((await read(store, name)).toString().split(" ")[0], String(clients * each));
    },
  },
  {
    name: "a conditional delete removes the version that was meant and no other",
    when: (c) => c.conditionalDelete && !c.immutable,
    async run({ store, second, key }) {
      const first = await putBytes(store, key("a"), "one");
      const next = await putBytes(second, key("a"), "two");
      await rejects(store.delete(key("a"), { ifMatch: first.etag }), "precondition");
      sameBytes(await read(store, key("a")), Buffer.from("two"));
      await store.delete(key("a"), { ifMatch: next.etag });
      assert.equal(await exists(store, key("a")), false);
    },
  },
  {
    name: "of parallel puts to one key one wins whole, and readers see whole ones",
    when: (c) => !c.immutable,
    async run({ store, second, key, concurrency }) {
      const name = key("a");
      const bodies = Array.from({ length: concurrency }, (_, i) => bytes(20_000 + 100 * i, i + 1));
      const whole = new Map(bodies.map((body) => [body.length, body]));
      await putBytes(store, name, bodies[0] as Buffer);
      let writing = true;
      const readers = Promise.all(Array.from({ length: 4 }, async () => {
        while (writing) {
          try {
            const seen = await read(second, name);
            sameBytes(seen, whole.get(seen.length) ?? Buffer.alloc(0), "what a reader saw");
          } catch (error) {
            if (!isStoreError(error)) throw error;
          }
        }
      }));
      // Judged below; until then a failed reader is nobody's unhandled one.
      readers.catch(() => undefined);
      let receipts: WriteReceipt[];
      try {
        receipts = await Promise.all(bodies.map((body, i) => putBytes(i % 2 === 0 ? store : second, name, body)));
      } finally {
        writing = false;
      }
      await readers;
      const head = await store.head(name);
      const last = await read(store, name);
      assert.equal(last.length, head.size);
      sameBytes(last, whole.get(last.length) ?? Buffer.alloc(0), "the winner");
      assert.ok(receipts.some((receipt) => receipt.etag === head.etag && receipt.size === head.size), "the etag is one that was acknowledged");
    },
  },
  {
    name: "parallel work on different keys does not mix",
    async run({ store, key, concurrency }) {
      await parallel(concurrency, concurrency, async (i) => {
        await putBytes(store, key(`p${i}`), bytes(10_000 + i, i));
        sameBytes(await read(store, key(`p${i}`)), bytes(10_000 + i, i));
      });
    },
  },
];
