// Keys to names on disk: reversible, never colliding, never outside the container.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { checkContainerName, directoryPath, objectPath, readName } from "../../../src/backends/file/names.js";
import { isStoreError } from "../../../src/store/errors.js";

/** The key that an object path stands for. */
function keyOf(path: string): string {
  let key = "";
  for (const name of path.split("/")) {
    const read = readName(name);
    if (read === undefined) throw new Error(`unreadable name ${name}`);
    key += read.kind === "directory" ? `${read.text}/` : read.text;
  }
  return key;
}

const awkward = ["a", "a/", "/", "//", "a//b", ".", "..", "../..", "./x", "a/.", ".hidden", "x=", "x=/y", "x&", "x&/y", "x==", "%", "%41", "%/%", "\n", "a\u0000b",
  "A", "\u00e4", "a\u0308", "\u{1f600}", "x".repeat(1000), "\u{1f600}".repeat(250), `${"d".repeat(300)}/${"e".repeat(300)}`, `${"f".repeat(239)}=`, `${"f".repeat(240)}/g`,
  `${"%".repeat(200)}`, "&".repeat(241), `${"=".repeat(241)}/=`];

const key = fc.oneof(
  fc.constantFrom(...awkward),
  fc.array(fc.constantFrom("a", "/", ".", "=", "&", "%", "\n", "\u00e4", "\u{1f600}", "B", "\u0000", "x".repeat(120)), { minLength: 1, maxLength: 12 }).map((parts) => parts.join("")),
  fc.string({ unit: "binary", minLength: 1, maxLength: 40 }).filter((text) => text.isWellFormed()),
);

describe.each([false, true])("names on disk (folded: %s)", (folded) => {
  it("give the key back", () => {
    fc.assert(fc.property(key, (text) => { expect(keyOf(objectPath(text, folded))).toBe(text); }));
  });

  it("are legal, short enough and stay inside", () => {
    fc.assert(fc.property(key, (text) => {
      for (const name of objectPath(text, folded).split("/")) {
        expect(Buffer.byteLength(name)).toBeLessThanOrEqual(255);
        expect(name).not.toMatch(/^\.|^$|\p{Cc}/u);
        if (folded) expect(name).toBe(name.replace(/%[0-9A-F]{2}/g, (hex) => hex.toLowerCase()).toLowerCase().replace(/%[0-9a-f]{2}/g, (hex) => hex.toUpperCase()));
      }
    }));
  });

  it("of an object lie in the directory of its prefix", () => {
    fc.assert(fc.property(key, (text) => {
      const prefix = text.slice(0, text.lastIndexOf("/") + 1);
      expect(objectPath(text, folded).startsWith(directoryPath(prefix, folded))).toBe(true);
    }));
  });

  it("are never the path of another key, nor a directory of one", () => {
    const paths = new Map(awkward.map((text) => [objectPath(text, folded), text]));
    expect(paths.size).toBe(awkward.length);
    for (const text of awkward) if (text.endsWith("/")) expect(paths.has(directoryPath(text, folded).slice(0, -1))).toBe(false);
  });
});

describe("names of containers", () => {
  it.each(["a", "photos 2024", "\u00e4", "a.b", "x=", "CON", "a".repeat(255)])("%j is one", (name) => { checkContainerName(name); });
  it.each(["", ".", "..", ".objmount-store", "a/b", "a\nb", "a\u0000", "\ud800", "a".repeat(256), "lost+found"])("%j is none", (name) => {
    let error: unknown;
    try { checkContainerName(name); } catch (caught) { error = caught; }
    expect(isStoreError(error, "invalid")).toBe(true);
  });
});
