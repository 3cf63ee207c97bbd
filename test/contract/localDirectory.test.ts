// The yardstick: the filesystem contract on a plain local directory proves that the suite itself is right.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { filesystemContract } from "./filesystem.js";

filesystemContract({
  name: "a local directory",
  mount: async () => {
    const directory = await mkdtemp(join(tmpdir(), "objmount-yardstick-"));
    return { directory, dispose: () => rm(directory, { recursive: true, force: true }) };
  },
});
