// The command line, made from the option tables. What yargs reads is checked against the tables here, so that a misspelt
// option is answered by the nearest name.

import yargs, { type Argv } from "yargs";
import { BACKEND_ROWS } from "../config/backendTables.js";
import { ConfigError } from "../config/error.js";
import { didYouMean } from "../config/nearest.js";
import { CORE_ROWS } from "../config/options.js";
import { isSecretRow, type Flags } from "../config/sources.js";
import { formatValue } from "../config/values.js";
import type { OptionRow } from "../util/optionRow.js";
import { VERSION } from "./version.js";

/** What the command line says, with everything but options taken apart. */
export interface Invocation {
  readonly command: CommandName;
  /** Positional arguments by name. */
  readonly positional: Readonly<Record<string, string | undefined>>;
  readonly flags: Flags;
  /** Each -o. */
  readonly mountOptions: readonly string[];
}

interface Command {
  readonly usage: string;
  readonly describe: string;
  /** Which rows of the tables it takes: all, or those named. */
  readonly rows: "all" | readonly string[];
  /** Switches of the command itself. */
  readonly switches?: Readonly<Record<string, { readonly help: string; readonly alias?: string }>>;
  readonly hidden?: boolean;
}

export const COMMANDS = {
  mount: { usage: "mount <url> <dir>", describe: "Mount a container, a prefix of one, or a whole account on a directory", rows: "all" },
  unmount: { usage: "unmount <dir>", describe: "Unmount, after everything is saved", rows: ["runtime-dir"],
    switches: { lazy: { alias: "z", help: "Detach a mount that is in use at once; what is left is saved in the background" } } },
  status: { usage: "status [dir]", describe: "What mounts do: requests, cached bytes, files not yet saved", rows: ["runtime-dir"],
    switches: { json: { help: "Print one JSON document" } } },
  "log-level": { usage: "log-level <dir> <level>", describe: "Change the log level of a running mount", rows: ["runtime-dir"] },
  doctor: { usage: "doctor [url]", describe: "Check what mounting needs on this machine, and what a store can do", rows: "all",
    switches: { json: { help: "Print one JSON document" } } },
  demo: { usage: "demo [url] [dir]", describe: "Mount the embedded store, or a URL, in the foreground and say what to try", rows: "all" },
} as const satisfies Readonly<Record<string, Command>>;
export type CommandName = keyof typeof COMMANDS;

export function rowsOf(command: CommandName): readonly OptionRow[] {
  const wanted: Command["rows"] = COMMANDS[command].rows;
  const all = [...new Map([...CORE_ROWS, ...Object.values(BACKEND_ROWS).flat()].map((row) => [row.name, row])).values()];
  return wanted === "all" ? all : all.filter((row) => wanted.includes(row.name));
}

/** "(default: 64MiB, choices: a, b)" and where a secret is taken from. */
function describeRow(row: OptionRow): string {
  const facts: string[] = [];
  if (row.choices !== undefined) facts.push(row.choices.join(" | "));
  if (row.default !== undefined && row.type !== "boolean") facts.push(`default ${formatValue(row, row.default)}`);
  return facts.length === 0 ? row.help : `${row.help} [${facts.join("; ")}]`;
}

function addRows(parser: Argv, command: CommandName): Argv {
  for (const row of rowsOf(command)) {
    const hidden = isSecretRow(row);
    parser.option(row.name, {
      type: row.type === "boolean" ? "boolean" : "string", group: `${row.group}:`, describe: describeRow(row), hidden,
      ...(row.type === "boolean" ? {} : { requiresArg: true }),
      ...(row.name === "foreground" ? { alias: "f" } : {}),
    });
  }
  const definition: Command = COMMANDS[command];
  if (definition.rows === "all") {
    parser.option("o", { type: "string", requiresArg: true, group: "Mount:", describe: "Options as in fstab: name=value,name,... (a comma in a value is written \\,)" });
  }
  for (const [name, { help, alias }] of Object.entries(definition.switches ?? {})) {
    parser.option(name, { type: "boolean", describe: help, ...(alias === undefined ? {} : { alias }) });
  }
  return parser;
}

/** A parser of its own for each use: yargs keeps state. */
export function createParser(args: readonly string[], chosen: (invocation: Invocation) => void): Argv {
  const parser = yargs([...args])
    .scriptName("objmount").usage("$0 <command>\n\nMounts a container of an object store as a directory.").locale("en")
    .parserConfiguration({ "camel-case-expansion": false, "dot-notation": false, "parse-numbers": false, "parse-positional-numbers": false })
    .version(VERSION).help().alias("h", "help").alias("V", "version").exitProcess(false).wrap(Math.min(130, process.stdout.columns ?? 100))
    .epilogue("Exit codes: docs/EXIT_CODES.md. All options: docs/OPTIONS.md or man objmount.")
    .fail((message: string | null, error: Error | undefined) => {
      // What yargs itself finds is a YError.
      if (error !== undefined && error.name !== "YError") throw error;
      const wanted = (COMMANDS as Readonly<Record<string, Command | undefined>>)[args.find((word) => !word.startsWith("-")) ?? ""];
      if (wanted !== undefined && (message ?? error?.message ?? "").startsWith("Not enough non-option arguments")) {
        throw new ConfigError(`An argument is missing: the form is objmount ${wanted.usage}.`);
      }
      throw new ConfigError(`${tidy(message ?? error?.message ?? "The command line is not understood")} (objmount --help tells more).`);
    });
  for (const name of Object.keys(COMMANDS) as CommandName[]) {
    parser.command(COMMANDS[name].usage, COMMANDS[name].describe, (inner) => { addRows(inner, name); }, (argv) => { chosen(takeApart(name, argv)); });
  }
  parser.command("umount <dir>", false, (inner) => { addRows(inner, "unmount"); }, (argv) => { chosen(takeApart("unmount", argv)); });
  parser.command("$0", false, () => undefined, (argv) => {
    const word = argv._[0];
    throw new ConfigError(word === undefined ? "A command is missing: objmount --help shows them."
      : `The command "${String(word)}" is not known.${didYouMean(String(word), Object.keys(COMMANDS))}`);
  });
  return parser;
}

function tidy(message: string): string {
  const missing = /^Not enough arguments following: (.*)$/.exec(message);
  if (missing !== null) return `The option --${missing[1] as string} wants a value`;
  return message.replace(/\.?\s*$/, "");
}

function takeApart(command: CommandName, argv: Readonly<Record<string, unknown>>): Invocation {
  const positionalNames = [...COMMANDS[command].usage.matchAll(/[<[](\w+)[>\]]/g)].map((match) => match[1] as string);
  const definition: Command = COMMANDS[command];
  const switches = Object.entries(definition.switches ?? {}).flatMap(([name, { alias }]) => alias === undefined ? [name] : [name, alias]);
  const known = new Set([...rowsOf(command).map((row) => row.name), ...switches, ...(definition.rows === "all" ? ["o"] : [])]);
  const ignored = new Set(["_", "$0", "help", "h", "version", "V", "f", ...positionalNames]);
  const flags: Record<string, string | boolean | (string | boolean)[]> = {};
  for (const [name, value] of Object.entries(argv)) {
    if (ignored.has(name) || value === undefined) continue;
    if (!known.has(name)) throw new ConfigError(`The option ${name.length === 1 ? "-" : "--"}${name} is not known.${didYouMean(name, known)}`);
    flags[name] = value as string | boolean | (string | boolean)[];
  }
  const extra = (argv["_"] as unknown[]).slice(1);
  if (extra.length > 0) throw new ConfigError(`The argument "${String(extra[0])}" is one too many: the form is objmount ${COMMANDS[command].usage}.`);
  const { o, ...own } = flags;
  return {
    command, flags: own, mountOptions: o === undefined ? [] : (Array.isArray(o) ? o : [o]).map(String),
    positional: Object.fromEntries(positionalNames.map((name) => [name, argv[name] === undefined ? undefined : String(argv[name] as string)])),
  };
}

/** @returns undefined when help or the version was printed. @throws ConfigError */
export async function parseCommandLine(args: readonly string[]): Promise<Invocation | undefined> {
  let invocation: Invocation | undefined;
  await createParser(args, (chosen) => { invocation = chosen; }).parseAsync();
  return invocation;
}
