// User metadata on the wire. A header carries printable ASCII and nothing else safely: spaces at the ends or in a row are
// folded on the way, and an empty value is dropped by some servers. Such values travel as an RFC 2047 encoded word, which is
// what Amazon itself decodes on the way in and sends on the way out, and what stays readable: `=?UTF-8?Q?caf=C3=A9?=`.
// Foreign encoded words (B or Q; UTF-8, US-ASCII or ISO-8859-1) are decoded when read, and raw UTF-8 in headers is taken for it.

import type { Metadata } from "../../store/objectStore.js";

const PREFIX = "x-amz-meta-";
const WORD = /=\?([^?\s]+)\?([bq])\?([^?\s]*)\?=/gi;
const PLAIN = /^[!-~]+(?: [!-~]+)*$/;

export function encodeValue(value: string): string {
  if (PLAIN.test(value) && !value.includes("=?")) return value;
  const bytes = Buffer.from(value, "utf8");
  // Q escapes three characters per byte: readable where little must be escaped, shorter as B otherwise.
  const odd = bytes.reduce((sum, byte) => sum + (isSafe(byte) || byte === 0x20 ? 0 : 1), 0);
  if (odd * 6 > bytes.length * 4) return `=?UTF-8?B?${bytes.toString("base64")}?=`;
  let text = "";
  for (const byte of bytes) {
    text += isSafe(byte) ? String.fromCharCode(byte) : byte === 0x20 ? "_" : `=${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return `=?UTF-8?Q?${text}?=`;
}

/** Printable ASCII that means itself inside a Q word. */
function isSafe(byte: number): boolean {
  return byte > 0x20 && byte < 0x7f && byte !== 0x3d && byte !== 0x3f && byte !== 0x5f;
}

export function decodeValue(wire: string): string {
  if (!wire.includes("=?")) return fromLatin1(wire);
  // White space between two encoded words is not part of the text (RFC 2047 6.2).
  return fromLatin1(wire).replace(/(\?=)\s+(?==\?)/g, "$1").replace(WORD, (whole, charset: string, kind: string, text: string) => {
    const encoding = charset.split("*")[0]?.toLowerCase();
    if (encoding !== "utf-8" && encoding !== "us-ascii" && encoding !== "iso-8859-1") return whole;
    const bytes = kind.toLowerCase() === "b" ? Buffer.from(text, "base64")
      : Buffer.from(text.replaceAll("_", " ").replace(/=([0-9a-f]{2})/gi, (_all, hex: string) => String.fromCharCode(parseInt(hex, 16))), "latin1");
    return bytes.toString(encoding === "iso-8859-1" ? "latin1" : "utf8");
  });
}

/** Header values arrive as Latin-1; bytes that are valid UTF-8 are meant as it. */
function fromLatin1(text: string): string {
  if (!/[\x80-\xff]/.test(text)) return text;
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(Buffer.from(text, "latin1"));
  } catch {
    return text;
  }
}

/** How an underscore is written in a name where the server turns underscores into hyphens. */
const UNDERSCORE = ".-5f-.";

/** @param underscores whether the server keeps them in names. */
export function metadataHeaders(metadata: Metadata | undefined, underscores: boolean): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(metadata ?? {})) {
    headers[PREFIX + (underscores ? name : name.replaceAll("_", UNDERSCORE))] = encodeValue(value);
  }
  return headers;
}

export function metadataOf(headers: Readonly<Record<string, string>>): Metadata {
  const metadata: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (name.startsWith(PREFIX)) metadata[name.slice(PREFIX.length).replaceAll(UNDERSCORE, "_")] = decodeValue(value);
  }
  return metadata;
}
