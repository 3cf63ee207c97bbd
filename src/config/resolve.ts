// flag > -o > environment > file > default, for the daemon's own rows and the backend's alike.

import type { OptionRow } from "../util/optionRow.js";
import type { MountConfig } from "./config.js";
import { ConfigError } from "./error.js";
import { fromFiles, withEnvFile } from "./file.js";
import { CORE_ROWS, OPTIONS } from "./options.js";
import { fromEnvironment, fromFlags, fromMountOptions, type Flags, type Setting } from "./sources.js";
import { parseValue, type OptionValue } from "./values.js";

export interface Sources {
  /** The mount's URL, for the file's tables; undefined where there is none (objmount doctor). */
  readonly url: string | undefined;
  readonly flags: Flags;
  /** Each -o on the command line. */
  readonly mountOptions: readonly string[];
  readonly environment: NodeJS.ProcessEnv;
}

export interface Resolved {
  readonly config: MountConfig;
  /** The backend's options by name; those that nobody set are absent. */
  readonly backend: Readonly<Record<string, OptionValue>>;
  /** "nosuid", "nodev", "noexec", ...: what the kernel is told about the mount. */
  readonly mountFlags: readonly string[];
  /** The environment with --env-file added: vendors' credential chains look there. */
  readonly environment: NodeJS.ProcessEnv;
}

/** Later settings win. Text is checked even where it loses: a mistake is told wherever it stands. */
export function overlay(settings: readonly Setting[]): Map<string, OptionValue> {
  const values = new Map<string, OptionValue>();
  for (const { row, text, where } of settings) values.set(row.name, parseValue(row, text, where));
  return values;
}

/** The typed record of the daemon's own options. */
export function toConfig(values: ReadonlyMap<string, OptionValue>): MountConfig {
  const entries = Object.entries(OPTIONS).map(([field, row]) => [field, values.get(row.name) ?? row.default]);
  return Object.fromEntries(entries) as MountConfig;
}

/**
 * Reads all sources.
 * @param backends the option rows of all backends, by scheme; names are unique over all tables but for rows that mean the same
 * @throws ConfigError, one sentence, for the first mistake found
 */
export async function resolveOptions(sources: Sources, backends: Readonly<Record<string, readonly OptionRow[]>>): Promise<Resolved> {
  const scheme = sources.url === undefined ? undefined : /^([a-z][a-z0-9+.-]*):/i.exec(sources.url)?.[1]?.toLowerCase();
  const backendRows = scheme === undefined ? uniqueRows(Object.values(backends).flat()) : backends[scheme] ?? [];
  const rows = [...CORE_ROWS, ...backendRows];
  const allRows = uniqueRows([...rows, ...Object.values(backends).flat()]);

  const flags = fromFlags(sources.flags, allRows);
  const { settings: mounted, flags: mountFlags } = fromMountOptions(sources.mountOptions, allRows);
  refuseForeign([...flags, ...mounted], rows, backends, scheme);

  // Where further sources lie is itself an option, which the file alone cannot give.
  const early = overlay([...fromEnvironment(sources.environment, rows, allRows), ...mounted, ...flags]);
  const envFile = early.get("env-file");
  const environment = envFile === undefined ? sources.environment : await withEnvFile(sources.environment, String(envFile));
  const fromVariables = fromEnvironment(environment, rows, allRows);
  const configFile = overlay([...fromVariables, ...mounted, ...flags]).get("config");
  const fromFile = await fromFiles(configFile === undefined ? undefined : String(configFile), sources.url, allRows, environment);

  const values = overlay([...fromFile, ...fromVariables, ...mounted, ...flags]);
  const backend: Record<string, OptionValue> = {};
  for (const row of backendRows) {
    const value = values.get(row.name);
    if (value !== undefined) backend[row.name] = value;
  }
  return { config: toConfig(values), backend, mountFlags, environment };
}

function uniqueRows(rows: readonly OptionRow[]): OptionRow[] {
  return [...new Map(rows.map((row) => [row.name, row])).values()];
}

/** An option of another backend on the command line is a mistake; in the environment or a file it is for another mount. */
function refuseForeign(settings: readonly Setting[], rows: readonly OptionRow[], backends: Readonly<Record<string, readonly OptionRow[]>>, scheme: string | undefined): void {
  const names = new Set(rows.map((row) => row.name));
  const foreign = settings.find((setting) => !names.has(setting.row.name));
  if (foreign === undefined || scheme === undefined || backends[scheme] === undefined) return;
  const owners = Object.keys(backends).filter((name) => backends[name]?.some((row) => row.name === foreign.row.name));
  throw new ConfigError(`${foreign.where} is an option of ${owners.map((name) => `${name}://`).join(" and ")}, not of ${scheme}://.`);
}
