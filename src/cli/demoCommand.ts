// `npm start`: the main job with nothing to prepare. Without arguments, the embedded store; else any URL.

import { join } from "node:path";
import { MountFailure } from "../mount/failure.js";
import { ensureContainer } from "../mount/examineStore.js";
import type { Invocation } from "./arguments.js";
import { refuseCredentials, resolveInvocation } from "./context.js";
import type { ExitName } from "./exitCodes.js";
import { prepare, runDaemon } from "./mountCommand.js";
import { print } from "./output.js";
import { makeDirectory } from "../util/directories.js";
import { homeOf, xdgFolder } from "../util/home.js";

const CONTAINER = "demo";

export async function demoCommand(invocation: Invocation): Promise<ExitName> {
  const { url, dir } = invocation.positional;
  if (url !== undefined) refuseCredentials(url);
  if (url !== undefined && dir === undefined) throw new MountFailure("usage", `A directory is missing: npm start -- ${url} DIR.`);
  const place = url === undefined || dir === undefined ? await embedded(invocation) : { url, dir };
  // Mounts are tried out at the place where one is; the demo makes its own directory.
  await makeDirectory(place.dir, 0o777).catch(() => undefined);
  const prepared = await prepare(invocation, place.url, place.dir, true);
  return await runDaemon(prepared, async () => {
    await print([
      `${place.url} is mounted on ${prepared.mountpoint}. In another terminal, try:`,
      `  cd ${prepared.mountpoint}`,
      "  echo hello > hello.txt && cat hello.txt",
      "  cp -a /usr/share/doc/bash . && ls -l bash && du -sh bash",
      `  npx objmount status ${prepared.mountpoint}`,
      "Ctrl-C here saves what is left and unmounts; what was written is there again next time.",
    ].join("\n"));
  });
}

async function embedded(invocation: Invocation): Promise<{ readonly url: string; readonly dir: string }> {
  const home = homeOf(process.env);
  const store = join(xdgFolder(process.env, "XDG_DATA_HOME", ".local/share"), "objmount", "store");
  await makeDirectory(store, 0o700);
  const root = `file://${store.split("/").map(encodeURIComponent).join("/")}`;
  const { backend, config } = await resolveInvocation(invocation, root);
  await ensureContainer({ url: root, backend, config }, CONTAINER);
  return { url: `${root}/${CONTAINER}`, dir: join(home, "objmount") };
}
