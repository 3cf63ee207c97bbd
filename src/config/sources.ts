// Where options come from. Each source becomes a list of (row, text, how it was written); resolve.ts lays them over each other.

import type { OptionRow } from "../util/optionRow.js";
import { ConfigError } from "./error.js";
import { didYouMean, nearestName } from "./nearest.js";
import { sortMountOptions } from "./mountOptions.js";

/** One option as some source has it. `where` names it in sentences: `--part-size`, `OBJMOUNT_PART_SIZE`. */
export interface Setting { readonly row: OptionRow; readonly text: string; readonly where: string }

const PREFIX = "OBJMOUNT_";

export function isSecretRow(row: OptionRow): boolean {
  return row.type === "secret" || row.secret === true;
}

/** OBJMOUNT_PART_SIZE for part-size. */
export function environmentName(row: OptionRow): string {
  return PREFIX + row.name.toUpperCase().replaceAll("-", "_");
}

function refuseSecret(row: OptionRow, where: string): never {
  const names = [environmentName(row), ...(row.env ?? [])].join(" or ");
  throw new ConfigError(`${where} is a secret, which every user could read there: put it into the environment as ${names}, or into the configuration file.`);
}

/** Flags by option name; a flag that was given more than once is a list. */
export type Flags = Readonly<Record<string, string | boolean | readonly (string | boolean)[] | undefined>>;

/** @param flags as the command line has them; a boolean that was not given is absent. */
export function fromFlags(flags: Flags, rows: readonly OptionRow[]): Setting[] {
  const settings: Setting[] = [];
  for (const row of rows) {
    const given = flags[row.name];
    // The last of a repeated flag counts.
    const value = typeof given === "object" ? given.at(-1) : given;
    if (value === undefined) continue;
    if (isSecretRow(row)) refuseSecret(row, `--${row.name}`);
    settings.push({ row, text: String(value), where: `--${row.name}` });
  }
  return settings;
}

/** @returns the settings of the -o lists, and the mount flags that they leave in force. */
export function fromMountOptions(lists: readonly string[], rows: readonly OptionRow[]): { settings: Setting[]; flags: readonly string[] } {
  const byName = new Map(rows.map((row) => [row.name, row]));
  const { own, flags } = sortMountOptions(lists);
  const settings = own.map(({ name, value }) => {
    const row = byName.get(name);
    if (row === undefined) throw new ConfigError(`The mount option "${name}" is not known.${didYouMean(name, byName.keys())}`);
    if (isSecretRow(row)) refuseSecret(row, `-o ${name}`);
    return { row, text: value, where: `-o ${name}` };
  });
  return { settings, flags };
}

/**
 * A misspelt OBJMOUNT_ variable is refused: silence would hide a wrong setting. One that is like none of ours is somebody else's.
 * @param rows what this mount takes @param allRows what any mount takes: their variables are known, and passed over
 */
export function fromEnvironment(environment: NodeJS.ProcessEnv, rows: readonly OptionRow[], allRows: readonly OptionRow[] = rows): Setting[] {
  const known = new Set(allRows.flatMap((row) => [environmentName(row), ...(row.env ?? [])]).filter((name) => name.startsWith(PREFIX)));
  const words = [...known].map((name) => name.slice(PREFIX.length));
  for (const name of Object.keys(environment)) {
    if (!name.startsWith(PREFIX) || known.has(name)) continue;
    const near = nearestName(name.slice(PREFIX.length), words);
    if (near !== undefined) throw new ConfigError(`The environment variable ${name} is not known. Did you mean "${PREFIX}${near}"?`);
  }
  const settings: Setting[] = [];
  for (const row of rows) {
    const name = [environmentName(row), ...(row.env ?? [])].find((candidate) => (environment[candidate] ?? "") !== "");
    if (name !== undefined) settings.push({ row, text: environment[name] as string, where: name });
  }
  return settings;
}
