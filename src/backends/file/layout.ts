// What lies where in a store. Nothing below the root is meant for other programs.
//
//   ROOT/.objmount-store/            the mark of a store
//     format                         JSON: format version, whether names are folded
//     owners/TOKEN                   JSON: one per open instance, touched while it lives
//     breaking/                      who is clearing up after a dead instance (lock.ts)
//     trash/                         removed containers on their way out
//   ROOT/CONTAINER/
//     objects/...                    object files under the names of names.ts; this directory is what makes the container
//     data/AB/ID/...                 segments of the object whose manifest says data: ID (AB: its first two digits)
//     uploads/ID/upload.json, parts  uploads under way
//     work/TOKEN.N.new|change|trash  what an instance is in the middle of (work.ts)
//     locks/HASH                     hard link to the owner file of the instance that is replacing a key

import { createHash } from "node:crypto";
import { join } from "node:path";
import { objectPath, directoryPath } from "./names.js";
import type { QuickReads } from "./quick.js";

export const MARK = ".objmount-store";
export const FORMAT = 1;

export interface StoreFormat {
  readonly format: number;
  /** Names on disk avoid what a case-folding or normalising file system would take for one name. */
  readonly folded: boolean;
}

/** Paths of the store's own files. */
export class StorePaths {
  readonly root: string;
  readonly owners: string;
  readonly breaking: string;
  readonly trash: string;

  constructor(root: string) {
    this.root = root;
    this.owners = join(root, MARK, "owners");
    this.breaking = join(root, MARK, "breaking");
    this.trash = join(root, MARK, "trash");
  }

  owner(token: string): string { return join(this.owners, token); }
}

/** Paths of one container. */
export class ContainerPaths {
  readonly name: string;
  readonly directory: string;
  readonly objects: string;
  readonly data: string;
  readonly uploads: string;
  readonly work: string;
  readonly locks: string;
  /** How its small files may be read. */
  readonly quick: QuickReads;
  readonly #folded: boolean;

  constructor(root: string, name: string, folded: boolean, quick: QuickReads) {
    this.name = name;
    this.quick = quick;
    this.directory = join(root, name);
    this.objects = join(this.directory, "objects");
    this.data = join(this.directory, "data");
    this.uploads = join(this.directory, "uploads");
    this.work = join(this.directory, "work");
    this.locks = join(this.directory, "locks");
    this.#folded = folded;
  }

  /** Every directory a container has, the one that makes it visible last. */
  static readonly parts = ["data", "uploads", "work", "locks", "objects"] as const;

  object(key: string): string { return `${this.objects}/${objectPath(key, this.#folded)}`; }
  /** @param prefix "" or ending in "/". No slash at its end. */
  prefix(prefix: string): string { return `${this.objects}/${directoryPath(prefix, this.#folded)}`.slice(0, -1); }
  dataDirectory(id: string): string { return join(this.data, id.slice(0, 2), id); }
  upload(id: string): string { return join(this.uploads, id); }
  lock(key: string): string { return join(this.locks, createHash("sha256").update(key).digest("hex").slice(0, 40)); }
}
