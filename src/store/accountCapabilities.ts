// What can be promised of several containers at once: of each capability the least that all of them have.

import type { Capabilities, PartLimits } from "./objectStore.js";

type Level = Capabilities["conditionalPut"];
const LEVELS: readonly Level[] = ["none", "create", "swap"];
const LISTS: readonly Capabilities["list"][] = ["none", "flat", "delimiter"];

function lowest<T>(order: readonly T[], values: readonly T[]): T {
  return order[Math.min(...values.map((value) => order.indexOf(value)))] as T;
}

function mergeLimits(all: readonly (PartLimits | false)[]): PartLimits | false {
  const limits = all.filter((one) => one !== false);
  if (limits.length < all.length) return false;
  const merged: PartLimits = {
    minSize: Math.max(...limits.map((one) => one.minSize)),
    maxSize: Math.min(...limits.map((one) => one.maxSize)),
    maxParts: Math.min(...limits.map((one) => one.maxParts)),
    maxObjectSize: Math.min(...limits.map((one) => one.maxObjectSize)),
    equalSizes: limits.some((one) => one.equalSizes),
  };
  return merged.minSize <= merged.maxSize ? merged : false;
}

function mergeMetadata(all: readonly Capabilities["metadata"][]): Capabilities["metadata"] {
  const kept = all.filter((one) => one !== false);
  if (kept.length < all.length) return false;
  const updates = kept.map((one) => one.update);
  return { maxBytes: Math.min(...kept.map((one) => one.maxBytes)), update: lowest(["none", "copy", "in-place"], updates) };
}

/** @param all at least one. */
export function mergeCapabilities(all: readonly Capabilities[]): Capabilities {
  const every = (name: { [K in keyof Capabilities]: Capabilities[K] extends boolean ? K : never }[keyof Capabilities]): boolean => all.every((one) => one[name]);
  const copies = all.map((one) => one.copy).filter((one) => one !== false);
  const partCopies = all.map((one) => one.copyPart).filter((one) => one !== false);
  return Object.freeze<Capabilities>({
    list: lowest(LISTS, all.map((one) => one.list)),
    listOrdered: every("listOrdered"),
    listMetadata: every("listMetadata"),
    conditionalPut: lowest(LEVELS, all.map((one) => one.conditionalPut)),
    conditionalComplete: lowest(LEVELS, all.map((one) => one.conditionalComplete)),
    conditionalGet: every("conditionalGet"),
    conditionalDelete: every("conditionalDelete"),
    maxPutSize: Math.min(...all.map((one) => one.maxPutSize)),
    upload: mergeLimits(all.map((one) => one.upload)),
    resume: every("resume"),
    copyPart: partCopies.length === all.length ? { minSize: Math.max(...partCopies.map((one) => one.minSize)) } : false,
    copy: copies.length === all.length ? { maxSize: Math.min(...copies.map((one) => one.maxSize)) } : false,
    // Between containers there is none.
    rename: "none",
    append: every("append"),
    truncate: every("truncate"),
    immutable: all.some((one) => one.immutable),
    metadata: mergeMetadata(all.map((one) => one.metadata)),
    ttl: every("ttl"),
    checksums: (all[0] as Capabilities).checksums.filter((name) => all.every((one) => one.checksums.includes(name))),
    containers: every("containers"),
    usage: every("usage"),
    presign: every("presign"),
    versions: every("versions"),
    maxKeyBytes: Math.min(...all.map((one) => one.maxKeyBytes)),
  });
}
