// Adds 1 to a counter in an object, many times, each time as a swap that only one of several processes can win; or keeps
// replacing one object with versions that are told apart by every byte. Arguments: compiled sources, root, mode, count, letter.

import { pathToFileURL } from "node:url";

const [, , compiled, root, mode, count, letter] = process.argv;
const load = (path) => import(pathToFileURL(`${compiled}/${path}`).href);
const { FileService } = await load("backends/file/index.js");
const { systemClock } = await load("util/clock.js");
const { silentLogger } = await load("util/log.js");
const { bodyOf } = await load("store/body.js");
const { collectStream } = await load("store/objectStream.js");

const service = await FileService.open(root, { sync: false, uploadExpiry: 1e12 }, { clock: systemClock, logger: silentLogger });
const store = await service.container("c");
if (mode === "count") {
  for (let won = 0; won < Number(count);) {
    const stream = await store.get("counter");
    const value = Number((await collectStream(stream)).toString());
    try {
      await store.put("counter", bodyOf(String(value + 1)), { ifMatch: stream.info.etag });
      won += 1;
    } catch (error) {
      if (error.kind !== "precondition") throw error;
    }
  }
} else {
  for (let turn = 0; turn < Number(count); turn++) {
    const size = 150_000 + turn * 1000;
    let etag;
    if (turn % 3 === 0) ({ etag } = await store.put("versions", bodyOf(Buffer.alloc(size, letter)), { metadata: { letter } }));
    else {
      const upload = await store.beginUpload("versions", { metadata: { letter } });
      const parts = [];
      for (let n = 0; n < 3; n++) parts.push(await upload.putPart(n + 1, n * size, n === 2, bodyOf(Buffer.alloc(size, letter))));
      ({ etag } = await upload.complete(parts));
    }
    // Only of the version that has these bytes: the other process may have replaced it.
    if (turn % 2 === 0) {
      await store.setMetadata("versions", { letter, turn: String(turn) }, { ifMatch: etag }).catch((error) => {
        if (error.kind !== "precondition") throw error;
      });
    }
  }
}
await service.close();
