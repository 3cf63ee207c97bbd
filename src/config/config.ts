// What a mount is told, after every source was read: the options of the daemon itself. A backend's options travel beside
// it, by name, in the form of that backend's own table.

import type { LogLevel } from "../util/log.js";

/** Durations are milliseconds, sizes bytes. The rows in options.ts document each field; a field without a row does not compile. */
export interface MountConfig {
  readonly driver: "auto" | "native" | "fuse-native";
  readonly foreground: boolean;
  readonly readOnly: boolean;
  readonly createContainer: boolean;
  readonly fsname: string | undefined;
  readonly allowOther: boolean;
  readonly uid: number | undefined;
  readonly gid: number | undefined;
  readonly umask: number;
  readonly fileMode: number;
  readonly dirMode: number;

  readonly attributes: "auto" | "listing" | "full";
  readonly entryTimeout: number;
  readonly attrTimeout: number;
  readonly negativeTimeout: number;
  readonly listTtl: number;

  readonly memoryLimit: number | undefined;
  readonly maxWindow: number;
  readonly readConcurrency: number;

  readonly commit: "close";
  readonly onConflict: "fail" | "copy";
  readonly partSize: number;
  readonly uploadConcurrency: number;
  readonly stagingDir: string | undefined;
  readonly stateDir: string | undefined;
  readonly runtimeDir: string | undefined;

  readonly maxRequests: number;
  readonly retries: number;
  readonly retryDeadline: number;

  readonly mountTimeout: number;
  readonly drainTimeout: number;

  readonly logLevel: LogLevel;
  readonly logFile: string | undefined;
  readonly logFormat: "json" | "text";
  readonly debugFuse: boolean;

  readonly config: string | undefined;
  readonly envFile: string | undefined;
}

/** What `derive` has filled in: nothing that the composition root needs is left open. */
export interface ReadyConfig extends MountConfig {
  readonly uid: number;
  readonly gid: number;
  readonly memoryLimit: number;
  readonly stateDir: string;
  readonly stagingDir: string;
}
