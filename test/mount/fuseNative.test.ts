// How a mount under fuse-native ends: nothing tells the daemon, which has to find out.

import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { loadLibfuse } from "../../src/fuse/libfuse.js";
import { isMounted, Mounted, run, sh, tempDir, whyNoMount } from "./harness.js";

const libfuse = loadLibfuse();
const why = whyNoMount() ?? ("why" in libfuse ? `skipped: ${libfuse.why}` : process.geteuid?.() === 0 ? undefined : "skipped: needs root, for umount");
if (why !== undefined) console.warn(`the end of a mount under fuse-native: ${why}`);

describe.skipIf(why !== undefined)("the end of a mount under fuse-native", () => {
  const store = tempDir("store");
  const opened: Mounted[] = [];
  const mount = async (): Promise<Mounted> => {
    const mounted = await Mounted.start({ url: `file://${join(store, "root")}`, args: ["--create-container", "--driver=fuse-native"] });
    opened.push(mounted);
    return mounted;
  };
  const ended = async (mounted: Mounted): Promise<void> => {
    while (existsSync(`/proc/${mounted.pid}`)) await new Promise((next) => setTimeout(next, 50));
  };
  afterAll(async () => {
    for (const mounted of opened) await mounted.dispose();
    rmSync(store, { recursive: true, force: true });
  });

  it("somebody else unmounts it: what was written is saved, and the daemon ends", async () => {
    const mounted = await mount();
    await sh("printf kept > f", { cwd: mounted.directory });
    await run("umount", [mounted.directory]);
    await ended(mounted);
    const again = await mount();
    expect(await run("cat", [join(again.directory, "f")])).toBe("kept");
    await again.stop();
  });

  it("detached while in use it is served until its last user has gone", async () => {
    const mounted = await mount();
    await sh(`printf before > g; exec 7<>g; umount -l "${mounted.directory}"; [ "$(cat <&7)" = before ]; printf after >&7; exec 7>&-`, { cwd: mounted.directory });
    expect(isMounted(mounted.directory)).toBe(false);
    await ended(mounted);
    const again = await mount();
    expect(await run("cat", [join(again.directory, "g")])).toBe("beforeafter");
    await again.stop();
  });
});
