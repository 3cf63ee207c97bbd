import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, type RequestListener, type Server } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { connect, createServer as createTcpServer, type AddressInfo, type Server as TcpServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { HttpClient } from "../../../src/http/client.js";
import { HttpError } from "../../../src/http/errors.js";
import type { HttpOptions, HttpRequest } from "../../../src/http/types.js";

const cleanups: (() => void | Promise<void>)[] = [];
afterEach(async () => { for (const cleanup of cleanups.splice(0).reverse()) await cleanup(); });

function listening<S extends Server | TcpServer>(server: S): Promise<number> {
  const sockets = new Set<Socket>();
  server.on("connection", (socket: Socket) => { sockets.add(socket); socket.on("close", () => sockets.delete(socket)).on("error", () => undefined); });
  cleanups.push(() => new Promise((done) => { for (const socket of sockets) socket.destroy(); server.close(() => done()); }));
  return new Promise((done) => { server.listen(0, "127.0.0.1", () => done((server.address() as AddressInfo).port)); });
}
async function serve(handler: RequestListener): Promise<string> {
  return `http://127.0.0.1:${await listening(createServer(handler))}`;
}
function client(options: HttpOptions = {}): HttpClient {
  const made = new HttpClient({ env: {}, ...options });
  cleanups.push(() => made.close());
  return made;
}
const get = (origin: string, path = "/", more: Partial<HttpRequest> = {}): HttpRequest => ({ method: "GET", origin, path, headers: {}, ...more });
async function failure(promise: Promise<unknown>): Promise<HttpError> {
  const error: unknown = await promise.then(() => undefined, (reason: unknown) => reason);
  expect(error).toBeInstanceOf(HttpError);
  return error as HttpError;
}

describe("requests", () => {
  it("go out with the path as it was given", async () => {
    const seen: string[] = [];
    const origin = await serve((request, response) => { seen.push(request.url as string); response.end(); });
    const http = client();
    for (const path of ["/a/../b", "/a/./b", "//a", "/%2e%2E/x?y=%2F&z", "/a?b=../c"]) await (await http.send(get(origin, path))).body.discard();
    expect(seen).toEqual(["/a/../b", "/a/./b", "//a", "/%2e%2E/x?y=%2F&z", "/a?b=../c"]);
  });

  it("send a body of exactly the announced length, large Buffers in slices", async () => {
    const origin = await serve((request, response) => {
      let length = 0;
      request.on("data", (piece: Buffer) => { length += piece.length; }).on("end", () => response.end(`${length} ${request.headers["content-length"]} ${request.headers["transfer-encoding"]}`));
    });
    const http = client();
    for (const length of [0, 1, 5_000_000]) {
      const answer = await http.send({ method: "PUT", origin, path: "/", headers: {}, body: { length, open: () => length === 0 ? [] : [Buffer.alloc(length)] } });
      expect((await answer.body.bytes(100)).toString()).toBe(`${length} ${length} undefined`);
    }
    const short = http.send({ method: "PUT", origin, path: "/", headers: {}, body: { length: 10, open: () => [Buffer.alloc(4)] } });
    expect((await failure(short)).kind).toBe("protocol");
  });

  it("reject with the very error of the body's source", async () => {
    const origin = await serve((request, response) => { request.resume().on("end", () => response.end()); });
    const mine = new Error("the disk is gone");
    const body = { length: 10, async *open() { yield Buffer.alloc(5); throw mine; } };
    await expect(client().send({ method: "PUT", origin, path: "/", headers: {}, body })).rejects.toBe(mine);
  });

  it("reuse connections, never more than allowed", async () => {
    let open = 0, most = 0, ever = 0;
    const server = createServer((_request, response) => { setImmediate(() => response.end("x")); });
    server.on("connection", (socket) => { ever += 1; open += 1; most = Math.max(most, open); socket.on("close", () => { open -= 1; }); });
    const origin = `http://127.0.0.1:${await listening(server)}`;
    const http = client({ connections: 3 });
    await Promise.all(Array.from({ length: 30 }, async () => { await (await http.send(get(origin))).body.bytes(10); }));
    expect(most).toBe(3);
    for (let i = 0; i < 10; i++) await (await http.send(get(origin, "/", { method: "HEAD" }))).body.discard();
    expect(ever).toBe(3);
  });

  it("know the server's clock", async () => {
    const origin = await serve((_request, response) => { response.setHeader("date", new Date(Date.now() + 3_600_000).toUTCString()); response.end(); });
    const http = client();
    expect(http.skew(origin)).toBeUndefined();
    await (await http.send(get(origin))).body.discard();
    expect(Math.abs(http.skew(origin) as number - 3_600_000)).toBeLessThan(2000);
  });
});

describe("bodies", () => {
  it("hold the sender back while nobody reads, and lose nothing", async () => {
    const size = 64 * 1024 * 1024;
    let sent = 0;
    const origin = await serve((_request, response) => {
      response.setHeader("content-length", size);
      const more = (): void => {
        while (sent < size) {
          sent += 1 << 20;
          if (!response.write(Buffer.alloc(1 << 20, sent >> 20))) { response.once("drain", more); return; }
        }
        response.end();
      };
      more();
    });
    const { body } = await client().send(get(origin));
    // Until the server has been held back: it makes no progress over many turns of the event loop.
    for (let still = 0, last = -1; still < 200; still = sent === last ? still + 1 : 0, last = sent) await new Promise((done) => { setImmediate(done); });
    expect(sent).toBeLessThan(size / 2);
    let at = 0;
    for await (const piece of body) {
      for (let i = 0; i < piece.length; i += 4096) if (piece[i] !== (((at + i) >> 20) + 1) % 256) throw new Error(`wrong byte at ${at + i}`);
      at += piece.length;
    }
    expect(at).toBe(size);
  });

  it("are bounded where they are taken whole", async () => {
    const origin = await serve((_request, response) => { response.end(Buffer.alloc(1000)); });
    const http = client();
    expect((await (await http.send(get(origin))).body.bytes(1000)).length).toBe(1000);
    expect((await failure((await http.send(get(origin))).body.bytes(999))).kind).toBe("protocol");
  });

  it("end with an error when the connection ends early, after what has arrived", async () => {
    const origin = await serve((_request, response) => { response.setHeader("content-length", 100); response.write(Buffer.alloc(50), () => response.destroy()); });
    const { body } = await client().send(get(origin));
    let length = 0;
    const error = await failure((async () => { for await (const piece of body) length += piece.length; })());
    expect([error.kind, length]).toEqual(["reset", 50]);
  });

  it("that are left early free their connection", async () => {
    const closed = new Promise<void>((done) => {
      void serve((request, response) => { request.socket.on("close", () => done()); response.write(Buffer.alloc(100_000)); }).then(async (origin) => {
        for await (const _piece of (await client().send(get(origin))).body) break;
      });
    });
    await closed;
  });
});

describe("failures", () => {
  it("refused, unknown and unreachable are connect", async () => {
    const error = await failure(client().send(get("http://127.0.0.1:9")));
    expect([error.kind, error.code, error.message]).toEqual(["connect", "ECONNREFUSED", "nothing listens at 127.0.0.1:9 (connection refused)"]);
    expect((await failure(client().send(get("http://name.invalid")))).kind).toBe("connect");
  });

  it("silence before the headers and within the body is timeout", async () => {
    const origin = await serve((request, response) => { if (request.url === "/body") { response.setHeader("content-length", 10); response.write("x"); } });
    const http = client({ headersTimeout: 200, bodyTimeout: 200 });
    expect((await failure(http.send(get(origin)))).kind).toBe("timeout");
    expect((await failure((await http.send(get(origin, "/body"))).body.bytes(10))).kind).toBe("timeout");
  });

  it("resets are reset, and other protocols protocol", async () => {
    const reset = await serve((request) => { request.socket.resetAndDestroy(); });
    expect((await failure(client().send(get(reset)))).kind).toBe("reset");
    const other = `http://127.0.0.1:${await listening(createTcpServer((socket) => { socket.end("220 hello\r\n"); }))}`;
    expect((await failure(client().send(get(other)))).kind).toBe("protocol");
  });

  it("an abort ends the request at every stage", async () => {
    const origin = await serve((request, response) => { if (request.url === "/body") { response.setHeader("content-length", 10); response.write("x"); } });
    const http = client({ connections: 1 });
    const aborted = new AbortController();
    aborted.abort();
    expect((await failure(http.send(get(origin, "/", { signal: aborted.signal })))).kind).toBe("aborted");
    const first = new AbortController();
    const second = new AbortController();
    const waiting = failure(http.send(get(origin, "/", { signal: first.signal })));
    const queued = failure(http.send(get(origin, "/", { signal: second.signal })));
    second.abort();
    expect((await queued).kind).toBe("aborted");
    first.abort();
    expect((await waiting).kind).toBe("aborted");
    const third = new AbortController();
    const { body } = await http.send(get(origin, "/body", { signal: third.signal }));
    const reading = failure(body.bytes(10));
    third.abort();
    expect((await reading).kind).toBe("aborted");
    const last = failure(http.send(get(origin)));
    await http.close();
    expect((await last).kind).toBe("aborted");
    expect((await failure(http.send(get(origin)))).kind).toBe("aborted");
  });
});

describe("TLS and proxies", () => {
  function certificate(): { key: string; cert: string } {
    const folder = mkdtempSync(join(tmpdir(), "objmount-tls-"));
    cleanups.push(() => rmSync(folder, { recursive: true }));
    execFileSync("openssl", ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
      "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", join(folder, "key"), "-out", join(folder, "cert")], { stdio: "ignore" });
    return { key: readFileSync(join(folder, "key"), "utf8"), cert: readFileSync(join(folder, "cert"), "utf8") };
  }
  const openssl = ((): boolean => { try { execFileSync("openssl", ["version"], { stdio: "ignore" }); return true; } catch { return false; } })();

  it.skipIf(!openssl)("an unknown authority is refused, a named one is trusted", async () => {
    const { key, cert } = certificate();
    const origin = `https://127.0.0.1:${await listening(createTlsServer({ key, cert }, (_request, response) => { response.end("ok"); }))}`;
    const error = await failure(client().send(get(origin)));
    expect([error.kind, error.message.includes("CA file")]).toEqual(["tls", true]);
    expect((await (await client({ ca: cert }).send(get(origin))).body.bytes(10)).toString()).toBe("ok");
    expect((await (await client({ verifyTls: false }).send(get(origin))).body.bytes(10)).toString()).toBe("ok");
    const plain = (await serve((_request, response) => { response.end(); })).replace("http:", "https:");
    expect((await failure(client().send(get(plain)))).kind).toBe("tls");
  });

  it("goes through the proxy of the environment, and around it where that says so", async () => {
    const tunnels: string[] = [];
    const proxy = createServer();
    proxy.on("connect", (request, socket) => {
      tunnels.push(request.url as string);
      const [host, port] = (request.url as string).split(":") as [string, string];
      const there = connect(Number(port), host, () => { socket.write("HTTP/1.1 200 OK\r\n\r\n"); there.pipe(socket); socket.pipe(there); });
      there.on("error", () => socket.destroy());
      socket.on("error", () => there.destroy());
    });
    const through = `http://127.0.0.1:${await listening(proxy)}`;
    const origin = await serve((_request, response) => { response.end("ok"); });
    expect((await (await client({ env: { http_proxy: through } }).send(get(origin, "/a/../b"))).body.bytes(10)).toString()).toBe("ok");
    expect(tunnels).toEqual([origin.slice(7)]);
    await (await client({ env: { HTTP_PROXY: through, NO_PROXY: "127.0.0.1" } }).send(get(origin))).body.discard();
    expect(tunnels).toHaveLength(1);
    expect((await failure(client({ env: { http_proxy: "http://127.0.0.1:9" } }).send(get(origin)))).kind).toBe("connect");
  });
});
