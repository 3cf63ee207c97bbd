import { spawn } from "node:child_process";
import { readdir, readFile, stat, writeFile } from "node:fs/promises";
import { once } from "node:events";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { describe, expect, it } from "vitest";
import { StoreError } from "../../../src/store/errors.js";
import { Journal, readJournal } from "../../../src/write/journal.js";
import { isAlive, leftBehind, StagingDirectory, thisProcess } from "../../../src/write/stagingDirectory.js";
import { request, setup, temporaryDirectory } from "./helpers.js";

const HOST = "testhost";

/** An owner that is certainly dead: a child that has ended. */
async function deadOwner(): Promise<ReturnType<typeof thisProcess>> {
  const child = spawn(process.execPath, ["-e", ""], { stdio: "ignore" });
  const pid = child.pid as number;
  await once(child, "exit");
  return { ...thisProcess(HOST), pid, started: "1" };
}

describe("the lock", () => {
  it("keeps a second daemon out while the first lives, and names it", async () => {
    const path = join(await temporaryDirectory(), "s");
    const first = new StagingDirectory(path, HOST);
    await first.open();
    expect((await stat(path)).mode & 0o777).toBe(0o700);
    await expect(new StagingDirectory(path, HOST).open()).rejects.toThrow(`in use by process ${process.pid}`);
    expect(await readdir(path)).toEqual(["lock.1"]);
    await first.close();
    const second = new StagingDirectory(path, HOST);
    await second.open();
    await second.close();
    expect(await readdir(path)).toEqual(["lock.2"]);
  });

  it("is taken from a dead process, a process of another boot, and a torn lock file", async () => {
    const dead = await deadOwner();
    for (const content of [JSON.stringify(dead), JSON.stringify({ ...thisProcess(HOST), boot: "before" }), "{\"pid\":"]) {
      const path = await temporaryDirectory();
      await writeFile(join(path, "lock.7"), content);
      const directory = new StagingDirectory(path, HOST);
      await directory.open();
      expect(JSON.parse(await readFile(join(path, "lock.8"), "utf8"))).toEqual(thisProcess(HOST));
      await directory.close();
    }
  });

  it("is not taken from another host", async () => {
    const path = await temporaryDirectory();
    await writeFile(join(path, "lock.1"), JSON.stringify({ ...await deadOwner(), host: "elsewhere" }));
    await expect(new StagingDirectory(path, HOST).open()).rejects.toThrow("on elsewhere");
  });

  it.each(Array.from({ length: 20 }, (_, i) => i))("goes to one of many who find a dead one (%i)", async () => {
    const path = await temporaryDirectory();
    await writeFile(join(path, "lock.1"), JSON.stringify(await deadOwner()));
    const all = Array.from({ length: 8 }, () => new StagingDirectory(path, HOST));
    const results = await Promise.allSettled(all.map((one) => one.open()));
    expect(results.filter((one) => one.status === "fulfilled")).toHaveLength(1);
    await Promise.all(all.map((one) => one.close()));
    expect(await readdir(path)).toEqual(["lock.2"]);
  });

  it("knows a process by its start, not by its number alone", () => {
    const own = thisProcess(HOST);
    expect(isAlive(own, HOST)).toBe(true);
    expect(isAlive({ ...own, started: "1" }, HOST)).toBe(false);
  });
});

describe("what a dead daemon left", () => {
  it("is listed, and neither opening nor writing touches it", async () => {
    const path = await temporaryDirectory();
    const id = "0f1e2d3c-0000-4000-8000-000000000001";
    const alone = "0f1e2d3c-0000-4000-8000-000000000002";
    const journal = await Journal.create(join(path, `${id}.journal`));
    journal.append({ type: "begin", key: "lost", data: `${id}.data`, owner: await deadOwner(), time: 1000, store: "memory://c" });
    await journal.close();
    await writeFile(join(path, `${id}.data`), "bytes");
    await writeFile(join(path, `${alone}.data`), "more");
    await writeFile(join(path, "unrelated.txt"), "mine");
    const before = await readdir(path);
    const { writes, bytes } = await setup({ memoryFile: 0 }, {}, { directory: path });
    await writes.open();
    const file = await writes.stage(request("k"));
    await file.write(0, Buffer.from("hello"));
    await file.close();
    expect((await bytes("k")).toString()).toBe("hello");
    const left = await writes.leftBehind();
    expect(left.map(({ key, bytes: size, since }) => [key, size, since === 1000])).toEqual([["lost", 5, true], [undefined, 4, false]]);
    await writes.close();
    expect((await readdir(path)).filter((name) => name !== "lock.1").sort()).toEqual(before.sort());
    expect(await readFile(join(path, `${id}.data`), "utf8")).toBe("bytes");
  });

  it("does not include the files of a live one, and a missing directory is empty", async () => {
    const { writes, faults, directory } = await setup({ memoryFile: 0 });
    faults.before = (call) => { if (call === "put") throw new StoreError("unavailable", "no answer"); };
    const file = await writes.stage(request("k"));
    await file.write(0, Buffer.from("hello"));
    await file.close();
    expect(writes.stats().pending).toHaveLength(1);
    expect(await leftBehind(directory, HOST)).toEqual([]);
    expect(await leftBehind(join(directory, "none"), HOST)).toEqual([]);
  });

  it("has, after a failed commit, the bytes and a journal that tells them, before anything is closed", async () => {
    const { writes, faults, directory, base } = await setup();
    const file = await writes.stage(request("precious", { base: await base("precious", "0123456789") }));
    await file.write(2, Buffer.from("ab"));
    await file.write(20, Buffer.from("cd"));
    await file.truncate(21);
    expect((await readdir(directory)).sort()).toEqual(["lock.1"]);
    faults.before = (call) => { if (call === "put") throw new StoreError("unavailable", "no answer"); };
    await expect(file.commit()).rejects.toThrow("no answer");
    const names = (await readdir(directory)).sort();
    expect(names.map((name) => name.replace(/^.*\./, ""))).toEqual(["data", "journal", "1"]);
    const data = await readFile(join(directory, names[0] as string));
    const { records, torn } = await readJournal(join(directory, names[1] as string));
    expect(torn).toBe(false);
    expect(records).toMatchObject([
      { type: "begin", key: "precious", data: names[0], expected: file.etag, base: { key: "precious", etag: file.etag, size: 10 } },
      { type: "staged", size: 21, baseLimit: 10, error: "no answer", ranges: [[2, 4, crc32("ab")], [20, 21, crc32("c")]] },
    ]);
    expect(data.subarray(2, 4).toString() + data.subarray(20, 21).toString()).toBe("abc");
    expect((await stat(join(directory, names[0] as string))).mode & 0o777).toBe(0o600);
  });
});
