// What the HTTP layer takes and gives. It pools connections and times out; it never asks twice, follows no redirect,
// keeps no cookie, and knows no service.

/** What is sent. `open` yields exactly `length` bytes; it is called when the request gets its connection. */
export interface RequestBody {
  readonly length: number;
  open(): AsyncIterable<Buffer> | Iterable<Buffer>;
}

export interface HttpRequest {
  readonly method: string;
  /** Scheme, host and port, without a path: `https://s3.eu-west-1.amazonaws.com`. */
  readonly origin: string;
  /** Path and query exactly as they go onto the wire: encoded by the caller, never normalised here. */
  readonly path: string;
  /** Names in any case; values are Latin-1. `content-length` is added from the body; a `host` given here wins over the origin's. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: RequestBody | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds instead of `HttpOptions.headersTimeout`, for calls that are known to take long at the server. */
  readonly headersTimeout?: number | undefined;
}

export interface HttpResponse {
  readonly status: number;
  /** Names in lower case; a header that came several times is joined by ", ". */
  readonly headers: Readonly<Record<string, string>>;
  /** Must be iterated, read, discarded or cancelled: until then it occupies its connection. */
  readonly body: ResponseStream;
}

/** Iterate at most once. Errors are HttpErrors. The Buffers belong to whoever takes them. */
export interface ResponseStream extends AsyncIterable<Buffer> {
  /** Everything at once; `protocol` when it is longer than `limit` bytes. */
  bytes(limit: number): Promise<Buffer>;
  /** Frees the connection for the next request: reads a short rest away, and cuts a long one off. */
  discard(): Promise<void>;
  /** Idempotent. An unfinished answer costs its connection. */
  cancel(): void;
}

export interface HttpOptions {
  /** Connections per origin; requests above it queue in order. Default 64. */
  readonly connections?: number | undefined;
  /** Milliseconds for TCP and TLS together. Default 10 s. */
  readonly connectTimeout?: number | undefined;
  /** Milliseconds from the last byte sent (or the last progress in sending) to the answer's headers. Default 60 s. */
  readonly headersTimeout?: number | undefined;
  /** Milliseconds between two pieces of a body while its reader wants more: a stalled stream. Default 30 s. */
  readonly bodyTimeout?: number | undefined;
  /** Milliseconds an idle connection is kept. Default 10 s. */
  readonly keepAliveTimeout?: number | undefined;
  /** PEM text of certificate authorities that are trusted besides the built-in ones. */
  readonly ca?: string | undefined;
  /** False: any certificate will do. Default true. */
  readonly verifyTls?: boolean | undefined;
  /** HTTP_PROXY, HTTPS_PROXY and NO_PROXY (either case) are read from here. Default: the process's environment. */
  readonly env?: Readonly<Record<string, string | undefined>> | undefined;
}
