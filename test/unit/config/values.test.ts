import { inspect } from "node:util";
import { homedir } from "node:os";
import { describe, expect, it } from "vitest";
import { nearestName } from "../../../src/config/nearest.js";
import { formatBytes, formatDuration, parseBytes, parseDuration, parseValue } from "../../../src/config/values.js";
import { OPTIONS } from "../../../src/config/options.js";
import type { OptionRow } from "../../../src/util/optionRow.js";
import type { Secret } from "../../../src/util/secret.js";

const secretRow: OptionRow = { name: "key", type: "secret", default: undefined, group: "x", help: "x", since: "0.1.0" };

describe("sizes and durations", () => {
  it.each([["256MiB", 268_435_456], ["1K", 1024], ["1KB", 1000], ["1.5g", 1.5 * 2 ** 30], ["17", 17], ["0", 0], ["2 MiB", 2 ** 21]])("%s is %d bytes", (text, bytes) => {
    expect(parseBytes(text)).toBe(bytes);
  });

  it.each(["", "-1", "MiB", "1XB", "1e3", "0x10", "9999999999TiB", "1,5M"])("%j is no size", (text) => {
    expect(parseBytes(text)).toBeUndefined();
  });

  it.each([["1s", 1000], ["500ms", 500], ["2", 2000], ["1.5m", 90_000], ["1h", 3_600_000], ["0", 0], ["1d", 86_400_000]])("%s is %d ms", (text, milliseconds) => {
    expect(parseDuration(text)).toBe(milliseconds);
  });

  it("writes what it reads", () => {
    for (const bytes of [0, 1, 1023, 1024, 8 * 2 ** 20, 1.5 * 2 ** 30, 5 * 2 ** 30, 12345]) expect(parseBytes(formatBytes(bytes))).toBe(bytes);
    for (const ms of [0, 1, 999, 1000, 90_000, 120_000, 604_800_000]) expect(parseDuration(formatDuration(ms))).toBe(ms);
  });
});

describe("values by type", () => {
  it("reads modes in octal and refuses what is none", () => {
    expect(parseValue(OPTIONS.umask, "0027", "--umask")).toBe(0o27);
    expect(parseValue(OPTIONS.umask, "77", "--umask")).toBe(0o77);
    expect(() => parseValue(OPTIONS.umask, "0088", "--umask")).toThrow("--umask has the value \"0088\", which is not an octal number such as 0644.");
  });

  it("says what would have been right", () => {
    expect(() => parseValue(OPTIONS.driver, "kernel", "-o driver")).toThrow("-o driver has the value \"kernel\", which is not one of auto, native, fuse-native.");
    expect(() => parseValue(OPTIONS.retries, "many", "OBJMOUNT_RETRIES")).toThrow("a whole number");
  });

  it("makes paths absolute", () => {
    expect(parseValue(OPTIONS.stagingDir, "a/../b", "x")).toBe(`${process.cwd()}/b`);
    expect(parseValue(OPTIONS.stagingDir, "~/x", "x")).toBe(`${homedir()}/x`);
    expect(() => parseValue(OPTIONS.stagingDir, "", "--staging-dir")).toThrow("a path");
  });

  it("keeps a secret out of every text form", () => {
    const value = parseValue(secretRow, "hunter2", "x") as Secret;
    expect(value.reveal()).toBe("hunter2");
    expect(`${String(value)} ${JSON.stringify({ value })} ${inspect(value)}`).not.toContain("hunter2");
  });
});

describe("the nearest name", () => {
  it("finds what was meant, and nothing where nothing is near", () => {
    const known = ["part-size", "read-only", "staging-dir"];
    expect(nearestName("part-sise", known)).toBe("part-size");
    expect(nearestName("readonly", known)).toBe("read-only");
    expect(nearestName("stagnig-dir", known)).toBe("staging-dir");
    expect(nearestName("frobnicate", known)).toBeUndefined();
  });
});
