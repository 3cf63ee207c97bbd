import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { loadLibfuse } from "../../../src/fuse/libfuse.js";

function why(): string | undefined {
  if (process.platform !== "linux" || process.arch !== "x64") return "the package has a binary for x64 Linux alone";
  const found = loadLibfuse();
  return "why" in found && found.why.endsWith("is not installed") ? found.why : undefined;
}
const skipped = why();
if (skipped !== undefined) console.warn(`skipped: ${skipped}`);

describe.skipIf(skipped !== undefined)("the fuse-native package", () => {
  it("runs on the libfuse that comes with it, so that the system needs none", () => {
    const addon = loadLibfuse();
    expect("why" in addon ? addon.why : typeof addon.fuse_native_mount).toBe("function");
    const libraries = new Set(readFileSync("/proc/self/maps", "utf8").match(/\S*libfuse[^\n]*/g));
    expect([...libraries]).toEqual([expect.stringContaining("node_modules/fuse-shared-library")]);
  });

  it("has the operations that are served, under the numbers that the table wants", () => {
    const addon = loadLibfuse();
    if ("why" in addon) throw new Error(addon.why);
    for (const name of ["init", "getattr", "fgetattr", "readdir", "create", "read", "write", "utimens", "setxattr"] as const) {
      expect(addon[`op_${name}`], name).toBeLessThan(35);
      expect(typeof addon[`fuse_native_signal_${name}`], name).toBe("function");
    }
  });
});
