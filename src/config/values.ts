// From a person's text to a value in the program's unit, and back for the documents.

import { homedir } from "node:os";
import { resolve } from "node:path";
import type { OptionRow } from "../util/optionRow.js";
import { Secret } from "../util/secret.js";
import { ConfigError } from "./error.js";

/** Bytes and durations are numbers (bytes, milliseconds); enums, strings and absolute paths are strings. */
export type OptionValue = string | number | boolean | Secret;

/** Numbers that are written in octal, as chmod(1) and umask(1) have them. */
export const OCTAL = "octal";

const BYTE_UNITS: Readonly<Record<string, number>> = {
  "": 1, b: 1, k: 2 ** 10, kb: 1e3, kib: 2 ** 10, m: 2 ** 20, mb: 1e6, mib: 2 ** 20, g: 2 ** 30, gb: 1e9, gib: 2 ** 30, t: 2 ** 40, tb: 1e12, tib: 2 ** 40,
};
const TIME_UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, "": 1000, m: 60_000, min: 60_000, h: 3_600_000, d: 86_400_000 };
const TRUE = ["true", "yes", "on", "1", ""];
const FALSE = ["false", "no", "off", "0"];

/** "256MiB" -> 268435456; K, M, G, T alone are powers of 1024. Undefined when it is not a size. */
export function parseBytes(text: string): number | undefined {
  return withUnit(text, BYTE_UNITS);
}

/** "1s" -> 1000; a plain number counts seconds. Undefined when it is not a duration. */
export function parseDuration(text: string): number | undefined {
  return withUnit(text, TIME_UNITS);
}

function withUnit(text: string, units: Readonly<Record<string, number>>): number | undefined {
  const match = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i.exec(text.trim());
  const factor = match === null ? undefined : units[(match[2] as string).toLowerCase()];
  if (match === null || factor === undefined) return undefined;
  const value = Math.round(Number(match[1]) * factor);
  return Number.isSafeInteger(value) ? value : undefined;
}

export function formatBytes(bytes: number): string {
  if (bytes === 0) return "0";
  for (const [unit, factor] of [["TiB", 2 ** 40], ["GiB", 2 ** 30], ["MiB", 2 ** 20], ["KiB", 2 ** 10]] as const) {
    if (bytes >= factor && (bytes * 10) % factor === 0) return `${bytes / factor}${unit}`;
  }
  return `${bytes}B`;
}

export function formatDuration(milliseconds: number): string {
  if (milliseconds === 0) return "0s";
  for (const [unit, factor] of [["h", 3_600_000], ["min", 60_000], ["s", 1000]] as const) {
    if (milliseconds >= factor && milliseconds % factor === 0) return `${milliseconds / factor}${unit}`;
  }
  return `${milliseconds}ms`;
}

/** The default or another value as a person would write it. */
export function formatValue(row: OptionRow, value: string | number | boolean): string {
  if (typeof value !== "number") return String(value);
  switch (row.type) {
    case "bytes": return formatBytes(value);
    case "duration": return formatDuration(value);
    default: return row.unit === OCTAL ? value.toString(8).padStart(4, "0") : String(value);
  }
}

/** What may be written for this option, for help and error sentences. */
export function describeForm(row: OptionRow): string {
  switch (row.type) {
    case "boolean": return "yes or no";
    case "bytes": return "a size such as 64MiB";
    case "duration": return "a duration such as 30s";
    case "number": return row.unit === OCTAL ? "an octal number such as 0644" : "a whole number";
    case "enum": return `one of ${(row.choices ?? []).join(", ")}`;
    case "path": return "a path";
    default: return "a value";
  }
}

/**
 * @param where how the user wrote the option (`--part-size`, `-o part-size`, `OBJMOUNT_PART_SIZE`), for the sentence
 * @throws ConfigError when the text has not the form of the row; a secret's text is never repeated in it.
 */
export function parseValue(row: OptionRow, text: string, where: string): OptionValue {
  const value = read(row, text);
  if (value === undefined) {
    throw new ConfigError(`${where} has the value "${row.type === "secret" ? "***" : text}", which is not ${describeForm(row)}.`);
  }
  return value;
}

function read(row: OptionRow, text: string): OptionValue | undefined {
  switch (row.type) {
    case "boolean": {
      const word = text.trim().toLowerCase();
      return TRUE.includes(word) ? true : FALSE.includes(word) ? false : undefined;
    }
    case "bytes": return parseBytes(text);
    case "duration": return parseDuration(text);
    case "number":
      if (row.unit === OCTAL) return /^(0o)?[0-7]{1,4}$/.test(text) ? Number.parseInt(text.replace(/^0o/, ""), 8) : undefined;
      return /^\d+$/.test(text) && Number.isSafeInteger(Number(text)) ? Number(text) : undefined;
    case "enum": return row.choices?.includes(text) === true ? text : undefined;
    case "path": return text === "" ? undefined : resolve(text.replace(/^~(?=\/|$)/, homedir()));
    case "secret": return new Secret(text);
    case "string": return text;
  }
}
