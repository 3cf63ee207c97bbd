import { rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll } from "vitest";
import { tempDir } from "./harness.js";
import { onMount, toolsSuite, type Workplace } from "./tools.js";

const store = tempDir("store");
toolsSuite(onMount("the embedded store", () => ({ url: `file://${join(store, "root")}/tools`, args: ["--create-container"] })));

// The yardstick: the same cases on a local directory prove that the suite itself is right.
if (process.env["OBJMOUNT_YARDSTICK"] !== undefined) {
  const directory = tempDir("yardstick");
  const local: Workplace = {
    directory,
    again: () => Promise.resolve(local),
    dispose: () => { rmSync(directory, { recursive: true, force: true }); return Promise.resolve(); },
  };
  toolsSuite({ name: "a local directory", open: () => Promise.resolve(local) });
}
afterAll(() => { rmSync(store, { recursive: true, force: true }); });
