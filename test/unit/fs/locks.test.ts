import { describe, expect, it } from "vitest";
import { Lock, takeAll, type Wanted } from "../../../src/fs/locks.js";

const want = (lock: Lock, exclusive: boolean, ino: number): Wanted => ({ lock, kind: "tree", depth: 0, ino, exclusive });

describe("locks", () => {
  it("are shared by readers, exclusive for a writer, first come first served", async () => {
    const lock = new Lock();
    const order: string[] = [];
    const first = await takeAll([want(lock, false, 1)]);
    const second = await takeAll([want(lock, false, 1)]);
    const writer = takeAll([want(lock, true, 1)]).then((release) => { order.push("writer"); return release; });
    const late = takeAll([want(lock, false, 1)]).then((release) => { order.push("late reader"); return release; });
    first();
    first();
    expect(order).toEqual([]);
    second();
    (await writer)();
    (await late)();
    expect(order).toEqual(["writer", "late reader"]);
    expect(lock.idle).toBe(true);
  });

  it("asked for in opposite orders do not wait in a circle", async () => {
    const locks = [new Lock(), new Lock(), new Lock()];
    const all = (order: number[]): Wanted[] => order.map((i) => want(locks[i] as Lock, true, i));
    await Promise.all([[0, 1, 2], [2, 1, 0], [1, 2, 0], [2, 0, 1]].map(async (order) => {
      const release = await takeAll(all(order));
      await Promise.resolve();
      release();
    }));
    expect(locks.every((lock) => lock.idle)).toBe(true);
  });

  it("asked for twice are taken once, exclusively when either wants that", async () => {
    const lock = new Lock();
    const release = await takeAll([want(lock, false, 1), want(lock, true, 1)]);
    expect(lock.take(false)).toBeDefined();
    release();
    lock.leave(false);
    expect(lock.idle).toBe(true);
  });
});
