// What a mounted directory promises: the filesystem contract. It knows no object store and no front end, only a directory in which it
// may work, so a local directory is its yardstick. The directory is served by another process.
//
// What a place cannot keep it declares, with the reason; the cases that need it are then skipped and the reason is printed, or
// the refusal itself is what is tested.

import { mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, it } from "vitest";
import { attributeCases } from "./posix/attributes.js";
import { concurrencyCases } from "./posix/concurrency.js";
import { directoryCases } from "./posix/directories.js";
import { fileCases } from "./posix/files.js";
import { linkCases } from "./posix/links.js";
import { nameCases } from "./posix/names.js";
import { openFileCases } from "./posix/openFiles.js";
import { whyMissing } from "../mount/harness.js";

/** Facts that not every place keeps. */
export type Fact =
  /** link(2) works; where not, it is refused with EPERM. */
  | "hard-links"
  /** mknod(2) of devices by root; where not, EPERM. */
  | "devices"
  /** Times have nanoseconds; where not, at least milliseconds. */
  | "nanoseconds"
  /** utimensat(2) can set one of the two times. */
  | "single-time"
  | "times-before-1970"
  /** Names that are not UTF-8. */
  | "any-name"
  /** renameat2(2) with RENAME_NOREPLACE. */
  | "rename-noreplace"
  /** lseek(2) with SEEK_DATA and SEEK_HOLE tells something that is not trivial. */
  | "seek-data"
  /** fallocate(2) makes a file longer. */
  | "fallocate"
  /** Replacing an open file by a rename leaves what has it open with the old bytes. */
  | "replaced-while-open"
  /** A name that is replaced by a rename is never missing; where not, an open at that very moment may be ENOENT, and no more than that. */
  | "never-missing";

export interface Place {
  /** A directory in which the suite may do as it likes. */
  readonly directory: string;
  /** The same directory with nothing cached, through a fresh mount; absent where that makes no sense. */
  again?(): Promise<Place>;
  dispose(): Promise<void>;
}

export interface FilesystemContract {
  readonly name: string;
  mount(): Promise<Place>;
  /** What this place cannot keep, and why. */
  readonly lacks?: { readonly [F in Fact]?: string };
  /** Why nothing can be tested here. */
  readonly skipped?: string | undefined;
}

export interface CaseOptions {
  readonly needs?: Fact;
  /** Skipped where this program is missing. */
  readonly tool?: string;
  readonly root?: boolean;
  readonly limit?: number;
}

/** Defines one case; `work` gets an empty directory of its own. */
export type Cases = {
  (name: string, work: (directory: string) => Promise<void>, options?: CaseOptions): void;
  readonly lacks: (fact: Fact) => boolean;
};

export function filesystemContract(contract: FilesystemContract): void {
  const { name, lacks = {}, skipped } = contract;
  if (skipped !== undefined) console.warn(`${name}: ${skipped}`);
  for (const [fact, reason] of Object.entries(lacks)) console.warn(`${name} does not keep ${fact}: ${reason}`);

  describe.skipIf(skipped !== undefined)(`filesystem contract: ${name}`, () => {
    let place: Place;
    beforeAll(async () => { place = await contract.mount(); });
    afterAll(async () => { await place?.dispose(); });

    const cases = (prefix: string): Cases => Object.assign(
      (title: string, work: (directory: string) => Promise<void>, options: CaseOptions = {}): void => {
        const why = options.needs !== undefined && lacks[options.needs] !== undefined ? lacks[options.needs]
          : options.root === true && process.geteuid?.() !== 0 ? "needs root"
            : options.tool === undefined ? undefined : whyMissing(options.tool);
        it.skipIf(why !== undefined)(why === undefined ? title : `${title} (${why})`, async () => {
          const directory = await mkdtemp(join(place.directory, `${prefix}-`));
          await work(directory);
          await rm(directory, { recursive: true, force: true });
        }, options.limit ?? 60_000);
      },
      { lacks: (fact: Fact): boolean => lacks[fact] !== undefined });

    describe("files", () => fileCases(cases("files")));
    describe("open files", () => openFileCases(cases("open")));
    describe("names", () => nameCases(cases("names")));
    describe("links and special files", () => linkCases(cases("links")));
    describe("attributes", () => attributeCases(cases("attributes")));
    describe("directories", () => directoryCases(cases("directories")));
    describe("concurrency", () => concurrencyCases(cases("concurrency")));
  });
}
