// 64 readers and 16 writers at once, over one mount. Seconds by OBJMOUNT_SOAK_SECONDS: short in `npm test`, 300 in
// `npm run soak`. Every byte is checked by soakWorker.mjs; here the memory and what is left at the end.

import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { whyNoAddon } from "../../src/fuse/channel.js";
import { Mounted, run, ROOT, whyNoMount, type MountRequest } from "./harness.js";

/**
 * Resident memory of the daemon: its budget plus the program itself (about 112 MiB with its heap), one message of the kernel for each of
 * the 80 callers (1 MiB), and what V8 leaves uncollected of freed buffers (64 MiB).
 */
export const MEMORY_CONSTANT = 256 * 2 ** 20;
const BUDGET = 96 * 2 ** 20;

export function soakSuite(name: string, request: () => MountRequest): void {
  const seconds = Number(process.env["OBJMOUNT_SOAK_SECONDS"] ?? 15);
  // Under fuse-native an open that meets a rename onto its file may be ENOENT (docs/SEMANTICS.md).
  const why = whyNoMount() ?? (whyNoAddon() === undefined ? undefined : "skipped: the native front end is not there");
  describe.skipIf(why !== undefined)(`soak on ${name}${why === undefined ? "" : ` (${why})`}`, () => {
    it(`64 readers and 16 writers for ${seconds} s, no error, memory within its budget`, async () => {
      const base = request();
      let mounted = await Mounted.start({ ...base, args: [...(base.args ?? []), "--memory-limit", String(BUDGET)] });
      try {
        const out = await run(process.execPath, [join(ROOT, "test/mount/soakWorker.mjs"), mounted.directory, String(seconds), "64", "16"],
          { env: { UV_THREADPOOL_SIZE: "96" }, limit: (seconds + 120) * 1000 });
        const counts = JSON.parse(out) as { commits: number; reads: number; versions: Record<string, number> };
        console.log(`soak on ${name}: ${out.slice(0, out.indexOf(",\"versions\""))}}, peak resident ${Math.round(mounted.peakMemory() / 2 ** 20)} MiB`);
        expect(counts.commits).toBeGreaterThan(0);
        expect(counts.reads).toBeGreaterThan(0);
        expect(mounted.peakMemory()).toBeLessThan(BUDGET + MEMORY_CONSTANT);
        mounted = await mounted.again();
        const names = (await run("ls", [mounted.directory])).trim().split("\n").sort();
        expect(names).toEqual(Object.keys(counts.versions).sort());
        for (const [file, version] of Object.entries(counts.versions)) {
          const head = await run("head", ["-c", "40", join(mounted.directory, file)]);
          expect(head.split(":").slice(0, 2)).toEqual([file, String(version)]);
        }
      } finally {
        await mounted.dispose();
      }
    }, (seconds + 240) * 1000);
  });
}

