import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { documents } from "../../../src/cli/documents.js";
import { EXIT_CODES } from "../../../src/cli/exitCodes.js";

const ROOT = resolve(import.meta.dirname, "../../..");

describe("generated pages", () => {
  it.each(Object.entries(documents()))("%s is what `npm run docs` would write", (path, content) => {
    expect(readFileSync(resolve(ROOT, path), "utf8")).toBe(content);
  });

  it("every dependency has its line", () => {
    const { dependencies, devDependencies, optionalDependencies } = JSON.parse(readFileSync(resolve(ROOT, "package.json"), "utf8")) as Record<string, Record<string, string>>;
    const page = readFileSync(resolve(ROOT, "docs/DEPENDENCIES.md"), "utf8");
    const names = [dependencies, devDependencies, optionalDependencies].flatMap((group) => Object.keys(group ?? {}));
    expect(names.filter((name) => !page.includes(`| ${name} `))).toEqual([]);
  });
});

describe("exit codes", () => {
  it("are used once each, within a byte", () => {
    const codes = Object.values(EXIT_CODES).map(({ code }) => code);
    expect(new Set(codes).size).toBe(codes.length);
    expect(codes.every((code) => code >= 0 && code < 256)).toBe(true);
  });

  it("keep their numbers", () => {
    expect(Object.fromEntries(Object.entries(EXIT_CODES).map(([name, { code }]) => [name, code]))).toEqual({
      ok: 0, unexpected: 1, usage: 2, url: 3, "no-device": 10, "no-fusermount": 11, "no-driver": 12, "mount-refused": 13,
      "store-unreachable": 20, "store-denied": 21, "no-container": 22, "store-failed": 23,
      "mountpoint-missing": 30, "mountpoint-not-directory": 31, "mountpoint-not-empty": 32, "already-mounted": 33, "mountpoint-dead": 34, "mountpoint-access": 35,
      unsaved: 40, busy: 41, "not-mounted": 42, "daemon-silent": 43, "not-permitted": 44, timeout: 50, "state-directory": 60, doctor: 70, interrupted: 130,
    });
  });
});
