import { describe, expect, it as test } from "vitest";
import { SlowStore } from "../../stores/slowStore.js";
import { KiB, MiB, quiet, type Rig, rig, scan } from "./rig.js";

const total = (it: Rig): number => it.store.ranges.reduce((sum, { length }) => sum + length, 0);

describe("a sequential reader", () => {
  test("gets a window that doubles while it starves, fetched as parallel ranges, every byte once", async () => {
    const it = await rig({ size: 96 * MiB });
    const handle = it.open();
    await scan(it, handle, 128 * KiB);
    expect(total(it)).toBe(96 * MiB);
    expect(it.store.ranges[0]).toMatchObject({ start: 0, length: MiB + 128 * KiB });
    expect(Math.max(...it.store.ranges.map(({ length }) => length))).toBeGreaterThanOrEqual(4 * MiB);
    expect(it.store.peakRunning).toBeLessThanOrEqual(16 + 1);
    expect(it.reads.stats().wastedBytes).toBe(0);
    await it.end();
  });

  test("whose requests overtake each other is still one", async () => {
    const it = await rig({ size: 64 * MiB });
    const handle = it.open();
    const order = [0, 2, 1, 3, 5, 4, 7, 6];
    for (let group = 0; group < 64; group++) {
      await Promise.all(order.map((i) => it.check(handle, group * MiB + i * 128 * KiB, 128 * KiB)));
    }
    expect(total(it)).toBe(64 * MiB);
    expect(it.store.ranges.length).toBeLessThan(40);
    await it.end();
  });

  test("in the middle of an object is recognised by its second read", async () => {
    const it = await rig({ size: 64 * MiB });
    const handle = it.open();
    await it.check(handle, 30 * MiB, 128 * KiB);
    expect(total(it)).toBe(128 * KiB);
    await it.check(handle, 30 * MiB + 128 * KiB, 128 * KiB);
    expect(total(it)).toBeGreaterThanOrEqual(MiB);
    await it.end();
  });

  test("that never waits keeps its first, small window", async () => {
    const it = await rig({ size: 64 * MiB });
    const handle = it.open();
    for (let at = 0; at < 16 * MiB; at += 64 * KiB) {
      await it.check(handle, at, 64 * KiB);
      await quiet(it);
    }
    // It waited for the first request, and at most once more: the window has doubled twice at most.
    expect(it.reads.gauges()["aheadBytes"]).toBeLessThanOrEqual(4.5 * MiB);
    await it.end();
  });

  test("never gets more than its bound ahead", async () => {
    const it = await rig({ size: 96 * MiB, options: { maxWindow: 8 * MiB } });
    const handle = it.open();
    let most = 0;
    for (let at = 0; at < 96 * MiB; at += 128 * KiB) {
      await it.check(handle, at, 128 * KiB);
      most = Math.max(most, it.reads.gauges()["aheadBytes"] as number);
    }
    expect(most).toBeGreaterThan(4 * MiB);
    expect(most).toBeLessThanOrEqual(8 * MiB);
    await it.end();
  });

  test("a forward seek within the window waits for what is on its way", async () => {
    const it = await rig({ size: 96 * MiB });
    const handle = it.open();
    await scan(it, handle, 128 * KiB, 0, 24 * MiB);
    const ahead = it.store.ranges.at(-1)!;
    const asked = total(it);
    await it.check(handle, ahead.start, 4096);
    expect(it.store.ranges.filter(({ start }) => start === ahead.start)).toHaveLength(1);
    expect(total(it) - asked).toBeLessThanOrEqual(64 * MiB);
    await scan(it, handle, 128 * KiB, ahead.start + 4096);
    await it.end();
  });

  test("two streams through one handle each get their window", async () => {
    const it = await rig({ size: 96 * MiB });
    const handle = it.open();
    for (let at = 0; at < 32 * MiB; at += 128 * KiB) {
      await Promise.all([it.check(handle, at, 128 * KiB), it.check(handle, 50 * MiB + at, 128 * KiB)]);
    }
    expect(it.store.ranges.length).toBeLessThan(64);
    expect(it.reads.stats().wastedBytes).toBe(0);
    await it.end();
  });
});

describe("what is of no use is cancelled", () => {
  test("when the handle is closed", async () => {
    const it = await rig({ size: 96 * MiB, wrap: (store) => new SlowStore(store, { totalBandwidth: 400 * MiB }) });
    const handle = it.open();
    await scan(it, handle, 128 * KiB, 0, 16 * MiB);
    expect(it.reads.gauges()["aheadRunning"]).toBeGreaterThan(0);
    handle.close();
    await quiet(it);
    expect(it.store.received).toBeLessThan(total(it));
    expect(it.reads.gauges()).toMatchObject({ aheadRunning: 0, hungry: 0 });
    expect(it.store.openStreams).toBe(0);
    await it.end();
  });

  test("but not while another handle reads the same place", async () => {
    const it = await rig({ size: 24 * MiB, wrap: (store) => new SlowStore(store, { totalBandwidth: 400 * MiB }) });
    const first = it.open();
    const second = it.open();
    for (let at = 0; at < 12 * MiB; at += 128 * KiB) {
      await Promise.all([it.check(first, at, 128 * KiB), it.check(second, at, 128 * KiB)]);
    }
    expect(it.reads.gauges()["aheadRunning"]).toBeGreaterThan(0);
    first.close();
    await scan(it, second, 128 * KiB, 12 * MiB);
    expect(total(it)).toBe(24 * MiB);
    await it.end();
  });

  test("when the reader has gone to read on elsewhere", async () => {
    const it = await rig({ size: 96 * MiB, wrap: (store) => new SlowStore(store, { totalBandwidth: 400 * MiB }) });
    const handle = it.open();
    await scan(it, handle, 128 * KiB, 0, 16 * MiB);
    const before = it.store.ranges.length;
    const running = it.reads.gauges()["aheadRunning"] as number;
    expect(running).toBeGreaterThan(1);
    await scan(it, handle, 128 * KiB, 80 * MiB, 81 * MiB);
    const left = it.store.ranges.slice(0, before).reduce((sum, { length }) => sum + length, 0);
    expect(it.store.received).toBeLessThan(left);
    await it.end();
  });

  test("a single read elsewhere (an index at the end) cancels nothing", async () => {
    const it = await rig({ size: 96 * MiB });
    const handle = it.open();
    for (let at = 0; at < 64 * MiB; at += 128 * KiB) {
      await it.check(handle, at, 128 * KiB);
      if (at % (4 * MiB) === 0) await it.check(handle, 90 * MiB + at / 64, 4096);
    }
    await quiet(it);
    expect(it.reads.stats().wastedBytes).toBe(0);
    await it.end();
  });
});

describe("memory pressure", () => {
  test("the window shrinks instead of pushing out what it fetched before", async () => {
    const it = await rig({ size: 64 * MiB, budget: 6 * MiB });
    await scan(it, it.open(), 128 * KiB);
    expect(it.budget.peak).toBeLessThanOrEqual(6 * MiB);
    expect(total(it)).toBeLessThan(70 * MiB);
    await it.end();
  });

  test("a reader that stopped does not keep others from their window for ever", async () => {
    let now = 0;
    const clock = { now: () => now, monotonic: () => now, random: () => 0.5, sleep: () => Promise.resolve() };
    const it = await rig({ size: 96 * MiB, budget: 24 * MiB, clock });
    const idle = it.open();
    await scan(it, idle, 128 * KiB, 0, 20 * MiB);
    await quiet(it);
    const held = it.reads.gauges()["aheadBytes"] as number;
    expect(held).toBeGreaterThan(4 * MiB);
    now += 10_000;
    await scan(it, it.open(), 128 * KiB, 40 * MiB, 80 * MiB);
    expect(it.reads.stats().wastedBytes).toBeGreaterThan(0);
    await scan(it, idle, 128 * KiB, 20 * MiB, 40 * MiB);
    await it.end();
  });

  test("others who wait for memory come first: nothing is fetched ahead then", async () => {
    const it = await rig({ size: 64 * MiB, budget: 16 * MiB });
    const part = await it.budget.acquire(15 * MiB);
    const waiting = it.budget.acquire(8 * MiB);
    const handle = it.open();
    const read = it.check(handle, 0, 128 * KiB);
    await new Promise<void>(setImmediate);
    expect(it.store.ranges).toHaveLength(0);
    part.release();
    (await waiting).release();
    await read;
    await it.end();
  });
});
