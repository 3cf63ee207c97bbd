// What the embedded store can do.

import type { Capabilities, PartLimits } from "../../store/objectStore.js";
import { MAX_KEY_BYTES } from "./names.js";

/** The largest file of ext4; other file systems answer EFBIG earlier or take more. */
const MAX_OBJECT = 2 ** 44;

export const LIMITS: PartLimits = Object.freeze({ minSize: 1, maxSize: MAX_OBJECT, maxParts: 10_000, maxObjectSize: MAX_OBJECT, equalSizes: false });

export const CAPABILITIES: Capabilities = Object.freeze({
  list: "delimiter", listOrdered: true, listMetadata: true,
  conditionalPut: "swap", conditionalComplete: "swap", conditionalGet: true, conditionalDelete: true,
  maxPutSize: MAX_OBJECT, upload: LIMITS, resume: true, copyPart: Object.freeze({ minSize: 1 }), copy: Object.freeze({ maxSize: MAX_OBJECT }),
  rename: "atomic", append: false, truncate: false, immutable: false,
  metadata: Object.freeze({ maxBytes: 64 * 1024, update: "in-place" }),
  ttl: false, checksums: Object.freeze([]), containers: true, usage: true, presign: false, versions: false,
  maxKeyBytes: MAX_KEY_BYTES,
});
