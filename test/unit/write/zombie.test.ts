import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import { expect, it } from "vitest";
import { isAlive, thisProcess } from "../../../src/write/stagingDirectory.js";

it("a daemon that was killed and not waited for does not hold its staging directory", async () => {
  // The child of this shell ends once the shell has become sleep, which never waits for it: a zombie.
  const parent = spawn("sh", ["-c", "(until grep -qx sleep /proc/$$/comm; do :; done) & echo $!; exec sleep 60"], { stdio: ["ignore", "pipe", "inherit"] });
  try {
    const pid = Number(await new Promise<string>((resolve) => { parent.stdout.once("data", (chunk: Buffer) => { resolve(chunk.toString()); }); }));
    const fields = (): string[] => readFileSync(`/proc/${pid}/stat`, "latin1").replace(/^.*\) /s, "").split(" ");
    while (fields()[0] !== "Z") await new Promise((next) => { setImmediate(next); });
    const own = thisProcess(hostname());
    expect(isAlive(own, own.host)).toBe(true);
    expect(isAlive({ ...own, pid, started: fields()[19] as string }, own.host)).toBe(false);
  } finally {
    parent.kill("SIGKILL");
  }
});
