// One operation on a store, in a process that ends itself with SIGKILL just before its n-th change of the disk.
// Arguments: directory of the compiled sources, root of the store, operation, n, token of the upload (for complete).

import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { pathToFileURL } from "node:url";

const [, , compiled, root, operation, killAt, upload] = process.argv;
let changes = 0;
let counting = false;

function watch(object, name) {
  const original = object[name];
  object[name] = (...args) => {
    if (counting && ++changes === Number(killAt)) process.kill(process.pid, "SIGKILL");
    return original(...args);
  };
}
for (const name of ["rename", "link", "unlink", "mkdir", "rmdir", "rm", "writeFile", "copyFile"]) watch(fs.promises, name);
for (const name of ["write", "fdatasync", "fsync"]) watch(fs, name);
syncBuiltinESMExports();

const load = (path) => import(pathToFileURL(`${compiled}/${path}`).href);
const { FileService } = await load("backends/file/index.js");
const { systemClock } = await load("util/clock.js");
const { silentLogger } = await load("util/log.js");
const { bodyOf } = await load("store/body.js");

const service = await FileService.open(root, { sync: true, uploadExpiry: 1e12 }, { clock: systemClock, logger: silentLogger });
const store = await service.container("c");
counting = true;
switch (operation) {
  case "put": await store.put("dir/x", bodyOf(Buffer.alloc(100_000, "n"))); break;
  case "put in a new directory": await store.put("new/deep/x", bodyOf("n")); break;
  case "complete": {
    const resumed = await store.resumeUpload("dir/x", upload);
    await resumed.complete(await resumed.parts());
    break;
  }
  case "copy": await store.copy("other", "dir/x"); break;
  case "rename": await store.rename("other", "dir/x"); break;
  case "delete": await store.delete("dir/x"); break;
  case "metadata": await store.setMetadata("dir/x", { n: "1" }); break;
  case "metadata of one file": await store.setMetadata("single", { n: "1" }); break;
  default: throw new Error(operation);
}
counting = false;
process.stdout.write(String(changes));
await service.close();
