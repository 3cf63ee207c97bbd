// Bad days of an S3 server, played by the fake: each is one clear sentence of the right kind, and loses nothing.

import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { s3Backend } from "../../src/backends/s3/index.js";
import { forgetFindings, PROBE_NAME } from "../../src/backends/s3/probe.js";
import { bodyOf } from "../../src/store/body.js";
import { StoreError } from "../../src/store/errors.js";
import type { ObjectService, ObjectStore } from "../../src/store/objectStore.js";
import { collectStream } from "../../src/store/objectStream.js";
import { systemClock } from "../../src/util/clock.js";
import { silentLogger } from "../../src/util/log.js";
import { FakeBucket } from "./fakeS3/bucket.js";
import { ACCOUNT, FakeS3, type Fault, type FakeOptions, type Seen } from "./fakeS3/server.js";

const KEYS = { "access-key-id": ACCOUNT.accessKeyId, "secret-access-key": ACCOUNT.secretAccessKey };
let fake: FakeS3;
const services: ObjectService[] = [];

beforeEach(async () => {
  forgetFindings();
  fake = await FakeS3.start();
  fake.buckets.set("b", new FakeBucket("us-east-1"));
});
afterEach(async () => {
  for (const service of services.splice(0)) await service.close();
  await fake.stop();
});

async function service(options: Readonly<Record<string, unknown>> = {}): Promise<ObjectService> {
  const opened = await s3Backend.open({ scheme: "s3", prefix: "" }, { endpoint: fake.endpoint, ...KEYS, ...options }, { logger: silentLogger, clock: systemClock });
  services.push(opened);
  return opened;
}
async function store(options: Readonly<Record<string, unknown>> = {}): Promise<ObjectStore> {
  const opened = await (await service(options)).container("b");
  fake.seen.length = 0;
  return opened;
}
async function failure(promise: Promise<unknown>): Promise<StoreError> {
  try {
    await promise;
  } catch (error) {
    expect(error).toBeInstanceOf(StoreError);
    for (const secret of [ACCOUNT.secretAccessKey, "Signature="]) expect(JSON.stringify([(error as Error).message, error])).not.toContain(secret);
    return error as StoreError;
  }
  throw new Error("succeeded, expected a failure");
}
/** The next request that matches meets the fault, those after it do not. */
function once(fault: Fault, matches: (seen: Seen) => boolean = () => true): void {
  fake.fault = (seen) => {
    if (!matches(seen)) return undefined;
    fake.fault = undefined;
    return fault;
  };
}
const answer = (status: number, code: string, extra: Partial<Fault> = {}): Fault => ({ kind: "answer", status, code, ...extra } as Fault);

it("a content type that would break the request is refused before anything is sent", async () => {
  const opened = await store();
  await opened.put("k", bodyOf("x"));
  fake.seen.length = 0;
  const contentType = "text/plain\r\nx-amz-acl: public-read";
  for (const call of [
    opened.put("k", bodyOf("x"), { contentType }), opened.beginUpload("k", { contentType }), opened.copy("k", "l", { metadata: {}, contentType }),
    opened.setMetadata("k", {}, { contentType }),
  ]) expect((await failure(call)).kind).toBe("invalid");
  expect(fake.seen).toEqual([]);
});

describe("answers of the service", () => {
  it.each([
    [503, "SlowDown", "throttled", "throttled"], [429, "TooManyRequests", "throttled", "throttled"], [500, "InternalError", "unavailable", "transient"],
    [400, "RequestTimeout", "unavailable", "transient"], [409, "ConditionalRequestConflict", "unavailable", "transient"], [409, "OperationAborted", "unavailable", "transient"],
    [403, "AccessDenied", "denied", "never"], [400, "ExpiredToken", "denied", "credentials"], [404, "NoSuchBucket", "no-container", "never"],
    [400, "BadDigest", "corrupt", "transient"], [403, "QuotaExceeded", "quota", "never"], [501, "NotImplemented", "unsupported", "never"], [400, "KeyTooLongError", "invalid", "never"],
    [403, "InvalidObjectState", "unsupported", "never"],
  ])("%i %s is %s", async (status, code, kind, retry) => {
    const s = await store();
    once(answer(status, code, { headers: { "retry-after": "7" } }));
    const error = await failure(s.put("k", bodyOf("x")));
    expect([error.kind, error.retry, error.status, error.code]).toEqual([kind, retry, status, code]);
    expect(error.retryAfterMs).toBe(7000);
    expect(error.requestId).toMatch(/^[0-9A-F]{16}$/);
    expect(error.message).toMatch(/^s3:\/\/b\/k: \S/);
  });

  it("tells why a HEAD was refused, which has no body", async () => {
    const s = await store();
    fake.fault = () => answer(403, "InvalidAccessKeyId");
    expect((await failure(s.head("k"))).message).toMatch(/access key is not known/);
  });

  it("says wrong keys, the wrong bucket and an unknown endpoint apart", async () => {
    expect((await failure((await service({ "secret-access-key": "wrong" })).container("b"))).message).toMatch(/secret key does not belong/);
    expect((await failure((await service({ "access-key-id": "wrong" })).container("b"))).message).toMatch(/access key is not known/);
    expect((await failure((await service()).container("nowhere"))).kind).toBe("no-container");
    const error = await failure((await service({ endpoint: "http://127.0.0.1:9" })).container("b"));
    expect([error.kind, error.message]).toEqual(["unavailable", "s3://b: nothing listens at 127.0.0.1:9 (connection refused)"]);
  });

  it("takes a page of HTML for no answer at all, whatever its status", async () => {
    const s = await store();
    const page = (status: number): Fault => ({ kind: "answer", status, headers: { "content-type": "text/html", "x-amz-request-id": "" }, body: "<html><body>Not found</body></html>" });
    for (const status of [200, 404, 403, 502]) {
      fake.fault = () => ({ ...page(status), headers: { "content-type": "text/html" } } as Fault);
      expect((await failure(s.list({ prefix: "" }))).kind).toBe("unavailable");
      if (status !== 200) expect((await failure(s.get("k"))).kind).toBe("unavailable");
    }
    fake.fault = () => ({ kind: "html" });
    expect((await failure(s.head("k"))).kind).toBe("unavailable");
    expect((await failure(s.get("k"))).kind).toBe("unavailable");
    fake.fault = () => ({ kind: "not-http" });
    expect((await failure(s.head("k"))).kind).toBe("unavailable");
  });

  it("refuses XML that defines entities, or that was cut off", async () => {
    const s = await store();
    const body = '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaa">]><ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>';
    once({ kind: "answer", status: 200, body });
    expect((await failure(s.list({ prefix: "" }))).kind).toBe("unavailable");
    once({ kind: "answer", status: 200, body: "<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>a</Key>" });
    expect((await failure(s.list({ prefix: "" }))).kind).toBe("unavailable");
  });

  it("finds the error in a 200 of Complete and of CopyObject", async () => {
    const s = await store();
    await s.put("from", bodyOf("x"));
    const upload = await s.beginUpload("k");
    const part = await upload.putPart(1, 0, true, bodyOf("x"));
    const failing: Fault = { kind: "answer", status: 200, body: "\n\n <?xml version=\"1.0\"?><Error><Code>InternalError</Code><Message>m</Message></Error>" };
    once(failing, (seen) => seen.method === "POST");
    expect((await failure(upload.complete([part]))).kind).toBe("unavailable");
    expect((await upload.complete([part])).size).toBe(1);
    once(failing, (seen) => seen.method === "PUT");
    expect((await failure(s.copy("from", "to"))).kind).toBe("unavailable");
  });
});

describe("the connection", () => {
  it("reset, stalled and short answers are unavailable, and the next request works", async () => {
    const s = await store({ "read-timeout": 300 });
    await s.put("k", bodyOf(Buffer.alloc(200_000, 1)));
    for (const kind of ["reset", "stall"] as const) {
      once({ kind });
      expect((await failure(s.head("k"))).kind).toBe("unavailable");
    }
    for (const kind of ["short", "stall-body"] as const) {
      once({ kind });
      const stream = await s.get("k");
      expect((await failure(collectStream(stream))).kind).toBe("unavailable");
    }
    expect((await collectStream(await s.get("k"))).length).toBe(200_000);
  });

  it("a complete whose answer was lost succeeds when it is asked again", async () => {
    const s = await store();
    const upload = await s.beginUpload("k");
    const part = await upload.putPart(1, 0, true, bodyOf("x"));
    once({ kind: "lost" }, (seen) => seen.method === "POST");
    expect((await failure(upload.complete([part], { ifNoneMatch: "*" }))).kind).toBe("unavailable");
    expect((await upload.complete([part], { ifNoneMatch: "*" })).etag).toBe((await s.head("k")).etag);
  });
});

describe("what the server corrects", () => {
  it("the region: by the error's own, and by the header of a redirect", async () => {
    fake.buckets.set("far", new FakeBucket("eu-central-1"));
    const far = await (await service({ region: "us-west-2" })).container("far");
    await far.put("k", bodyOf("x"));
    expect((await far.head("k")).size).toBe(1);
    const b = await store();
    once({ kind: "answer", status: 301, code: "PermanentRedirect", headers: { "x-amz-bucket-region": "us-east-2" } });
    // Signed for the region it was told, which here is the wrong one, and told the right one again.
    expect((await b.put("k", bodyOf("x"))).size).toBe(1);
    const regions = fake.seen.map((seen) => /\/\d{8}\/([^/]+)\/s3/.exec(String(seen.headers.authorization))?.[1]);
    expect(regions).toEqual(["us-east-1", "us-east-2", "us-east-1"]);
  });

  it("the clock, once", async () => {
    fake.options = { skew: 3_600_000 };
    const s = await store();
    fake.seen.length = 0;
    await s.put("k", bodyOf("x"));
    expect(fake.seen).toHaveLength(1);
  });

  it("a temporary redirect is followed for this request alone", async () => {
    const s = await store();
    const other = await FakeS3.start();
    other.buckets.set("b", fake.buckets.get("b") as FakeBucket);
    once({ kind: "answer", status: 307, code: "TemporaryRedirect", headers: { location: `${other.endpoint}/b/k` } });
    await s.put("k", bodyOf("x"));
    expect(other.seen).toHaveLength(1);
    await s.head("k");
    expect(other.seen).toHaveLength(1);
    await other.stop();
  });
});

describe("what the server can do is found out", () => {
  it.each<[FakeOptions, string, string]>([
    [{}, "swap", "swap"], [{ conditions: "ignored" }, "none", "none"], [{ conditions: "refused" }, "none", "none"], [{ readOnly: true }, "none", "none"],
  ])("%j: put %s, complete %s; nothing is left behind", async (options, put, complete) => {
    fake.options = options;
    const { capabilities } = await (await service()).container("b");
    expect([capabilities.conditionalPut, capabilities.conditionalComplete]).toEqual([put, complete]);
    expect([...(fake.buckets.get("b") as FakeBucket).objects.keys()]).toEqual([]);
    expect((fake.buckets.get("b") as FakeBucket).uploads.size).toBe(0);
    const written = fake.seen.filter((seen) => seen.method === "PUT").map((seen) => seen.url);
    expect(written.length).toBeGreaterThan(0);
    for (const url of written) expect(url).toContain(PROBE_NAME);
  });

  it("is asked once per bucket, and kept in a file where that is wanted", async () => {
    const folder = mkdtempSync(join(tmpdir(), "objmount-probe-"));
    try {
      await (await service({ "probe-cache": folder })).container("b");
      expect(readdirSync(folder)).toHaveLength(1);
      const asked = fake.seen.length;
      await (await service({ "probe-cache": folder })).container("b");
      forgetFindings();
      await (await service({ "probe-cache": folder })).container("b");
      expect(fake.seen.length).toBe(asked + 2);
      forgetFindings();
      writeFileSync(join(folder, readdirSync(folder)[0] as string), "{broken");
      await (await service({ "probe-cache": folder })).container("b");
      expect(fake.seen.length).toBeGreaterThan(asked + 3);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it("writes without a condition the server would ignore, after asking for itself", async () => {
    fake.options = { conditions: "refused" };
    const s = await store();
    await s.put("k", bodyOf("1"), { ifNoneMatch: "*" });
    expect((await failure(s.put("k", bodyOf("2"), { ifNoneMatch: "*" }))).kind).toBe("precondition");
    expect(fake.seen.some((seen) => seen.headers["if-none-match"] !== undefined)).toBe(false);
  });
});

describe("on the wire", () => {
  it("sends keys as they are, and never what it was not asked for", async () => {
    const s = await store();
    for (const key of ["a/../b", "./x", "/lead", "a//b", "~(a)!'*", "%2F", "sp ace+plus"]) await s.put(key, bodyOf(key));
    expect(fake.seen.map((seen) => seen.url)).toEqual(["/b/a/../b", "/b/./x", "/b//lead", "/b/a//b", "/b/~%28a%29%21%27%2A", "/b/%252F", "/b/sp%20ace%2Bplus"]);
    for (const { headers } of fake.seen) {
      expect([headers["transfer-encoding"], headers.expect, headers["content-encoding"]]).toEqual([undefined, undefined, undefined]);
      expect(headers["x-amz-content-sha256"]).toMatch(/^[0-9a-f]{64}$/);
    }
  });

  it("keeps its connection over a HEAD", async () => {
    const s = await store();
    await s.put("k", bodyOf("x"));
    for (let i = 0; i < 5; i++) await s.head("k");
    expect(fake.seen.slice(1).every((seen) => seen.headers.connection === "keep-alive")).toBe(true);
  });

  it("asks in the host name where that is wanted", async () => {
    fake.options = { domain: "localhost" };
    const endpoint = fake.endpoint.replace("127.0.0.1", "localhost");
    const s = await (await service({ endpoint, "path-style": "never" })).container("b").catch((error: StoreError) => error);
    // Where *.localhost has no address the name is at least the right one.
    if (s instanceof StoreError) expect(s.message).toContain("b.localhost:");
    else expect(fake.seen.every((seen) => seen.headers.host?.startsWith("b.localhost:") === true)).toBe(true);
  });

  it("sends the headers of encryption, owner, payer, class and ACL where they belong", async () => {
    const folder = mkdtempSync(join(tmpdir(), "objmount-key-"));
    const file = join(folder, "key");
    writeFileSync(file, Buffer.alloc(32, 7));
    const s = await store({ sse: "customer", "sse-c-key-file": file, "requester-pays": true, "expected-owner": "123", "storage-class": "STANDARD_IA", acl: "private" });
    rmSync(folder, { recursive: true });
    await s.put("k", bodyOf("x"));
    await s.head("k");
    await s.copy("k", "l");
    const key = "x-amz-server-side-encryption-customer-key";
    const [put, head, , copy] = fake.seen.map((seen) => seen.headers);
    for (const headers of [put, head, copy]) expect([headers?.[key], headers?.["x-amz-request-payer"], headers?.["x-amz-expected-bucket-owner"]]).toEqual([Buffer.alloc(32, 7).toString("base64"), "requester", "123"]);
    expect([put?.["x-amz-storage-class"], put?.["x-amz-acl"], head?.["x-amz-acl"]]).toEqual(["STANDARD_IA", "private", undefined]);
    expect(copy?.["x-amz-copy-source-server-side-encryption-customer-key"]).toBeDefined();
    expect(s.capabilities.presign).toBe(false);
  });

  it("presigns what anybody may then read", async () => {
    const s = await store();
    await s.put("a b+c/d", bodyOf("hello"));
    const response = await fetch(await s.presign("a b+c/d", 60));
    expect([response.status, await response.text()]).toEqual([200, "hello"]);
    expect((await fetch((await s.presign("a b+c/d", 60)).replace("a%20b", "other"))).status).toBe(403);
  });

  it("keeps type and headers over a change of metadata", async () => {
    const s = await store();
    await s.put("k", bodyOf("x"), { contentType: "text/plain", metadata: { a: "1" } });
    const object = (fake.buckets.get("b") as FakeBucket).objects.get("k");
    (fake.buckets.get("b") as FakeBucket).objects.set("k", { ...object as NonNullable<typeof object>, headers: { ...object?.headers, "cache-control": "no-store" } });
    await s.setMetadata("k", { mtime: "5" });
    expect((fake.buckets.get("b") as FakeBucket).objects.get("k")?.headers).toMatchObject({ "content-type": "text/plain", "cache-control": "no-store", "x-amz-meta-mtime": "5" });
    expect((await s.head("k")).metadata).toEqual({ mtime: "5" });
  });

  it.each(["md5", "crc32", "crc32c", "crc64nvme", "none"])("checksum %s, for a put and for parts", async (checksum) => {
    const s = await store({ checksum, "payload-signing": "unsigned" });
    await s.put("k", bodyOf("hello"));
    const upload = await s.beginUpload("m");
    const part = await upload.putPart(1, 0, true, bodyOf("hello"));
    expect((await upload.complete([part])).size).toBe(5);
    const again = await s.beginUpload("m");
    await again.putPart(1, 0, true, bodyOf("hello"));
    expect((await again.complete(await (await s.resumeUpload("m", again.id)).parts())).size).toBe(5);
    const header = checksum === "md5" ? "content-md5" : `x-amz-checksum-${checksum}`;
    if (checksum !== "none") expect(fake.seen.filter((seen) => seen.headers[header] !== undefined).length).toBe(3);
  });

  it("an archived object says what to do", async () => {
    const s = await store({ "storage-class": "GLACIER" });
    await s.put("k", bodyOf("x"));
    expect((await failure(s.get("k"))).message).toMatch(/archived.*restore/);
  });

  it("reads a public bucket without signing", async () => {
    fake.options = { open: true };
    const s = await (await service({ anonymous: true })).container("b");
    expect((await s.list({ prefix: "" })).objects).toEqual([]);
    expect(fake.seen.every((seen) => seen.headers.authorization === undefined)).toBe(true);
  });
});
