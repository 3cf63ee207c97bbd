// The options of the embedded store, as data.

import type { OptionRow } from "../../util/optionRow.js";

const GROUP = "Embedded store (file://)";

export const FILE_OPTIONS = [
  { name: "file-sync", type: "boolean", default: true, group: GROUP, since: "0.1.0",
    help: "Write everything through to the disk before it is acknowledged; off is faster, and a power failure may lose the last seconds" },
  { name: "file-upload-expiry", type: "duration", default: 7 * 24 * 3600 * 1000, group: GROUP, since: "0.1.0",
    help: "Unfinished uploads that nobody has touched for this long are removed when the store is opened" },
] as const satisfies readonly OptionRow[];
