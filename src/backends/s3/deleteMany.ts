// Many deletions in one request, where the service takes them so.

import { bodyOf } from "../../store/body.js";
import { isStoreError, StoreError } from "../../store/errors.js";
import { answerError } from "./errors.js";
import type { S3Api } from "./api.js";
import { children, escapeXml, fitsXml, text } from "./parse.js";

const BATCH = 1000;
const PARALLEL = 16;

type Failure = { readonly key: string; readonly error: unknown };

export class BulkDelete {
  readonly #api: S3Api;
  readonly #bucket: string;
  readonly #deleteOne: (key: string, signal: AbortSignal | undefined) => Promise<void>;
  /** The service refused the call once. */
  #unsupported = false;

  constructor(api: S3Api, bucket: string, deleteOne: (key: string, signal: AbortSignal | undefined) => Promise<void>) {
    this.#api = api;
    this.#bucket = bucket;
    this.#deleteOne = deleteOne;
  }

  async run(keys: readonly string[], signal: AbortSignal | undefined): Promise<Failure[]> {
    const failures: Failure[] = [];
    // XML has no form for control characters.
    const singly = keys.filter((key) => !fitsXml(key));
    const together = singly.length === 0 ? keys : keys.filter(fitsXml);
    for (let at = 0; at < together.length; at += BATCH) {
      const batch = together.slice(at, at + BATCH);
      failures.push(...await this.#batch(batch, signal));
    }
    failures.push(...await this.#each(singly, signal));
    return failures;
  }

  async #batch(keys: readonly string[], signal: AbortSignal | undefined): Promise<Failure[]> {
    if (this.#unsupported || keys.length === 1) return this.#each(keys, signal);
    const body = bodyOf(`<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Quiet>true</Quiet>${keys.map((key) => `<Object><Key>${escapeXml(key)}</Key></Object>`).join("")}</Delete>`);
    try {
      const { xml } = await this.#api.xml({
        method: "POST", bucket: this.#bucket, query: { delete: "" }, headers: { "content-type": "application/xml" }, body, checksum: "md5", signal,
      }, "DeleteResult");
      return children(xml, "Error").flatMap((row) => {
        const key = text(row, "Key") ?? "";
        const code = text(row, "Code") ?? "InternalError";
        if (code === "NoSuchKey") return [];
        const xmlError = bodyXml(code, text(row, "Message") ?? "");
        return [{ key, error: answerError({ status: 200, headers: {}, body: xmlError }, this.#api.subject({ bucket: this.#bucket, key })).error }];
      });
    } catch (error) {
      if (isStoreError(error, "unsupported")) {
        this.#unsupported = true;
        return this.#each(keys, signal);
      }
      if (isStoreError(error, "not-found")) {
        throw new StoreError("no-container", `s3://${this.#bucket}: there is no such bucket`, { status: error.status, code: error.code, cause: error });
      }
      throw error;
    }
  }

  async #each(keys: readonly string[], signal: AbortSignal | undefined): Promise<Failure[]> {
    const failures: Failure[] = [];
    let next = 0;
    await Promise.all(Array.from({ length: Math.min(PARALLEL, keys.length) }, async () => {
      while (next < keys.length) {
        const key = keys[next++] as string;
        try {
          await this.#deleteOne(key, signal);
        } catch (error) {
          if (isStoreError(error, "aborted", "no-container")) throw error;
          failures.push({ key, error });
        }
      }
    }));
    return failures;
  }
}

function bodyXml(code: string, message: string): Buffer {
  return Buffer.from(`<Error><Code>${escapeXml(code)}</Code><Message>${escapeXml(message)}</Message></Error>`);
}
