// How many requests ordinary work costs where listings carry no metadata, counted at the store.

import { afterEach, beforeEach, expect, it } from "vitest";
import { O_RDONLY, S3_LIKE, World } from "./world.js";

let world: World;
beforeEach(async () => { world = await World.open({ memory: { capabilities: S3_LIKE, pageSize: 1000 } }); });
afterEach(async () => { await world.close(); });

it("files read one after the other, long after they were listed: one GET each, and a listing now and then", async () => {
  for (let i = 0; i < 100; i++) await world.putOutside(`d/f${i}`, `content ${i}`);
  await world.ls("d");
  // In a working directory the kernel looks up the last name alone.
  const directory = await world.resolve("d");
  const before = { get: world.store.count("get"), head: world.store.count("head"), list: world.store.count("list") };
  for (let i = 0; i < 100; i++) {
    // Later than attributes and entries hold; every tenth time the listing has run out as well.
    world.clock.advance(i % 10 === 0 ? 6000 : 1500);
    const { ino } = await world.lookup(directory, `f${i}`);
    const { fh } = await world.fs.open(world.context, ino, O_RDONLY);
    expect(await world.readAt({ ino, fh })).toBe(`content ${i}`);
    await world.fs.release(world.context, ino, fh);
  }
  expect(world.store.count("get") - before.get).toBe(100);
  expect(world.store.count("head") - before.head).toBeLessThan(45);
  expect(world.store.count("list") - before.list).toBeLessThanOrEqual(60);
});

it("a listing that ran out is asked for again by whoever goes through its names, and shows what others changed", async () => {
  for (let i = 0; i < 20; i++) await world.putOutside(`d/f${i}`, "old");
  await world.ls("d");
  await world.outside.delete("d/f7");
  await world.putOutside("d/new", "new");
  world.later();
  const directory = await world.resolve("d");
  for (const i of [0, 1, 2, 3, 10, 11, 12, 13, 14]) await world.lookup(directory, `f${i}`);
  const heads = world.store.count("head");
  const lists = world.store.count("list");
  for (const i of [4, 5, 6, 8, 9]) await world.lookup(directory, `f${i}`);
  await expect(world.lookup(directory, "f7")).rejects.toMatchObject({ errno: "ENOENT" });
  expect((await world.lookup(directory, "new")).size).toBe(3);
  expect(world.store.count("head") - heads).toBeLessThanOrEqual(1);
  expect(world.store.count("list") - lists).toBe(0);
});
