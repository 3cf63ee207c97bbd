// Which backend a URL is for. A backend's code is loaded only when a URL of its scheme is opened.

import { StoreError } from "../store/errors.js";
import type { ObjectService } from "../store/objectStore.js";
import type { Backend, BackendContext, StoreUrl } from "./backend.js";

export type { Backend, BackendContext, StoreUrl } from "./backend.js";

const LOADERS: Readonly<Record<string, () => Promise<Backend>>> = {
  s3: async () => (await import("./s3/index.js")).s3Backend,
  file: async () => (await import("./file/index.js")).fileBackend,
};

/** Schemes of services that have a backend in the plan of the project, but none in this version. */
const NOT_BUILT = ["swift", "gs", "az", "lakefs", "openio", "taskcluster"];

/** Every scheme that can be opened. */
export const SCHEMES: readonly string[] = Object.keys(LOADERS);

/** Shown where a URL is wrong. */
const EXAMPLES = "s3://BUCKET/PREFIX or file:///DIRECTORY";

function invalid(message: string, cause?: unknown): StoreError {
  return new StoreError("invalid", message, { cause });
}

/** Parts of a URL that may hold a password never go into a message. */
function shown(url: string): string {
  return JSON.stringify(url.replace(/\/\/[^/@]*@/, "//***@"));
}

function schemeOf(url: string): string {
  const match = /^([A-Za-z][A-Za-z0-9+.-]*):\/\//.exec(url);
  if (match === null) {
    if (url.trim() === "") throw invalid(`The URL is empty: write ${EXAMPLES}.`);
    if (url.startsWith("/")) throw invalid(`${shown(url)} is a path, not a URL: for a store in that directory write file://${url}.`);
    const bare = /^([A-Za-z][A-Za-z0-9+.-]*):/.exec(url)?.[1]?.toLowerCase();
    if (bare !== undefined && (SCHEMES.includes(bare) || NOT_BUILT.includes(bare))) {
      throw invalid(`${shown(url)} has no "//" after "${bare}:": write ${bare}://...`);
    }
    throw invalid(`${shown(url)} has no "://": write ${EXAMPLES}.`);
  }
  const scheme = (match[1] as string).toLowerCase();
  if (SCHEMES.includes(scheme)) return scheme;
  const known = SCHEMES.map((name) => `${name}://`).join(" and ");
  if (NOT_BUILT.includes(scheme)) {
    throw new StoreError("unsupported", `This version of objmount has no backend for ${scheme}:// URLs; it has ${known}.`);
  }
  throw invalid(`objmount does not know the scheme ${scheme}:// of ${shown(url)}; it knows ${known}.`);
}

function load(scheme: string): Promise<Backend> {
  return (LOADERS[scheme] as () => Promise<Backend>)();
}

/** Takes a URL apart. Rejects with a StoreError of kind `invalid` or `unsupported` whose message is one clear sentence. */
export async function parseStoreUrl(url: string): Promise<StoreUrl> {
  const scheme = schemeOf(url);
  // Schemes are case-insensitive (RFC 3986 3.1); the backends see them in lower case.
  return (await load(scheme)).parse(scheme + url.slice(scheme.length));
}

/**
 * Opens the account that a URL lies in: `url.container` (all of them, when absent) and `url.prefix` are the caller's next step.
 * @param url as `parseStoreUrl` gave it, or as people write it.
 * @param options values by the names in the backend's option table; others are ignored.
 */
export async function openService(url: string | StoreUrl, options: Readonly<Record<string, unknown>>, context: BackendContext): Promise<ObjectService> {
  const parsed = typeof url === "string" ? await parseStoreUrl(url) : url;
  return (await load(schemeOf(`${parsed.scheme}://`))).open(parsed, options, context);
}
