// What a mount may set of the filesystem. Times are milliseconds.

export type AttributesMode = "auto" | "listing" | "full";

export interface FilesystemOptions {
  /** Owner of what does not say whose it is. Default: the daemon's. */
  readonly uid: number;
  readonly gid: number;
  /** Bits taken from `fileMode` and `dirMode`. Default 0o022. */
  readonly umask: number;
  /** Permissions of objects that keep none. Default 0o666, less the umask. */
  readonly fileMode: number;
  /** Permissions of directories that keep none. Default 0o777, less the umask. */
  readonly dirMode: number;
  /** Every change is EROFS. Default false. */
  readonly readOnly: boolean;
  /** How long the kernel may keep a name, and how long a HEAD answers for the object here. Default 1000. */
  readonly entryTimeoutMs: number;
  /** How long the kernel may keep attributes; an open asks the store again when what is known is older. Default 1000. */
  readonly attributesTimeoutMs: number;
  /** How long "there is no such name" holds. Default 1000. */
  readonly negativeTimeoutMs: number;
  /** How long a listing answers lookups, counted from its end. Default 5000. */
  readonly listingTtlMs: number;
  /** How long a directory made by this mount is taken to hold nothing but what this mount put there. Default 30000. */
  readonly createdTtlMs: number;
  /** Where a listing carries no metadata: never ask per object, ask where a sample says that it is worth it, always ask. Default "auto". */
  readonly attributes: AttributesMode;
  /** Names of whole listings kept over the mount, about 300 bytes each; larger directories are paged. Default 100000. */
  readonly maxListingEntries: number;
  /** Bytes of remembered metadata of objects. Default 32 MiB. */
  readonly attributeBytes: number;
  /** Where remembered metadata survives a remount. Default: nowhere. */
  readonly attributeFile: string | undefined;
  /** Requests at once of one operation that asks for many (attributes of a directory, copies of a renamed one). Default 64. */
  readonly concurrency: number;
  /** Up to this size the bytes of a file that is unlinked while open for reading are fetched first. Default 1 GiB. */
  readonly unlinkPrefetchBytes: number;
  /** Seconds that `user.objmount.url` is good for. Default 3600. */
  readonly presignSeconds: number;
}

export function filesystemOptions(given: { readonly [K in keyof FilesystemOptions]?: FilesystemOptions[K] | undefined } = {}): FilesystemOptions {
  const defaults: FilesystemOptions = {
    uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0, umask: 0o022, fileMode: 0o666, dirMode: 0o777, readOnly: false,
    entryTimeoutMs: 1000, attributesTimeoutMs: 1000, negativeTimeoutMs: 1000, listingTtlMs: 5000, createdTtlMs: 30_000,
    attributes: "auto", maxListingEntries: 100_000, attributeBytes: 32 * 1024 * 1024, attributeFile: undefined,
    concurrency: 64, unlinkPrefetchBytes: 1024 ** 3, presignSeconds: 3600,
  };
  const set = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  return { ...defaults, ...set };
}
