// Who we are to the server. Explicit keys win; otherwise the vendor's own credential chain is asked, through the vendor's
// packages, which are loaded only then: environment, profile, SSO, process, web identity, container, instance (IMDSv2).

import { rootCertificates } from "node:tls";
import { StoreError } from "../../store/errors.js";
import type { Logger } from "../../util/log.js";
import type { S3Config } from "./config.js";

export interface Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string | undefined;
}

export interface CredentialSource {
  /** Undefined: send requests unsigned. `denied` when there are none to be had, `unavailable` when their service cannot be asked. */
  get(): Promise<Credentials | undefined>;
  /** The server calls these expired: the next `get` asks for new ones. */
  invalidate(used: Credentials | undefined): void;
}

type Chain = (options?: { readonly forceRefresh?: boolean }) => Promise<Credentials>;

export function credentialSource(config: S3Config, logger: Logger): CredentialSource {
  if (config.anonymous) return { get: () => Promise.resolve(undefined), invalidate: () => undefined };
  const { keys } = config;
  if (keys !== undefined) {
    return {
      get: () => Promise.resolve({
        accessKeyId: keys.accessKeyId, secretAccessKey: keys.secretAccessKey.reveal(), sessionToken: keys.sessionToken?.reveal(),
      }),
      invalidate: () => undefined,
    };
  }
  return new ChainSource(async () => {
    const { fromNodeProviderChain } = await import("@aws-sdk/credential-providers");
    return fromNodeProviderChain({
      ...(config.profile === undefined ? {} : { profile: config.profile }),
      ignoreCache: true,
      logger: { trace: () => undefined, debug: (text) => logger.trace(String(text)), info: (text) => logger.debug(String(text)),
        warn: (text) => logger.warn(String(text).replace(/\s+/g, " ").trim()), error: (text) => logger.error(String(text)) },
      clientConfig: {
        ...(config.region === undefined ? {} : { region: config.region }),
        ...(config.ca === undefined ? {} : { requestHandler: { httpsAgent: { ca: [...rootCertificates, config.ca] }, connectionTimeout: config.connectTimeout } }),
      },
    } as Parameters<typeof fromNodeProviderChain>[0]) as Chain;
  });
}

/** The chain keeps what it found and renews it in the background from five minutes before it expires. */
export class ChainSource implements CredentialSource {
  readonly #load: () => Promise<Chain>;
  #chain: Promise<Chain> | undefined;
  #stale = false;
  #renewing: Promise<Credentials> | undefined;
  #current: Credentials | undefined;

  constructor(load: () => Promise<Chain>) {
    this.#load = load;
  }

  get(): Promise<Credentials> {
    if (!this.#stale) return this.#renewing ?? this.#ask(false);
    this.#stale = false;
    // Whoever comes meanwhile waits for the new ones: with the old ones a request would be refused, and it is asked again only once.
    const renewing = this.#ask(true).catch((error: unknown) => {
      this.#stale = true;
      throw error;
    }).finally(() => {
      if (this.#renewing === renewing) this.#renewing = undefined;
    });
    this.#renewing = renewing;
    return renewing;
  }

  invalidate(used: Credentials | undefined): void {
    // Many requests come back expired at once; those that were signed with the old ones must not drop the new ones.
    if (this.#renewing !== undefined || used === undefined || used.accessKeyId !== this.#current?.accessKeyId || used.sessionToken !== this.#current.sessionToken) return;
    this.#stale = true;
  }

  async #ask(forceRefresh: boolean): Promise<Credentials> {
    try {
      this.#chain ??= this.#load();
      const chain = await this.#chain;
      const found = await chain({ forceRefresh });
      // An answer that was under way before the renewal is older than what that brought.
      if (forceRefresh || this.#renewing === undefined) this.#current = found;
      return found;
    } catch (error) {
      throw chainError(error);
    }
  }
}

function chainError(error: unknown): StoreError {
  const { name, message } = error as { name?: string; message?: string };
  const text = (message ?? String(error)).replace(/\s+/g, " ").slice(0, 300);
  if (/ECONNREFUSED|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|ECONNRESET|TimeoutError|timed out/i.test(`${name} ${text}`) && !/Could not load credentials/.test(text)) {
    return new StoreError("unavailable", `the service that gives AWS credentials cannot be asked: ${text}`, { cause: error });
  }
  if (/Could not load credentials|instance metadata/i.test(text)) {
    return new StoreError("denied", "no AWS credentials were found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, choose a profile with --profile, or read a public bucket with --anonymous",
      { cause: error });
  }
  return new StoreError("denied", `the AWS credentials cannot be had: ${text}`, { cause: error });
}
