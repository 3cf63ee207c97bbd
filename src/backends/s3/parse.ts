// The service's XML. Documents are bounded, must not define entities, and are taken as text only; what is missing is told
// as "not an S3 answer" by whoever asked.

import { XMLParser } from "fast-xml-parser";

export type Xml = { readonly [name: string]: XmlValue };
export type XmlValue = string | Xml | readonly (string | Xml)[];

const LISTS = new Set(["Contents", "CommonPrefixes", "Bucket", "Part", "Deleted", "Error", "Upload"]);

const parser = new XMLParser({
  ignoreAttributes: true, ignoreDeclaration: true, ignorePiTags: true, removeNSPrefix: true,
  parseTagValue: false, trimValues: false, processEntities: false,
  isArray: (name, path) => LISTS.has(name) && String(path).includes("."),
});

/** The root element by its name, or undefined for what is no XML document (HTML, JSON, cut short, entity tricks). */
export function parseXml(bytes: Buffer): { readonly name: string; readonly root: Xml } | undefined {
  const text = bytes.toString("utf8").trim();
  if (!text.startsWith("<") || /<!(?:DOCTYPE|ENTITY)/i.test(text)) return undefined;
  // The parser accepts a document that ends early; a listing that was cut off must not pass for a whole one.
  const name = /^(?:<\?[^>]*\?>\s*|<!--[\s\S]*?-->\s*)*<(?:[\w.-]+:)?([\w.-]+)[\s/>]/.exec(text)?.[1];
  if (name === undefined || !endsWith(text, name)) return undefined;
  let document: Record<string, unknown>;
  try {
    document = parser.parse(text) as Record<string, unknown>;
  } catch {
    return undefined;
  }
  const root = document[name];
  if (root === undefined) return undefined;
  return { name, root: typeof root === "object" && root !== null ? root as Xml : {} };
}

/** Whether the document is closed by its root's end tag, or is one empty element. */
function endsWith(text: string, name: string): boolean {
  const end = /<(\/?)(?:[\w.-]+:)?([\w.-]+)[^<>]*>$/.exec(text.slice(-400));
  return end !== null && end[2] === name && (end[1] === "/" || end[0].endsWith("/>"));
}

const ENTITIES: Readonly<Record<string, string>> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" };

function unescape(text: string): string {
  if (!text.includes("&")) return text;
  return text.replace(/&(?:#(\d{1,7})|#x([0-9a-f]{1,6})|(amp|lt|gt|quot|apos));/gi, (whole, decimal: string | undefined, hex: string | undefined, name: string | undefined) => {
    if (name !== undefined) return ENTITIES[name.toLowerCase()] ?? whole;
    const code = decimal === undefined ? parseInt(hex as string, 16) : Number(decimal);
    return code <= 0x10ffff ? String.fromCodePoint(code) : whole;
  });
}

/** The text of a child, undefined when there is none. */
export function text(xml: Xml, name: string): string | undefined {
  const value = xml[name];
  const first = Array.isArray(value) ? (value as readonly (string | Xml)[])[0] : value as string | Xml | undefined;
  return typeof first === "string" ? unescape(first) : undefined;
}

export function child(xml: Xml, name: string): Xml | undefined {
  const value = xml[name];
  return typeof value === "object" && !Array.isArray(value) ? value as Xml : undefined;
}

export function children(xml: Xml, name: string): Xml[] {
  const value = xml[name];
  if (value === undefined) return [];
  return (Array.isArray(value) ? value as readonly (string | Xml)[] : [value as string | Xml]).filter((each): each is Xml => typeof each === "object");
}

/** Quotes of an entity tag taken away; a weak one keeps its mark, so it equals no other. */
export function unquote(etag: string | undefined): string {
  return (etag ?? "").trim().replace(/^"(.*)"$/s, "$1");
}

/** `encoding-type=url`: a space comes as "+" from Amazon and as %20 from others; a plus itself is always %2B. */
export function decodeUrl(value: string): string {
  try {
    return decodeURIComponent(value.replaceAll("+", " "));
  } catch {
    return value;
  }
}

export function escapeXml(value: string): string {
  return value.replace(/[&<>"'\r\n\t]/g, (c) => `&#${c.charCodeAt(0)};`);
}

/** Characters that XML 1.0 cannot carry, escaped or not. */
export function fitsXml(value: string): boolean {
  for (let i = 0; i < value.length; i++) {
    const code = value.charCodeAt(i);
    if ((code < 0x20 && code !== 0x09 && code !== 0x0a && code !== 0x0d) || code >= 0xfffe) return false;
  }
  return true;
}
