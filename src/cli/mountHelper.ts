// bin/mount.objmount: the calling convention of mount(8) turned into our own.
//
//   mount.objmount SOURCE DIRECTORY [-s] [-f] [-n] [-v] [-N namespace] [-t type] [-o list]

import { existsSync } from "node:fs";
import { BACKEND_ROWS } from "../config/backendTables.js";
import { ConfigError } from "../config/error.js";
import { sortMountOptions } from "../config/mountOptions.js";
import { CORE_ROWS } from "../config/options.js";

const ENVIRONMENT_FILE = "/etc/objmount/environment";
/** All of the caller's environment that is looked at: a mount must be the same at boot as when root tries it out in a shell. */
const KEPT = ["PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "TERM", "XDG_RUNTIME_DIR", "XDG_STATE_HOME", "XDG_CONFIG_HOME", "NODE_EXTRA_CA_CERTS"];

export interface HelperCall {
  /** Arguments of our own command line. */
  readonly args: readonly string[];
  /** -f: everything but the mount itself. */
  readonly fake: boolean;
}

/** @throws ConfigError */
export function translateHelperCall(argv: readonly string[], environmentFile: string | undefined = existsSync(ENVIRONMENT_FILE) ? ENVIRONMENT_FILE : undefined): HelperCall {
  const plain: string[] = [];
  const lists: string[] = [];
  let fake = false;
  let sloppy = false;
  for (let i = 0; i < argv.length; i++) {
    const word = argv[i] as string;
    if (word === "-o") lists.push(argv[++i] ?? "");
    else if (word === "-t" || word === "-N") i += 1;
    else if (/^-[sfnvrw]+$/.test(word)) {
      fake ||= word.includes("f");
      sloppy ||= word.includes("s");
      if (word.includes("r")) lists.push("ro");
      if (word.includes("w")) lists.push("rw");
    } else if (word.startsWith("-")) throw new ConfigError(`The option ${word} is not one that mount(8) gives to a helper.`);
    else plain.push(word);
  }
  const [url, directory] = plain;
  if (url === undefined || directory === undefined || plain.length > 2) throw new ConfigError("The form is mount.objmount URL DIRECTORY [-sfnv] [-o options]; see man objmount.");
  const { own } = sortMountOptions(lists);
  if (own.some((option) => option.name === "remount")) throw new ConfigError(`A mount of objmount cannot be remounted: unmount ${directory} and mount it again.`);
  const known = new Set([...CORE_ROWS, ...Object.values(BACKEND_ROWS).flat()].map((row) => row.name));
  // -s: words that we do not know are passed over.
  const options = sloppy ? own.filter((option) => known.has(option.name)) : own;
  const hasFile = own.some((option) => option.name === "env-file");
  return {
    fake,
    args: ["mount", url, directory,
      ...lists.flatMap((list) => ["-o", sloppy ? onlyFlags(list) : list]), ...(sloppy && options.length > 0 ? ["-o", options.map(writeOption).join(",")] : []),
      ...(environmentFile !== undefined && !hasFile ? ["--env-file", environmentFile] : [])],
  };
}

/** What is left of a list when all words but the kernel's are taken out. */
function onlyFlags(list: string): string {
  return list.split(",").filter((word) => /^(?:no)?(?:suid|dev|exec|atime)$|^users?$/.test(word)).join(",");
}

function writeOption({ name, value }: { readonly name: string; readonly value: string }): string {
  return `${name}=${value.replaceAll(/[\\,]/g, "\\$&")}`;
}

/** Takes everything out of the environment that is not ours to look at. */
export function cleanEnvironment(environment: NodeJS.ProcessEnv): void {
  for (const name of Object.keys(environment)) {
    // The background start speaks to its child through these.
    if (!KEPT.includes(name) && name !== "OBJMOUNT_BACKGROUND" && !name.startsWith("NODE_CHANNEL_")) delete environment[name];
  }
}
