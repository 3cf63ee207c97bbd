import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { formatTime, formatXattrs, keptOf, parseTime, parseXattrs } from "../../../src/fs/metadata.js";

describe("what is kept in metadata", () => {
  it("times lose no nanosecond, before 1970 either", () => {
    fc.assert(fc.property(fc.integer({ min: -62_135_596_800, max: 253_402_300_799 }), fc.integer({ min: 0, max: 999_999_999 }), (sec, nsec) => {
      expect(parseTime(formatTime({ sec, nsec }))).toEqual({ sec, nsec });
    }));
  });

  it.each([
    ["1700000000", { sec: 1_700_000_000, nsec: 0 }], ["1700000000.5", { sec: 1_700_000_000, nsec: 500_000_000 }],
    ["1700000000.1234567891", { sec: 1_700_000_000, nsec: 123_456_789 }], ["-0.25", { sec: -1, nsec: 750_000_000 }], ["", undefined], ["yesterday", undefined],
  ])("reads the time %j", (text, time) => expect(parseTime(text)).toEqual(time));

  it.each([
    ["33188", 0o100644], ["16877", 0o040755], ["41471", 0o120777], ["100644", 0o100644], ["040755", 0o040755], ["120777", 0o120777], ["0644", 0o100644],
    ["rw-r--r--", undefined], ["", undefined], ["9999999", undefined],
  ])("reads the mode %j as s3fs or rclone wrote it", (text, mode) => expect(keptOf({ mode: text }).mode).toBe(mode));

  it("owners that are no numbers are none", () => {
    expect(keptOf({ uid: "1000", gid: "-1" })).toMatchObject({ uid: 1000, gid: undefined });
    expect(keptOf({ uid: "4294967295", gid: "staff" })).toMatchObject({ uid: undefined, gid: undefined });
  });

  it("extended attributes come back byte for byte, and damage is none", () => {
    fc.assert(fc.property(fc.array(fc.tuple(fc.string({ unit: "grapheme" }).filter((name) => name !== "__proto__"), fc.uint8Array())), (list) => {
      const xattrs = new Map(list.map(([name, bytes]) => [`user.${name}`, Buffer.from(bytes)]));
      const text = formatXattrs(xattrs);
      expect(parseXattrs(text === undefined ? {} : { xattr: text })).toEqual(xattrs);
    }));
    for (const xattr of ["%", "{}x", "[1]", "%7B%22a%22%3A1%7D", "null"]) expect(parseXattrs({ xattr }).size).toBe(0);
  });
});
