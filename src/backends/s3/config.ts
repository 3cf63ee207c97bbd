// The options of s3:// as the backend uses them. Files that options name are read here, once.

import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { StoreError } from "../../store/errors.js";
import { Secret } from "../../util/secret.js";
import { S3_OPTIONS } from "./options.js";
import { readProfile } from "./profile.js";

export type ChecksumChoice = "auto" | "md5" | "crc32" | "crc32c" | "crc64nvme" | "none";

export interface S3Config {
  /** Without a slash at its end; undefined: Amazon's, by region. */
  readonly endpoint: string | undefined;
  readonly region: string | undefined;
  readonly pathStyle: "auto" | "always" | "never";
  readonly dualStack: boolean;
  readonly fips: boolean;
  /** PEM text. */
  readonly ca: string | undefined;
  readonly verifyTls: boolean;
  readonly profile: string | undefined;
  readonly anonymous: boolean;
  readonly keys: { readonly accessKeyId: string; readonly secretAccessKey: Secret; readonly sessionToken: Secret | undefined } | undefined;
  readonly conditional: "auto" | "always" | "never";
  readonly probeCache: string | undefined;
  readonly checksum: ChecksumChoice;
  readonly payloadSigning: "auto" | "signed" | "unsigned";
  readonly listType: "auto" | "2" | "1";
  readonly equalParts: boolean;
  readonly connections: number;
  readonly connectTimeout: number;
  readonly readTimeout: number;
  /** On every request. */
  readonly commonHeaders: Readonly<Record<string, string>>;
  /** On requests that begin an object: PUT, CopyObject, CreateMultipartUpload. */
  readonly createHeaders: Readonly<Record<string, string>>;
  /** SSE-C: on every request that touches an object's data. */
  readonly keyHeaders: Readonly<Record<string, string>>;
  /** SSE-C: on requests with a copy source. */
  readonly sourceKeyHeaders: Readonly<Record<string, string>>;
}

function invalid(message: string, cause?: unknown): StoreError {
  return new StoreError("invalid", message, { cause });
}

/** @param options by the table's names; absent ones have the table's default. */
export async function readConfig(options: Readonly<Record<string, unknown>>): Promise<S3Config> {
  const value = (name: string): unknown => {
    const row = S3_OPTIONS.find((each) => each.name === name);
    if (row === undefined) throw new Error(`no option ${name} in the table`);
    return options[name] ?? row.default;
  };
  const text = (name: string): string | undefined => {
    const found = value(name);
    if (found instanceof Secret) return found.reveal();
    return typeof found === "string" && found !== "" ? found : undefined;
  };
  const flag = (name: string): boolean => value(name) === true;

  const profile = await readProfile(text("profile"));
  const caFile = text("ca-file") ?? profile.caBundle;
  const accessKeyId = text("access-key-id");
  const secretAccessKey = text("secret-access-key");
  if ((accessKeyId === undefined) !== (secretAccessKey === undefined)) {
    throw invalid("an access key and its secret key are given together: one of access-key-id and secret-access-key is missing");
  }
  const sessionToken = text("session-token");
  const customerKey = text("sse") === "customer" ? await readKey(text("sse-c-key-file")) : undefined;
  return {
    endpoint: endpointOf(text("endpoint") ?? profile.endpoint),
    region: text("region") ?? profile.region,
    pathStyle: value("path-style") as S3Config["pathStyle"],
    dualStack: flag("dual-stack"),
    fips: flag("fips"),
    ca: caFile === undefined ? undefined : await readText(caFile, "the file of certificate authorities"),
    verifyTls: flag("tls-verify"),
    profile: text("profile"),
    anonymous: flag("anonymous"),
    keys: accessKeyId === undefined || secretAccessKey === undefined ? undefined
      : { accessKeyId, secretAccessKey: new Secret(secretAccessKey), sessionToken: sessionToken === undefined ? undefined : new Secret(sessionToken) },
    conditional: value("conditional") as S3Config["conditional"],
    probeCache: text("probe-cache"),
    checksum: value("checksum") as ChecksumChoice,
    payloadSigning: value("payload-signing") as S3Config["payloadSigning"],
    listType: String(value("list-type")) as S3Config["listType"],
    equalParts: flag("equal-parts"),
    connections: Number(value("connections")),
    connectTimeout: Number(value("connect-timeout")),
    readTimeout: Number(value("read-timeout")),
    commonHeaders: {
      ...(flag("requester-pays") ? { "x-amz-request-payer": "requester" } : {}),
      ...optional("x-amz-expected-bucket-owner", text("expected-owner")),
    },
    createHeaders: {
      ...optional("x-amz-storage-class", text("storage-class")),
      ...optional("x-amz-acl", text("acl")),
      ...serverKeyHeaders(text("sse") ?? "none", text("sse-kms-key-id"), text("sse-kms-context")),
    },
    keyHeaders: customerKey === undefined ? {} : customerKeyHeaders("x-amz-server-side-encryption-customer", customerKey),
    sourceKeyHeaders: customerKey === undefined ? {} : customerKeyHeaders("x-amz-copy-source-server-side-encryption-customer", customerKey),
  };
}

function optional(name: string, value: string | undefined): Record<string, string> {
  return value === undefined ? {} : { [name]: value };
}

function endpointOf(text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw invalid(`the endpoint "${text}" is not a URL: write it as https://host:port`);
  }
  if (url.protocol !== "http:" && url.protocol !== "https:") throw invalid(`the endpoint "${text}" is not an http or https URL: write it as https://host:port`);
  if (url.username !== "" || url.password !== "") throw invalid("the endpoint's URL carries credentials: they come from the environment or the AWS configuration files");
  if (url.search !== "" || url.hash !== "") throw invalid(`the endpoint "${text}" has a query: write it as https://host:port`);
  return url.origin + url.pathname.replace(/\/+$/, "");
}

async function readText(file: string, what: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    throw invalid(`${what}, ${file}, cannot be read (${(error as NodeJS.ErrnoException).code ?? String(error)})`, error);
  }
}

/** 32 raw bytes, or their base64 with or without a newline. */
async function readKey(file: string | undefined): Promise<Buffer> {
  if (file === undefined) throw invalid("--sse=customer needs the key: name its file with --sse-c-key-file");
  let bytes: Buffer;
  try {
    bytes = await readFile(file);
  } catch (error) {
    throw invalid(`the key file ${file} cannot be read (${(error as NodeJS.ErrnoException).code ?? String(error)})`, error);
  }
  if (bytes.length === 32) return bytes;
  const decoded = Buffer.from(bytes.toString("latin1").trim(), "base64");
  if (decoded.length !== 32) throw invalid(`the key file ${file} holds neither 32 bytes nor the base64 of 32 bytes`);
  return decoded;
}

function customerKeyHeaders(prefix: string, key: Buffer): Record<string, string> {
  return {
    [`${prefix}-algorithm`]: "AES256",
    [`${prefix}-key`]: key.toString("base64"),
    [`${prefix}-key-md5`]: createHash("md5").update(key).digest("base64"),
  };
}

function serverKeyHeaders(sse: string, keyId: string | undefined, context: string | undefined): Record<string, string> {
  const algorithm = { s3: "AES256", kms: "aws:kms", "kms-dsse": "aws:kms:dsse" }[sse];
  if (algorithm === undefined) return {};
  if (context !== undefined) {
    let parsed: unknown;
    try {
      parsed = JSON.parse(context);
    } catch { /* told below */ }
    const fits = typeof parsed === "object" && parsed !== null && !Array.isArray(parsed) && Object.values(parsed).every((each) => typeof each === "string");
    if (!fits) throw invalid("--sse-kms-context must be a JSON object whose values are strings");
  }
  return {
    "x-amz-server-side-encryption": algorithm,
    ...(sse === "s3" ? {} : optional("x-amz-server-side-encryption-aws-kms-key-id", keyId)),
    ...(sse === "s3" || context === undefined ? {} : { "x-amz-server-side-encryption-context": Buffer.from(context).toString("base64") }),
  };
}

