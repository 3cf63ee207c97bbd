// Where a request goes: origin and raw path for a bucket and key.

import { isIP } from "node:net";
import type { S3Config } from "./config.js";

export interface Place {
  /** `https://host:port` */
  readonly origin: string;
  readonly protocol: "http:" | "https:";
  /** Host header: with the port unless it is the scheme's own. */
  readonly host: string;
  /** Encoded, begins with "/", without a query. */
  readonly path: string;
}

const AMAZON = "amazonaws.com";

/** Everything but `A-Za-z0-9-._~` and, for keys, `/`. Segments "." and ".." stay as they are: the path is never normalised. */
export function encodeKey(key: string): string {
  return encodeQuery(key).replaceAll("%2F", "/");
}

export function encodeQuery(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
}

/** `a=1&b=`, in the order given. */
export function queryString(query: Readonly<Record<string, string>>): string {
  return Object.entries(query).map(([name, value]) => `${encodeQuery(name)}=${encodeQuery(value)}`).join("&");
}

export class Endpoint {
  readonly #config: Pick<S3Config, "endpoint" | "pathStyle" | "dualStack" | "fips">;

  constructor(config: Pick<S3Config, "endpoint" | "pathStyle" | "dualStack" | "fips">) {
    this.#config = config;
  }

  /** Amazon's own: regions are found by redirect, and a bucket is part of the host name. */
  get isAmazon(): boolean {
    const { endpoint } = this.#config;
    return endpoint === undefined || /\.amazonaws\.com(\.cn)?$/.test(new URL(endpoint).hostname);
  }

  /** For people: where this is. */
  label(region: string): string {
    return new URL(this.#base(region)).host;
  }

  place(region: string, bucket?: string, key?: string): Place {
    const url = new URL(this.#base(region));
    const base = url.pathname === "/" ? "" : url.pathname;
    const protocol = url.protocol as Place["protocol"];
    const rest = key === undefined ? "" : encodeKey(key);
    if (bucket === undefined) return { origin: url.origin, protocol, host: url.host, path: `${base}/` };
    if (this.#inHost(url, bucket)) {
      const host = `${bucket}.${url.host}`;
      return { origin: `${protocol}//${host}`, protocol, host, path: `${base}/${rest}` };
    }
    return { origin: url.origin, protocol, host: url.host, path: `${base}/${encodeQuery(bucket)}${key === undefined ? "" : `/${rest}`}` };
  }

  #base(region: string): string {
    const { endpoint, dualStack, fips } = this.#config;
    if (endpoint !== undefined) return endpoint;
    return `https://s3${fips ? "-fips" : ""}${dualStack ? ".dualstack" : ""}.${region}.${AMAZON}${region.startsWith("cn-") ? ".cn" : ""}`;
  }

  #inHost(url: URL, bucket: string): boolean {
    const { pathStyle } = this.#config;
    if (pathStyle !== "auto") return pathStyle === "never";
    // A dot in the name breaks the wildcard certificate; capitals cannot be told apart in a host name.
    return this.isAmazon && isIP(url.hostname.replace(/^\[|\]$/g, "")) === 0 && /^[a-z0-9-]{3,63}$/.test(bucket);
  }
}
