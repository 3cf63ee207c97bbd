import { connectOrClean, connectToMount, listSockets } from "../control/directory.js";
import { ControlError, type MountStatus } from "../control/protocol.js";
import type { ControlClient } from "../control/client.js";
import { MountFailure } from "../mount/failure.js";
import { resolveMountpoint } from "../mount/mountpoint.js";
import { LOG_LEVELS } from "../util/log.js";
import type { Invocation } from "./arguments.js";
import { searchDirectories } from "./context.js";
import type { ExitName } from "./exitCodes.js";
import { age, print, say, size } from "./output.js";

const ANSWER_MS = 5000;

export async function statusCommand(invocation: Invocation): Promise<ExitName> {
  const directories = await searchDirectories(invocation);
  const dir = invocation.positional["dir"];
  const found = dir === undefined ? await all(directories) : [await one(directories, await resolveMountpoint(dir))];
  if (invocation.flags["json"] === true) await print(JSON.stringify(dir === undefined ? found : found[0], undefined, 2));
  else if (found.length === 0) await print("Nothing is mounted by objmount.");
  else await print(found.map(describe).join("\n\n"));
  return "ok";
}

async function all(directories: readonly string[]): Promise<MountStatus[]> {
  const found: MountStatus[] = [];
  for (const path of await listSockets(directories)) {
    try {
      const client = await connectOrClean(path, ANSWER_MS);
      if (client !== undefined) found.push(await ask(client));
    } catch (error) {
      if (!(error instanceof ControlError)) throw error;
      await say(error.message);
    }
  }
  return found.sort((a, b) => a.mountpoint < b.mountpoint ? -1 : 1);
}

async function one(directories: readonly string[], mountpoint: string): Promise<MountStatus> {
  const client = await connect(directories, mountpoint);
  return await ask(client).catch((error: unknown) => { throw new MountFailure("daemon-silent", error instanceof Error ? error.message : String(error), error); });
}

async function connect(directories: readonly string[], mountpoint: string): Promise<ControlClient> {
  const client = await connectToMount(directories, mountpoint, ANSWER_MS)
    .catch((error: unknown) => { throw error instanceof ControlError ? new MountFailure("daemon-silent", error.message, error) : error; });
  if (client === undefined) throw new MountFailure("not-mounted", `No objmount daemon serves ${mountpoint}.`);
  return client;
}

async function ask(client: ControlClient): Promise<MountStatus> {
  try {
    return await client.call("status", {}, { timeoutMs: ANSWER_MS });
  } finally {
    client.close();
  }
}

/** For people. */
export function describe(status: MountStatus): string {
  const lines = [
    `${status.mountpoint}  ${status.url}${status.readOnly ? " (read-only)" : ""}  ${status.state}, ${age(Date.now() - status.since)}, process ${status.pid}, objmount ${status.version}`,
    `  driver    ${status.driver}${status.kernelProtocol === undefined ? "" : `, kernel protocol ${status.kernelProtocol}`}`,
    `  memory    ${size(status.memory.used)} of ${size(status.memory.limit)} budget (peak ${size(status.memory.peak)}), ${size(status.memory.resident)} resident`,
    `  reads     ${size(status.reads.cachedBytes)} cached, ${status.reads.hits} hits, ${status.reads.misses} misses, ${size(status.reads.fetchedBytes)} fetched, ${status.reads.openHandles} open`,
    `  writes    ${status.writes.committed} committed, ${status.writes.failed} failed, ${size(status.writes.uploadedBytes)} sent, ${size(status.writes.copiedBytes)} copied by the store`,
    `  log       ${status.log.level}${status.log.file === undefined ? "" : `, ${status.log.file}`}`,
  ];
  const requests = Object.entries(status.requests).filter(([, { count }]) => count > 0).map(([kind, { count, errors, medianMs }]) => {
    const failed = Object.entries(errors).map(([error, times]) => `${times} ${error}`).join(", ");
    return `${kind} ${count}${failed === "" ? "" : ` (${failed})`}${medianMs === undefined ? "" : ` <=${medianMs} ms`}`;
  });
  lines.push(`  requests  ${requests.length === 0 ? "none" : requests.join(", ")}`);
  lines.push(`  unsaved   ${status.pending.length === 0 ? "nothing" : `${status.pending.length} files, ${size(status.writes.pendingBytes)}`}`);
  for (const file of status.pending) {
    lines.push(`    ${file.key}  ${file.state} for ${age(Date.now() - file.since)}, ${size(file.uploaded)} of ${size(file.size)} sent${file.error === undefined ? "" : `: ${file.error}`}  ${file.file}`);
  }
  return lines.join("\n");
}

export async function logLevelCommand(invocation: Invocation): Promise<ExitName> {
  const { dir, level } = invocation.positional as { dir: string; level: string };
  if (!(LOG_LEVELS as readonly string[]).includes(level)) throw new MountFailure("usage", `"${level}" is no log level: use one of ${LOG_LEVELS.join(", ")}.`);
  const client = await connect(await searchDirectories(invocation), await resolveMountpoint(dir));
  try {
    await client.call("log-level", { level }, { timeoutMs: ANSWER_MS });
  } finally {
    client.close();
  }
  return "ok";
}
