// The HTTP client: undici's pools behind one `send`. HTTP/1.1, one request at a time per connection.

import { rootCertificates } from "node:tls";
import { Agent, EnvHttpProxyAgent, type Dispatcher } from "undici";
import { HttpError, httpError } from "./errors.js";
import { BodyStream } from "./stream.js";
import type { HttpOptions, HttpRequest, HttpResponse, RequestBody } from "./types.js";

type Headers = Record<string, string | string[] | undefined>;

/**
 * A large Buffer goes out in slices, so that each slice that leaves is progress for the timeout. Between slices the event
 * loop goes round: a server that refuses early answers and resets, and a write that hits the reset first loses the answer
 * that has already arrived (24 of 30 refusals by one server without this, 3 of 30 with it).
 */
const SLICE = 512 * 1024;

export class HttpClient {
  readonly #dispatcher: Dispatcher;
  readonly #headersTimeout: number;
  readonly #bodyTimeout: number;
  readonly #skews = new Map<string, number>();
  #closed = false;

  constructor(options: HttpOptions = {}) {
    this.#headersTimeout = options.headersTimeout ?? 60_000;
    this.#bodyTimeout = options.bodyTimeout ?? 30_000;
    const connectTimeout = options.connectTimeout ?? 10_000;
    const tls = {
      ...(options.ca === undefined ? {} : { ca: [...rootCertificates, options.ca] }),
      ...(options.verifyTls === false ? { rejectUnauthorized: false } : {}),
    };
    const pool = {
      connections: options.connections ?? 64,
      pipelining: 1,
      keepAliveTimeout: options.keepAliveTimeout ?? 10_000,
      autoSelectFamily: true,
      connect: { timeout: connectTimeout, ...tls },
    };
    const env = options.env ?? process.env;
    const httpProxy = env["http_proxy"] ?? env["HTTP_PROXY"] ?? "";
    const httpsProxy = env["https_proxy"] ?? env["HTTPS_PROXY"] ?? "";
    const noProxy = env["no_proxy"] ?? env["NO_PROXY"] ?? "";
    this.#dispatcher = httpProxy === "" && httpsProxy === ""
      ? new Agent(pool)
      : new EnvHttpProxyAgent({ ...pool, httpProxy, httpsProxy, noProxy, requestTls: { timeout: connectTimeout, ...tls }, proxyTls: tls });
  }

  /**
   * Sends one request once. Resolves with the headers of any status. Rejects with an HttpError, or with the very error
   * that the request body's source threw.
   */
  send(request: HttpRequest): Promise<HttpResponse> {
    const host = hostOf(request.origin);
    const { signal } = request;
    return new Promise<HttpResponse>((resolve, reject) => {
      if (this.#closed || signal?.aborted === true) {
        reject(this.#closed ? new HttpError("aborted", `the connections to ${host} are closed`) : abortedError(host, signal as AbortSignal));
        return;
      }
      let controller: Dispatcher.DispatchController | undefined;
      let stream: BodyStream | undefined;
      let gone: Error | undefined;
      const source = request.body === undefined ? undefined : new Source(request.body);

      const settled = (): void => signal?.removeEventListener("abort", onAbort);
      const fail = (error: Error): void => {
        gone ??= error;
        if (stream !== undefined) {
          stream.fail(httpError(error, host));
        } else {
          settled();
          reject(source?.error ?? (error instanceof HttpError ? error : httpError(error, host)));
        }
      };
      const onAbort = (): void => {
        const error = abortedError(host, signal as AbortSignal);
        fail(error);
        controller?.abort(error);
      };
      signal?.addEventListener("abort", onAbort, { once: true });

      const started = Date.now();
      const dispatched = (): void => {
        this.#dispatcher.dispatch({
          origin: request.origin,
          path: request.path,
          method: request.method,
          headers: source === undefined ? request.headers : { ...request.headers, "content-length": String(source.length) },
          body: (source?.wire() ?? null) as Buffer | null,
          headersTimeout: request.headersTimeout ?? this.#headersTimeout,
          bodyTimeout: this.#bodyTimeout,
          // Without this undici closes the connection after every HEAD.
          ...(request.method === "HEAD" ? { reset: false } : {}),
        }, {
          onRequestStart: (control) => {
            controller = control;
            // Aborted while it was queued for a connection.
            if (gone !== undefined) control.abort(gone);
          },
          onResponseStart: (control, status, headers) => {
            if (status < 200) return;
            this.#observe(request.origin, headers["date"], started);
            stream = new BodyStream(control, host, settled);
            resolve({ status, headers: flatten(headers), body: stream });
          },
          onResponseData: (_control, chunk) => stream?.push(chunk),
          onResponseEnd: () => stream?.end(),
          onResponseError: (_control, error) => fail(error),
        });
      };
      try {
        dispatched();
      } catch (error) {
        fail(error as Error);
      }
    });
  }

  /**
   * How far the server's clock is ahead of ours, in milliseconds, by the latest Date header; undefined before the first
   * answer. Precise to about a second.
   */
  skew(origin: string): number | undefined {
    return this.#skews.get(origin);
  }

  /** Ends everything in flight with `aborted`. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#dispatcher.destroy();
  }

  #observe(origin: string, date: string | string[] | undefined, started: number): void {
    const server = typeof date === "string" ? Date.parse(date) : Number.NaN;
    // The header is cut to a second; the middle of the exchange is the likeliest moment of its making.
    if (!Number.isNaN(server)) this.#skews.set(origin, server + 500 - (started + Date.now()) / 2);
  }
}

/** The request body as undici wants it, remembering an error of its own source. */
class Source {
  readonly #body: RequestBody;
  readonly length: number;
  error: Error | undefined;

  constructor(body: RequestBody) {
    this.#body = body;
    this.length = body.length;
  }

  wire(): Buffer | AsyncIterable<Buffer> {
    if (this.length === 0) return Buffer.alloc(0);
    return { [Symbol.asyncIterator]: () => this.#pieces() };
  }

  async *#pieces(): AsyncGenerator<Buffer> {
    let unbroken = 0;
    try {
      for await (const piece of this.#body.open()) {
        for (let at = 0; at < piece.length; at += SLICE) {
          const slice = piece.subarray(at, at + SLICE);
          if (unbroken + slice.length > SLICE) {
            await new Promise((resolve) => { setImmediate(resolve); });
            unbroken = 0;
          }
          unbroken += slice.length;
          yield slice;
        }
      }
    } catch (error) {
      this.error = error as Error;
      throw error;
    }
  }
}

function abortedError(host: string, signal: AbortSignal): HttpError {
  return new HttpError("aborted", `the request to ${host} was aborted`, { cause: signal.reason });
}

function hostOf(origin: string): string {
  return origin.replace(/^https?:\/\//, "");
}

function flatten(headers: Headers): Record<string, string> {
  const flat: Record<string, string> = {};
  for (const name in headers) {
    const value = headers[name];
    if (value !== undefined) flat[name] = typeof value === "string" ? value : value.join(", ");
  }
  return flat;
}
