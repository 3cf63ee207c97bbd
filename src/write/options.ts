// What can be set about writing, with the defaults and why they are so.

import { hostname } from "node:os";
import type { ByteBudget } from "../util/byteBudget.js";

const MIB = 1024 * 1024;

/** What a commit does when somebody else changed the object since it was opened. */
export type OnConflict =
  /** The commit fails with `precondition` and the bytes are kept. */
  | "fail"
  /** The bytes become a new object beside it: `name (conflict HOST TIME)`. */
  | "copy"
  /** The bytes replace whatever is there. */
  | "overwrite";

/** All sizes in bytes. */
export interface WriteOptions {
  /** Length of the first parts; later ones grow (partSizes.ts). 8 MiB: sent in a moment at close, few requests on the way. */
  readonly partSize?: number | undefined;
  /** Objects up to this length are sent by one put. Default: partSize. */
  readonly putThreshold?: number | undefined;
  /** A sequential writer's parts are sent while it goes on writing from this length on. Default: twice partSize. */
  readonly streamThreshold?: number | undefined;
  /** Parts of one object on the wire at once. 8: at 20 ms and 8 MiB parts that fills 1 GB/s. */
  readonly uploadConcurrency?: number | undefined;
  /** Puts and parts of all objects on the wire at once. 24. */
  readonly totalConcurrency?: number | undefined;
  /**
   * How far a sequential writer may be ahead of the store's acknowledgements before its writes wait. The bytes stand in
   * the staging directory, not in memory; 1 GiB bounds how long close(2) can take. Infinity: never wait.
   */
  readonly maxUnsent?: number | undefined;
  /** A staged file up to this length stays in memory (leased) until it grows, or its commit fails. 256 KiB; 0: never in memory. */
  readonly memoryFile?: number | undefined;
  /** Of the budget, for all such files together. Default: the smaller of 64 MiB and a quarter of the budget. */
  readonly memoryTotal?: number | undefined;
  /** Of the budget, for parts on their way of all files; what finds no room is read from the disk. Default: the smaller of 80 MiB and a quarter of the budget. */
  readonly partMemory?: number | undefined;
  /** Preferred length of a range copied by the service. Default: the kept bytes over uploadConcurrency, within 32 to 512 MiB. */
  readonly copySize?: number | undefined;
  /** Unchanged runs shorter than this are read and sent instead of copied. 1 MiB. */
  readonly worthCopying?: number | undefined;
  /** Bytes read from the staging file at a time while a part is sent. 512 KiB. */
  readonly sliceSize?: number | undefined;
  readonly onConflict?: OnConflict | undefined;
  /** Stands in the names of conflict copies and in journals. Default: this host's name. */
  readonly hostName?: string | undefined;
}

export type ResolvedOptions = { readonly [K in Exclude<keyof WriteOptions, "copySize">]-?: Exclude<WriteOptions[K], undefined> }
  & { readonly copySize: number | undefined };

export function resolveOptions(given: WriteOptions, budget: ByteBudget): ResolvedOptions {
  const partSize = given.partSize ?? 8 * MIB;
  return {
    partSize,
    putThreshold: given.putThreshold ?? partSize,
    streamThreshold: given.streamThreshold ?? 2 * partSize,
    uploadConcurrency: given.uploadConcurrency ?? 8,
    totalConcurrency: given.totalConcurrency ?? 24,
    maxUnsent: given.maxUnsent ?? 1024 * MIB,
    memoryFile: given.memoryFile ?? MIB / 4,
    memoryTotal: given.memoryTotal ?? Math.min(64 * MIB, Math.floor(budget.limit / 4)),
    partMemory: given.partMemory ?? Math.min(80 * MIB, Math.floor(budget.limit / 4)),
    copySize: given.copySize,
    worthCopying: given.worthCopying ?? MIB,
    sliceSize: given.sliceSize ?? MIB / 2,
    onConflict: given.onConflict ?? "fail",
    hostName: given.hostName ?? hostname(),
  };
}
