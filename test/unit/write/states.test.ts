// Every cell of the state table in src/write/types.ts.

import { stat } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { StoreError } from "../../../src/store/errors.js";
import type { StagedFile, StagedState } from "../../../src/write/types.js";
import { latch, request, setup, text, type Setup } from "./helpers.js";

interface At extends Setup {
  readonly file: StagedFile;
  /** Lets the held put go on; only in "committing". */
  readonly go: (outcome?: "fail") => void;
}

/** A file "k" (base "old") brought into a state. */
async function inState(state: StagedState): Promise<At> {
  const all = await setup();
  const base = await all.base("k", "old");
  const file = await all.writes.stage(request("k", { base }));
  const hold = latch();
  let fail = state === "failed";
  if (state !== "clean") await file.write(0, Buffer.from("new"));
  if (state === "committing" || state === "failed") {
    all.faults.before = async (call) => {
      if (call !== "put") return;
      if (state === "committing") await hold.wait;
      if (fail) throw new StoreError("unavailable", "no answer");
    };
  }
  if (state === "committing") {
    file.commit().catch(() => undefined);
    expect(file.state).toBe("committing");
  }
  if (state === "failed") {
    await expect(file.commit()).rejects.toThrow("no answer");
  }
  if (state === "closed") await file.close();
  expect(file.state).toBe(state);
  return { ...all, file, go: (outcome) => { fail = outcome === "fail"; hold.open(); } };
}

const EBADF = { code: "EBADF" };

describe("clean", () => {
  it("becomes dirty by a write", async () => {
    const { file } = await inState("clean");
    await file.write(1, Buffer.from("L"));
    expect(file.state).toBe("dirty");
    expect(await text(file.read(0, 9))).toBe("oLd");
  });

  it("answers a commit with the last one, and asks nothing of the store", async () => {
    const { file, calls } = await inState("clean");
    expect(await file.commit()).toMatchObject({ key: "k", size: 3, etag: file.etag });
    await file.write(0, Buffer.from("X"));
    const committed = await file.commit();
    calls.length = 0;
    expect(await file.commit()).toEqual(committed);
    expect(calls).toEqual([]);
  });

  it("closes without a commit", async () => {
    const { file, calls } = await inState("clean");
    await file.close();
    expect(file.state).toBe("closed");
    expect(calls).toEqual([]);
  });
});

describe("dirty", () => {
  it("stays so by a write", async () => {
    const { file } = await inState("dirty");
    await file.write(3, Buffer.from("er"));
    expect(file.state).toBe("dirty");
  });

  it("commits, and is clean after it", async () => {
    const { file, bytes } = await inState("dirty");
    const before = file.etag;
    const committed = await file.commit();
    expect(file.state).toBe("clean");
    expect((await bytes("k")).toString()).toBe("new");
    expect(committed.etag).not.toBe(before);
    expect(file.etag).toBe(committed.etag);
  });

  it("is failed after a commit that failed", async () => {
    const { file } = await inState("failed");
    expect(file.state).toBe("failed");
  });

  it("is committed by close", async () => {
    const { file, bytes } = await inState("dirty");
    await file.close();
    expect(file.state).toBe("closed");
    expect((await bytes("k")).toString()).toBe("new");
  });
});

describe("committing", () => {
  it("queues a write behind the commit, whose object does not have it", async () => {
    const { file, go, bytes } = await inState("committing");
    let done = false;
    const write = file.write(0, Buffer.from("NEW")).then(() => { done = true; });
    await new Promise(setImmediate);
    expect(done).toBe(false);
    const first = file.commit();
    go();
    await write;
    await first;
    expect((await bytes("k")).toString()).toBe("NEW");
  });

  it("lets a commit join when nothing was written since", async () => {
    const { file, go, calls } = await inState("committing");
    const joined = [file.commit(), file.commit()];
    go();
    const [one, two] = await Promise.all(joined);
    expect(one).toBe(two);
    expect(calls.filter((call) => call === "put")).toHaveLength(1);
  });

  it("lets commits join one further commit when something was written since", async () => {
    const { file, go, calls, bytes } = await inState("committing");
    const write = file.write(3, Buffer.from("er"));
    const further = [file.commit(), file.commit(), file.commit()];
    go();
    await Promise.all([write, ...further]);
    expect(calls.filter((call) => call === "put")).toHaveLength(2);
    expect((await bytes("k")).toString()).toBe("newer");
  });

  it("writes a description that changed meanwhile by one further commit", async () => {
    const { file, go, calls, memory } = await inState("committing");
    await new Promise(setImmediate);
    file.touch();
    const further = file.commit();
    go();
    await further;
    expect(calls).toContain("setMetadata");
    expect(file.state).toBe("clean");
    expect((await memory.head("k")).metadata).toEqual({ mode: "33188" });
  });

  it("is dirty after a commit during which the description changed", async () => {
    const { file, go, calls } = await inState("committing");
    const commit = file.commit();
    while (!calls.includes("put")) await new Promise(setImmediate);
    file.touch();
    go();
    await commit;
    expect(file.state).toBe("dirty");
    await file.close();
    expect(calls.at(-1)).toBe("setMetadata");
  });

  it("can be read", async () => {
    const { file, go } = await inState("committing");
    expect(await text(file.read(0, 9))).toBe("new");
    go();
  });

  it("closes after the commit", async () => {
    const { file, go, bytes } = await inState("committing");
    const closing = file.close();
    await new Promise(setImmediate);
    expect(file.state).toBe("committing");
    go();
    await closing;
    expect(file.state).toBe("closed");
    expect((await bytes("k")).toString()).toBe("new");
  });

  it("commits on close what was queued behind the commit", async () => {
    const { file, go, bytes, writes } = await inState("committing");
    const write = file.write(3, Buffer.from("er"));
    const closing = file.close();
    go();
    await Promise.all([write, closing]);
    expect((await bytes("k")).toString()).toBe("newer");
    expect(writes.stats().pending).toEqual([]);
  });

  it("becomes failed when the commit fails, for those who queued and those who joined", async () => {
    const { file, go } = await inState("committing");
    const joined = file.commit();
    const queued = file.write(0, Buffer.from("x"));
    go("fail");
    await expect(joined).rejects.toThrow("no answer");
    await expect(queued).rejects.toThrow("no answer");
    expect(file.state).toBe("failed");
  });

  it("goes on when a caller's signal fires, and only that caller hears of it", async () => {
    const { file, go, bytes } = await inState("committing");
    const abort = new AbortController();
    const interrupted = file.commit(abort.signal);
    const patient = file.commit();
    abort.abort(new Error("EINTR"));
    await expect(interrupted).rejects.toMatchObject({ kind: "aborted" });
    go();
    await patient;
    expect((await bytes("k")).toString()).toBe("new");
  });

  it("lets a queued write go when its signal fires", async () => {
    const { file, go, bytes } = await inState("committing");
    const abort = new AbortController();
    const interrupted = file.write(0, Buffer.from("NO"), abort.signal);
    abort.abort(new Error("EINTR"));
    await expect(interrupted).rejects.toMatchObject({ kind: "aborted" });
    go();
    await file.commit();
    expect((await bytes("k")).toString()).toBe("new");
  });
});

describe("failed", () => {
  it("refuses writes with the same error, and can be read", async () => {
    const { file } = await inState("failed");
    const error = await file.commit().catch((failure: unknown) => failure);
    await expect(file.write(0, Buffer.from("x"))).rejects.toBe(error);
    await expect(file.append(Buffer.from("x"))).rejects.toBe(error);
    await expect(file.truncate(0)).rejects.toBe(error);
    expect(await text(file.read(0, 9))).toBe("new");
  });

  it("tries again on every commit, and gives the error again", async () => {
    const { file, calls } = await inState("failed");
    const before = calls.length;
    await expect(file.commit()).rejects.toThrow("no answer");
    expect(calls.length).toBe(before + 1);
    expect(file.state).toBe("failed");
  });

  it("is clean after a commit that went well", async () => {
    const { file, go, bytes, writes } = await inState("failed");
    go();
    await file.commit();
    expect(file.state).toBe("clean");
    expect((await bytes("k")).toString()).toBe("new");
    await file.write(0, Buffer.from("N"));
    await file.close();
    expect((await bytes("k")).toString()).toBe("New");
    expect(writes.stats()).toMatchObject({ pending: [], committed: 2, failed: 1 });
  });

  it("closes without another try and keeps the bytes in the staging directory", async () => {
    const { file, writes, calls, directory } = await inState("failed");
    const before = calls.length;
    await file.close();
    expect(calls.length).toBe(before);
    expect(file.state).toBe("closed");
    const [line] = writes.stats().pending;
    expect(line).toMatchObject({ key: "k", state: "failed", size: 3, error: "no answer" });
    expect(line?.file.startsWith(directory)).toBe(true);
    expect((await stat(line?.file as string)).size).toBe(3);
    await writes.close();
    expect((await stat(line?.file as string)).size).toBe(3);
  });
});

describe("closed", () => {
  it("refuses everything but close", async () => {
    const { file } = await inState("closed");
    await expect(file.write(0, Buffer.from("x"))).rejects.toMatchObject(EBADF);
    await expect(file.append(Buffer.from("x"))).rejects.toMatchObject(EBADF);
    await expect(file.truncate(0)).rejects.toMatchObject(EBADF);
    await expect(file.read(0, 1)).rejects.toMatchObject(EBADF);
    await expect(file.commit()).rejects.toMatchObject(EBADF);
    expect(() => file.seek(0, "data")).toThrow("closed");
    await file.close();
    file.touch();
    expect(file.state).toBe("closed");
  });
});
