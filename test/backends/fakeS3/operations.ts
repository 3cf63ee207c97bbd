// The fake's operations, by Amazon's API reference.

import { createHash } from "node:crypto";
import { crc32 } from "node:zlib";
import { failedCondition, FakeBucket, list, md5, md5s, type FakeObject } from "./bucket.js";
import { error, type FakeS3, type Seen } from "./server.js";

export interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

const NS = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"';
const KEPT = /^(?:content-type|cache-control|content-disposition|content-encoding|content-language|expires|x-amz-meta-.*|x-amz-storage-class)$/;
const MIN_PART = 5 << 20;

const escape = (text: string): string => text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);
/** As Amazon encodes keys in listings: a space is a plus. */
const listed = (text: string): string => encodeURIComponent(text).replaceAll("%20", "+").replaceAll("%2F", "/");
const xml = (body: string, headers: Record<string, string> = {}): Reply => ({ status: 200, headers: { "content-type": "application/xml", ...headers }, body: Buffer.from(`<?xml version="1.0" encoding="UTF-8"?>\n${body}`) });
const done = (status: number, headers: Record<string, string> = {}): Reply => ({ status, headers, body: Buffer.alloc(0) });

interface Ask {
  readonly fake: FakeS3;
  readonly seen: Seen;
  readonly bucket: FakeBucket;
  readonly name: string;
  readonly key: string;
  readonly query: URLSearchParams;
  readonly header: (name: string) => string | undefined;
}

export function handle(fake: FakeS3, seen: Seen, name: string, path: string): Reply {
  const query = new URLSearchParams((seen.url.split("?")[1] ?? "").replaceAll("+", "%2B"));
  const header = (field: string): string | undefined => seen.headers[field] as string | undefined;
  if (name === "") return seen.method === "GET" ? buckets(fake) : error(405, "MethodNotAllowed");
  const bucket = fake.buckets.get(name);
  if (path === "" && seen.method === "PUT") {
    if (bucket !== undefined) return error(409, "BucketAlreadyOwnedByYou");
    fake.buckets.set(name, new FakeBucket(fake.region));
    return done(200);
  }
  if (bucket === undefined) return error(404, "NoSuchBucket");
  const ask: Ask = { fake, seen, bucket, name, key: decodeURIComponent(path), query, header };
  const digest = badDigest(ask);
  if (digest !== undefined) return digest;
  if (path === "") return onBucket(ask);
  if (Buffer.byteLength(ask.key) > 1024) return error(400, "KeyTooLongError");
  switch (seen.method) {
    case "GET": case "HEAD": return query.has("uploadId") ? listParts(ask) : getObject(ask);
    case "PUT": return query.has("uploadId") ? putPart(ask) : putObject(ask);
    case "POST": return query.has("uploads") ? beginUpload(ask) : query.has("uploadId") ? complete(ask) : error(405, "MethodNotAllowed");
    case "DELETE": return query.has("uploadId") ? abort(ask) : deleteObject(ask);
    default: return error(405, "MethodNotAllowed");
  }
}

function crc32c(data: Buffer): number {
  let c = ~0;
  for (const byte of data) {
    c ^= byte;
    for (let k = 0; k < 8; k++) c = (c >>> 1) ^ (0x82f63b78 & -(c & 1));
  }
  return ~c >>> 0;
}

function crc64nvme(data: Buffer): Buffer {
  let c = 0xffffffffffffffffn;
  for (const byte of data) {
    c ^= BigInt(byte);
    for (let k = 0; k < 8; k++) c = (c & 1n) === 1n ? (c >> 1n) ^ 0x9a6c9329ac4bc9b5n : c >> 1n;
  }
  const out = Buffer.alloc(8);
  out.writeBigUInt64BE(c ^ 0xffffffffffffffffn);
  return out;
}

function be32(value: number): string {
  const out = Buffer.alloc(4);
  out.writeUInt32BE(value);
  return out.toString("base64");
}

function badDigest({ seen, header }: Ask): Reply | undefined {
  const sum = header("content-md5");
  if (sum !== undefined && sum !== createHash("md5").update(seen.body).digest("base64")) return error(400, "BadDigest");
  const given = (name: string, value: () => string): boolean => {
    const found = header(`x-amz-checksum-${name}`);
    return found !== undefined && found !== value();
  };
  if (given("crc32", () => be32(crc32(seen.body))) || given("crc32c", () => be32(crc32c(seen.body))) || given("crc64nvme", () => crc64nvme(seen.body).toString("base64"))) {
    return error(400, "BadDigest");
  }
  return undefined;
}

function buckets(fake: FakeS3): Reply {
  const rows = [...fake.buckets].map(([name, bucket]) => `<Bucket><Name>${escape(name)}</Name><CreationDate>${new Date(bucket.created).toISOString()}</CreationDate></Bucket>`);
  return xml(`<ListAllMyBucketsResult ${NS}><Owner><ID>1</ID></Owner><Buckets>${rows.join("")}</Buckets></ListAllMyBucketsResult>`);
}

function onBucket(ask: Ask): Reply {
  const { fake, seen, bucket, name, query } = ask;
  switch (seen.method) {
    case "HEAD": return done(200, { "x-amz-bucket-region": bucket.region });
    case "GET":
      if (query.has("uploads")) {
        const rows = [...bucket.uploads.values()].filter((upload) => upload.key.startsWith(query.get("prefix") ?? ""));
        return xml(`<ListMultipartUploadsResult ${NS}>${rows.map((upload) => `<Upload><Key>${escape(upload.key)}</Key><UploadId>${upload.id}</UploadId></Upload>`).join("")}</ListMultipartUploadsResult>`);
      }
      return query.get("list-type") === "2" && fake.options.listV2 === false ? error(501, "NotImplemented") : listObjects(ask);
    case "DELETE":
      if (bucket.objects.size > 0) return error(409, "BucketNotEmpty");
      fake.buckets.delete(name);
      return done(204);
    case "POST": return query.has("delete") && fake.options.deleteObjects !== false ? deleteObjects(ask) : error(501, "NotImplemented");
    default: return error(405, "MethodNotAllowed");
  }
}

function listObjects({ bucket, query }: Ask): Reply {
  const prefix = query.get("prefix") ?? "";
  const v2 = query.get("list-type") === "2";
  const limit = Math.min(Number(query.get("max-keys") ?? 1000), 1000);
  const token = query.get("continuation-token");
  const after = v2 ? (token === null ? query.get("start-after") ?? "" : Buffer.from(token, "base64").toString()) : query.get("marker") ?? "";
  const delimiter = query.get("delimiter") ?? undefined;
  const { keys, prefixes, more } = list(bucket, prefix, delimiter, after, limit);
  const coded = query.get("encoding-type") === "url" ? listed : escape;
  const rows = keys.map((key) => {
    const object = bucket.objects.get(key) as FakeObject;
    return `<Contents><Key>${coded(key)}</Key><LastModified>${new Date(object.modified).toISOString()}</LastModified><ETag>&quot;${object.etag}&quot;</ETag><Size>${object.data.length}</Size><StorageClass>STANDARD</StorageClass></Contents>`;
  });
  const next = more === undefined ? "" : v2 ? `<NextContinuationToken>${Buffer.from(more).toString("base64")}</NextContinuationToken>` : delimiter === undefined ? "" : `<NextMarker>${coded(more)}</NextMarker>`;
  return xml(`<ListBucketResult ${NS}><Prefix>${coded(prefix)}</Prefix><MaxKeys>${limit}</MaxKeys>${query.get("encoding-type") === "url" ? "<EncodingType>url</EncodingType>" : ""}<IsTruncated>${more !== undefined}</IsTruncated>${next}${rows.join("")}${prefixes.map((each) => `<CommonPrefixes><Prefix>${coded(each)}</Prefix></CommonPrefixes>`).join("")}</ListBucketResult>`);
}

function deleteObjects({ bucket, seen, header }: Ask): Reply {
  if (header("content-md5") === undefined) return error(400, "InvalidRequest");
  const keys = [...seen.body.toString().matchAll(/<Key>([^<]*)<\/Key>/g)].map((m) => unescape(m[1] as string));
  if (keys.length > 1000) return error(400, "MalformedXML");
  for (const key of keys) bucket.objects.delete(key);
  return xml(`<DeleteResult ${NS}></DeleteResult>`);
}

const unescape = (text: string): string => text.replace(/&#(\d+);/g, (_all, code: string) => String.fromCodePoint(Number(code)));

function objectHeaders(object: FakeObject): Record<string, string> {
  return { ...object.headers, etag: `"${object.etag}"`, "last-modified": new Date(object.modified).toUTCString(), "accept-ranges": "bytes" };
}

function getObject({ bucket, key, seen, header }: Ask): Reply {
  const object = bucket.objects.get(key);
  if (object === undefined) return error(404, "NoSuchKey");
  if (failedCondition(header("if-match"), undefined, object) !== undefined) return error(412, "PreconditionFailed");
  if (object.headers["x-amz-storage-class"] === "GLACIER" && seen.method === "GET") return error(403, "InvalidObjectState");
  const { data } = object;
  const headers = objectHeaders(object);
  const range = header("range");
  if (seen.method === "HEAD") return { status: 200, headers: { ...headers, "content-length": String(data.length) }, body: data };
  if (range === undefined) return { status: 200, headers, body: data };
  const found = /^bytes=(\d+)-(\d*)$/.exec(range);
  const start = Number(found?.[1]);
  if (found === null || start >= data.length) return error(416, "InvalidRange");
  const end = Math.min(found[2] === "" ? Infinity : Number(found[2]), data.length - 1);
  return { status: 206, headers: { ...headers, "content-range": `bytes ${start}-${end}/${data.length}` }, body: data.subarray(start, end + 1) };
}

function kept(seen: Seen): Record<string, string> {
  const found = Object.fromEntries(Object.entries(seen.headers).filter(([name]) => KEPT.test(name)) as [string, string][]);
  return { "content-type": "binary/octet-stream", ...found };
}

function tooMuch(headers: Readonly<Record<string, string>>): boolean {
  return Object.entries(headers).reduce((sum, [name, value]) => sum + (name.startsWith("x-amz-meta-") ? name.length - 11 + value.length : 0), 0) > 2048;
}

/** The refusal of a conditional write, or undefined. */
function condition({ fake, bucket, key, header }: Ask): Reply | undefined {
  const ifMatch = header("if-match");
  const ifNoneMatch = header("if-none-match");
  if (ifMatch === undefined && ifNoneMatch === undefined) return undefined;
  if (fake.options.conditions === "refused") return error(501, "NotImplemented");
  if (fake.options.conditions === "ignored") return undefined;
  const code = failedCondition(ifMatch, ifNoneMatch, bucket.objects.get(key));
  return code === undefined ? undefined : error(code === "NoSuchKey" ? 404 : 412, code);
}

function putObject(ask: Ask): Reply {
  const { bucket, key, seen, header } = ask;
  const refused = condition(ask);
  if (refused !== undefined) return refused;
  const own = kept(seen);
  if (header("x-amz-copy-source") !== undefined) return copyObject(ask, own);
  if (tooMuch(own)) return error(400, "MetadataTooLarge");
  const etag = md5(seen.body);
  bucket.objects.set(key, { data: seen.body, etag, modified: Date.now(), headers: own });
  return done(200, { etag: `"${etag}"` });
}

/** The source of a copy, or why not. */
function source({ fake, header }: Ask): { readonly object: FakeObject; readonly bucket: string; readonly key: string } | Reply {
  const [, name, key] = /^\/([^/]+)\/(.+)$/.exec(header("x-amz-copy-source") ?? "") ?? [];
  if (name === undefined || key === undefined) return error(400, "InvalidArgument");
  const object = fake.buckets.get(name)?.objects.get(decodeURIComponent(key));
  if (object === undefined) return error(404, fake.buckets.has(name) ? "NoSuchKey" : "NoSuchBucket");
  const pinned = header("x-amz-copy-source-if-match");
  if (pinned !== undefined && fake.options.hidesManifestTags === true && object.etag.includes("-")) return error(412, "PreconditionFailed");
  if (failedCondition(pinned, undefined, object) !== undefined) return error(412, "PreconditionFailed");
  return { object, bucket: name, key: decodeURIComponent(key) };
}

function copyObject(ask: Ask, own: Record<string, string>): Reply {
  const { bucket, name, key, header } = ask;
  const from = source(ask);
  if ("status" in from) return from;
  const replace = header("x-amz-metadata-directive") === "REPLACE";
  if (!replace && from.bucket === name && from.key === key) return error(400, "InvalidRequest");
  if (replace && tooMuch(own)) return error(400, "MetadataTooLarge");
  const etag = md5(from.object.data);
  const modified = Date.now();
  bucket.objects.set(key, { data: from.object.data, etag, modified, headers: replace ? own : from.object.headers });
  return xml(`<CopyObjectResult ${NS}><ETag>&quot;${etag}&quot;</ETag><LastModified>${new Date(modified).toISOString()}</LastModified></CopyObjectResult>`);
}

function deleteObject(ask: Ask): Reply {
  const { fake, bucket, key, header } = ask;
  const current = bucket.objects.get(key);
  if (fake.options.conditions === undefined || fake.options.conditions === "enforced") {
    if (header("if-match") !== undefined && failedCondition(header("if-match"), undefined, current) === "PreconditionFailed") return error(412, "PreconditionFailed");
  }
  bucket.objects.delete(key);
  return done(204);
}

function beginUpload({ bucket, name, key, seen, header }: Ask): Reply {
  const own = kept(seen);
  if (tooMuch(own)) return error(400, "MetadataTooLarge");
  const id = bucket.begin(key, own, header("x-amz-checksum-algorithm"));
  return xml(`<InitiateMultipartUploadResult ${NS}><Bucket>${name}</Bucket><Key>${escape(key)}</Key><UploadId>${id}</UploadId></InitiateMultipartUploadResult>`);
}

function putPart(ask: Ask): Reply {
  const { bucket, key, query, seen, header } = ask;
  const upload = bucket.uploads.get(query.get("uploadId") as string);
  if (upload === undefined || upload.key !== key) return error(404, "NoSuchUpload");
  const number = Number(query.get("partNumber"));
  if (!(number >= 1 && number <= 10_000)) return error(400, "InvalidArgument");
  if (header("x-amz-copy-source") !== undefined) {
    const from = source(ask);
    if ("status" in from) return from;
    const range = header("x-amz-copy-source-range");
    const found = range === undefined ? undefined : /^bytes=(\d+)-(\d+)$/.exec(range);
    if (found === null || (found !== undefined && Number(found[2]) >= from.object.data.length)) return error(400, "InvalidArgument");
    const data = found === undefined ? from.object.data : from.object.data.subarray(Number(found[1]), Number(found[2]) + 1);
    upload.parts.set(number, { data, etag: md5(data) });
    return xml(`<CopyPartResult ${NS}><ETag>&quot;${md5(data)}&quot;</ETag></CopyPartResult>`);
  }
  const sums = Object.keys(seen.headers).filter((name) => name.startsWith("x-amz-checksum-"));
  if (sums.some((name) => name !== `x-amz-checksum-${upload.algorithm?.toLowerCase()}`)) return error(400, "InvalidRequest");
  const [sum] = sums;
  const etag = md5(seen.body);
  upload.parts.set(number, { data: seen.body, etag, ...(sum === undefined ? {} : { checksum: { name: sum.slice(15), value: header(sum) as string } }) });
  return done(200, { etag: `"${etag}"` });
}

function listParts({ bucket, query }: Ask): Reply {
  const upload = bucket.uploads.get(query.get("uploadId") as string);
  if (upload === undefined) return error(404, "NoSuchUpload");
  const all = [...upload.parts].sort(([a], [b]) => a - b).filter(([number]) => number > Number(query.get("part-number-marker") ?? 0));
  // A small page, so that paging is exercised.
  const page = all.slice(0, 2);
  const rows = page.map(([number, part]) => `<Part><PartNumber>${number}</PartNumber><ETag>&quot;${part.etag}&quot;</ETag><Size>${part.data.length}</Size>${part.checksum === undefined ? "" : `<Checksum${part.checksum.name.toUpperCase()}>${part.checksum.value}</Checksum${part.checksum.name.toUpperCase()}>`}</Part>`);
  return xml(`<ListPartsResult ${NS}><IsTruncated>${all.length > page.length}</IsTruncated><NextPartNumberMarker>${page.at(-1)?.[0] ?? 0}</NextPartNumberMarker>${rows.join("")}</ListPartsResult>`);
}

function complete(ask: Ask): Reply {
  const { bucket, name, key, query, seen } = ask;
  const id = query.get("uploadId") as string;
  const upload = bucket.uploads.get(id);
  if (upload === undefined) return error(404, "NoSuchUpload");
  const named = [...seen.body.toString().matchAll(/<Part><PartNumber>(\d+)<\/PartNumber><ETag>&quot;([^<]*)&quot;<\/ETag>(.*?)<\/Part>/g)].map((m) => ({ number: Number(m[1]), etag: m[2] as string, sums: m[3] as string }));
  if (named.length === 0) return error(400, "MalformedXML");
  const parts = named.map(({ number }) => upload.parts.get(number));
  if (named.some(({ number }, i) => i > 0 && number <= (named[i - 1] as { number: number }).number)) return error(400, "InvalidPartOrder");
  if (parts.some((part, i) => part === undefined || part.etag !== named[i]?.etag || (part.checksum !== undefined && !named[i].sums.includes(part.checksum.value)))) return error(400, "InvalidPart");
  const whole = parts as { data: Buffer; etag: string }[];
  if (whole.slice(0, -1).some((part) => part.data.length < MIN_PART)) return error(400, "EntityTooSmall");
  const refused = condition(ask);
  if (refused !== undefined) return refused;
  const etag = md5s(whole.map((part) => part.etag));
  bucket.objects.set(key, { data: Buffer.concat(whole.map((part) => part.data)), etag, modified: Date.now(), headers: upload.headers });
  bucket.uploads.delete(id);
  return xml(`<CompleteMultipartUploadResult ${NS}><Bucket>${name}</Bucket><Key>${escape(key)}</Key><ETag>&quot;${etag}&quot;</ETag></CompleteMultipartUploadResult>`);
}

function abort({ bucket, query }: Ask): Reply {
  return bucket.uploads.delete(query.get("uploadId") as string) ? done(204) : error(404, "NoSuchUpload");
}
