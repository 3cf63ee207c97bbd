// One row of an option table. A table is data without code: from it come the flags, the `-o` mount options, the
// environment variables, the config file's check, --help, the man page and docs/OPTIONS.md (src/config). The backends'
// own tables (src/backends/<x>/options.ts) and src/config/options.ts are written in it.

/**
 * How a value is written by people, and what it is in the program:
 * `string`, `path` (made absolute by config), `secret` (util/secret.ts; the text form is stars) and `enum` are strings;
 * `bytes` is a number of bytes ("64KiB"), `duration` a number of milliseconds ("30s"), `number` a plain number.
 */
export type OptionType = "string" | "boolean" | "number" | "bytes" | "duration" | "enum" | "path" | "secret";

export interface OptionRow {
  /** Long form in kebab-case, without dashes in front; also the name in `-o name=value` and in the config file. */
  readonly name: string;
  readonly type: OptionType;
  /** In the program's form (bytes, milliseconds); undefined: not set unless somebody sets it. */
  readonly default: string | number | boolean | undefined;
  /** What a plain number counts, for --help: "connections", "MiB/s". */
  readonly unit?: string | undefined;
  /** The values of an `enum`, the usual one first. */
  readonly choices?: readonly string[] | undefined;
  /** Environment variables that are read besides OBJMOUNT_<NAME>, first found wins (a vendor's own names). */
  readonly env?: readonly string[] | undefined;
  /** Heading in --help and in docs/OPTIONS.md. */
  readonly group: string;
  /** One sentence, with no full stop at its end. */
  readonly help: string;
  /** The first version that has it. */
  readonly since: string;
  /** Never shown, logged or taken from a command line. Always true for the type `secret`. */
  readonly secret?: boolean | undefined;
}
