// s3://bucket/prefix, and s3:// for the account.

import { StoreError } from "../../store/errors.js";
import type { StoreUrl } from "../backend.js";

function bad(message: string): never {
  throw new StoreError("invalid", message);
}

/** Throws `invalid` with a sentence that never repeats more of the URL than its bucket and prefix. */
export function parseS3Url(url: string): StoreUrl {
  const found = /^s3:(?:\/\/([^/?#]*)(?:\/([^?#]*))?([?#].*)?)?$/i.exec(url);
  if (found === null) bad(`an S3 URL has the form s3://bucket/prefix, or s3:// for the whole account`);
  const [, authority = "", path = "", rest] = found;
  if (rest !== undefined) bad('an S3 URL has no "?" or "#" part: settings are given as options, and in a prefix the signs are written %3F and %23');
  if (authority.includes("@")) bad("an S3 URL carries no credentials: they come from the environment or the AWS configuration files");
  if (/:\d+$/.test(authority)) bad(`an S3 URL names no host and port: write s3://bucket/prefix and give --endpoint=https://${authority}`);
  const container = decode(authority);
  const prefix = decode(path);
  if (container === "") {
    if (prefix !== "") bad(`the S3 URL has a prefix but no bucket: s3://bucket/${prefix}`);
    return { scheme: "s3", prefix: "" };
  }
  checkBucket(container);
  if (prefix.startsWith("/")) bad(`the prefix begins with a slash: write s3://${container}/${prefix.replace(/^\/+/, "")}`);
  return { scheme: "s3", container, prefix: prefix === "" || prefix.endsWith("/") ? prefix : `${prefix}/` };
}

/** `invalid` for what cannot be a bucket name anywhere; servers have narrower rules of their own. */
export function checkBucket(name: string): void {
  if (name.startsWith("arn:")) bad(`${name} is an ARN: access points are reached by their alias, as in s3://ALIAS`);
  if (name.endsWith("--x-s3")) throw new StoreError("unsupported", `${name} is a directory bucket (S3 Express), which is not supported: use a general purpose bucket`);
  if (!/^[A-Za-z0-9][A-Za-z0-9._:-]{0,254}$/.test(name)) bad(`"${name}" is not a bucket name: those are made of letters, digits, dots and hyphens`);
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return bad(`the S3 URL has a "%" that begins no escape: a percent sign itself is written %25`);
  }
}
