// What the server enforces is asked of the server, not looked up in a list of vendors: writes with conditions that do not
// hold, on objects of a reserved name, `.objmount-probe-<random>`, below the mount's own prefix. They are deleted again.
// Three answers are told apart: enforced (412), refused (501 or 400), ignored (200).

import { createHash, randomBytes } from "node:crypto";
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { bodyOf } from "../../store/body.js";
import { isStoreError } from "../../store/errors.js";
import type { Logger } from "../../util/log.js";
import type { S3Api, S3Call } from "./api.js";
import type { Enforced, Findings } from "./bucket.js";
import { text, unquote } from "./parse.js";
import { copySource } from "./upload.js";

export const PROBE_NAME = ".objmount-probe-";

const NONE: Findings = {
  put: "none", complete: "none", copy: "none", delete: false, rawPaths: true, plainIfMatch: false, partSourceMatch: true, underscores: true, longMetadata: true, crc32: false,
};
const ALL: Findings = { ...NONE, put: "swap", complete: "swap", copy: "swap", delete: true, crc32: true };
const WRONG = "00000000000000000000000000000000";
const CACHE_AGE = 7 * 86_400_000;
const CACHE_VERSION = 3;

const memory = new Map<string, Findings>();

/** @param prefix where this mount may write. Fails only where the server gives no usable answer. */
export async function findings(api: S3Api, bucket: string, prefix: string, now: number, logger: Logger, signal?: AbortSignal): Promise<Findings> {
  const { config } = api;
  if (config.conditional === "always") return ALL;
  if (config.conditional === "never" || config.anonymous) return NONE;
  const place = api.endpoint.place(api.region(bucket), bucket);
  const id = JSON.stringify([CACHE_VERSION, place.origin, place.path, bucket, config.checksum, config.payloadSigning]);
  const file = config.probeCache === undefined ? undefined : join(config.probeCache, `s3-${createHash("sha256").update(id).digest("hex").slice(0, 24)}.json`);
  const known = memory.get(id) ?? (file === undefined ? undefined : await fromFile(file, now));
  if (known !== undefined) return known;
  const found = await new Probe(api, bucket, `${prefix}${PROBE_NAME}${randomBytes(6).toString("hex")}`, signal).run();
  if (found === undefined) {
    logger.debug({ bucket }, "the probe of conditional writes was refused: writes count as unconditional");
    return NONE;
  }
  logger.debug({ bucket, ...found }, "conditional writes probed");
  memory.set(id, found);
  if (file !== undefined) await toFile(file, now, found).catch((error: unknown) => logger.warn({ file, err: error }, "the answers of the probe cannot be kept"));
  return found;
}

/** For tests: what was found out is asked again. */
export function forgetFindings(): void {
  memory.clear();
}

async function fromFile(file: string, now: number): Promise<Findings | undefined> {
  try {
    const { at, found } = JSON.parse(await readFile(file, "utf8")) as { at: number; found: Findings };
    const levels = [found.put, found.complete, found.copy].every((level) => level === "none" || level === "create" || level === "swap");
    return levels && now - at < CACHE_AGE && now >= at ? { ...NONE, ...found } : undefined;
  } catch {
    return undefined;
  }
}

async function toFile(file: string, now: number, found: Findings): Promise<void> {
  await mkdir(join(file, ".."), { recursive: true });
  const temporary = `${file}.${process.pid}`;
  await writeFile(temporary, JSON.stringify({ at: now, found }));
  await rename(temporary, file);
}

type Reply = "enforced" | "done" | "refused";

class Probe {
  readonly #api: S3Api;
  readonly #bucket: string;
  readonly #key: string;
  readonly #signal: AbortSignal | undefined;

  constructor(api: S3Api, bucket: string, key: string, signal: AbortSignal | undefined) {
    this.#api = api;
    this.#bucket = bucket;
    this.#key = key;
    this.#signal = signal;
  }

  /** Undefined when these credentials may not write here. */
  async run(): Promise<Findings | undefined> {
    const names = ["p", "m", "c", "s", "t"].map((letter) => `${this.#key}-${letter}`) as [string, string, string, string, string];
    const [plain, upload, copied, summed, told] = names;
    try {
      // Keys of their own, so that the questions can be asked at once.
      const [etag] = await Promise.all([this.#put(plain), this.#put(upload), this.#put(copied)]);
      const [write, complete, copy, crc32, rawPaths, metadata] = await Promise.all([
        this.#writes(plain, etag).then(async (found) => ({ ...found, delete: await this.#deleteMatch(plain) })),
        this.#completes(upload, copied),
        this.#level((headers) => this.#copy(copied, headers)),
        this.#crc32(summed),
        this.#rawPaths(`${this.#key}-d`),
        this.#metadata(told),
      ]);
      return { ...write, ...complete, copy, crc32, rawPaths, ...metadata };
    } catch (error) {
      if (isStoreError(error, "denied", "quota", "unsupported", "invalid", "exists")) return undefined;
      throw error;
    } finally {
      await Promise.all(names.map((key) => this.#try(this.#call("DELETE", key)).catch(() => undefined)));
    }
  }

  #call(method: S3Call["method"], key: string, more: Partial<S3Call> = {}): S3Call {
    return { method, bucket: this.#bucket, key, signal: this.#signal, ...more };
  }

  #body(key: string, headers: Readonly<Record<string, string>> = {}): S3Call {
    const { config } = this.#api;
    return this.#call("PUT", key, { body: bodyOf("objmount"), headers: { ...config.createHeaders, ...config.keyHeaders, ...headers } });
  }

  async #put(key: string): Promise<string> {
    return unquote((await this.#api.head(this.#body(key))).headers["etag"]);
  }

  async #try(call: S3Call, root?: string): Promise<Reply> {
    try {
      await (root === undefined ? this.#api.head(call) : this.#api.xml(call, root));
      return "done";
    } catch (error) {
      if (isStoreError(error, "precondition")) return "enforced";
      // A busy key (409) is what a server answers that looks at conditions.
      if (isStoreError(error) && error.code === "ConditionalRequestConflict") return "enforced";
      if (isStoreError(error, "unsupported", "invalid", "not-found", "denied", "corrupt")) return "refused";
      throw error;
    }
  }

  #write(key: string, headers: Readonly<Record<string, string>>): Promise<Reply> {
    return this.#try(this.#body(key, headers));
  }

  #copy(key: string, headers: Readonly<Record<string, string>>): Promise<Reply> {
    const { config } = this.#api;
    return this.#try(this.#call("PUT", key, {
      headers: { ...config.createHeaders, ...config.keyHeaders, ...config.sourceKeyHeaders, "x-amz-metadata-directive": "REPLACE",
        "x-amz-copy-source": copySource(this.#bucket, key), ...headers },
    }), "CopyObjectResult");
  }

  /** On an object that exists: what becomes of conditions that do not hold. */
  async #level(write: (headers: Readonly<Record<string, string>>) => Promise<Reply>): Promise<Enforced> {
    if (await write({ "if-none-match": "*" }) !== "enforced") return "none";
    return await write({ "if-match": `"${WRONG}"` }) === "enforced" ? "swap" : "create";
  }

  /** A condition that does hold must also be let through, in one form or the other. */
  async #writes(key: string, etag: string): Promise<Pick<Findings, "put" | "plainIfMatch">> {
    const put = await this.#level((headers) => this.#write(key, headers));
    if (put !== "swap" || await this.#write(key, { "if-match": `"${etag}"` }) === "done") return { put, plainIfMatch: false };
    const plain = await this.#write(key, { "if-match": WRONG }) === "enforced" && await this.#write(key, { "if-match": etag }) === "done";
    return { put: plain ? "swap" : "create", plainIfMatch: plain };
  }

  async #completes(key: string, source: string): Promise<Pick<Findings, "complete" | "partSourceMatch">> {
    const { config } = this.#api;
    const { xml } = await this.#api.xml(this.#call("POST", key, { query: { uploads: "" }, headers: { ...config.createHeaders, ...config.keyHeaders } }), "InitiateMultipartUploadResult");
    const uploadId = text(xml, "UploadId") ?? "";
    try {
      const part = await this.#api.head({ ...this.#body(key), headers: config.keyHeaders, query: { partNumber: "1", uploadId } });
      const body = bodyOf(`<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Part><PartNumber>1</PartNumber><ETag>&quot;${unquote(part.headers["etag"])}&quot;</ETag></Part></CompleteMultipartUpload>`);
      const partSourceMatch = await this.#try(this.#call("PUT", key, {
        query: { partNumber: "2", uploadId },
        headers: { ...config.keyHeaders, ...config.sourceKeyHeaders, "x-amz-copy-source": copySource(this.#bucket, source), "x-amz-copy-source-if-match": `"${WRONG}"` },
      }), "CopyPartResult") !== "done";
      const complete = await this.#level((headers) => this.#try(this.#call("POST", key, {
        query: { uploadId }, body, headers: { "content-type": "application/xml", ...headers }, slow: true,
      }), "CompleteMultipartUploadResult"));
      return { complete, partSourceMatch };
    } finally {
      await this.#try(this.#call("DELETE", key, { query: { uploadId } })).catch(() => undefined);
    }
  }

  async #metadata(key: string): Promise<Pick<Findings, "underscores" | "longMetadata">> {
    await this.#api.head(this.#body(key, { "x-amz-meta-a_b": "1" }));
    const { headers } = await this.#api.head(this.#call("HEAD", key, { headers: this.#api.config.keyHeaders }));
    const long = { "x-amz-meta-long": "x".repeat(2000) };
    // One server fails inside on what is too long for it; asked twice, so that a passing failure is not taken for that.
    const asked = (): Promise<Reply> => this.#write(key, long).catch((error: unknown) => {
      if (isStoreError(error, "unavailable") && error.status === 500) return "refused";
      throw error;
    });
    return { underscores: headers["x-amz-meta-a_b"] === "1", longMetadata: await asked() === "done" || await asked() === "done" };
  }

  /** Whether a key with a "." segment is another one than the key without it. */
  async #rawPaths(key: string): Promise<boolean> {
    if (await this.#write(`${key}/./x`, {}) === "refused") return true;
    try {
      return await this.#try(this.#call("HEAD", `${key}/x`)) !== "done";
    } finally {
      await this.#try(this.#call("DELETE", `${key}/./x`)).catch(() => undefined);
    }
  }

  /** Whether a wrong checksum is noticed; asked only where the answer decides something. */
  async #crc32(key: string): Promise<boolean> {
    if (this.#api.config.checksum !== "auto" || this.#api.signsPayload(this.#bucket)) return false;
    return await this.#write(key, { "x-amz-checksum-crc32": "AAAAAA==" }) === "refused";
  }

  async #deleteMatch(key: string): Promise<boolean> {
    return await this.#try(this.#call("DELETE", key, { headers: { "if-match": `"${WRONG}"` } })) === "enforced";
  }
}
