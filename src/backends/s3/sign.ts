// AWS Signature Version 4 by the vendor's signer, with Node's own SHA-256 (26 us per request on the machine of docs/DECISIONS.md;
// the signer keeps the derived keys itself).

import { createHash, createHmac, type BinaryLike, type Hash, type Hmac } from "node:crypto";
import { SignatureV4 } from "@smithy/signature-v4";
import type { Credentials } from "./auth.js";

export const UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD";
export const EMPTY_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

export interface Signable {
  readonly method: string;
  readonly protocol: string;
  /** With the port, as in the Host header. */
  readonly host: string;
  /** Encoded once, as it goes onto the wire. */
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string>>;
}

class Sha256 {
  readonly #hash: Hash | Hmac;

  constructor(secret?: unknown) {
    this.#hash = secret === undefined ? createHash("sha256") : createHmac("sha256", secret as BinaryLike);
  }

  update(data: Uint8Array): void { this.#hash.update(data); }
  digest(): Promise<Uint8Array> { return Promise.resolve(this.#hash.digest()); }
  reset(): void { throw new Error("a hash is used once"); }
}

function signer(credentials: Credentials, region: string): SignatureV4 {
  const { sessionToken } = credentials;
  return new SignatureV4({
    service: "s3", region, sha256: Sha256 as never, uriEscapePath: false, applyChecksum: false,
    credentials: { accessKeyId: credentials.accessKeyId, secretAccessKey: credentials.secretAccessKey, ...(sessionToken === undefined ? {} : { sessionToken }) },
  });
}

function request(from: Signable): Parameters<SignatureV4["presign"]>[0] {
  return {
    method: from.method, protocol: from.protocol, hostname: from.host, path: from.path,
    query: { ...from.query }, headers: { ...from.headers, host: from.host },
  };
}

/** @returns all headers to send, `authorization` among them. `x-amz-content-sha256` must be among those given. */
export async function sign(from: Signable, credentials: Credentials, region: string, at: Date): Promise<Record<string, string>> {
  const signed = await signer(credentials, region).sign(request(from), { signingDate: at });
  return signed.headers as Record<string, string>;
}

/** @returns the query of a URL that needs no header but Host. */
export async function presign(from: Signable, credentials: Credentials, region: string, at: Date, seconds: number): Promise<Record<string, string>> {
  const signed = await signer(credentials, region).presign(request(from), { signingDate: at, expiresIn: seconds });
  return signed.query as Record<string, string>;
}
