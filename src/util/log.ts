// The only file that sees pino. Secrets are of the type Secret, whose JSON is stars, so no redaction list is needed.

import { pino, type Logger } from "pino";

export type { Logger } from "pino";
export const LOG_LEVELS = ["trace", "debug", "info", "warn", "error", "silent"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export interface LogOptions {
  readonly level: LogLevel;
  /** A file to append to; absent: standard error. */
  readonly file?: string | undefined;
  /** Default json: one object per line. `text`: one readable line per message. */
  readonly format?: "json" | "text" | undefined;
}

/** The loggers made from one root, so that its level can be changed while it runs (a child keeps a level of its own). */
const families = new WeakMap<Logger, Set<WeakRef<Logger>>>();

export function createLogger(options: LogOptions): Logger {
  const destination = pino.destination(options.file === undefined ? { fd: 2, sync: true } : { dest: options.file, append: true, mkdir: true, sync: false });
  const family = new Set<WeakRef<Logger>>();
  const logger = pino({ level: options.level, base: null, timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) }, onChild: (child) => { family.add(new WeakRef(child)); },
  }, options.format === "text" ? { write: (line) => { destination.write(textLine(line)); } } : destination);
  families.set(logger, family);
  return logger;
}

/** Sets the level of a logger from `createLogger` and of all its children. */
export function setLogLevel(logger: Logger, level: LogLevel): void {
  logger.level = level;
  for (const reference of families.get(logger) ?? []) {
    const child = reference.deref();
    if (child !== undefined) child.level = level;
    else families.get(logger)?.delete(reference);
  }
}

/** `2026-01-02T03:04:05.678Z WARN  message  key=value`, an error with its chain of causes below. */
function textLine(json: string): string {
  const { time, level, msg, err, ...fields } = JSON.parse(json) as Record<string, unknown> & { err?: { stack?: string; message?: string } };
  const rest = Object.entries(fields).map(([key, value]) => `${key}=${typeof value === "string" && /^[^\s"]+$/.test(value) ? value : JSON.stringify(value)}`);
  const head = [String(time), String(level).toUpperCase().padEnd(5), typeof msg === "string" ? msg : "", ...rest].join(" ").trimEnd();
  const detail = err === undefined ? "" : `\n    ${(err.stack ?? err.message ?? JSON.stringify(err)).replaceAll("\n", "\n    ")}`;
  return `${head}${detail}\n`;
}

/** For tests and for parts that were given none. */
export const silentLogger: Logger = pino({ level: "silent" });
