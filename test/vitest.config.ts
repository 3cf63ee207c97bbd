import { defineConfig } from "vitest/config";

// One list of folders per npm script: `npm test` runs everything that needs only this repository and /dev/fuse;
// the real-server suites (test/servers) have a script of their own.
export default defineConfig({
  test: {
    root: new URL("..", import.meta.url).pathname,
    include: (process.env["OBJMOUNT_SUITE"] === "servers" ? ["test/servers/**/*.test.ts"] : [
      "test/{unit,arch,contract,fuzz,backends,mount,cli}/**/*.test.ts",
    ]),
    pool: "forks",
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 120_000,
    teardownTimeout: 20_000,
  },
});
