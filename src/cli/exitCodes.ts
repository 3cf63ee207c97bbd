// The exit codes of objmount and mount.objmount. A number keeps its meaning for ever; one that is given up is not used
// again. docs/EXIT_CODES.md and the man page are made from this table.

import type { FailureKind } from "../mount/failure.js";

export interface ExitRow { readonly code: number; readonly help: string }

export const EXIT_CODES: Readonly<Record<FailureKind | "ok" | "interrupted", ExitRow>> = {
  ok: { code: 0, help: "Done; for mount: the mount answers" },
  unexpected: { code: 1, help: "Something that none of the other codes names; the sentence and the log tell more" },
  usage: { code: 2, help: "An option, an argument, an environment variable or the configuration file is wrong" },
  url: { code: 3, help: "The URL makes no sense, or its scheme is not known" },
  "no-device": { code: 10, help: "/dev/fuse is missing or may not be opened" },
  "no-fusermount": { code: 11, help: "fusermount3 is missing, which users other than root need: install the package fuse3" },
  "no-driver": { code: 12, help: "The asked front end does not work on this machine" },
  "mount-refused": { code: 13, help: "The kernel or fusermount3 refused the mount" },
  "store-unreachable": { code: 20, help: "The store cannot be reached, or gives no usable answer" },
  "store-denied": { code: 21, help: "The store refuses the credentials, or there are none" },
  "no-container": { code: 22, help: "The container is not there" },
  "store-failed": { code: 23, help: "The store answered with another error" },
  "mountpoint-missing": { code: 30, help: "The mountpoint does not exist" },
  "mountpoint-not-directory": { code: 31, help: "The mountpoint is not a directory" },
  "mountpoint-not-empty": { code: 32, help: "The mountpoint has files in it" },
  "already-mounted": { code: 33, help: "Something is mounted there already" },
  "mountpoint-dead": { code: 34, help: "A dead or hanging mount is there and could not be cleaned up" },
  "mountpoint-access": { code: 35, help: "This user may not mount there" },
  unsaved: { code: 40, help: "Unmounted, but some files are not in the store: they are kept in the staging directory" },
  busy: { code: 41, help: "The mount is in use" },
  "not-mounted": { code: 42, help: "Nothing of objmount is mounted there" },
  "daemon-silent": { code: 43, help: "The daemon of the mount does not answer" },
  "not-permitted": { code: 44, help: "The mount belongs to another user" },
  timeout: { code: 50, help: "It took longer than --mount-timeout" },
  "state-directory": { code: 60, help: "The state, staging or runtime directory cannot be used" },
  doctor: { code: 70, help: "objmount doctor found something that prevents mounting" },
  interrupted: { code: 130, help: "Ended by a second signal while files were still being saved" },
};

export type ExitName = keyof typeof EXIT_CODES;

export function exitCode(name: ExitName): number {
  return EXIT_CODES[name].code;
}
