// What a staged file does beside commits: appends, renames, unlinks, a full disk, many at once.

import { execFile } from "node:child_process";
import { mkdir, open, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { StoreError } from "../../../src/store/errors.js";
import type { Capabilities } from "../../../src/store/objectStore.js";
import { openFromStore } from "../../../src/write/context.js";
import { atEnd, latch, MIB, pattern, request, setup, temporaryDirectory, text } from "./helpers.js";

const run = promisify(execFile);
const SMALL: Partial<Capabilities> = {
  upload: { minSize: 10, maxSize: 100, maxParts: 1000, maxObjectSize: 20_000, equalSizes: false }, copyPart: { minSize: 10 },
};
const TINY = { partSize: 20, putThreshold: 20, streamThreshold: 40, worthCopying: 10, copySize: 100, uploadConcurrency: 3, memoryFile: 0 };

describe("append", () => {
  it("is atomic among many, with commits in between", async () => {
    const { writes, bytes } = await setup(TINY, { capabilities: SMALL });
    const file = await writes.stage(request("log"));
    const lines = Array.from({ length: 200 }, (_, i) => `${i}:${"x".repeat(i % 17)}\n`);
    const offsets = await Promise.all(lines.map(async (line, i) => {
      const offset = await file.append(Buffer.from(line));
      if (i % 40 === 0) await file.commit();
      return offset;
    }));
    await file.close();
    const log = (await bytes("log")).toString();
    expect(log.split("\n").sort()).toEqual(["", ...lines.map((line) => line.trimEnd())].sort());
    for (const [i, line] of lines.entries()) expect(log.startsWith(line, offsets[i])).toBe(true);
  });
});

describe("two handles of one file", () => {
  it("see each other's writes, and a commit by one has what the other wrote before", async () => {
    const { writes, bytes } = await setup();
    const file = await writes.stage(request("k"));
    await Promise.all([file.write(0, Buffer.from("aaaa")), file.write(4, Buffer.from("bbbb")), file.write(12, Buffer.from("cccc"))]);
    expect(await text(file.read(0, 100))).toBe("aaaabbbb\0\0\0\0cccc");
    await Promise.all([file.commit(), file.commit(), file.write(0, Buffer.from("A"))]);
    await file.close();
    expect((await bytes("k")).toString()).toBe("Aaaabbbb\0\0\0\0cccc");
  });

  it("commit while others write: each commit has all that was written before it", async () => {
    const { writes, bytes } = await setup(TINY, { capabilities: SMALL });
    const file = await writes.stage(request("k"));
    let written = 0;
    const writer = (async () => {
      for (let i = 0; i < 150; i++) {
        await file.write(i * 8, Buffer.from(String(i).padStart(8, "0")));
        written = i + 1;
      }
    })();
    for (let i = 0; i < 8; i++) {
      const before = written;
      const { size } = await file.commit();
      expect(size).toBeGreaterThanOrEqual(before * 8);
      const at = await bytes("k");
      for (let n = 0; n < before; n++) expect(at.toString("latin1", n * 8, n * 8 + 8)).toBe(String(n).padStart(8, "0"));
    }
    await writer;
    await file.close();
    expect((await bytes("k")).length).toBe(1200);
  });
});

describe("a read of unchanged bytes during a commit", () => {
  it.each(["precondition", "aborted"] as const)("goes on with the new version when the old one's reader ends (%s)", async (kind) => {
    const { writes, base } = await setup();
    const old = await base("k", "0123456789");
    const hold = latch();
    let reads = 0;
    const file = await writes.stage(request("k", {
      base: {
        ...old,
        read: async (...args) => {
          reads += 1;
          if (reads > 1) return await old.read(...args);
          await hold.wait;
          throw new StoreError(kind, "the old version");
        },
      },
    }));
    await file.write(0, Buffer.from("x"));
    const read = text(file.read(0, 10));
    await file.commit();
    hold.open();
    expect(await read).toBe("x123456789");
  });
});

describe("holes", () => {
  it("are zeros, found by seek, and are read from nowhere", async () => {
    const { writes, bytes, base } = await setup({ memoryFile: 0 });
    const old = await base("k", pattern(100));
    let asked = 0;
    const file = await writes.stage(request("k", { base: { ...old, read: (...args) => { asked += 1; return old.read(...args); } } }));
    await file.truncate(10);
    await file.write(1000, Buffer.from("x"));
    expect(await text(file.read(10, 990))).toBe("\0".repeat(990));
    expect(asked).toBe(0);
    expect([file.seek(0, "hole"), file.seek(10, "data"), file.seek(1000, "hole"), file.seek(1001, "data")]).toEqual([10, 1000, 1001, undefined]);
    await file.close();
    expect(await bytes("k")).toEqual(Buffer.concat([pattern(100).subarray(0, 10), Buffer.alloc(990), Buffer.from("x")]));
  });

  it("of a gigabyte are sent without a gigabyte of memory", async () => {
    const { writes, memory, budget } = await setup({}, { capabilities: { maxPutSize: 16 * MIB } });
    const file = await writes.stage(request("k"));
    await file.write(200 * MIB, Buffer.from("end"));
    await file.close();
    expect((await memory.head("k")).size).toBe(200 * MIB + 3);
    expect(budget.peak).toBeLessThan(MIB);
    expect(budget.used).toBe(0);
  });
});

describe("a file that is renamed while it is written", () => {
  it("goes to the new key, and the upload under the old one is aborted", async () => {
    const { writes, bytes, memory } = await setup(TINY, { capabilities: SMALL });
    const file = await writes.stage(request("old"));
    await file.write(0, pattern(100));
    while (memory.container.uploads.size === 0) await new Promise(setImmediate);
    await file.retarget("new", undefined);
    expect(memory.container.uploads.size).toBe(0);
    await file.write(100, pattern(100, 2));
    await file.close();
    expect(await bytes("new")).toEqual(Buffer.concat([pattern(100), pattern(100, 2)]));
    await expect(memory.head("old")).rejects.toMatchObject({ kind: "not-found" });
  });

  it("replaces what stood at the new key, and only that", async () => {
    const { writes, bytes, base } = await setup();
    const target = await base("new", "target");
    const file = await writes.stage(request("old"));
    await file.write(0, Buffer.from("mine"));
    await file.retarget("new", target.etag);
    expect([file.key, file.etag]).toEqual(["new", target.etag]);
    await file.commit();
    expect((await bytes("new")).toString()).toBe("mine");
  });

  it("reads its unchanged bytes from the object that was moved along", async () => {
    const { writes, bytes, memory, base } = await setup({}, { etags: "unique" });
    const file = await writes.stage(request("old", { base: await base("old", "0123456789") }));
    await file.write(0, Buffer.from("x"));
    const moved = await memory.copy("old", "new");
    await memory.delete("old");
    await file.retarget("new", moved.etag);
    expect(await text(file.read(0, 10))).toBe("x123456789");
    await file.close();
    expect((await bytes("new")).toString()).toBe("x123456789");
  });

  it("copies its unchanged parts from the object that was moved along", async () => {
    const { writes, bytes, memory, base } = await setup(TINY, { etags: "unique", capabilities: SMALL });
    const file = await writes.stage(request("old", { base: await base("old", pattern(200)) }));
    await file.append(Buffer.from("tail"));
    const moved = await memory.copy("old", "new");
    await memory.delete("old");
    await file.retarget("new", moved.etag);
    await file.close();
    expect(await bytes("new")).toEqual(Buffer.concat([pattern(200), Buffer.from("tail")]));
    expect(writes.stats().uploadedBytes).toBe(4);
  });

  it("reads them from the old key when the object was left there", async () => {
    const { writes, bytes, base } = await setup(TINY, { capabilities: SMALL });
    const file = await writes.stage(request("old", { base: await base("old", pattern(200)) }));
    file.touch();
    await file.retarget("new", undefined);
    await file.close();
    expect(await bytes("new")).toEqual(pattern(200));
    expect(writes.stats().uploadedBytes).toBe(0);
  });
});

describe("a file that is unlinked while it is written", () => {
  it("goes on, and nothing appears at the store", async () => {
    const { writes, memory, directory } = await setup(TINY, { capabilities: SMALL });
    const file = await writes.stage(request("k"));
    await file.write(0, pattern(100));
    await file.orphan();
    expect(memory.container.uploads.size).toBe(0);
    await file.write(100, pattern(100, 2));
    await file.commit();
    expect(Buffer.concat([...await file.read(0, 1000)])).toEqual(Buffer.concat([pattern(100), pattern(100, 2)]));
    expect(writes.stats().pending).toEqual([]);
    await writes.sync();
    await file.close();
    expect(memory.container.size).toBe(0);
    expect(await readdir(directory)).toEqual(["lock.1"]);
  });

  it("during a commit: parts are called back, and the commit does not fail", async () => {
    const { writes, memory, faults } = await setup({ ...TINY, streamThreshold: 9999 }, { capabilities: SMALL });
    const begun = latch();
    faults.before = async (call, args) => {
      if (call !== "putPart") return;
      begun.open();
      const { signal } = args[4] as { signal: AbortSignal };
      await new Promise((_, reject) => { signal.addEventListener("abort", () => { reject(signal.reason as Error); }); });
    };
    const file = await writes.stage(request("k"));
    await file.write(0, pattern(100));
    const commit = file.commit();
    await begun.wait;
    await file.orphan();
    await commit;
    await file.close();
    expect(memory.container.size).toBe(0);
    expect(memory.container.uploads.size).toBe(0);
    expect(writes.stats()).toMatchObject({ failed: 0, pending: [] });
  });

  it("during a put waits for it, so that the object cannot appear after the unlink", async () => {
    const { writes, memory, faults } = await setup();
    const hold = latch();
    const begun = latch();
    faults.before = async (call) => { if (call === "put") { begun.open(); await hold.wait; } };
    const file = await writes.stage(request("k"));
    await file.write(0, Buffer.from("x"));
    const commit = file.commit();
    await begun.wait;
    let orphaned = false;
    const orphan = file.orphan().then(() => { orphaned = true; });
    for (let i = 0; i < 20; i++) await new Promise(setImmediate);
    expect(orphaned).toBe(false);
    hold.open();
    await Promise.all([orphan, commit]);
    await memory.delete("k");
    await file.close();
    expect(memory.container.size).toBe(0);
  });

  it("after a failed commit keeps nothing", async () => {
    const { writes, faults, directory } = await setup();
    faults.before = (call) => { if (call === "put") throw new StoreError("quota", "full"); };
    const file = await writes.stage(request("k"));
    await file.write(0, Buffer.from("x"));
    await expect(file.commit()).rejects.toThrow("full");
    await file.orphan();
    await file.write(1, Buffer.from("y"));
    await file.close();
    expect(writes.stats().pending).toEqual([]);
    expect(await readdir(directory)).toEqual(["lock.1"]);
  });
});

describe("a staging directory that is full", () => {
  const enospc = (): Error => Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC" });

  it("fails the write with ENOSPC; what was written before is committed", async () => {
    let room = 300;
    const opened: typeof open = async (...args) => {
      const handle = await open(...args);
      const write = handle.write.bind(handle) as (...given: unknown[]) => Promise<{ bytesWritten: number }>;
      handle.write = (async (buffer: Buffer, at: number, length: number, position: number) => {
        if (room === 0) throw enospc();
        const part = Math.min(length, room);
        room -= part;
        return await write(buffer, at, part, position);
      }) as typeof handle.write;
      return handle;
    };
    const { writes, bytes } = await setup({ memoryFile: 200 }, {}, { openFile: opened });
    const file = await writes.stage(request("k"));
    await file.write(0, pattern(200));
    // Leaves the memory: 200 bytes fit, of the next 200 only half.
    await expect(file.write(200, pattern(200, 2))).rejects.toMatchObject({ code: "ENOSPC" });
    expect(file.size).toBe(200);
    await file.commit();
    expect(await bytes("k")).toEqual(pattern(200));
    room = 1000;
    await file.write(200, pattern(200, 2));
    await file.close();
    expect(await bytes("k")).toEqual(Buffer.concat([pattern(200), pattern(200, 2)]));
  });

  it("cannot take the bytes of a failed commit: they stay in memory, and are told so", async () => {
    const { writes, faults } = await setup({}, {}, { openFile: () => Promise.reject(enospc()) });
    faults.before = (call) => { if (call === "put") throw new StoreError("unavailable", "no answer"); };
    const file = await writes.stage(request("k"));
    await file.write(0, Buffer.from("x"));
    await file.close();
    expect(writes.stats().pending).toMatchObject([{ key: "k", file: "(memory)", state: "failed" }]);
  });

  it.runIf(process.getuid?.() === 0)("on a real small file system", async () => {
    const directory = join(await temporaryDirectory(), "tiny");
    await mkdir(directory);
    await run("mount", ["-t", "tmpfs", "-o", "size=64k", "none", directory]);
    atEnd(async () => { await run("umount", [directory]); });
    const { writes, bytes } = await setup({ memoryFile: 0 }, {}, { directory });
    const file = await writes.stage(request("k"));
    let written = 0;
    const error = await (async () => {
      for (; written < 100; written++) await file.write(written * 1024, pattern(1024, written));
    })().catch((failure: unknown) => failure);
    expect(error).toMatchObject({ code: "ENOSPC" });
    expect(file.size).toBe(written * 1024);
    await file.commit();
    expect((await bytes("k")).length).toBe(written * 1024);
    await file.close();
    await writes.close();
  });
});

describe("all files together", () => {
  it("sync commits what is dirty, waits for what is committing, and rejects after all have ended", async () => {
    const { writes, memory, faults } = await setup();
    faults.before = (call, [key]) => { if (call === "put" && key === "k3") throw new StoreError("denied", "not k3"); };
    const files = await Promise.all(Array.from({ length: 20 }, (_, i) => writes.stage(request(`k${i}`))));
    await Promise.all(files.map((file) => file.write(0, pattern(100))));
    void files[5]?.commit();
    expect(writes.stats()).toMatchObject({ pendingBytes: 2000 });
    await expect(writes.sync()).rejects.toThrow("not k3");
    expect(memory.container.size).toBe(19);
    expect(writes.stats().pending.map(({ key }) => key)).toEqual(["k3"]);
    const abort = new AbortController();
    const hold = latch();
    faults.before = () => hold.wait;
    await files[0]?.write(0, Buffer.from("x"));
    const sync = writes.sync(abort.signal);
    abort.abort();
    await expect(sync).rejects.toMatchObject({ kind: "aborted" });
    hold.open();
    await files[0]?.close();
  });

  it("close commits what is open, and lets nothing be opened after it", async () => {
    const { writes, bytes } = await setup();
    const file = await writes.stage(request("k"));
    await file.write(0, Buffer.from("late"));
    await writes.close();
    expect((await bytes("k")).toString()).toBe("late");
    await expect(writes.stage(request("k2"))).rejects.toThrow("closing");
  });

  it("keep to the budget, and give all of it back", async () => {
    const { writes, memory, budget } = await setup({ partSize: MIB, streamThreshold: 2 * MIB, sliceSize: 64 * 1024, totalConcurrency: 8, partMemory: 3 * MIB });
    await Promise.all(Array.from({ length: 16 }, async (_, i) => {
      const file = await writes.stage(request(`k${i}`));
      const chunk = pattern(MIB / 4, i + 1);
      for (let at = 0; at < 5 * MIB; at += chunk.length) await file.write(at, chunk);
      await file.close();
    }));
    expect(memory.container.bytes).toBe(80 * MIB);
    expect(budget.peak).toBeLessThanOrEqual(16 * MIB / 4 + 3 * MIB + 8 * 64 * 1024);
    expect(budget.used).toBe(0);
  });

  it("read through what the composition root gives for later versions, and close it", async () => {
    let opened = 0;
    let closed = 0;
    const all = await setup();
    const { writes } = await setup({}, all.memory.container, {
      store: all.memory,
      openBase: (version) => { opened += 1; return { ...openFromStore(all.memory)(version), close: () => { closed += 1; } }; },
    });
    const file = await writes.stage(request("k", { base: await all.base("k", "0123456789") }));
    for (let i = 0; i < 3; i++) {
      await file.write(i, Buffer.from("x"));
      await file.commit();
      expect(await text(file.read(0, 10))).toBe(`${"x".repeat(i + 1)}${"0123456789".slice(i + 1)}`);
    }
    await file.close();
    expect([opened, closed]).toEqual([3, 3]);
  });
});

describe("a journal of a file that was streamed", () => {
  it("has the upload and its parts, and is gone after the commit and the close", async () => {
    const { writes, faults, directory, memory } = await setup(TINY, { capabilities: SMALL });
    const file = await writes.stage(request("k"));
    await file.write(0, pattern(100));
    while (writes.stats().pending[0]?.uploaded !== 80) await new Promise(setImmediate);
    faults.before = (call) => { if (call === "complete") throw new StoreError("unavailable", "no answer"); };
    await expect(file.commit()).rejects.toThrow("no answer");
    const name = (await readdir(directory)).find((one) => one.endsWith(".journal")) as string;
    const { readJournal } = await import("../../../src/write/journal.js");
    const { records } = await readJournal(join(directory, name));
    const types = records.map((record) => record.type);
    expect(types.slice(0, 2)).toEqual(["begin", "upload"]);
    expect(types.slice(2).sort()).toEqual(["part", "part", "part", "part", "part", "staged"]);
    expect(records[1]).toMatchObject({ id: [...memory.container.uploads.keys()][0] });
    delete faults.before;
    await file.commit();
    expect((await readFile(join(directory, name), "utf8")).includes("\"complete\"")).toBe(true);
    await file.close();
    expect(await readdir(directory)).toEqual(["lock.1"]);
  });
});
