// The store contract over whichever real S3 server run.sh has brought up.

import { describe, it } from "vitest";
import { objectServiceContract, objectStoreContract } from "../contract/objectStore.js";
import { KNOWN } from "./known.js";
import { bucketName, dropBucket, openService, runningServer } from "./s3.js";

const server = runningServer();

if (server === undefined) {
  describe("S3 contract over a real server", () => {
    it.skip("no server is named: run this by test/servers/run.sh", () => undefined);
  });
} else {
  const known = KNOWN[server.name] ?? {};
  const bucket = bucketName("contract");
  const service = openService(server);
  objectStoreContract({
    name: `${server.name} ${server.version}`,
    open: async () => {
      await (await service).createContainer(bucket);
      return (await service).container(bucket);
    },
    openSecond: async () => (await openService(server)).container(bucket),
    openUnreachable: async () => (await openService({ ...server, endpoint: "http://127.0.0.1:9" })).container(bucket),
    dispose: async () => {
      await dropBucket(await service, bucket);
      await (await service).close();
    },
    refuses: known.refuses,
    known: known.cases,
    many: 1100,
    concurrency: 50,
  });
  objectServiceContract({ name: `${server.name} ${server.version}`, open: () => openService(server), known: known.serviceCases });
}
