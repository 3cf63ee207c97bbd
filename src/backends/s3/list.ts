// Listings: version 2, and version 1 where the server knows no other.

import { isStoreError, StoreError } from "../../store/errors.js";
import type { ListPage, ListRequest, ObjectInfo } from "../../store/objectStore.js";
import { compareUtf8 } from "../../util/names.js";
import type { S3Api } from "./api.js";
import { notS3 } from "./errors.js";
import { children, decodeUrl, text, unquote, type Xml } from "./parse.js";

const MAX_PAGE = 1000;

export class Lister {
  readonly #api: S3Api;
  readonly #bucket: string;
  #version: "1" | "2";
  /** The version is known to work, or was chosen by the user. */
  #settled: boolean;
  #encodes = true;

  constructor(api: S3Api, bucket: string) {
    this.#api = api;
    this.#bucket = bucket;
    const { listType } = api.config;
    this.#version = listType === "1" ? "1" : "2";
    this.#settled = listType !== "auto";
  }

  /** The server encodes keys in listings; false: it does not, and keys that XML cannot carry come back as others. */
  get encodes(): boolean { return this.#encodes; }

  async list(request: ListRequest): Promise<ListPage> {
    // A cursor goes on in the version that it came from.
    const version = request.cursor === undefined ? this.#version : request.cursor.startsWith("1:") ? "1" : "2";
    try {
      const page = await this.#page(request, version);
      this.#settled = true;
      return page;
    } catch (error) {
      if (isStoreError(error, "not-found")) {
        throw new StoreError("no-container", `s3://${this.#bucket}: there is no such bucket`, { status: error.status, code: error.code, requestId: error.requestId, cause: error });
      }
      if (this.#settled || version === "1" || !isStoreError(error, "unsupported", "invalid") || error.code === "InvalidBucketName") throw error;
      const page = await this.#page(request, "1");
      this.#version = "1";
      this.#settled = true;
      return page;
    }
  }

  async #page(request: ListRequest, version: "1" | "2"): Promise<ListPage> {
    const { prefix, delimiter, cursor, after, limit, signal } = request;
    const query: Record<string, string> = { "encoding-type": "url", "max-keys": String(Math.max(1, Math.min(limit ?? MAX_PAGE, MAX_PAGE))) };
    if (version === "2") query["list-type"] = "2";
    if (prefix !== "") query["prefix"] = prefix;
    if (delimiter !== undefined) query["delimiter"] = delimiter;
    const from = cursor?.slice(2) ?? after;
    if (from !== undefined) query[version === "1" ? "marker" : cursor === undefined ? "start-after" : "continuation-token"] = from;

    const call = { method: "GET", bucket: this.#bucket, query, signal } as const;
    const { xml } = await this.#api.xml(call, "ListBucketResult");
    this.#encodes = text(xml, "EncodingType") === "url";
    const decode = this.#encodes ? decodeUrl : (value: string): string => value;
    const objects = children(xml, "Contents").map((entry) => this.#entry(entry, decode));
    const prefixes = children(xml, "CommonPrefixes").map((entry) => decode(text(entry, "Prefix") ?? ""));
    if (text(xml, "IsTruncated") !== "true") return { objects, prefixes, next: undefined };
    const next = version === "2" ? text(xml, "NextContinuationToken") : this.#marker(xml, decode, objects, prefixes);
    if (next === undefined || next === "" || next === from) throw notS3(this.#api.subject(call), "a listing that goes on, without saying where");
    return { objects, prefixes, next: `${version}:${next}` };
  }

  /** Version 1 names the marker only with a delimiter; otherwise it is the last entry. */
  #marker(xml: Xml, decode: (value: string) => string, objects: readonly ObjectInfo[], prefixes: readonly string[]): string | undefined {
    const named = text(xml, "NextMarker");
    if (named !== undefined && named !== "") return decode(named);
    const lastKey = objects.at(-1)?.key ?? "";
    const lastPrefix = prefixes.at(-1) ?? "";
    return compareUtf8(lastKey, lastPrefix) > 0 ? lastKey : lastPrefix;
  }

  #entry(entry: Xml, decode: (value: string) => string): ObjectInfo {
    const key = text(entry, "Key");
    const size = Number(text(entry, "Size") ?? Number.NaN);
    const lastModified = Date.parse(text(entry, "LastModified") ?? "");
    if (key === undefined || !Number.isSafeInteger(size)) throw notS3(this.#api.subject({ bucket: this.#bucket }), "a listing entry without key or size");
    const storageClass = text(entry, "StorageClass");
    return {
      key: decode(key), size, etag: unquote(text(entry, "ETag")), lastModified: Number.isNaN(lastModified) ? 0 : lastModified,
      ...(storageClass === undefined || storageClass === "" ? {} : { storageClass }),
    };
  }
}
