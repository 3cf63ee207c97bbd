// The store contract over the strict fake, in the shapes that servers come in.

import { s3Backend } from "../../src/backends/s3/index.js";
import { forgetFindings } from "../../src/backends/s3/probe.js";
import type { ObjectService } from "../../src/store/objectStore.js";
import { systemClock } from "../../src/util/clock.js";
import { silentLogger } from "../../src/util/log.js";
import { objectServiceContract, objectStoreContract } from "../contract/objectStore.js";
import { ACCOUNT, FakeS3, type FakeOptions } from "./fakeS3/server.js";

const KEYS = { "access-key-id": ACCOUNT.accessKeyId, "secret-access-key": ACCOUNT.secretAccessKey };

function open(endpoint: string, options: Readonly<Record<string, unknown>> = {}): Promise<ObjectService> {
  return s3Backend.open({ scheme: "s3", prefix: "" }, { endpoint, ...KEYS, ...options }, { logger: silentLogger, clock: systemClock });
}

function contract(name: string, fakeOptions: FakeOptions, options: Readonly<Record<string, unknown>> = {}): void {
  let fake: FakeS3 | undefined;
  const services: ObjectService[] = [];
  const container = async (endpoint: string): Promise<Awaited<ReturnType<ObjectService["container"]>>> => {
    const service = await open(endpoint, options);
    services.push(service);
    return service.container("bucket");
  };
  objectStoreContract({
    name,
    open: async () => {
      fake = await FakeS3.start(fakeOptions);
      forgetFindings();
      const service = await open(fake.endpoint, options);
      await service.createContainer("bucket");
      await service.close();
      return container(fake.endpoint);
    },
    openSecond: () => container((fake as FakeS3).endpoint),
    openUnreachable: () => container("http://127.0.0.1:9"),
    dispose: async () => {
      for (const service of services) await service.close();
      await fake?.stop();
    },
    many: 1100, concurrency: 50,
  });
}

contract("S3 as Amazon has it", {});
contract("S3 without conditions", { conditions: "ignored", listV2: false, deleteObjects: false, hidesManifestTags: true });
contract("S3 that refuses conditions, payload unsigned, CRC-32C", { conditions: "refused" }, { "payload-signing": "unsigned", checksum: "crc32c" });

let fake: FakeS3 | undefined;
objectServiceContract({
  name: "S3",
  open: async () => {
    fake = await FakeS3.start();
    forgetFindings();
    return open(fake.endpoint);
  },
  openSecond: () => open((fake as FakeS3).endpoint),
  dispose: async () => fake?.stop(),
});
