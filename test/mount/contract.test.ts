// The filesystem contract on the real program: kernel, front end, filesystem and the embedded store, each front end in turn.

import { rmSync } from "node:fs";
import { join } from "node:path";
import { filesystemContract, type FilesystemContract, type Place } from "../contract/filesystem.js";
import { loadLibfuse } from "../../src/fuse/libfuse.js";
import { whyNoAddon } from "../../src/fuse/channel.js";
import { Mounted, tempDir, whyNoMount } from "./harness.js";

/** What no object store keeps. */
const STORE: FilesystemContract["lacks"] = {
  "hard-links": "an object has one name",
  devices: "an object is no device",
};

const PATH_INTERFACE: FilesystemContract["lacks"] = {
  nanoseconds: "the fuse-native package hands times over in milliseconds",
  "single-time": "libfuse 2.9 passes only changes of both times on, unless asked for more, and fuse-native does not ask",
  "times-before-1970": "the fuse-native package hands times over without a sign",
  "any-name": "the fuse-native package knows names as UTF-8 alone",
  "rename-noreplace": "libfuse 2.9 does not know the flags of rename",
  "seek-data": "libfuse 2.9 does not know lseek: the kernel takes the whole file for data",
  "never-missing": "libfuse 2.9 answers ENOENT when a file is replaced between the kernel's lookup and its open",
  fallocate: "the fuse-native package does not serve fallocate",
};

function onMount(driver: "native" | "fuse-native", why: string | undefined, lacks: FilesystemContract["lacks"]): void {
  filesystemContract({
    name: `the embedded store, --driver=${driver}`,
    skipped: whyNoMount() ?? (why === undefined ? undefined : `skipped: ${why}`),
    lacks: { ...STORE, ...lacks },
    mount: async (): Promise<Place> => {
      const store = tempDir("contract");
      const mounted = await Mounted.start({ url: `file://${join(store, "root")}`, args: ["--create-container", `--driver=${driver}`] });
      return {
        directory: mounted.directory,
        dispose: async () => {
          await mounted.dispose();
          rmSync(store, { recursive: true, force: true });
        },
      };
    },
  });
}

onMount("native", whyNoAddon(), {});
const libfuse = loadLibfuse();
onMount("fuse-native", "why" in libfuse ? libfuse.why : undefined, PATH_INTERFACE);
