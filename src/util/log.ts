// The only file that sees pino. Secrets are of the type Secret, whose JSON is stars, so no redaction list is needed.

import { pino, type Logger } from "pino";

export type { Logger } from "pino";
export const LOG_LEVELS = ["trace", "debug", "info", "warn", "error", "silent"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export interface LogOptions {
  readonly level: LogLevel;
  /** A file to append to; absent: standard error. */
  readonly file?: string | undefined;
}

export function createLogger(options: LogOptions): Logger {
  const destination = pino.destination(options.file === undefined ? { fd: 2, sync: true } : { dest: options.file, append: true, mkdir: true, sync: false });
  return pino({ level: options.level, base: null, timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) } }, destination);
}

/** For tests and for parts that were given none. */
export const silentLogger: Logger = pino({ level: "silent" });
