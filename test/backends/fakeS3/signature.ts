// Checks AWS Signature Version 4 by its definition, apart from any code of the program. What is wrong is told in the
// service's own codes.

import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import type { IncomingMessage } from "node:http";

export interface Account {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

export interface Refusal { readonly status: number; readonly code: string; readonly extra?: string }

const hmac = (key: string | Buffer, text: string): Buffer => createHmac("sha256", key).update(text, "utf8").digest();
const hex = (text: string | Buffer): string => createHash("sha256").update(text).digest("hex");

const escape = (text: string): string => encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);

function canonicalQuery(query: string): string {
  if (query === "") return "";
  return query.split("&").map((pair) => {
    const at = pair.indexOf("=");
    const [name, value] = at < 0 ? [pair, ""] : [pair.slice(0, at), pair.slice(at + 1)];
    return `${escape(decodeURIComponent(name))}=${escape(decodeURIComponent(value))}`;
  }).sort().join("&");
}

function headersOf(request: IncomingMessage): Map<string, string> {
  const all = new Map<string, string>();
  for (let i = 0; i < request.rawHeaders.length; i += 2) {
    const name = (request.rawHeaders[i] as string).toLowerCase();
    const value = (request.rawHeaders[i + 1] as string).trim().replace(/ +/g, " ");
    all.set(name, all.has(name) ? `${all.get(name)},${value}` : value);
  }
  return all;
}

/** @returns what is wrong, or undefined. @param now the server's clock. */
export function checkSignature(request: IncomingMessage, body: Buffer, accounts: readonly Account[], region: string, now: number): Refusal | undefined {
  const [path, query = ""] = (request.url as string).split("?") as [string, string?];
  const headers = headersOf(request);
  const presigned = new URLSearchParams(query);
  const fromQuery = presigned.get("X-Amz-Algorithm") !== null;
  const text = headers.get("authorization");
  if (!fromQuery && text === undefined) return { status: 403, code: "AccessDenied" };
  const found = fromQuery
    ? [presigned.get("X-Amz-Credential"), presigned.get("X-Amz-SignedHeaders"), presigned.get("X-Amz-Signature")]
    : /^AWS4-HMAC-SHA256 Credential=([^,\s]+), SignedHeaders=([^,\s]+), Signature=([0-9a-f]{64})$/.exec(text as string)?.slice(1);
  if (found === undefined || found.some((each) => each === null)) return { status: 400, code: "AuthorizationHeaderMalformed" };
  const [credential, signedHeaders, signature] = found as [string, string, string];
  const [accessKeyId, day, signedRegion, service, end] = credential.split("/") as [string, string, string, string, string];
  const account = accounts.find((each) => each.accessKeyId === accessKeyId);
  if (account === undefined) return { status: 403, code: "InvalidAccessKeyId" };
  const token = fromQuery ? presigned.get("X-Amz-Security-Token") ?? undefined : headers.get("x-amz-security-token");
  if (token !== account.sessionToken) return { status: 400, code: "ExpiredToken" };
  if (service !== "s3" || end !== "aws4_request") return { status: 400, code: "AuthorizationHeaderMalformed" };
  if (signedRegion !== region) return { status: 400, code: "AuthorizationHeaderMalformed", extra: `<Region>${region}</Region>` };

  const stamp = fromQuery ? presigned.get("X-Amz-Date") as string : headers.get("x-amz-date") ?? "";
  const when = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(stamp);
  if (when === null || !stamp.startsWith(day)) return { status: 403, code: "AccessDenied" };
  const [y, mo, d, h, mi, s] = when.slice(1).map(Number) as [number, number, number, number, number, number];
  const age = now - Date.UTC(y, mo - 1, d, h, mi, s);
  if (fromQuery ? age > Number(presigned.get("X-Amz-Expires")) * 1000 : Math.abs(age) > 15 * 60_000) return { status: 403, code: fromQuery ? "AccessDenied" : "RequestTimeTooSkewed" };

  const names = signedHeaders.split(";");
  for (const name of headers.keys()) {
    if ((name === "host" || name.startsWith("x-amz-") || name === "content-md5" || name === "content-type") && !names.includes(name)) {
      return { status: 403, code: "AccessDenied", extra: `<Message>There were headers present in the request which were not signed: ${name}</Message>` };
    }
  }
  const payload = fromQuery ? "UNSIGNED-PAYLOAD" : headers.get("x-amz-content-sha256");
  if (payload === undefined) return { status: 400, code: "InvalidRequest", extra: "<Message>Missing required header for this request: x-amz-content-sha256</Message>" };
  if (payload.startsWith("STREAMING-")) return { status: 501, code: "NotImplemented" };
  const signedQuery = fromQuery ? query.split("&").filter((pair) => !pair.startsWith("X-Amz-Signature=")).join("&") : query;
  const canonical = [request.method, path, canonicalQuery(signedQuery), ...names.map((name) => `${name}:${headers.get(name) ?? ""}`), "", signedHeaders, payload].join("\n");
  const key = ["s3", "aws4_request"].reduce((k, part) => hmac(k, part), hmac(hmac(`AWS4${account.secretAccessKey}`, day), region));
  const expected = hmac(key, ["AWS4-HMAC-SHA256", stamp, `${day}/${region}/s3/aws4_request`, hex(canonical)].join("\n"));
  if (!timingSafeEqual(expected, Buffer.from(signature, "hex"))) return { status: 403, code: "SignatureDoesNotMatch" };
  if (payload !== "UNSIGNED-PAYLOAD" && payload !== hex(body)) return { status: 400, code: "XAmzContentSHA256Mismatch" };
  return undefined;
}
