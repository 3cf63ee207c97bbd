import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { directoryName, MAX_NAME_BYTES, objectName, parseName } from "../../../src/fs/names.js";
import { decodeName, encodeName } from "../../../src/util/names.js";

const piece = fc.oneof(
  fc.string({ unit: "binary", maxLength: 6 }),
  fc.constantFrom("%^", "%", "^", "%^%", "%^0", "%^f", "%^e", "%^m", "%^.", ".", "..", "\0", "%^xe9", "%^xc3%^xa9", "%^x41", "%^l", "%^k", "a", "\u{1f600}"),
  fc.string({ minLength: 90, maxLength: 120 }),
);
const component = fc.array(piece, { maxLength: 5 }).map((pieces) => pieces.join("").replaceAll("/", "")).filter((text) => text.isWellFormed());

function sound(name: string): void {
  expect(name).not.toBe("");
  expect(name).not.toBe(".");
  expect(name).not.toBe("..");
  expect(name).not.toMatch(/[/\0]/);
  expect(encodeName(name).length).toBeLessThanOrEqual(MAX_NAME_BYTES);
  // What the kernel hands back are bytes.
  expect(decodeName(encodeName(name))).toBe(name);
}

describe("names and key components", () => {
  it("lead from every component to one sound name and back", () => {
    fc.assert(fc.property(component, (text) => {
      for (const name of [directoryName(text), objectName(text, false), objectName(text, true)]) sound(name);
      const form = parseName(directoryName(text));
      if (form?.form === "hashed") {
        expect(text.startsWith(form.head)).toBe(true);
        expect(form.shadowed).toBe(false);
      } else expect(form).toEqual({ form: "plain", component: text });
      if (text === "") {
        expect(parseName(objectName(text, true))).toEqual({ form: "content" });
        return;
      }
      const beside = parseName(objectName(text, true));
      if (beside?.form === "hashed") expect(beside.shadowed).toBe(true);
      else expect(beside).toEqual({ form: "shadowed", component: text });
    }), { numRuns: 5000 });
  });

  it("give different names to different keys", () => {
    fc.assert(fc.property(component, component, (a, b) => {
      if (a === b) return;
      expect(directoryName(a)).not.toBe(directoryName(b));
      expect(objectName(a, true)).not.toBe(objectName(b, true));
      expect(directoryName(a)).not.toBe(objectName(b, true));
    }), { numRuns: 3000 });
  });

  it("lead from every name that a person may give to a key and back, or to nothing", () => {
    fc.assert(fc.property(fc.uint8Array({ minLength: 1, maxLength: 40 }), (bytes) => {
      const name = decodeName(bytes.map((byte) => (byte === 0 || byte === 47 ? 65 : byte)));
      if (name === "." || name === "..") return;
      const form = parseName(name);
      if (form?.form !== "plain") return;
      expect(form.component.isWellFormed()).toBe(true);
      expect(directoryName(form.component)).toBe(name);
    }), { numRuns: 5000 });
  });

  it("keep every single Latin-1 byte", () => {
    for (let byte = 0x80; byte <= 0xff; byte++) {
      const name = decodeName(Buffer.from([0x63, byte, 0x2e]));
      const form = parseName(name);
      expect(form).toEqual({ form: "plain", component: `c%^x${byte.toString(16)}.` });
    }
  });

  it.each([
    ["", "%^e"], [".", "%^."], ["..", "%^.."], ["a\0b", "a%^0b"], ["plain", "plain"], ["50%^60", "50%^60"], ["%^f", "%^%f"],
    ["%^xc3%^xa9", "%^%xc3%^%xa9"], ["%^x41", "%^%x41"], ["100%", "100%"],
  ])("show the component %j as %j", (text, name) => expect(directoryName(text)).toBe(name));

  it.each(["%^x41", "%^xe9", "%^q%^0%^x", "a%^e", "a%^.b", "%^f%^f", "%^l"])("take %j for no key at all", (name) => {
    expect(parseName(name)).toBeUndefined();
  });

  it("tell long components apart that start alike", () => {
    const a = directoryName("x".repeat(300));
    const b = directoryName(`${"x".repeat(299)}y`);
    expect(a).not.toBe(b);
    expect(parseName(a)).toMatchObject({ form: "hashed", head: "x".repeat(220) });
  });
});
