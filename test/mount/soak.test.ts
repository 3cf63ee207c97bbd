import { rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll } from "vitest";
import { tempDir } from "./harness.js";
import { soakSuite } from "./soak.js";

const store = tempDir("store");
soakSuite("the embedded store", () => ({ url: `file://${join(store, "root")}/soak`, args: ["--create-container"] }));
afterAll(() => { rmSync(store, { recursive: true, force: true }); });
