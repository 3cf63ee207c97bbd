// The account: buckets.

import { HttpClient } from "../../http/client.js";
import { bodyOf } from "../../store/body.js";
import { isStoreError, StoreError } from "../../store/errors.js";
import type { CallOptions, ContainerInfo, ObjectService, ObjectStore, Usage } from "../../store/objectStore.js";
import type { BackendContext } from "../backend.js";
import { S3Api } from "./api.js";
import { credentialSource, type CredentialSource } from "./auth.js";
import type { S3Config } from "./config.js";
import { Lister } from "./list.js";
import { child, children, escapeXml, text } from "./parse.js";
import { findings } from "./probe.js";
import { S3Store } from "./store.js";
import { checkBucket } from "./url.js";

/** What a gateway that keeps no date of its own says for every bucket. */
const MADE_UP = Date.parse("2009-02-03T16:45:09.000Z");

export class S3Service implements ObjectService {
  readonly label: string;
  readonly #api: S3Api;
  readonly #http: HttpClient;
  readonly #context: BackendContext;
  readonly #prefix: string;

  /** @param prefix below which this mount works: the probe writes there, for credentials that reach no further. */
  constructor(config: S3Config, context: BackendContext, prefix = "", credentials: CredentialSource = credentialSource(config, context.logger)) {
    this.#http = new HttpClient({
      connections: config.connections, connectTimeout: config.connectTimeout, headersTimeout: config.readTimeout, bodyTimeout: config.readTimeout,
      ca: config.ca, verifyTls: config.verifyTls,
    });
    this.#api = new S3Api(config, this.#http, credentials, context.clock, context.logger);
    this.#context = context;
    this.#prefix = prefix;
    this.label = `s3:// (${this.#api.host})`;
  }

  async containers(options: CallOptions = {}): Promise<ContainerInfo[]> {
    const found: ContainerInfo[] = [];
    let token: string | undefined;
    for (;;) {
      const { xml } = await this.#api.xml({ method: "GET", query: token === undefined ? {} : { "continuation-token": token }, signal: options.signal }, "ListAllMyBucketsResult");
      const list = child(xml, "Buckets");
      for (const row of list === undefined ? [] : children(list, "Bucket")) {
        const name = text(row, "Name");
        const created = Date.parse(text(row, "CreationDate") ?? "");
        if (name !== undefined) found.push(Number.isNaN(created) || created === MADE_UP ? { name } : { name, created });
      }
      const next = text(xml, "ContinuationToken");
      if (next === undefined || next === "" || next === token) return found;
      token = next;
    }
  }

  async createContainer(name: string, options: CallOptions = {}): Promise<void> {
    checkBucket(name);
    const exists = (): StoreError => new StoreError("exists", `s3://${name}: the bucket is there already`);
    // Some servers, and Amazon in its first region, answer a second creation with success.
    try {
      await this.#api.head({ method: "HEAD", bucket: name, signal: options.signal });
      throw exists();
    } catch (error) {
      if (isStoreError(error, "denied")) throw exists();
      if (!isStoreError(error, "not-found", "no-container")) throw error;
    }
    const region = this.#api.region(name);
    const elsewhere = this.#api.endpoint.isAmazon && region !== "us-east-1";
    await this.#api.head({
      method: "PUT", bucket: name, signal: options.signal,
      ...(elsewhere ? { body: bodyOf(`<CreateBucketConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><LocationConstraint>${escapeXml(region)}</LocationConstraint></CreateBucketConfiguration>`) } : {}),
    });
  }

  async deleteContainer(name: string, options: CallOptions = {}): Promise<void> {
    checkBucket(name);
    try {
      await this.#api.head({ method: "DELETE", bucket: name, signal: options.signal });
    } catch (error) {
      if (!isStoreError(error, "no-container", "not-found")) throw error;
    }
  }

  /** One listing tells whether the bucket is there and may be read: HEAD needs the same right and says less. */
  async container(name: string, options: CallOptions = {}): Promise<ObjectStore> {
    checkBucket(name);
    const lister = new Lister(this.#api, name);
    await lister.list({ prefix: this.#prefix, limit: 1, signal: options.signal });
    const { clock, logger } = this.#context;
    return new S3Store(this.#api, name, await findings(this.#api, name, this.#prefix, clock.now(), logger, options.signal), lister);
  }

  /** Milliseconds that the server's clock is ahead, by its latest answer; undefined before the first. For `objmount doctor`. */
  get clockSkew(): number | undefined {
    return this.#http.skew(this.#api.endpoint.place(this.#api.region(undefined)).origin);
  }

  async usage(): Promise<Usage> {
    throw new StoreError("unsupported", "S3 does not tell what an account holds");
  }

  async close(): Promise<void> {
    await this.#http.close();
  }
}
