// The running server that a suite works against, as test/servers/NAME.sh env names it.

import { randomBytes } from "node:crypto";
import { s3Backend } from "../../src/backends/s3/index.js";
import type { ObjectService } from "../../src/store/objectStore.js";
import { systemClock } from "../../src/util/clock.js";
import { createLogger, silentLogger } from "../../src/util/log.js";

export interface RunningServer {
  readonly name: string;
  readonly version: string;
  readonly endpoint: string;
}

/** Undefined when none is named in the environment. */
export function runningServer(): RunningServer | undefined {
  const { OBJMOUNT_TEST_SERVER: name, OBJMOUNT_TEST_VERSION: version, AWS_ENDPOINT_URL_S3: endpoint } = process.env;
  return name === undefined || endpoint === undefined ? undefined : { name, version: version ?? "", endpoint };
}

/** A new service on the server; its credentials come from the environment by the vendor's chain. */
export function openService(server: RunningServer, options: Readonly<Record<string, unknown>> = {}): Promise<ObjectService> {
  const logger = process.env["TEST_LOG"] === undefined ? silentLogger : createLogger({ level: "debug" });
  return s3Backend.open({ scheme: "s3", prefix: "" }, { endpoint: server.endpoint, region: "us-east-1", ...options }, { logger, clock: systemClock });
}

/** A bucket name that nobody else has. */
export function bucketName(label: string): string {
  return `${label}-${randomBytes(5).toString("hex")}`;
}

/** Deletes the bucket with everything in it. */
export async function dropBucket(service: ObjectService, name: string): Promise<void> {
  const store = await service.container(name);
  for (let cursor: string | undefined; ;) {
    const page = await store.list({ prefix: "", cursor });
    await store.deleteMany(page.objects.map((object) => object.key));
    cursor = page.next;
    if (cursor === undefined) break;
  }
  await store.close();
  await service.deleteContainer(name);
}
