import fc from "fast-check";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { ChainSource, type Credentials } from "../../../src/backends/s3/auth.js";
import { readConfig } from "../../../src/backends/s3/config.js";
import { Crc64, crc32c } from "../../../src/backends/s3/crc.js";
import { Endpoint, encodeKey } from "../../../src/backends/s3/endpoint.js";
import { decodeValue, encodeValue, metadataHeaders, metadataOf } from "../../../src/backends/s3/metadata.js";
import { S3_OPTIONS } from "../../../src/backends/s3/options.js";
import { decodeUrl, parseXml, text } from "../../../src/backends/s3/parse.js";
import { parseIni, readProfile } from "../../../src/backends/s3/profile.js";
import { sign } from "../../../src/backends/s3/sign.js";
import { multipartEtag } from "../../../src/backends/s3/upload.js";
import { parseS3Url } from "../../../src/backends/s3/url.js";
import { isStoreError, type StoreError } from "../../../src/store/errors.js";

const folders: string[] = [];
afterEach(() => { for (const folder of folders.splice(0)) rmSync(folder, { recursive: true }); });
function file(content: string | Buffer): string {
  const folder = mkdtempSync(join(tmpdir(), "objmount-s3-"));
  folders.push(folder);
  writeFileSync(join(folder, "f"), content);
  return join(folder, "f");
}
const thrown = (work: () => unknown): StoreError => {
  try { work(); } catch (error) { expect(isStoreError(error)).toBe(true); return error as StoreError; }
  throw new Error("nothing was thrown");
};

describe("URLs", () => {
  it.each([
    ["s3://bucket", "bucket", ""], ["s3://bucket/", "bucket", ""], ["s3://bucket/a/b", "bucket", "a/b/"], ["s3://bucket/a%20b/%23/", "bucket", "a b/#/"], ["S3://my.bucket/x", "my.bucket", "x/"],
    ["s3://", undefined, ""], ["s3:///", undefined, ""], ["s3:", undefined, ""],
  ])("%s", (url, container, prefix) => { expect(parseS3Url(url)).toEqual({ scheme: "s3", ...(container === undefined ? {} : { container }), prefix }); });

  it.each([
    ["s3:/bucket", /form/], ["http://x", /form/], ["s3://a:b@bucket", /no credentials/], ["s3://host:9000/bucket", /--endpoint=/], ["s3://bucket/a?b", /%3F/], ["s3://bucket//a", /begins with a slash/],
    ["s3:///prefix", /no bucket/], ["s3://bucket/100%", /%25/], ["s3://arn:aws:s3:::b", /ARN/], ["s3://-x", /not a bucket name/], ["s3://x--use1-az4--x-s3", /directory bucket/],
  ])("%s is refused with a sentence", (url, sentence) => {
    const error = thrown(() => parseS3Url(url));
    expect(error.message).toMatch(sentence);
    expect(error.message).not.toContain("a:b");
  });
});

describe("addresses", () => {
  const place = (options: Partial<ConstructorParameters<typeof Endpoint>[0]>, region: string, bucket?: string, key?: string): string => {
    const found = new Endpoint({ endpoint: undefined, pathStyle: "auto", dualStack: false, fips: false, ...options }).place(region, bucket, key);
    return found.origin + found.path;
  };
  it("of Amazon and of others", () => {
    expect(place({}, "eu-west-1", "bucket", "a b/c")).toBe("https://bucket.s3.eu-west-1.amazonaws.com/a%20b/c");
    expect(place({}, "eu-west-1", "my.bucket", "k")).toBe("https://s3.eu-west-1.amazonaws.com/my.bucket/k");
    expect(place({ dualStack: true, fips: true }, "us-east-1", "bucket")).toBe("https://bucket.s3-fips.dualstack.us-east-1.amazonaws.com/");
    expect(place({}, "cn-north-1")).toBe("https://s3.cn-north-1.amazonaws.com.cn/");
    expect(place({ endpoint: "http://127.0.0.1:9000" }, "r", "bucket", "/../k")).toBe("http://127.0.0.1:9000/bucket//../k");
    expect(place({ endpoint: "https://host/base" }, "r", "bucket")).toBe("https://host/base/bucket");
    expect(place({ endpoint: "https://host:1", pathStyle: "never" }, "r", "bucket", "k")).toBe("https://bucket.host:1/k");
  });
  it("escape all but what a path may hold", () => { expect(encodeKey("a/b!'()*+ ~é%")).toBe("a/b%21%27%28%29%2A%2B%20~%C3%A9%25"); });
});

describe("metadata values", () => {
  it("are readable, and what they were", () => {
    for (const plain of ["33188", "1700000000.123456789", "text/plain; a=b"]) expect(encodeValue(plain)).toBe(plain);
    expect(encodeValue("café au lait")).toBe("=?UTF-8?Q?caf=C3=A9_au_lait?=");
    expect(encodeValue("")).toBe("=?UTF-8?Q??=");
    fc.assert(fc.property(fc.string({ unit: "binary" }), (value) => {
      if (!value.isWellFormed()) return;
      const wire = encodeValue(value);
      expect(wire).toMatch(/^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$/);
      expect(decodeValue(wire)).toBe(value);
    }));
  });
  it("of others are understood", () => {
    expect(decodeValue("=?utf-8?b?Y2Fmw6k=?= =?UTF-8?Q?_x?=")).toBe("café x");
    expect(decodeValue("=?iso-8859-1?q?caf=E9?=")).toBe("café");
    expect(decodeValue(Buffer.from("café").toString("latin1"))).toBe("café");
    expect(decodeValue("caf\u00e9")).toBe("café");
    expect(decodeValue("=?koi8-r?Q?x?=")).toBe("=?koi8-r?Q?x?=");
  });
  it("have names that survive a server without underscores", () => {
    const wire = metadataHeaders({ a_b: "1", "c-d": "2" }, false);
    expect(Object.keys(wire).some((name) => name.includes("_"))).toBe(false);
    expect(metadataOf(wire)).toEqual({ a_b: "1", "c-d": "2" });
    expect(metadataHeaders({ a_b: "1" }, true)).toEqual({ "x-amz-meta-a_b": "1" });
  });
});

describe("checksums", () => {
  it("have the published check values, over any split", () => {
    const data = Buffer.from("123456789");
    expect(crc32c(data).toString(16)).toBe("e3069283");
    const whole = new Crc64();
    whole.update(data);
    expect(whole.digest().toString("hex")).toBe("ae8b14860a799888");
    fc.assert(fc.property(fc.uint8Array({ maxLength: 100 }), fc.nat(100), (bytes, cut) => {
      const [one, two, both] = [bytes.subarray(0, cut), bytes.subarray(cut), new Crc64()];
      const split = new Crc64();
      split.update(one);
      split.update(two);
      both.update(bytes);
      expect(split.digest()).toEqual(both.digest());
      expect(crc32c(two, crc32c(one))).toBe(crc32c(bytes));
    }));
  });
  it("of a multipart object", () => {
    const part = (etag: string) => ({ number: 1, offset: 0, size: 1, etag });
    expect(multipartEtag([part("79b281060d337b9b2b84ccf390adcf74"), part("7aea2552dfe7eb84b9443b6fc9ba6e01")])).toBe("30dcfd3901d1c613b7fb532281748544-2");
    expect(multipartEtag([part("opaque")])).toBeUndefined();
  });
});

describe("XML", () => {
  it("keeps text as it is, entities decoded", () => {
    const found = parseXml(Buffer.from('\n <?xml version="1.0"?>\n<s3:A xmlns:s3="x"><Key> a&amp;lt;&#x1F600;&#13; </Key><N>007</N></s3:A>\n'));
    expect([found?.name, text(found?.root ?? {}, "Key"), text(found?.root ?? {}, "N")]).toEqual(["A", " a&lt;\u{1f600}\r ", "007"]);
  });
  it("refuses what is none", () => {
    for (const bad of ["", "{}", "<A>", "<A></B>", "<A><B></A", '<!DOCTYPE A><A></A>', "<html><body><br></body></html><A>"]) {
      expect(parseXml(Buffer.from(bad))?.name, bad).toBeUndefined();
    }
    expect(parseXml(Buffer.from("<A/>"))).toEqual({ name: "A", root: {} });
  });
  it("never throws", () => { fc.assert(fc.property(fc.string(), (s) => { parseXml(Buffer.from(`<A>${s}</A>`)); parseXml(Buffer.from(s)); })); });
  it("decodes listings", () => { expect(decodeUrl("a+b%2Bc%2Fd%25")).toBe("a b+c/d%"); });
});

describe("profiles", () => {
  it("give region, endpoint and CA", async () => {
    const config = file("[default]\nregion = eu-west-1 # mine\n[profile x]\nregion=us-west-2\nservices = svc\nca_bundle=/ca.pem\n[services svc]\ns3 =\n  endpoint_url = http://s3:9\ndynamodb =\n  endpoint_url = http://no\n");
    const env = { AWS_CONFIG_FILE: config, AWS_SHARED_CREDENTIALS_FILE: "/nowhere", HOME: "/nowhere" };
    expect(await readProfile(undefined, env)).toMatchObject({ region: "eu-west-1" });
    expect(await readProfile("x", env)).toEqual({ region: "us-west-2", endpoint: "http://s3:9", caBundle: "/ca.pem" });
    expect(await readProfile("none", env)).toEqual({});
    expect(parseIni("[ a  b ]\nx = 1\n y=2\nz").get("a b")).toEqual({ x: "1", y: "2" });
  });
});

describe("options", () => {
  it("have one row each, with an environment name, and a default of their type", () => {
    expect(new Set(S3_OPTIONS.map((row) => row.name)).size).toBe(S3_OPTIONS.length);
    for (const row of S3_OPTIONS) {
      expect(row.env?.[0]).toBe(`OBJMOUNT_S3_${row.name.toUpperCase().replaceAll("-", "_")}`);
      expect(row.help).not.toMatch(/\.$/);
      if (row.type === "enum") expect(row.choices?.[0]).toBe(row.default);
    }
  });
  it.each([
    [{ endpoint: "host:9000" }, /not an http/], [{ endpoint: "nonsense" }, /not a URL/], [{ endpoint: "http://u:p@h" }, /credentials/], [{ "access-key-id": "a" }, /together/], [{ "ca-file": "/nowhere" }, /cannot be read/],
    [{ sse: "customer" }, /--sse-c-key-file/], [{ sse: "kms", "sse-kms-context": "[1]" }, /JSON object/],
  ])("%j is refused with a sentence", async (options, sentence) => { await expect(readConfig(options)).rejects.toThrow(sentence); });
  it("become headers", async () => {
    const key = file(Buffer.alloc(32, 1).toString("base64") + "\n");
    expect((await readConfig({ sse: "customer", "sse-c-key-file": key })).keyHeaders["x-amz-server-side-encryption-customer-key"]).toBe(Buffer.alloc(32, 1).toString("base64"));
    expect((await readConfig({ sse: "kms", "sse-kms-key-id": "k", "sse-kms-context": '{"a":"b"}' })).createHeaders).toEqual({
      "x-amz-server-side-encryption": "aws:kms", "x-amz-server-side-encryption-aws-kms-key-id": "k", "x-amz-server-side-encryption-context": Buffer.from('{"a":"b"}').toString("base64"),
    });
  });
});

describe("credentials", () => {
  it("are renewed once when the server calls them expired, however many requests say so", async () => {
    let made = 0;
    let current: Credentials | undefined;
    const source = new ChainSource(() => Promise.resolve(async (options) => {
      if (current === undefined || options?.forceRefresh === true) current = { accessKeyId: `A${++made}`, secretAccessKey: "s", sessionToken: `T${made}` };
      return current;
    }));
    const first = await source.get();
    source.invalidate(first);
    source.invalidate(first);
    const second = await source.get();
    source.invalidate(first);
    expect([first.accessKeyId, second.accessKeyId, (await source.get()).accessKeyId]).toEqual(["A1", "A2", "A2"]);
  });
  it("that are being renewed are waited for, not sent expired once more", async () => {
    const asked: (boolean | undefined)[] = [];
    let arrive = (): void => undefined;
    const arrived = new Promise<void>((resolve) => { arrive = resolve; });
    let current: Credentials = { accessKeyId: "A1", secretAccessKey: "s" };
    const source = new ChainSource(() => Promise.resolve(async (options) => {
      asked.push(options?.forceRefresh);
      if (options?.forceRefresh !== true) return current;
      await arrived;
      current = { accessKeyId: "A2", secretAccessKey: "s" };
      return current;
    }));
    const old = await source.get();
    source.invalidate(old);
    const waiting = [source.get(), source.get()];
    // A request that was signed before tells the same again.
    source.invalidate(old);
    waiting.push(source.get());
    arrive();
    expect((await Promise.all(waiting)).map(({ accessKeyId }) => accessKeyId)).toEqual(["A2", "A2", "A2"]);
    expect(asked).toEqual([false, true]);
    expect((await source.get()).accessKeyId).toBe("A2");
  });
  it("whose renewal fails are asked for anew by the next request", async () => {
    let fails = true;
    const source = new ChainSource(() => Promise.resolve((options) => {
      if (options?.forceRefresh !== true) return Promise.resolve({ accessKeyId: "A1", secretAccessKey: "s" });
      return fails ? Promise.reject(new Error("connect ECONNREFUSED 127.0.0.1:80")) : Promise.resolve({ accessKeyId: "A2", secretAccessKey: "s" });
    }));
    source.invalidate(await source.get());
    await expect(source.get()).rejects.toMatchObject({ kind: "unavailable" });
    fails = false;
    expect((await source.get()).accessKeyId).toBe("A2");
  });
  it("that cannot be found say where they may come from", async () => {
    const source = new ChainSource(() => Promise.resolve(() => Promise.reject(new Error("Could not load credentials from any providers"))));
    await expect(source.get()).rejects.toMatchObject({ kind: "denied", message: expect.stringMatching(/AWS_ACCESS_KEY_ID.*--profile.*--anonymous/) as unknown });
    const down = new ChainSource(() => Promise.resolve(() => Promise.reject(new Error("connect ECONNREFUSED 169.254.170.2:80"))));
    await expect(down.get()).rejects.toMatchObject({ kind: "unavailable" });
  });
});

it("signs as Amazon's published example does", async () => {
  // Amazon S3 API reference, "Authenticating Requests: Using the Authorization Header", GET Object.
  const headers = await sign({ method: "GET", protocol: "https:", host: "examplebucket.s3.amazonaws.com", path: "/test.txt", query: {},
    headers: { range: "bytes=0-9", "x-amz-content-sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" } },
  { accessKeyId: "AKIAIOSFODNN7EXAMPLE", secretAccessKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY" }, "us-east-1", new Date("2013-05-24T00:00:00Z"));
  expect(headers["authorization"]).toContain("Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
});
