// docs/OPTIONS.md, docs/EXIT_CODES.md and packaging/man/objmount.1, from the tables. `npm run docs` writes them; a test
// fails when they are stale.

import { BACKEND_ROWS } from "../config/backendTables.js";
import { CORE_ROWS } from "../config/options.js";
import { environmentName, isSecretRow } from "../config/sources.js";
import { describeForm, formatValue } from "../config/values.js";
import type { OptionRow } from "../util/optionRow.js";
import { COMMANDS } from "./arguments.js";
import { EXIT_CODES } from "./exitCodes.js";
import { VERSION } from "./version.js";

const NOTE = "<!-- Made by `npm run docs` from the option tables: change those. -->";

/** Path from the project's root -> content. */
export function documents(): Readonly<Record<string, string>> {
  return { "docs/OPTIONS.md": optionsPage(), "docs/EXIT_CODES.md": exitCodesPage(), "packaging/man/objmount.1": manPage() };
}

function groups(rows: readonly OptionRow[]): Map<string, OptionRow[]> {
  const found = new Map<string, OptionRow[]>();
  for (const row of rows) found.set(row.group, [...found.get(row.group) ?? [], row]);
  return found;
}

const ALL: readonly OptionRow[] = [...CORE_ROWS, ...Object.values(BACKEND_ROWS).flat()];

function defaultOf(row: OptionRow): string {
  return row.default === undefined ? "" : row.type === "boolean" ? (row.default === true ? "yes" : "no") : formatValue(row, row.default);
}

function variables(row: OptionRow): string[] {
  return [environmentName(row), ...(row.env ?? [])];
}

function optionsPage(): string {
  const cell = (text: string): string => text.replaceAll("|", "\\|");
  const sections = [...groups(ALL)].map(([group, rows]) => [
    `## ${group}`, "",
    "| option | value | default | what it does | environment | since |", "|---|---|---|---|---|---|",
    ...rows.map((row) => `| ${isSecretRow(row) ? `${row.name} (secret)` : `\`--${row.name}\``} | ${cell(row.choices?.join(", ") ?? describeForm(row))} | ${cell(defaultOf(row))} | ${cell(row.help)} | ${variables(row).map((name) => `\`${name}\``).join(", ")} | ${row.since} |`),
    "",
  ].join("\n"));
  return `${NOTE}

# Options

Every option can be written in four places. What stands further up wins:

1. a flag: \`--part-size 16MiB\`, \`--read-only\`, \`--no-read-only\`
2. a mount option, in \`-o\` or in the fourth field of fstab: \`part-size=16MiB,ro\` (a comma in a value is written \`\\,\`; \`part_size\` is the same name)
3. an environment variable: \`OBJMOUNT_PART_SIZE=16MiB\`
4. the configuration file: \`part-size = "16MiB"\`

The configuration file is TOML: \`/etc/objmount/objmount.toml\`, then \`$XDG_CONFIG_HOME/objmount/objmount.toml\`. Options at its
top hold for all mounts; a table \`[url."s3://photos"]\` holds for that URL and everything below it, the longest match winning.

    log-level = "warn"
    [url."s3://photos"]
    endpoint = "https://store.example"
    region = "eu-north-1"

Sizes are written \`64MiB\`, \`1GB\`, or in bytes; durations \`500ms\`, \`30s\`, \`5m\`, or in seconds; modes in octal.

Secrets are taken from the environment, from a configuration file that only its owner can read, and from the vendor's own
files and services; never from a command line, from fstab or from a URL, where every user could read them.

Of the words of mount(8), \`ro\`, \`rw\`, \`nosuid\`, \`nodev\`, \`noexec\`, \`noatime\` and their opposites are obeyed (\`nosuid\`, \`nodev\` and
\`noatime\` hold unless taken back), \`user\` and \`users\` imply \`noexec\`, and \`defaults\`, \`auto\`, \`noauto\`, \`nofail\`, \`_netdev\`, \`x-...\` are left to mount(8) and systemd.

${sections.join("\n")}`;
}

function exitCodesPage(): string {
  return `${NOTE}

# Exit codes

Of \`objmount\` and \`mount.objmount\`. A number keeps its meaning for ever.

| code | meaning |
|---|---|
${Object.values(EXIT_CODES).map(({ code, help }) => `| ${code} | ${help} |`).join("\n")}
`;
}

/** Text for troff: a backslash, a leading dot or quote and a minus mean something there. */
function troff(text: string): string {
  return text.replaceAll("\\", "\\e").replaceAll("-", "\\-").replace(/^([.'])/, "\\&$1");
}

function manPage(): string {
  const options = [...groups(ALL)].map(([group, rows]) => [`.SS ${troff(group)}`, ...rows.map((row) => {
    const value = row.type === "boolean" ? "" : ` \\fI${troff(row.choices?.join("|") ?? row.type)}\\fR`;
    const facts = [defaultOf(row) === "" ? "" : `Default: ${defaultOf(row)}.`, isSecretRow(row) ? `A secret: from ${variables(row).join(" or ")} only.` : ""].filter((text) => text !== "");
    return `.TP\n\\fB${isSecretRow(row) ? troff(row.name) : `\\-\\-${troff(row.name)}`}\\fR${value}\n${troff(`${row.help}. ${facts.join(" ")}`.trim())}`;
  })].join("\n"));
  return `.\\" Made by npm run docs from the option tables: change those.
.TH OBJMOUNT 1 "" "objmount ${VERSION}" "User Commands"
.SH NAME
objmount \\- mount a container of an object store as a directory
.SH SYNOPSIS
${Object.values(COMMANDS).map(({ usage }) => `.B objmount\n${troff(usage)}\n.br`).join("\n")}
.B mount \\-t objmount
\\fIurl dir\\fR [\\-o \\fIoptions\\fR]
.SH DESCRIPTION
.B objmount mount
makes a container of an object store, a prefix of it, or all containers of an account appear as a directory. It goes to
the background once the mount answers; otherwise it says in one sentence why not, and ends with a code of its own.
A file is in the store when close(2) or fsync(2) returns without an error.
.PP
URLs are s3://\\fIbucket\\fR/\\fIprefix\\fR and file:///\\fIdirectory\\fR/\\fIcontainer\\fR/\\fIprefix\\fR, the embedded store.
.SH COMMANDS
${Object.values(COMMANDS).map(({ usage, describe }) => `.TP\n\\fB${troff(usage)}\\fR\n${troff(describe)}.`).join("\n")}
.SH OPTIONS
Each option may also be given as a mount option (\\-o, fstab), as a variable OBJMOUNT_\\fINAME\\fR, or in the configuration
file; the former win over the latter.
${options.join("\n")}
.SH SIGNALS
SIGTERM and SIGINT save what is not yet in the store, unmount, and end. A second one names what is left, and ends at once;
what was left is kept in the staging directory.
.SH FILES
.TP
/etc/objmount/objmount.toml, $XDG_CONFIG_HOME/objmount/objmount.toml
The configuration.
.TP
/etc/objmount/environment
Variables for mounts made by mount(8) and fstab.
.TP
/var/lib/objmount, $XDG_STATE_HOME/objmount
Journals, staged files and logs.
.TP
/run/objmount, $XDG_RUNTIME_DIR/objmount
Control sockets.
.SH EXIT STATUS
${Object.values(EXIT_CODES).map(({ code, help }) => `.TP\n${code}\n${troff(help)}.`).join("\n")}
.SH SEE ALSO
mount(8), fstab(5), fusermount3(1), systemd.mount(5)
`;
}
