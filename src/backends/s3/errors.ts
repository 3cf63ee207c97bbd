// What the service answers, and what the transport says, as StoreErrors: one clear sentence each.

import { HttpError } from "../../http/errors.js";
import { StoreError, type RetryClass, type StoreErrorKind } from "../../store/errors.js";
import { parseXml, text } from "./parse.js";

type Row = readonly [kind: StoreErrorKind, sentence: string, retry?: RetryClass];

/** By the service's code. In a sentence MESSAGE is what the service says itself. */
const CODES: Readonly<Record<string, Row>> = {
  NoSuchKey: ["not-found", "there is no such object"],
  NoSuchVersion: ["not-found", "there is no such version"],
  NoSuchUpload: ["not-found", "the upload is not there any more: it was completed or aborted"],
  NoSuchBucket: ["no-container", "there is no such bucket"],

  AccessDenied: ["denied", "access is denied: MESSAGE"],
  AllAccessDisabled: ["denied", "all access is disabled by the service: MESSAGE"],
  AccountProblem: ["denied", "there is a problem with the account: MESSAGE"],
  InvalidAccessKeyId: ["denied", "the access key is not known to the service: check AWS_ACCESS_KEY_ID or the profile"],
  SignatureDoesNotMatch: ["denied", "the secret key does not belong to the access key: check AWS_SECRET_ACCESS_KEY or the profile"],
  InvalidToken: ["denied", "the session token is not valid: sign in again"],
  ExpiredToken: ["denied", "the session token has expired: sign in again", "credentials"],
  TokenRefreshRequired: ["denied", "the session token has to be renewed", "credentials"],
  RequestTimeTooSkewed: ["denied", "this machine's clock is too far from the server's: set the time"],
  RequestExpired: ["denied", "the request reached the server too late: check the clocks"],
  AuthorizationHeaderMalformed: ["invalid", "the request was signed for the wrong region: set --region (MESSAGE)"],
  PermanentRedirect: ["invalid", "the bucket lives in another region or at another endpoint: set --region or --endpoint (MESSAGE)"],
  IllegalLocationConstraintException: ["invalid", "the region does not fit the endpoint: set --region (MESSAGE)"],
  UserKeyMustBeSpecified: ["invalid", "the key is not acceptable to the service"],

  PreconditionFailed: ["precondition", "the object is not the version that was expected"],
  ConditionalRequestConflict: ["unavailable", "another writer is at the same object"],
  OperationAborted: ["unavailable", "a conflicting operation is going on at the same object"],
  InvalidRange: ["range", "the range lies outside the object"],

  SlowDown: ["throttled", "the service asks to slow down"],
  SlowDownRead: ["throttled", "the service asks to slow down"],
  SlowDownWrite: ["throttled", "the service asks to slow down"],
  TooManyRequests: ["throttled", "the service asks to slow down"],
  RequestLimitExceeded: ["throttled", "the service asks to slow down"],
  Throttling: ["throttled", "the service asks to slow down"],
  ThrottlingException: ["throttled", "the service asks to slow down"],

  InternalError: ["unavailable", "the service failed inside"],
  ServiceUnavailable: ["unavailable", "the service is not available just now"],
  Busy: ["unavailable", "the service is busy"],
  RequestTimeout: ["unavailable", "the service did not get the whole request in time"],
  IncompleteBody: ["unavailable", "the service got less data than announced"],

  NotImplemented: ["unsupported", "the service does not do that (MESSAGE)"],
  MethodNotAllowed: ["unsupported", "the service does not allow that (MESSAGE)"],
  InvalidObjectState: ["unsupported", "the object is archived and cannot be read: restore it first (aws s3api restore-object)"],
  InvalidStorageClass: ["invalid", "the storage class is not known to the service"],

  BucketAlreadyExists: ["exists", "the bucket name is taken"],
  BucketAlreadyOwnedByYou: ["exists", "the bucket is there already"],
  BucketNotEmpty: ["not-empty", "the bucket is not empty"],
  TooManyBuckets: ["quota", "the account has as many buckets as it may"],
  QuotaExceeded: ["quota", "the quota is used up"],
  QuotaExceededException: ["quota", "the quota is used up"],
  StorageFull: ["quota", "the service has no space left"],
  XMinioStorageFull: ["quota", "the service has no space left"],
  InsufficientStorage: ["quota", "the service has no space left"],

  KeyTooLongError: ["invalid", "the key is too long for the service"],
  KeyTooLong: ["invalid", "the key is too long for the service"],
  MetadataTooLarge: ["invalid", "the metadata is too large for the service"],
  EntityTooLarge: ["invalid", "the object or part is too large for the service"],
  EntityTooSmall: ["invalid", "a part before the last is too small for the service"],
  InvalidBucketName: ["invalid", "the service does not accept the bucket name"],
  InvalidPart: ["invalid", "a part of the upload is not what the service has"],
  InvalidPartOrder: ["invalid", "the parts are out of order"],
  InvalidRequest: ["invalid", "the service refuses the request: MESSAGE"],
  InvalidArgument: ["invalid", "the service refuses an argument: MESSAGE"],
  MalformedXML: ["invalid", "the service does not accept the request's XML: MESSAGE"],
  InvalidURI: ["invalid", "the service does not accept the key"],
  // Gateways that keep objects as files and folders.
  ObjectParentIsFile: ["invalid", "this server keeps objects as files, and a part of the path is a file there"],
  ExistingObjectIsDirectory: ["invalid", "this server keeps objects as files, and there is a folder of that name"],
  DirectoryObjectContainsData: ["invalid", "this server keeps objects as files: a key that ends in a slash can have no data"],

  BadDigest: ["corrupt", "the data arrived with another checksum than it was sent with"],
  InvalidDigest: ["corrupt", "the service does not accept the checksum"],
  XAmzContentSHA256Mismatch: ["corrupt", "the data arrived with another checksum than it was sent with"],
  XAmzContentChecksumMismatch: ["corrupt", "the data arrived with another checksum than it was sent with"],
};

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** The first bytes of the body; empty for HEAD. */
  readonly body: Buffer;
}

export interface Subject {
  /** What was asked about, for people: `s3://bucket/key`. */
  readonly label: string;
  readonly key?: string | undefined;
  /** For sentences about the transport: `s3.example.com:9000`. */
  readonly host: string;
}

/** What an error answer names besides its code. */
export interface ErrorFacts {
  readonly code: string | undefined;
  readonly region: string | undefined;
}

/** An answer with a status of 300 or more, or a 200 whose body is an `<Error>`. */
export function answerError(answer: Answer, subject: Subject): { readonly error: StoreError; readonly facts: ErrorFacts } {
  const { status, headers } = answer;
  const document = parseXml(answer.body);
  const root = document?.name === "Error" ? document.root : undefined;
  const code = root === undefined ? undefined : text(root, "Code");
  const message = (root === undefined ? undefined : text(root, "Message"))?.replace(/\s+/g, " ").trim().slice(0, 200);
  const facts = { code, region: (root === undefined ? undefined : text(root, "Region")) ?? headers["x-amz-bucket-region"] };
  const details = {
    key: subject.key, status, code, requestId: headers["x-amz-request-id"] ?? (root === undefined ? undefined : text(root, "RequestId")),
    retryAfterMs: retryAfter(headers["retry-after"]),
  };
  const make = ([kind, sentence, retry]: Row): { error: StoreError; facts: ErrorFacts } => ({
    error: new StoreError(kind, `${subject.label}: ${sentence.replace("MESSAGE", message === undefined || message === "" ? code ?? `status ${status}` : message)}`,
      { ...details, ...(retry === undefined ? {} : { retry }) }),
    facts,
  });
  const row = code === undefined ? undefined : CODES[code];
  if (row !== undefined) return make(row);
  if (code === undefined && !speaksS3(answer)) {
    return make(["unavailable", `${subject.host} answered ${status} with something that is not an S3 answer (${kindOf(answer)}): is the endpoint right, or a proxy in between?`]);
  }
  return make(byStatus(status, code));
}

function byStatus(status: number, code: string | undefined): Row {
  const said = code === undefined ? `status ${status}` : `${code}: MESSAGE`;
  switch (status) {
    case 401: case 403: return ["denied", `access is denied (${said})`];
    case 404: return ["not-found", code === undefined ? "there is no such object" : `not found (${said})`];
    case 405: case 501: return ["unsupported", `the service does not do that (${said})`];
    case 409: return ["unavailable", `a conflicting operation is going on (${said})`];
    case 412: return ["precondition", "the object is not the version that was expected"];
    case 416: return ["range", "the range lies outside the object"];
    case 429: return ["throttled", "the service asks to slow down"];
    case 507: return ["quota", "the service has no space left"];
    case 301: case 302: case 307: case 308: return ["invalid", "the bucket lives in another region or at another endpoint: set --region or --endpoint"];
    case 400: return ["invalid", `the service refuses the request (${said})`];
    default: return status >= 500 ? ["unavailable", `the service failed (${said})`] : ["unexpected", `the service answered in an unknown way (${said})`];
  }
}

/** An answer without `<Error>` counts only when it has no body to prove otherwise; one that is signed by the service may call itself HTML. */
function speaksS3(answer: Answer): boolean {
  const named = answer.headers["x-amz-request-id"] !== undefined || answer.headers["x-amz-id-2"] !== undefined;
  return answer.body.length === 0 && (named || !isHtml(answer));
}

function isHtml(answer: Answer): boolean {
  return /html/i.test(answer.headers["content-type"] ?? "") || /^\s*<(?:!doctype html|html)/i.test(answer.body.toString("latin1", 0, 100));
}

function kindOf(answer: Answer): string {
  return isHtml(answer) ? "an HTML page" : answer.headers["content-type"] ?? "no content type";
}

function retryAfter(value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  const seconds = Number(value);
  if (Number.isFinite(seconds)) return Math.max(0, seconds * 1000);
  const date = Date.parse(value);
  return Number.isNaN(date) ? undefined : Math.max(0, date - Date.now());
}

/** A body that should have been this service's XML, and is not. */
export function notS3(subject: Subject, what: string): StoreError {
  return new StoreError("unavailable", `${subject.label}: ${subject.host} gave something that is not an S3 answer (${what}): is the endpoint right, or a proxy in between?`,
    { key: subject.key });
}

/** A failure of the transport, or whatever the request body's source threw. */
export function transportError(error: unknown, subject: Subject): StoreError {
  if (error instanceof StoreError) return error;
  if (error instanceof HttpError) {
    const details = { key: subject.key, code: error.code, cause: error };
    if (error.kind === "aborted") return new StoreError("aborted", `${subject.label}: ${error.message}`, details);
    // A certificate does not become right by asking again.
    return new StoreError("unavailable", `${subject.label}: ${error.message}`, error.kind === "tls" ? { ...details, retry: "never" } : details);
  }
  return new StoreError("unexpected", `${subject.label}: ${error instanceof Error ? error.message : String(error)}`, { key: subject.key, cause: error });
}
