// Every option of the daemon, once. Flags, `-o` mount options, OBJMOUNT_* variables, the config file's check, --help,
// packaging/man/objmount.1 and docs/OPTIONS.md are made from these rows. A field of MountConfig without a row, and a
// row whose name is not its field's in kebab-case, do not compile.

import { LOG_LEVELS } from "../util/log.js";
import type { OptionRow } from "../util/optionRow.js";
import type { MountConfig } from "./config.js";

type Kebab<S extends string> = S extends `${infer Head}${infer Tail}`
  ? Tail extends Uncapitalize<Tail> ? `${Lowercase<Head>}${Kebab<Tail>}` : `${Lowercase<Head>}-${Kebab<Tail>}` : S;
type Row<K extends string> = OptionRow & { readonly name: Kebab<K> };

const MiB = 2 ** 20;
const SINCE = "0.1.0";

const MOUNT = "Mount";
const OWNERS = "Owners and modes";
const FRESHNESS = "Attributes and freshness";
const READING = "Memory and reading";
const WRITING = "Writing";
const REQUESTS = "Requests";
const LOG = "Log";
const SOURCES = "Where options come from";

export const OPTIONS: { readonly [K in keyof MountConfig]-?: Row<K> } = {
  driver: { name: "driver", type: "enum", choices: ["auto", "native", "fuse-native"], default: "auto", group: MOUNT, since: SINCE,
    help: "How to speak to the kernel: objmount's own addon, the fuse-native package, or the first of them that works here" },
  foreground: { name: "foreground", type: "boolean", default: false, group: MOUNT, since: SINCE,
    help: "Stay in the foreground and log to standard error (-f)" },
  readOnly: { name: "read-only", type: "boolean", default: false, group: MOUNT, since: SINCE,
    help: "Refuse every change with EROFS (the same as -o ro)" },
  createContainer: { name: "create-container", type: "boolean", default: false, group: MOUNT, since: SINCE,
    help: "Create the container when it is missing" },
  fsname: { name: "fsname", type: "string", default: undefined, group: MOUNT, since: SINCE,
    help: "Source shown by df and mount instead of the URL" },
  allowOther: { name: "allow-other", type: "boolean", default: false, group: MOUNT, since: SINCE,
    help: "Let every user in, by the modes shown (without it only the mounting user); a user other than root needs user_allow_other in /etc/fuse.conf" },
  mountTimeout: { name: "mount-timeout", type: "duration", default: 30_000, group: MOUNT, since: SINCE,
    help: "How long the command waits for the store and the mount to answer before it gives up" },
  drainTimeout: { name: "drain-timeout", type: "duration", default: 0, group: MOUNT, since: SINCE,
    help: "How long a stopping daemon waits for unsaved files before it leaves them in the staging directory; 0 waits as long as it takes" },

  uid: { name: "uid", type: "number", default: undefined, unit: "user id", group: OWNERS, since: SINCE,
    help: "Owner of what carries no owner of its own; default: the mounting user" },
  gid: { name: "gid", type: "number", default: undefined, unit: "group id", group: OWNERS, since: SINCE,
    help: "Group of what carries no group of its own; default: the mounting user's" },
  umask: { name: "umask", type: "number", default: 0o022, unit: "octal", group: OWNERS, since: SINCE,
    help: "Mode bits taken away from --file-mode and --dir-mode" },
  fileMode: { name: "file-mode", type: "number", default: 0o666, unit: "octal", group: OWNERS, since: SINCE,
    help: "Mode of files that carry no mode of their own, before --umask" },
  dirMode: { name: "dir-mode", type: "number", default: 0o777, unit: "octal", group: OWNERS, since: SINCE,
    help: "Mode of directories that carry no mode of their own, before --umask" },

  attributes: { name: "attributes", type: "enum", choices: ["auto", "listing", "full"], default: "auto", group: FRESHNESS, since: SINCE,
    help: "Where a listing carries no user metadata: ask for it where objects have some (auto), never (listing), or always (full)" },
  entryTimeout: { name: "entry-timeout", type: "duration", default: 1000, group: FRESHNESS, since: SINCE,
    help: "How long the kernel may keep a name it has looked up" },
  attrTimeout: { name: "attr-timeout", type: "duration", default: 1000, group: FRESHNESS, since: SINCE,
    help: "How long the kernel may keep attributes" },
  negativeTimeout: { name: "negative-timeout", type: "duration", default: 1000, group: FRESHNESS, since: SINCE,
    help: "How long a missing name is believed to be missing" },
  listTtl: { name: "list-ttl", type: "duration", default: 5000, group: FRESHNESS, since: SINCE,
    help: "How long a directory listing answers lookups" },

  memoryLimit: { name: "memory-limit", type: "bytes", default: undefined, group: READING, since: SINCE,
    help: "One budget for cached blocks, fetches and parts; default: an eighth of the memory this machine or cgroup has, at most 96MiB" },
  maxWindow: { name: "max-window", type: "bytes", default: 64 * MiB, group: READING, since: SINCE,
    help: "How far one sequential reader is fetched ahead at most" },
  readConcurrency: { name: "read-concurrency", type: "number", default: 16, unit: "requests", group: READING, since: SINCE,
    help: "Ranged fetches at once, over all readers" },

  commit: { name: "commit", type: "enum", choices: ["close"], default: "close", group: WRITING, since: SINCE,
    help: "When a written file becomes an object: close(2) and fsync(2) wait for it, and report its error" },
  onConflict: { name: "on-conflict", type: "enum", choices: ["fail", "copy"], default: "fail", group: WRITING, since: SINCE,
    help: "When somebody else changed the object meanwhile: close fails with ESTALE and the bytes stay in the staging directory (fail), or they are committed beside it as \"name (conflict HOST TIME)\" (copy)" },
  partSize: { name: "part-size", type: "bytes", default: 8 * MiB, group: WRITING, since: SINCE,
    help: "Parts of an upload; grows by itself where an object would need more parts than the store takes" },
  uploadConcurrency: { name: "upload-concurrency", type: "number", default: 24, unit: "requests", group: WRITING, since: SINCE,
    help: "Objects and parts sent at once, over all files" },
  stagingDir: { name: "staging-dir", type: "path", default: undefined, group: WRITING, since: SINCE,
    help: "Local directory for files being written; needs space for what is open for writing; default: below --state-dir" },
  stateDir: { name: "state-dir", type: "path", default: undefined, group: WRITING, since: SINCE,
    help: "Where journals, staged files and logs are kept; default: /var/lib/objmount for root, $XDG_STATE_HOME/objmount for others" },
  runtimeDir: { name: "runtime-dir", type: "path", default: undefined, group: WRITING, since: SINCE,
    help: "Where the control sockets are that status and unmount use; default: /run/objmount for root, $XDG_RUNTIME_DIR/objmount for others" },

  maxRequests: { name: "max-requests", type: "number", default: 64, unit: "requests", group: REQUESTS, since: SINCE,
    help: "Requests to the store at once, of all kinds" },
  retries: { name: "retries", type: "number", default: 8, unit: "times", group: REQUESTS, since: SINCE,
    help: "How often a failed request is asked again" },
  retryDeadline: { name: "retry-deadline", type: "duration", default: 120_000, group: REQUESTS, since: SINCE,
    help: "How long a request is tried in all before its error is reported" },

  logLevel: { name: "log-level", type: "enum", choices: LOG_LEVELS, default: "info", group: LOG, since: SINCE,
    help: "The least important message that is logged" },
  logFile: { name: "log-file", type: "path", default: undefined, group: LOG, since: SINCE,
    help: "File to append the log to; default: standard error in the foreground, a file below --state-dir in the background" },
  logFormat: { name: "log-format", type: "enum", choices: ["text", "json"], default: "text", group: LOG, since: SINCE,
    help: "One readable line per message, or one JSON object per line" },
  debugFuse: { name: "debug-fuse", type: "boolean", default: false, group: LOG, since: SINCE,
    help: "Log one line per kernel request and answer" },

  config: { name: "config", type: "path", default: undefined, group: SOURCES, since: SINCE,
    help: "Configuration file (TOML) to read instead of /etc/objmount/objmount.toml and $XDG_CONFIG_HOME/objmount/objmount.toml" },
  envFile: { name: "env-file", type: "path", default: undefined, group: SOURCES, since: SINCE,
    help: "File of NAME=value lines added to the environment, for credentials; bin/mount.objmount reads /etc/objmount/environment by itself" },
};

/** The rows in the order of the table. */
export const CORE_ROWS: readonly OptionRow[] = Object.values(OPTIONS);
