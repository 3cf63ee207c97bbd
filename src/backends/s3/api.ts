// One request to the service: addressed, signed, sent, and its failure classified. Nothing is retried here but what the
// server itself corrects before it has done anything: the region, a temporary redirect, the clock.

import type { HttpClient } from "../../http/client.js";
import type { HttpResponse } from "../../http/types.js";
import { readBody } from "../../store/body.js";
import type { StoreError } from "../../store/errors.js";
import type { Body } from "../../store/objectStore.js";
import type { Clock } from "../../util/clock.js";
import type { Logger } from "../../util/log.js";
import type { Credentials, CredentialSource } from "./auth.js";
import { digestBody, type CrcName, type DigestName } from "./checksum.js";
import type { S3Config } from "./config.js";
import { Endpoint, queryString, type Place } from "./endpoint.js";
import { answerError, notS3, transportError, type Answer, type ErrorFacts, type Subject } from "./errors.js";
import { parseXml, type Xml } from "./parse.js";
import { EMPTY_SHA256, presign, sign, UNSIGNED_PAYLOAD } from "./sign.js";

export interface S3Call {
  readonly method: "GET" | "HEAD" | "PUT" | "POST" | "DELETE";
  readonly bucket?: string | undefined;
  readonly key?: string | undefined;
  readonly query?: Readonly<Record<string, string>> | undefined;
  /** Lower-case names. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  readonly body?: Body | undefined;
  /** Checksums to send with the body. */
  readonly checksum?: "md5" | CrcName | undefined;
  readonly signal?: AbortSignal | undefined;
  /** The server may take minutes (copies, completes). */
  readonly slow?: boolean | undefined;
}

export interface S3Answer {
  readonly headers: Readonly<Record<string, string>>;
  readonly status: number;
  /** The checksum that was sent, by name and in base64. */
  readonly sent?: Readonly<Record<string, string>> | undefined;
}

const XML_LIMIT = 16 * 1024 * 1024;
const ERROR_LIMIT = 64 * 1024;
const SLOW_TIMEOUT = 600_000;
/** After the last byte of much data a server may still have to write it out. */
const LARGE = 1024 * 1024;
const LARGE_TIMEOUT = 120_000;

export class S3Api {
  readonly config: S3Config;
  readonly endpoint: Endpoint;
  readonly #http: HttpClient;
  readonly #credentials: CredentialSource;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #regions = new Map<string, string>();
  /** Milliseconds to add to our clock for the server's, once it has complained. */
  #skew = 0;

  constructor(config: S3Config, http: HttpClient, credentials: CredentialSource, clock: Clock, logger: Logger) {
    this.config = config;
    this.endpoint = new Endpoint(config);
    this.#http = http;
    this.#credentials = credentials;
    this.#clock = clock;
    this.#logger = logger;
  }

  region(bucket: string | undefined): string {
    return (bucket === undefined ? undefined : this.#regions.get(bucket)) ?? this.config.region ?? "us-east-1";
  }

  /** `host:port` of the service, for labels. */
  get host(): string {
    return this.endpoint.label(this.region(undefined));
  }

  /** Whether signatures cover payloads sent to this bucket. */
  signsPayload(bucket: string | undefined): boolean {
    const { payloadSigning } = this.config;
    return payloadSigning === "signed" || (payloadSigning === "auto" && this.endpoint.place(this.region(bucket), bucket).protocol === "http:");
  }

  subject(call: Pick<S3Call, "bucket" | "key">): Subject {
    const label = call.bucket === undefined ? "s3://" : call.key === undefined ? `s3://${call.bucket}` : `s3://${call.bucket}/${call.key}`;
    return { label, key: call.key, host: this.endpoint.place(this.region(call.bucket), call.bucket).host };
  }

  /** Resolves for 2xx, the body still to be read; every other answer is a StoreError. */
  async send(call: S3Call): Promise<HttpResponse & Pick<S3Answer, "sent">> {
    const digests = await this.#digests(call);
    let redirect: string | undefined;
    for (let corrections = 0; ; corrections++) {
      const region = this.region(call.bucket);
      const credentials = await this.#credentials.get();
      const place = redirected(this.endpoint.place(region, call.bucket, call.key), redirect);
      const started = this.#clock.now();
      const response = await this.#once(call, place, credentials, region, digests);
      if (response.status < 300) return { ...response, sent: digests.sent };
      const answer = await errorAnswer(response);
      const { error, facts } = answerError(answer, this.subject(call));
      if (corrections < 2) {
        redirect = this.#temporaryRedirect(answer);
        if (redirect !== undefined || this.#correct(call, answer, facts, region, started)) continue;
      }
      if (error.retry === "credentials") this.#credentials.invalidate(credentials);
      if (call.method === "HEAD" && (answer.status === 400 || answer.status === 403)) throw await this.#explain(call, error);
      throw error;
    }
  }

  /** The answer's headers, its body read away. */
  async head(call: S3Call): Promise<S3Answer> {
    const response = await this.send(call);
    await response.body.discard();
    return { headers: response.headers, status: response.status, sent: response.sent };
  }

  /**
   * The answer's XML document. `root` is the name its root element must have. A 200 that carries `<Error>` fails like any
   * other error answer.
   */
  async xml(call: S3Call, root: string): Promise<S3Answer & { readonly xml: Xml }> {
    const response = await this.send(call);
    const subject = this.subject(call);
    let bytes: Buffer;
    try {
      bytes = await response.body.bytes(XML_LIMIT);
    } catch (error) {
      throw transportError(error, subject);
    }
    const document = parseXml(bytes);
    if (document?.name === "Error") {
      const { error, facts } = answerError({ status: response.status, headers: response.headers, body: bytes }, subject);
      throw facts.code === undefined ? notS3(subject, "an error without a code") : error;
    }
    if (document === undefined || document.name !== root) {
      throw notS3(subject, document === undefined ? `${response.headers["content-type"] ?? "no content type"}, no whole XML document` : `<${document.name}> instead of <${root}>`);
    }
    return { headers: response.headers, status: response.status, sent: response.sent, xml: document.root };
  }

  /** A URL for anybody, valid for `seconds`. */
  async presign(bucket: string, key: string, seconds: number): Promise<string> {
    const region = this.region(bucket);
    const place = this.endpoint.place(region, bucket, key);
    const credentials = await this.#credentials.get();
    if (credentials === undefined) return `${place.origin}${place.path}`;
    const query = await presign({ method: "GET", protocol: place.protocol, host: place.host, path: place.path, query: {},
      headers: { "x-amz-content-sha256": UNSIGNED_PAYLOAD } }, credentials, region, this.#now(), seconds);
    return `${place.origin}${place.path}?${queryString(query)}`;
  }

  async #digests(call: S3Call): Promise<{ readonly payload: string; readonly sent: Record<string, string>; readonly headers: Record<string, string> }> {
    const signed = this.signsPayload(call.bucket);
    const empty = call.body === undefined || call.body.length === 0;
    const wanted: DigestName[] = [];
    if (signed && !empty) wanted.push("sha256");
    if (call.checksum !== undefined) wanted.push(call.checksum);
    const made = call.body === undefined || wanted.length === 0 ? new Map<DigestName, Buffer>()
      : await digestBody(call.body, wanted, call.signal, call.key);
    const sent: Record<string, string> = {};
    const headers: Record<string, string> = {};
    for (const [name, value] of made) {
      if (name === "sha256") continue;
      const text = value.toString("base64");
      headers[name === "md5" ? "content-md5" : `x-amz-checksum-${name}`] = text;
      if (name !== "md5") sent[name] = text;
    }
    return { payload: !signed ? UNSIGNED_PAYLOAD : empty ? EMPTY_SHA256 : (made.get("sha256") as Buffer).toString("hex"), sent, headers };
  }

  async #once(call: S3Call, place: Place, credentials: Credentials | undefined, region: string,
    digests: { readonly payload: string; readonly headers: Readonly<Record<string, string>> }): Promise<HttpResponse> {
    const query = call.query ?? {};
    const plain: Record<string, string> = { ...this.config.commonHeaders, ...call.headers, ...digests.headers };
    let headers = plain;
    if (credentials !== undefined) {
      headers = await sign({ method: call.method, protocol: place.protocol, host: place.host, path: place.path, query,
        headers: { ...plain, "x-amz-content-sha256": digests.payload } }, credentials, region, this.#now());
    }
    const text = queryString(query);
    const { body } = call;
    try {
      return await this.#http.send({
        method: call.method, origin: place.origin, path: text === "" ? place.path : `${place.path}?${text}`, headers, signal: call.signal,
        // A PUT or POST without a body still announces that it has none.
        body: body === undefined ? (call.method === "PUT" || call.method === "POST" ? { length: 0, open: () => [] } : undefined)
          : { length: body.length, open: () => readBody(body, call.signal, call.key) },
        headersTimeout: call.slow === true ? Math.max(SLOW_TIMEOUT, this.config.readTimeout)
          : body !== undefined && body.length > LARGE ? Math.max(LARGE_TIMEOUT, this.config.readTimeout) : undefined,
      });
    } catch (error) {
      throw transportError(error, this.subject(call));
    }
  }

  #now(): Date {
    return new Date(this.#clock.now() + this.#skew);
  }

  /** True when the server told something new that makes the same request right. */
  #correct(call: S3Call, answer: Answer, facts: ErrorFacts, signedFor: string, started: number): boolean {
    if (facts.code === "RequestTimeTooSkewed") {
      const server = Date.parse(answer.headers["date"] ?? "");
      const skew = server - (started + this.#clock.now()) / 2;
      if (Number.isNaN(skew) || Math.abs(skew - this.#skew) < 30_000) return false;
      this.#logger.warn({ seconds: Math.round(skew / 1000) }, "this machine's clock differs from the S3 server's: requests are signed with the server's time");
      this.#skew = skew;
      return true;
    }
    const misplaced = answer.status === 301 || answer.status === 307 || facts.code === "AuthorizationHeaderMalformed"
      || facts.code === "IllegalLocationConstraintException" || (answer.status === 400 && call.method === "HEAD");
    if (!misplaced || call.bucket === undefined || facts.region === undefined || facts.region === signedFor) return false;
    this.#logger.info({ bucket: call.bucket, region: facts.region }, "the bucket is in another region than was assumed");
    this.#regions.set(call.bucket, facts.region);
    return true;
  }

  /** 307: a new bucket whose name the service's own DNS does not know yet. The origin to ask this once. */
  #temporaryRedirect(answer: Answer): string | undefined {
    const { location } = answer.headers;
    if (answer.status !== 307 || location === undefined) return undefined;
    try {
      const { origin, protocol } = new URL(location);
      // Never from https to http.
      return protocol === "https:" || this.endpoint.place(this.region(undefined)).protocol === "http:" ? origin : undefined;
    } catch {
      return undefined;
    }
  }

  /** A failed HEAD has no body that says why: the same question as a GET of one byte, or of one key, does. */
  async #explain(call: S3Call, error: StoreError): Promise<StoreError> {
    const why: S3Call = call.key === undefined
      ? { ...call, method: "GET", query: { "list-type": "2", "max-keys": "1" } }
      : { ...call, method: "GET", headers: { ...call.headers, range: "bytes=0-0" } };
    try {
      const response = await this.send(why);
      response.body.cancel();
      return error;
    } catch (reason) {
      const told = reason as StoreError;
      return told.kind === "range" || told.kind === "unavailable" || told.kind === "unexpected" ? error : told;
    }
  }
}

function redirected(place: Place, origin: string | undefined): Place {
  return origin === undefined ? place : { ...place, origin, host: new URL(origin).host };
}

async function errorAnswer(response: HttpResponse): Promise<Answer> {
  let body: Buffer = Buffer.alloc(0);
  try {
    body = await response.body.bytes(ERROR_LIMIT);
  } catch {
    // The status alone has to do.
  }
  return { status: response.status, headers: response.headers, body };
}
