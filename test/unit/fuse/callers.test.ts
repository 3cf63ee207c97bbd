import { spawn } from "node:child_process";
import { once } from "node:events";
import { describe, expect, it, vi } from "vitest";
import { InterruptedCallers, isBeingEnded } from "../../../src/fuse/callers.js";

describe("a caller is being ended", () => {
  it("when it is gone, and not while it runs or is not known", async () => {
    const child = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"]);
    await once(child, "spawn");
    const pid = child.pid as number;
    expect(isBeingEnded(pid)).toBe(false);
    expect(isBeingEnded(0)).toBe(false);
    child.kill("SIGKILL");
    await once(child, "exit");
    expect(isBeingEnded(pid)).toBe(true);
  });

  it("when a deadly signal waits for it, but not a blocked, caught or harmless one", async () => {
    // A stopped process keeps its signals pending.
    const child = spawn("bash", ["-c", "trap : USR1; kill -STOP $$; sleep 100"]);
    await once(child, "spawn");
    const pid = child.pid as number;
    const { readFileSync } = await import("node:fs");
    await vi.waitUntil(() => /State:\s+T/.test(readFileSync(`/proc/${pid}/status`, "latin1")), 10_000);
    process.kill(pid, "SIGUSR1");
    process.kill(pid, "SIGWINCH");
    expect(isBeingEnded(pid)).toBe(false);
    process.kill(pid, "SIGTERM");
    expect(isBeingEnded(pid)).toBe(true);
    child.kill("SIGKILL");
    await once(child, "exit");
  });
});

describe("an interrupted request", () => {
  it("is given up as soon as its caller is being ended, and forgotten when it is answered", () => {
    vi.useFakeTimers();
    try {
      let ended = false;
      const callers = new InterruptedCallers<{ pid: number; abort: (reason: Error) => void }>(() => ended);
      const aborted: number[] = [];
      const request = (pid: number) => ({ pid, abort: () => { aborted.push(pid); } });
      const [first, second, unknown] = [request(1), request(2), request(0)];
      for (const one of [first, second, unknown]) callers.add(one);
      vi.advanceTimersByTime(2000);
      callers.delete(second);
      expect(aborted).toEqual([]);
      ended = true;
      vi.advanceTimersByTime(1000);
      expect(aborted).toEqual([1]);
      expect(vi.getTimerCount()).toBe(0);
    } finally {
      vi.useRealTimers();
    }
  });
});
