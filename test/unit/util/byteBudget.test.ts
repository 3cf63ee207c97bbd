import { describe, expect, it } from "vitest";
import { ByteBudget, type Lease } from "../../../src/util/byteBudget.js";

/** A cache of leases of ten bytes. */
function cacheOf(budget: ByteBudget, count: number): Lease[] {
  const held = Array.from({ length: count }, () => budget.tryAcquire(10) as Lease);
  budget.addReclaimer((wanted) => {
    let freed = 0;
    while (freed < wanted && held.length > 0) {
      freed += held[0]?.bytes ?? 0;
      held.shift()?.release();
    }
    return freed;
  });
  return held;
}

describe("byte budget", () => {
  it("splits a lease, and counts every byte once", () => {
    const budget = new ByteBudget(100);
    const lease = budget.tryAcquire(60) as Lease;
    const part = lease.split(25);
    expect([lease.bytes, part.bytes, budget.used]).toEqual([35, 25, 60]);
    expect(() => lease.split(36)).toThrow(RangeError);
    lease.release();
    lease.release();
    expect(budget.used).toBe(25);
    part.release();
    expect([budget.used, lease.bytes, part.bytes]).toEqual([0, 0, 0]);
  });

  it("grants every waiter once, in order, when a reclaimer releases while it looks for room", async () => {
    const budget = new ByteBudget(100);
    const held = cacheOf(budget, 5);
    const big = budget.tryAcquire(50) as Lease;
    const order: string[] = [];
    // Neither fits while `big` is held: the cache is emptied for the first, and it still waits.
    const first = budget.acquire(70).then((lease) => { order.push("first"); return lease; });
    const second = budget.acquire(20).then((lease) => { order.push("second"); return lease; });
    expect([held.length, budget.waiting]).toEqual([0, 2]);
    held.push(big.split(10), big.split(10));
    big.release();
    (await first).release();
    (await second).release();
    expect(order).toEqual(["first", "second"]);
    for (const left of held) left.release();
    expect([budget.used, budget.waiting]).toEqual([0, 0]);
  });

  it("lets a waiter in when a cache has something new to give back", async () => {
    const budget = new ByteBudget(100);
    const held = cacheOf(budget, 0);
    const lease = budget.tryAcquire(90) as Lease;
    const waiting = budget.acquire(30);
    expect(budget.waiting).toBe(1);
    held.push(lease);
    budget.offer();
    (await waiting).release();
    expect(budget.used).toBe(0);
  });
});
