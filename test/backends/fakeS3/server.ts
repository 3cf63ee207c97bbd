// A strict stand-in for Amazon S3, on plain node:http. It stands for what the tests have no real server of: Amazon's answers to
// the requests that objmount sends, refused with Amazon's own codes unless they are exactly right (signature and signed
// headers, payload hash, Content-Length, Content-MD5 and checksums, quotes of entity tags), Amazon's conditional writes, and
// on demand its bad days. It does not stand for its versions, ACLs, encryption, or eventual anything.

import { randomBytes } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import type { FakeBucket } from "./bucket.js";
import { handle, type Reply } from "./operations.js";
import { checkSignature, type Account } from "./signature.js";

/** What goes wrong with one request. `lost`: it is done, and the answer never comes. `short`: the body ends early. */
export type Fault =
  | { readonly kind: "answer"; readonly status: number; readonly code?: string; readonly headers?: Readonly<Record<string, string>>; readonly body?: string | Buffer }
  | { readonly kind: "reset" | "stall" | "stall-body" | "short" | "html" | "lost" | "not-http" };

export interface Seen {
  readonly method: string;
  /** Raw, with the query. */
  readonly url: string;
  readonly headers: IncomingMessage["headers"];
  readonly body: Buffer;
}

export interface FakeOptions {
  readonly region?: string;
  /** How far conditional writes are enforced, ignored, or answered with 501. Default: all of them. */
  readonly conditions?: "enforced" | "ignored" | "refused";
  /** x-amz-copy-source-if-match never holds for an object made by multipart, as in Swift's S3 layer. */
  readonly hidesManifestTags?: boolean;
  readonly listV2?: boolean;
  readonly deleteObjects?: boolean;
  /** Anybody may do anything without a signature. */
  readonly open?: boolean;
  /** Only reading is allowed. */
  readonly readOnly?: boolean;
  /** Milliseconds that its clock is ahead. */
  readonly skew?: number;
  /** Host names `bucket.DOMAIN` are virtual hosts. */
  readonly domain?: string;
}

export const ACCOUNT: Account = { accessKeyId: "AKFAKE", secretAccessKey: "fake/secret+key" };

export class FakeS3 {
  readonly buckets = new Map<string, FakeBucket>();
  readonly seen: Seen[] = [];
  options: FakeOptions;
  accounts: readonly Account[] = [ACCOUNT];
  /** Asked before a request is looked at; undefined lets it through. */
  fault: ((request: Seen) => Fault | undefined) | undefined;
  /** Asked when a request's headers have come: it is reset once so many bytes of its body are here. It is not in `seen`. */
  cut: ((request: Omit<Seen, "body">) => number | undefined) | undefined;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #port = 0;

  private constructor(options: FakeOptions) {
    this.options = options;
    this.#server = createServer((request, response) => { void this.#serve(request, response); });
    this.#server.on("connection", (socket) => {
      this.#sockets.add(socket);
      socket.on("close", () => this.#sockets.delete(socket)).on("error", () => undefined);
    });
  }

  static start(options: FakeOptions = {}): Promise<FakeS3> {
    const fake = new FakeS3(options);
    return new Promise((done) => { fake.#server.listen(0, "127.0.0.1", () => done(fake)); });
  }

  get region(): string { return this.options.region ?? "us-east-1"; }
  get endpoint(): string { return `http://127.0.0.1:${(this.#server.address() as AddressInfo | null)?.port ?? this.#port}`; }
  get connections(): number { return this.#sockets.size; }
  get now(): number { return Date.now() + (this.options.skew ?? 0); }

  /** Nothing listens any more; what it holds stays. */
  async stop(): Promise<void> {
    if (!this.#server.listening) return;
    this.#port = (this.#server.address() as AddressInfo).port;
    const closed = new Promise((done) => { this.#server.close(done); });
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  /** After `stop`: at the same address again. */
  resume(): Promise<void> {
    return new Promise((done, failed) => { this.#server.once("error", failed).listen(this.#port, "127.0.0.1", () => done()); });
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const pieces: Buffer[] = [];
    let room = this.cut?.({ method: request.method as string, url: request.url as string, headers: request.headers }) ?? Infinity;
    try {
      for await (const piece of request) {
        pieces.push(piece as Buffer);
        room -= (piece as Buffer).length;
        if (room <= 0) { request.socket.resetAndDestroy(); return; }
      }
    } catch {
      return;
    }
    const seen: Seen = { method: request.method as string, url: request.url as string, headers: request.headers, body: Buffer.concat(pieces) };
    this.seen.push(seen);
    const fault = this.fault?.(seen);
    const id = randomBytes(8).toString("hex").toUpperCase();
    switch (fault?.kind) {
      case "reset": request.socket.resetAndDestroy(); return;
      case "stall": return;
      case "not-http": request.socket.end("220 mail.example ESMTP\r\n"); return;
      case "html": this.#send(response, seen, { status: 200, headers: { "content-type": "text/html" }, body: Buffer.from("<!DOCTYPE html><html><body>Sign in to the network</body></html>") }); return;
      case "answer":
        this.#send(response, seen, {
          status: fault.status,
          headers: { "x-amz-request-id": id, "content-type": "application/xml", ...fault.headers },
          body: Buffer.from(fault.body ?? (fault.code === undefined ? "" : `<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>${fault.code}</Code><Message>told so</Message><RequestId>${id}</RequestId></Error>`)),
        });
        return;
      default:
    }
    const reply = this.#reply(request, seen);
    if (fault?.kind === "lost") { request.socket.resetAndDestroy(); return; }
    if (fault?.kind === "short" || fault?.kind === "stall-body") {
      response.writeHead(reply.status, { ...reply.headers, "content-length": reply.body.length });
      response.write(reply.body.subarray(0, reply.body.length >>> 1), () => { if (fault.kind === "short") request.socket.destroy(); });
      return;
    }
    this.#send(response, seen, { ...reply, headers: { "x-amz-request-id": id, ...reply.headers } });
  }

  #reply(request: IncomingMessage, seen: Seen): Reply {
    const { headers } = request;
    if (headers["transfer-encoding"] !== undefined || (seen.method.startsWith("P") && headers["content-length"] === undefined)) return error(411, "MissingContentLength");
    if (headers.expect !== undefined) return error(417, "ExpectationFailed");
    const signed = headers.authorization !== undefined || /[?&]X-Amz-Signature=/.test(seen.url);
    const bucket = this.#bucketOf(seen);
    if (!(this.options.open === true && !signed)) {
      const refused = checkSignature(request, seen.body, this.accounts, this.buckets.get(bucket.name)?.region ?? this.region, this.now);
      if (refused !== undefined) return error(refused.status, refused.code, refused.extra);
    }
    if (this.options.readOnly === true && seen.method !== "GET" && seen.method !== "HEAD") return error(403, "AccessDenied");
    return handle(this, seen, bucket.name, bucket.path);
  }

  #bucketOf(seen: Seen): { name: string; path: string } {
    const path = (seen.url.split("?")[0] as string).slice(1);
    const host = (seen.headers.host ?? "").replace(/:\d+$/, "");
    const { domain } = this.options;
    if (domain !== undefined && host.endsWith(`.${domain}`)) return { name: host.slice(0, -domain.length - 1), path };
    const slash = path.indexOf("/");
    return slash < 0 ? { name: path, path: "" } : { name: path.slice(0, slash), path: path.slice(slash + 1) };
  }

  #send(response: ServerResponse, seen: Seen, reply: Reply): void {
    const empty = seen.method === "HEAD" || reply.status === 204 || reply.status === 304;
    const headers = { date: new Date(this.now).toUTCString(), ...(empty ? {} : { "content-length": String(reply.body.length) }), ...reply.headers };
    // An empty value takes a header away.
    response.writeHead(reply.status, Object.fromEntries(Object.entries(headers).filter(([, value]) => value !== "")));
    response.end(empty ? undefined : reply.body);
  }
}

export function error(status: number, code: string, extra = ""): Reply {
  return { status, headers: { "content-type": "application/xml" }, body: Buffer.from(`<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>${code}</Code>${extra.includes("<Message>") ? "" : "<Message>refused</Message>"}${extra}</Error>`) };
}
