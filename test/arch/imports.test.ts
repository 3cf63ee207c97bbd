// Who may import whom. This table is the document: a change of the shape of objmount is a change here, with its reason.

import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { builtinModules } from "node:module";
import { describe, expect, it } from "vitest";

const SRC = resolve(import.meta.dirname, "../../src");

interface Rule {
  /** Folders or files of src that may be imported, besides the folder itself. A trailing ".ts" names one file. */
  readonly own: readonly string[];
  /** Packages. `node:` modules are always allowed. */
  readonly packages?: readonly string[];
}

const STORE_TYPES = ["store/objectStore.ts", "store/errors.ts"];

const RULES: Readonly<Record<string, Rule>> = {
  "util/log.ts": { own: ["util"], packages: ["pino"] },
  util: { own: ["util/log.ts"] },
  http: { own: ["util"], packages: ["undici"] },
  store: { own: ["util"] },
  // The registry opens a backend by its scheme, lazily.
  "backends/registry.ts": { own: ["backends", "store", "util"] },
  // The interface between the registry and the backends.
  "backends/backend.ts": { own: [...STORE_TYPES, "util"] },
  "backends/file": { own: ["backends/backend.ts", "store", "util"] },
  "backends/s3": {
    own: ["backends/backend.ts", "store", "http", "util"],
    packages: ["@aws-sdk/credential-providers", "@smithy/protocol-http", "@smithy/signature-v4", "@smithy/types", "fast-xml-parser"],
  },
  read: { own: [...STORE_TYPES, "util"], packages: ["lru-cache"] },
  write: { own: [...STORE_TYPES, "util"] },
  fs: { own: ["read", "write", ...STORE_TYPES, "store/copyObject.ts", "util"], packages: ["lru-cache"] },
  // Only the channel sees the addon; only fuse/libfuse.ts sees the fuse-native package (by its place, for it may be missing).
  "fuse/channel.ts": { own: ["fuse", "fs/filesystem.ts", "fs/errors.ts", "util"] },
  "fuse/libfuse.ts": { own: [], packages: ["fuse-native"] },
  fuse: { own: ["fs/filesystem.ts", "fs/errors.ts", "util"] },
  // The backends' option tables are data without code.
  config: { own: ["util", "backends/file/options.ts", "backends/s3/options.ts"], packages: ["smol-toml"] },
  control: { own: ["util"] },
  mount: { own: ["backends", "config", "control", "fs", "fuse", "http", "read", "store", "util", "write"] },
  // The command line is read where the commands are; the rows it is made of come from config.
  cli: { own: ["config", "mount", "control", "util"], packages: ["yargs"] },
};

interface Import { readonly file: string; readonly target: string; readonly native: boolean }

function sources(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts"))
    .map((name) => join(folder, name));
}

function importsOf(file: string): Import[] {
  const text = readFileSync(file, "utf8");
  const found = [...text.matchAll(/(?:^|[\s;])(?:import|export)\s(?:[^"';]*?\sfrom\s)?["']([^"']+)["']|\bimport\(\s*["']([^"']+)["']\s*\)|\brequire\(\s*["']([^"']+)["']\s*\)/gm)];
  return found.map((m) => {
    const target = (m[1] ?? m[2] ?? m[3]) as string;
    if (!target.startsWith(".")) return { file, target, native: false };
    const path = resolve(dirname(file), target);
    const inside = relative(SRC, path);
    return { file, target: inside.replace(/\.js$/, ".ts"), native: inside.startsWith("..") && path.includes("/native") };
  });
}

function ruleFor(path: string): [string, Rule] | undefined {
  // The longest matching row wins: a file's own row before its folder's.
  return Object.entries(RULES)
    .filter(([name]) => path === name || path.startsWith(`${name}/`))
    .sort(([a], [b]) => b.length - a.length)[0];
}

function within(path: string, name: string): boolean {
  return path === name || path.startsWith(`${name}/`);
}

function violations(imports: readonly Import[]): string[] {
  const bad: string[] = [];
  for (const { file, target, native } of imports) {
    const path = relative(SRC, file);
    const found = ruleFor(path);
    if (found === undefined) {
      bad.push(`${path}: no row in the import table`);
      continue;
    }
    const [name, rule] = found;
    if (native) {
      if (path !== "fuse/channel.ts") bad.push(`${path}: only fuse/channel.ts may see native/`);
    } else if (target.endsWith(".ts")) {
      const folder = name.endsWith(".ts") ? dirname(name) : name;
      if (!within(target, folder) && !rule.own.some((allowed) => within(target, allowed))) bad.push(`${path}: may not import ${target}`);
    } else if (!target.startsWith("node:")) {
      if (builtinModules.includes(target)) bad.push(`${path}: write node:${target}`);
      else if (!(rule.packages ?? []).includes(target)) bad.push(`${path}: may not import the package ${target}`);
    }
  }
  return bad;
}

describe("import table", () => {
  it("holds for every file of src", () => {
    expect(violations(sources(SRC).flatMap(importsOf))).toEqual([]);
  });

  it("can fail", () => {
    const file = join(SRC, "read/x.ts");
    expect(violations([
      { file, target: "fs/filesystem.ts", native: false },
      { file, target: "undici", native: false },
      { file, target: "fs", native: false },
      { file: join(SRC, "fs/x.ts"), target: "../native/build/Release/x.node", native: true },
      { file: join(SRC, "elsewhere/x.ts"), target: "node:fs", native: false },
    ])).toHaveLength(5);
  });
});

describe("size of files", () => {
  it("stays under 500 lines, or says at its head why not", () => {
    const large = sources(SRC).filter((file) => {
      const text = readFileSync(file, "utf8");
      return text.split("\n").length > 500 && !/one file because/i.test(text.slice(0, 1500));
    });
    expect(large.map((file) => relative(SRC, file))).toEqual([]);
  });
});
