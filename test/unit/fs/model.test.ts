// Random operations against a model, with somebody else changing the store now and then. Each seed is one run; a failing
// seed is repeated by putting it into the list.

import { describe, expect, it } from "vitest";
import { FsError } from "../../../src/fs/errors.js";
import type { Fh, Ino } from "../../../src/fs/filesystem.js";
import { O_APPEND, O_RDWR, O_WRONLY, S3_LIKE, World } from "./world.js";

/** mulberry32 */
function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** One file, whatever its name; `gone` handles of a version that somebody else replaced are not looked at again. */
interface ModelFile { content: string; open: number; lost: boolean }
interface ModelHandle { readonly file: { ino: Ino; fh: Fh }; readonly of: ModelFile; readonly writable: boolean }

const NAMES = ["a", "b", "a-", "a.b", "c\udce9", "dir", "%^%f"];

class Model {
  readonly files = new Map<string, ModelFile>();
  readonly directories = new Set<string>([""]);
  readonly handles: ModelHandle[] = [];
  readonly world: World;
  readonly random: () => number;

  constructor(world: World, random: () => number) {
    this.world = world;
    this.random = random;
  }

  pick<T>(items: readonly T[]): T | undefined { return items[Math.floor(this.random() * items.length)]; }
  join(directory: string, name: string): string { return directory === "" ? name : `${directory}/${name}`; }
  parent(path: string): string { return path.includes("/") ? path.slice(0, path.lastIndexOf("/")) : ""; }

  newPath(): string {
    const depthBound = [...this.directories].filter((path) => path.split("/").length < 4);
    return this.join(this.pick(depthBound) as string, this.pick(NAMES) as string);
  }

  isEmpty(directory: string): boolean {
    const below = (path: string): boolean => path.startsWith(`${directory}/`);
    return ![...this.files.keys()].some(below) && ![...this.directories].some(below);
  }

  /** The whole tree as the mount shows it. */
  async walk(path = ""): Promise<Map<string, string>> {
    const tree = new Map<string, string>();
    for (const item of await this.world.list(path, { take: 3 })) {
      const at = this.join(path, item.name);
      if ((item.type & 0o170000) === 0o040000) {
        tree.set(`${at}/`, "");
        for (const [name, content] of await this.walk(at)) tree.set(name, content);
      } else tree.set(at, await this.world.cat(at));
    }
    return tree;
  }

  expected(): Map<string, string> {
    const tree = new Map([...this.files].map(([path, file]) => [path, file.content]));
    for (const directory of this.directories) if (directory !== "") tree.set(`${directory}/`, "");
    return tree;
  }

  async step(): Promise<string> {
    const { world } = this;
    const n = this.random();
    const file = this.pick([...this.files.keys()]);
    const text = String.fromCharCode(97 + Math.floor(this.random() * 26)).repeat(1 + Math.floor(this.random() * 40));
    if (n < 0.16) return this.put(this.newPath(), text);
    if (n < 0.24) return this.mkdir(this.newPath());
    if (n < 0.32 && file !== undefined) return this.remove(file);
    if (n < 0.4) return this.rmdir(this.pick([...this.directories]) as string);
    if (n < 0.52) return this.rename(this.pick([...this.files.keys(), ...this.directories]) as string, this.newPath());
    if (n < 0.62 && file !== undefined) return this.open(file);
    if (n < 0.74) return this.write(text);
    if (n < 0.82) return this.closeOne();
    if (n < 0.87 && file !== undefined) {
      const of = this.files.get(file) as ModelFile;
      const size = Math.floor(this.random() * 50);
      await world.fs.setattr(world.context, await world.resolve(file), { size });
      of.content = of.content.slice(0, size).padEnd(size, "\0");
      return `truncate ${file} ${size}`;
    }
    if (n < 0.92 && file !== undefined) {
      const mode = 0o600 + Math.floor(this.random() * 0o77);
      await world.fs.setattr(world.context, await world.resolve(file), { mode });
      expect((await world.stat(file)).mode & 0o7777).toBe(mode);
      return `chmod ${file}`;
    }
    return this.outside(text);
  }

  async put(path: string, text: string): Promise<string> {
    if (this.directories.has(path)) {
      await expect(this.world.create(path, O_WRONLY)).rejects.toMatchObject({ errno: "EISDIR" });
      return `put onto directory ${path}`;
    }
    await this.world.put(path, text);
    const old = this.files.get(path);
    if (old === undefined) this.files.set(path, { content: text, open: 0, lost: false });
    else old.content = text;
    return `put ${path}`;
  }

  async mkdir(path: string): Promise<string> {
    if (this.directories.has(path) || this.files.has(path)) await expect(this.world.mkdir(path)).rejects.toMatchObject({ errno: "EEXIST" });
    else {
      await this.world.mkdir(path);
      this.directories.add(path);
    }
    return `mkdir ${path}`;
  }

  async remove(path: string): Promise<string> {
    await this.world.rm(path);
    this.files.delete(path);
    return `rm ${path}`;
  }

  async rmdir(path: string): Promise<string> {
    if (path === "") return "nothing";
    if (!this.isEmpty(path)) await expect(this.world.rmdir(path)).rejects.toMatchObject({ errno: "ENOTEMPTY" });
    else {
      await this.world.rmdir(path);
      this.directories.delete(path);
    }
    return `rmdir ${path}`;
  }

  async rename(from: string, to: string): Promise<string> {
    if (from === "") return "nothing";
    const directory = this.directories.has(from);
    const errno = from === to ? undefined
      : directory && `${to}/`.startsWith(`${from}/`) ? "EINVAL"
      : directory && this.files.has(to) ? "ENOTDIR"
      : !directory && this.directories.has(to) ? "EISDIR"
      : directory && this.directories.has(to) && !this.isEmpty(to) ? "ENOTEMPTY" : undefined;
    if (errno !== undefined) {
      await expect(this.world.mv(from, to)).rejects.toMatchObject({ errno });
      return `mv ${from} ${to}: ${errno}`;
    }
    await this.world.mv(from, to);
    const moved = (path: string): string => to + path.slice(from.length);
    const within = (path: string): boolean => path === from || path.startsWith(`${from}/`);
    if (from !== to) {
      for (const [path, file] of Array.from(this.files)) {
        if (!within(path)) continue;
        this.files.delete(path);
        this.files.set(moved(path), file);
      }
      for (const path of Array.from(this.directories)) if (path !== "" && within(path)) { this.directories.delete(path); this.directories.add(moved(path)); }
    }
    return `mv ${from} ${to}`;
  }

  async open(path: string): Promise<string> {
    const of = this.files.get(path) as ModelFile;
    const writable = this.random() < 0.6;
    const file = await this.world.open(path, writable ? (this.random() < 0.3 ? O_RDWR | O_APPEND : O_RDWR) : 0);
    of.open += 1;
    this.handles.push({ file, of, writable });
    return `open ${path}`;
  }

  async write(text: string): Promise<string> {
    const handle = this.pick(this.handles.filter((each) => each.writable && !each.of.lost));
    if (handle === undefined) return "nothing";
    const size = handle.of.content.length;
    const at = Math.floor(this.random() * (size + 10));
    const before = (await this.world.fs.getattr(this.world.context, handle.file.ino, handle.file.fh)).attributes.size;
    expect(before).toBe(size);
    await this.world.write(handle.file, at, text);
    // O_APPEND writes at the end, wherever it was asked to.
    const now = await this.world.readAt(handle.file);
    const placed = (offset: number): string => `${handle.of.content.slice(0, offset).padEnd(offset, "\0")}${text}${handle.of.content.slice(offset + text.length)}`;
    expect([placed(at), placed(size)]).toContain(now);
    handle.of.content = now;
    return "write";
  }

  async closeOne(): Promise<string> {
    const handle = this.pick(this.handles);
    if (handle === undefined) return "nothing";
    this.handles.splice(this.handles.indexOf(handle), 1);
    if (!handle.of.lost) expect(await this.world.readAt(handle.file)).toBe(handle.of.content);
    await this.world.close_(handle.file);
    handle.of.open -= 1;
    return "close";
  }

  /** Somebody else writes or deletes an object that is not open here. */
  async outside(text: string): Promise<string> {
    const key = (path: string): string => path.replaceAll("%^%f", "%^f").replaceAll("\udce9", "%^xe9");
    const closed = [...this.files].filter(([, file]) => file.open === 0);
    if (this.random() < 0.3 && closed.length > 0) {
      const [path] = this.pick(closed) as [string, ModelFile];
      if (await this.wouldVanish(this.parent(path), key(path))) return "nothing";
      await this.world.outside.delete(key(path));
      this.files.delete(path);
      this.world.later();
      return `outside rm ${path}`;
    }
    let path = this.newPath();
    if (this.random() < 0.4 && !this.files.has(path)) {
      // A key that implies a directory nobody has made.
      this.directories.add(path);
      path = this.join(path, this.pick(NAMES) as string);
    }
    const old = this.files.get(path);
    if (this.directories.has(path) || (old !== undefined && old.open > 0)) {
      for (const directory of this.directories) if (directory !== "" && this.isEmpty(directory) && (await this.world.keys(`${key(directory)}/`)).length === 0) this.directories.delete(directory);
      return "nothing";
    }
    await this.world.putOutside(key(path), text);
    this.files.set(path, { content: text, open: 0, lost: false });
    this.world.later();
    return `outside put ${path}`;
  }

  async wouldVanish(directory: string, key: string): Promise<boolean> {
    return directory !== "" && (await this.world.keys(key.slice(0, key.lastIndexOf("/") + 1))).every((each) => each === key);
  }
}

function sorted(tree: ReadonlyMap<string, string>): [string, string][] {
  return [...tree].sort(([a], [b]) => (a < b ? -1 : 1));
}

async function run(seed: number, steps: number, capabilities: object): Promise<void> {
  const world = await World.open({ memory: { capabilities: { ...S3_LIKE, ...capabilities }, pageSize: 4 } });
  const model = new Model(world, randomOf(seed));
  const history: string[] = [];
  try {
    for (let i = 0; i < steps; i++) {
      history.push(await model.step());
      world.fs.checkInvariants();
      if (i % 8 === 7) {
        if (model.random() < 0.3) world.later();
        expect(sorted(await model.walk())).toEqual(sorted(model.expected()));
        if (model.random() < 0.3) world.forgetAll();
      }
    }
    while (model.handles.length > 0) await model.closeOne();
    world.later();
    expect(sorted(await model.walk())).toEqual(sorted(model.expected()));
    const fresh = await World.open({ world });
    const other = new Model(fresh, randomOf(0));
    expect(sorted(await other.walk())).toEqual(sorted(model.expected()));
    await fresh.close();
  } catch (error) {
    throw new Error(`seed ${seed}, after: ${history.slice(-12).join("; ")}`, { cause: error });
  } finally {
    await world.close();
  }
}

describe("random operations", () => {
  it.each(Array.from({ length: 24 }, (_, i) => i + 1))("agree with the model, seed %i", (seed) => run(seed, 120, {}));
  it.each([101, 102, 103])("agree where listings have no order, seed %i", (seed) => run(seed, 80, { listOrdered: false }));
  it.each([201, 202, 203])("agree where listings are flat, seed %i", (seed) => run(seed, 80, { list: "flat" }));
  it.each([301, 302, 303])("agree where renaming is atomic, seed %i", (seed) => run(seed, 80, { rename: "atomic" }));
  it.each([401, 402])("agree where nothing is conditional, seed %i", (seed) => run(seed, 80, { conditionalPut: "none", conditionalComplete: "none", conditionalDelete: false }));

  it.each([1, 2, 3, 4, 5, 6])("many at once keep the invariants, fail only as they may, and leave the mount and the store in agreement, seed %i", async (seed) => {
    const world = await World.open({ memory: { capabilities: S3_LIKE, pageSize: 4 } });
    const random = randomOf(seed);
    const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)] as T;
    const path = (): string => Array.from({ length: 1 + Math.floor(random() * 3) }, () => pick(["a", "b", "c"])).join("/");
    const allowed = ["ENOENT", "EEXIST", "ENOTDIR", "EISDIR", "ENOTEMPTY", "EINVAL", "ESTALE", "EBUSY"];
    const one = async (): Promise<void> => {
      const n = random();
      try {
        if (n < 0.3) await world.put(path(), "x".repeat(Math.floor(random() * 100)));
        else if (n < 0.45) await world.mkdir(path());
        else if (n < 0.6) await world.rm(path());
        else if (n < 0.7) await world.rmdir(path());
        else if (n < 0.85) await world.mv(path(), path());
        else if (n < 0.95) await world.list(path());
        else await world.cat(path());
      } catch (error) {
        if (!(error instanceof FsError) || !allowed.includes(error.errno)) throw error;
      }
      world.fs.checkInvariants();
    };
    for (let i = 0; i < 40; i++) await Promise.all(Array.from({ length: 8 }, one));
    world.later();
    const seen = await new Model(world, random).walk();
    const fresh = await World.open({ world });
    expect(seen).toEqual(await new Model(fresh, random).walk());
    await fresh.close();
    await world.close();
  });
});
