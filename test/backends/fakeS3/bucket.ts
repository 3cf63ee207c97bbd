// What the fake keeps, and the conditions on it.

import { createHash, randomUUID } from "node:crypto";
import { compareUtf8 } from "../../../src/util/names.js";

export interface FakeObject {
  readonly data: Buffer;
  readonly etag: string;
  readonly modified: number;
  /** Content type, metadata and whatever else is given back with the object. */
  readonly headers: Readonly<Record<string, string>>;
}

export interface FakeUpload {
  readonly id: string;
  readonly key: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly algorithm: string | undefined;
  readonly parts: Map<number, { readonly data: Buffer; readonly etag: string; readonly checksum?: { readonly name: string; readonly value: string } }>;
}

export class FakeBucket {
  readonly objects = new Map<string, FakeObject>();
  readonly uploads = new Map<string, FakeUpload>();
  readonly region: string;
  readonly created = Date.now();

  constructor(region: string) {
    this.region = region;
  }

  begin(key: string, headers: Readonly<Record<string, string>>, algorithm: string | undefined): string {
    const id = `upload~${randomUUID()}/+=`;
    this.uploads.set(id, { id, key, headers, algorithm, parts: new Map() });
    return id;
  }
}

export const md5 = (data: Buffer): string => createHash("md5").update(data).digest("hex");
export const md5s = (etags: readonly string[]): string => `${createHash("md5").update(Buffer.from(etags.join(""), "hex")).digest("hex")}-${etags.length}`;

export interface Listed {
  readonly keys: string[];
  readonly prefixes: string[];
  /** The last entry of a page that is not the last one. */
  readonly more: string | undefined;
}

/** @param after entries (keys or prefixes) up to this are left out. */
export function list(bucket: FakeBucket, prefix: string, delimiter: string | undefined, after: string, limit: number): Listed {
  const keys: string[] = [];
  const prefixes: string[] = [];
  let last = after;
  for (const key of [...bucket.objects.keys()].sort(compareUtf8)) {
    if (!key.startsWith(prefix)) continue;
    const cut = delimiter === undefined ? -1 : key.indexOf(delimiter, prefix.length);
    const entry = cut < 0 ? key : key.slice(0, cut + (delimiter as string).length);
    if (compareUtf8(entry, last) <= 0 && (last !== "" || entry === last)) continue;
    if (keys.length + prefixes.length === limit) return { keys, prefixes, more: last };
    (cut < 0 ? keys : prefixes).push(entry);
    last = entry;
  }
  return { keys, prefixes, more: undefined };
}

/** The code of the failed condition on the object as it is now. */
export function failedCondition(ifMatch: string | undefined, ifNoneMatch: string | undefined, current: FakeObject | undefined): "PreconditionFailed" | "NoSuchKey" | undefined {
  if (ifMatch !== undefined) {
    if (current === undefined) return "NoSuchKey";
    if (ifMatch !== `"${current.etag}"` && ifMatch !== "*") return "PreconditionFailed";
  }
  if (ifNoneMatch !== undefined && current !== undefined && (ifNoneMatch === "*" || ifNoneMatch === `"${current.etag}"`)) return "PreconditionFailed";
  return undefined;
}
