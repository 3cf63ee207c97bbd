// The configuration file: options by name at the top, and tables per URL below `[url]`, for all mounts at or below it.
//
//   log-level = "debug"
//   [url."s3://photos"]
//   endpoint = "https://store.example"

import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { parse, TomlError } from "smol-toml";
import type { OptionRow } from "../util/optionRow.js";
import { ConfigError } from "./error.js";
import { didYouMean } from "./nearest.js";
import { isSecretRow, type Setting } from "./sources.js";
import { xdgFolder } from "../util/home.js";

/** The files read when none is named, the later one winning. */
export function defaultFiles(environment: NodeJS.ProcessEnv): string[] {
  const home = xdgFolder(environment, "XDG_CONFIG_HOME", ".config");
  return ["/etc/objmount/objmount.toml", join(home, "objmount", "objmount.toml")];
}

/** True when the mount of `url` is at or below `pattern`, by whole path components. */
export function urlMatches(url: string, pattern: string): boolean {
  const base = pattern.replace(/\/+$/, "");
  return url === pattern || url === base || url.startsWith(`${base}/`) || (/^[a-z][a-z0-9+.-]*:$/.test(base) && url.startsWith(`${base}//`));
}

/**
 * @param url the mount's URL, or undefined to check and take the top level only
 * @throws ConfigError for a syntax error, an unknown name, a wrong kind of value
 */
export function settingsOfToml(text: string, file: string, url: string | undefined, rows: readonly OptionRow[]): Setting[] {
  let document: Record<string, unknown>;
  try {
    document = parse(text);
  } catch (error) {
    if (error instanceof TomlError) {
      throw new ConfigError(`${file} is not valid TOML at line ${error.line}, column ${error.column}: ${(error.message.split("\n")[0] as string).replace(/^Invalid TOML document: /, "")}.`);
    }
    throw error;
  }
  const { url: urls, ...top } = document;
  const settings = tableSettings(top, file, rows);
  if (urls === undefined) return settings;
  if (!isTable(urls)) throw new ConfigError(`${file}: "url" must hold tables, written as [url."s3://name"].`);
  // The most specific table comes last and wins. Tables that do not match are checked all the same.
  for (const pattern of Object.keys(urls).sort((a, b) => a.length - b.length)) {
    const table = urls[pattern];
    if (!isTable(table)) throw new ConfigError(`${file}: "url.${pattern}" must be a table, written as [url."${pattern}"].`);
    const inner = tableSettings(table, `${file}: [url."${pattern}"]`, rows);
    if (url !== undefined && urlMatches(url, pattern)) settings.push(...inner);
  }
  return settings;
}

function isTable(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Date);
}

function tableSettings(table: Record<string, unknown>, where: string, rows: readonly OptionRow[]): Setting[] {
  const byName = new Map(rows.map((row) => [row.name, row]));
  return Object.entries(table).map(([name, value]) => {
    const row = byName.get(name.replaceAll("_", "-"));
    if (row === undefined) throw new ConfigError(`${where}: the option "${name}" is not known.${didYouMean(name, byName.keys())}`);
    if (typeof value !== "string" && typeof value !== "number" && typeof value !== "boolean" && typeof value !== "bigint") {
      throw new ConfigError(`${where}: the option "${name}" must be a plain value, not a table, list or date.`);
    }
    // A TOML integer for an octal option would have lost its leading zero's meaning: 0o644 arrives as 420.
    const text = row.unit === "octal" && typeof value === "number" ? value.toString(8) : String(value);
    return { row, text, where: `${where}: ${row.name}` };
  });
}

/** Reads the named file, or the default ones as far as they exist. */
export async function fromFiles(named: string | undefined, url: string | undefined, rows: readonly OptionRow[],
  environment: NodeJS.ProcessEnv): Promise<Setting[]> {
  const settings: Setting[] = [];
  for (const file of named === undefined ? defaultFiles(environment) : [named]) {
    let text: string;
    try {
      text = await readFile(file, "utf8");
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      if (named === undefined && (code === "ENOENT" || code === "ENOTDIR" || code === "EACCES")) continue;
      throw new ConfigError(`The configuration file ${file} cannot be read (${code ?? String(error)}).`);
    }
    const found = settingsOfToml(text, file, url, rows);
    const secret = found.find((setting) => isSecretRow(setting.row));
    if (secret !== undefined && ((await stat(file)).mode & 0o077) !== 0) {
      throw new ConfigError(`${file} holds a secret (${secret.row.name}) and other users can read it: run "chmod 600 ${file}".`);
    }
    settings.push(...found);
  }
  return settings;
}

/** NAME=value lines: `#` comments, blank lines, an optional `export`, one pair of quotes around the value. */
export function parseEnvFile(text: string, file: string): Record<string, string> {
  const found: Record<string, string> = {};
  text.split(/\r?\n/).forEach((raw, index) => {
    const line = raw.trim().replace(/^export\s+/, "");
    if (line === "" || line.startsWith("#") || line.startsWith(";")) return;
    const match = /^([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)$/.exec(line);
    if (match === null) throw new ConfigError(`${file} has no NAME=value at line ${index + 1}.`);
    found[match[1] as string] = (match[2] as string).replace(/^(["'])(.*)\1$/, "$2");
  });
  return found;
}

/** @returns the environment with the file's lines added; what the environment has already stays. */
export async function withEnvFile(environment: NodeJS.ProcessEnv, file: string): Promise<NodeJS.ProcessEnv> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (error) {
    throw new ConfigError(`The environment file ${file} cannot be read (${(error as NodeJS.ErrnoException).code ?? String(error)}).`);
  }
  return { ...parseEnvFile(text, file), ...environment };
}
