// Why a request gave no usable answer, in the transport's terms. A backend turns it into a StoreError.

/**
 * - `connect`: no connection came about (name, refusal, route, time): the server has not seen the request.
 * - `timeout`: connected, then silent for too long.
 * - `reset`: the connection ended early.
 * - `tls`: the certificate or the handshake was refused.
 * - `aborted`: the caller's signal fired, or the client was closed.
 * - `protocol`: what came is not HTTP, or not what was asked for (too long, length mismatch).
 */
export type HttpErrorKind = "connect" | "timeout" | "reset" | "tls" | "aborted" | "protocol";

export class HttpError extends Error {
  override readonly name = "HttpError";
  readonly kind: HttpErrorKind;
  /** Of the socket or of undici: `ECONNREFUSED`, `UND_ERR_HEADERS_TIMEOUT`. */
  readonly code: string | undefined;

  constructor(kind: HttpErrorKind, message: string, details: { readonly code?: string | undefined; readonly cause?: unknown } = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.kind = kind;
    this.code = details.code;
  }
}

const SENTENCES: Readonly<Record<string, readonly [HttpErrorKind, string]>> = {
  ECONNREFUSED: ["connect", "nothing listens at HOST (connection refused)"],
  ENOTFOUND: ["connect", "the name of HOST cannot be resolved"],
  EAI_AGAIN: ["connect", "the name of HOST cannot be resolved just now (the name server does not answer)"],
  EHOSTUNREACH: ["connect", "there is no route to HOST"],
  ENETUNREACH: ["connect", "the network of HOST cannot be reached"],
  ETIMEDOUT: ["connect", "HOST does not answer (connection timed out)"],
  EADDRNOTAVAIL: ["connect", "no local address is free for a connection to HOST"],
  UND_ERR_CONNECT_TIMEOUT: ["connect", "HOST does not answer (connection timed out)"],
  UND_ERR_HEADERS_TIMEOUT: ["timeout", "HOST took the request and did not answer in time"],
  UND_ERR_BODY_TIMEOUT: ["timeout", "the answer of HOST stalled"],
  ECONNRESET: ["reset", "HOST reset the connection"],
  EPIPE: ["reset", "HOST closed the connection"],
  UND_ERR_SOCKET: ["reset", "HOST closed the connection before its answer was complete"],
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: ["reset", "HOST sent a shorter answer than it announced"],
  UND_ERR_REQ_CONTENT_LENGTH_MISMATCH: ["protocol", "the request to HOST has another length than announced"],
  UND_ERR_HEADERS_OVERFLOW: ["protocol", "the answer of HOST has too many headers"],
  UND_ERR_ABORTED: ["aborted", "the request to HOST was aborted"],
  UND_ERR_DESTROYED: ["aborted", "the connections to HOST are closed"],
  UND_ERR_CLOSED: ["aborted", "the connections to HOST are closed"],
  UND_ERR_PRX_TLS: ["tls", "the proxy on the way to HOST failed in TLS"],
  DEPTH_ZERO_SELF_SIGNED_CERT: ["tls", "the certificate of HOST is self-signed (name its authority with a CA file)"],
  SELF_SIGNED_CERT_IN_CHAIN: ["tls", "the certificate of HOST comes from an unknown authority (name it with a CA file)"],
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: ["tls", "the certificate of HOST comes from an unknown authority (name it with a CA file)"],
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: ["tls", "the certificate of HOST comes from an unknown authority (name it with a CA file)"],
  CERT_HAS_EXPIRED: ["tls", "the certificate of HOST has expired"],
  ERR_TLS_CERT_ALTNAME_INVALID: ["tls", "the certificate of HOST is for another name"],
  ERR_SSL_WRONG_VERSION_NUMBER: ["tls", "HOST does not speak TLS on this port (http instead of https?)"],
  EPROTO: ["tls", "TLS with HOST failed"],
};

/** Any failure of undici or of the socket as an HttpError. @param host for the sentence: `s3.example.com:9000`. */
export function httpError(error: unknown, host: string): HttpError {
  if (error instanceof HttpError) return error;
  const causes = unfold(error);
  for (const { code } of causes) {
    const row = code === undefined ? undefined : SENTENCES[code];
    if (row !== undefined) return new HttpError(row[0], row[1].replace("HOST", host), { code, cause: error });
  }
  const coded = causes.find((cause) => cause.code !== undefined);
  const code = coded?.code;
  if (code?.startsWith("HPE_") === true) return new HttpError("protocol", `${host} does not speak HTTP`, { code, cause: error });
  if (code !== undefined && /^(CERT_|ERR_TLS|ERR_SSL|ERR_OSSL|UNABLE_TO_)/.test(code)) {
    return new HttpError("tls", `TLS with ${host} failed: ${coded?.message ?? code}`, { code, cause: error });
  }
  const text = causes[0]?.message ?? String(error);
  return new HttpError(/proxy/i.test(text) ? "connect" : "protocol", `the request to ${host} failed: ${text}`, { code, cause: error });
}

interface Cause { readonly code: string | undefined; readonly message: string }

/** The error, its causes, and the members of an AggregateError (several addresses tried), outermost first. */
function unfold(error: unknown, depth = 0): Cause[] {
  if (typeof error !== "object" || error === null || depth > 5) return [];
  const { name, code, message, cause, errors } = error as { name?: unknown; code?: unknown; message?: unknown; cause?: unknown; errors?: unknown };
  const inner = [...(Array.isArray(errors) ? errors as unknown[] : []), cause].flatMap((each) => unfold(each, depth + 1));
  // Some of undici's parser errors come without their code.
  const told = typeof code === "string" ? code : name === "HTTPParserError" ? "HPE_UNKNOWN" : undefined;
  return [{ code: told, message: typeof message === "string" ? message : "" }, ...inner];
}
