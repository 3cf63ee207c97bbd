// The benchmark's own way to the server, beside every mount: fills buckets, and fetches with curl as the yardstick.

import { spawn } from "node:child_process";
import { createHash, createHmac, randomFillSync } from "node:crypto";
import { Agent, request } from "node:http";

const agent = new Agent({ keepAlive: true, maxSockets: 64 });
const hmac = (key, text) => createHmac("sha256", key).update(text).digest();
const sign = (secret, day, text) => hmac(["us-east-1", "s3", "aws4_request"].reduce((k, part) => hmac(k, part), hmac(`AWS4${secret}`, day)), text).toString("hex");
const hex = (data) => createHash("sha256").update(data).digest("hex");

/** One signed request (AWS Signature Version 4, unsigned payload). @returns {status, headers, body}. */
export function s3({ endpoint, key, secret }, method, path, { query = "", body = Buffer.alloc(0), headers = {} } = {}) {
  const { hostname, port, host } = new URL(endpoint);
  const stamp = new Date().toISOString().replace(/[-:]|\.\d{3}/g, "");
  const day = stamp.slice(0, 8);
  const all = { host, "x-amz-content-sha256": "UNSIGNED-PAYLOAD", "x-amz-date": stamp, ...headers };
  const names = Object.keys(all).sort();
  const canonical = [method, path, query, ...names.map((name) => `${name}:${all[name]}`), "", names.join(";"), "UNSIGNED-PAYLOAD"].join("\n");
  const scope = `${day}/us-east-1/s3/aws4_request`;
  const signature = sign(secret, day, ["AWS4-HMAC-SHA256", stamp, scope, hex(canonical)].join("\n"));
  return new Promise((done, fail) => {
    const sent = request({ agent, hostname, port, method, path: query === "" ? path : `${path}?${query}`, headers: {
      ...all, "content-length": body.length, authorization: `AWS4-HMAC-SHA256 Credential=${key}/${scope}, SignedHeaders=${names.join(";")}, Signature=${signature}`,
    } }, (answer) => {
      const chunks = [];
      answer.on("data", (chunk) => chunks.push(chunk)).on("end", () => {
        const text = Buffer.concat(chunks).toString();
        if (answer.statusCode >= 300 && answer.statusCode !== 404) fail(new Error(`${method} ${path}: ${answer.statusCode} ${text.slice(0, 300)}`));
        else done({ status: answer.statusCode, headers: answer.headers, body: text });
      }).on("error", fail);
    });
    sent.on("error", fail).end(body);
  });
}

/** A URL that anybody may GET for an hour. */
export function presign({ endpoint, key, secret }, path) {
  const stamp = new Date().toISOString().replace(/[-:]|\.\d{3}/g, "");
  const day = stamp.slice(0, 8);
  const scope = `${day}/us-east-1/s3/aws4_request`;
  const query = `X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=${encodeURIComponent(`${key}/${scope}`)}&X-Amz-Date=${stamp}&X-Amz-Expires=3600&X-Amz-SignedHeaders=host`;
  const canonical = ["GET", path, query, `host:${new URL(endpoint).host}`, "", "host", "UNSIGNED-PAYLOAD"].join("\n");
  return `${endpoint}${path}?${query}&X-Amz-Signature=${sign(secret, day, ["AWS4-HMAC-SHA256", stamp, scope, hex(canonical)].join("\n"))}`;
}

/** Runs `work(0..count-1)`, `width` at once. */
export async function parallel(count, width, work) {
  let next = 0;
  await Promise.all(Array.from({ length: Math.min(width, count) }, async () => { while (next < count) await work(next++); }));
}

/** An object of random bytes, by multipart (8 MiB parts). */
export async function putLarge(server, path, size) {
  const part = 8 << 20;
  const id = /<UploadId>([^<]+)/.exec((await s3(server, "POST", path, { query: "uploads=" })).body)[1];
  const count = Math.ceil(size / part);
  const etags = [];
  const bytes = randomFillSync(Buffer.alloc(part));
  await parallel(count, 4, async (i) => {
    const body = Buffer.from(bytes.subarray(0, Math.min(part, size - i * part)));
    body.writeUInt32LE(i, 0);
    etags[i] = (await s3(server, "PUT", path, { query: `partNumber=${i + 1}&uploadId=${encodeURIComponent(id)}`, body })).headers.etag;
  });
  const xml = `<CompleteMultipartUpload>${etags.map((etag, i) => `<Part><PartNumber>${i + 1}</PartNumber><ETag>${etag}</ETag></Part>`).join("")}</CompleteMultipartUpload>`;
  await s3(server, "POST", path, { query: `uploadId=${encodeURIComponent(id)}`, body: Buffer.from(xml) });
}

/** The yardstick of reading: `streams` curls, each a contiguous range of the object, at once. @returns seconds. */
export async function curlRanges(server, path, size, streams) {
  const url = presign(server, path);
  const started = performance.now();
  const step = Math.ceil(size / streams);
  await Promise.all(Array.from({ length: streams }, (_, i) => new Promise((done, fail) => {
    const range = `${i * step}-${Math.min(size, (i + 1) * step) - 1}`;
    const child = spawn("curl", ["-sf", "-o", "/dev/null", "-r", range, url]);
    child.on("error", fail).on("exit", (code) => { if (code === 0) done(); else fail(new Error(`curl ended with ${code}`)); });
  })));
  return (performance.now() - started) / 1000;
}
