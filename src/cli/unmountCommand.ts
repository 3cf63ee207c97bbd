import { connectToMount } from "../control/directory.js";
import { ControlError, type PendingStatus } from "../control/protocol.js";
import { MountFailure } from "../mount/failure.js";
import { describeHolders, holdersOf } from "../mount/holders.js";
import { detachMount, isObjmount, mountAt, probeMount, resolveMountpoint } from "../mount/mountpoint.js";
import type { Invocation } from "./arguments.js";
import { searchDirectories } from "./context.js";
import type { ExitName } from "./exitCodes.js";
import { ProgressLine, say, size } from "./output.js";

export async function unmountCommand(invocation: Invocation): Promise<ExitName> {
  const mountpoint = await resolveMountpoint(invocation.positional["dir"] as string);
  // Whoever calls this from inside the mount must not be kept by us as well.
  process.chdir("/");
  const lazy = invocation.flags["lazy"] === true;
  const client = await connectToMount(await searchDirectories(invocation), mountpoint).catch((error: unknown) => { throw ofControl(error, mountpoint); });
  if (client === undefined) return await withoutDaemon(mountpoint);
  const line = new ProgressLine();
  try {
    const { failed } = await client.call("unmount", { lazy }, {
      event: ({ files, bytes, current }) => line.show(`saving ${files} file${files === 1 ? "" : "s"}, ${size(bytes)} to go${current === undefined ? "" : `: ${current}`}`),
    });
    line.end();
    if (failed.length === 0) return "ok";
    throw new MountFailure("unsaved", `${mountpoint} is unmounted, but ${failed.length === 1 ? "one file is" : `${failed.length} files are`} not in the store. ${failed.slice(0, 10).map(describeFailed).join(" ")}`);
  } catch (error) {
    line.end();
    if (error instanceof ControlError && error.code === "busy") {
      const holders = describeHolders(await holdersOf(mountpoint));
      throw new MountFailure("busy", `${mountpoint} is in use${holders === "" ? "" : ` by ${holders}`}: end that, or run "objmount unmount --lazy ${mountpoint}".`, error);
    }
    throw error instanceof ControlError ? ofControl(error, mountpoint) : error;
  } finally {
    client.close();
  }
}

function describeFailed(file: PendingStatus): string {
  return `"${file.key}" is kept in ${file.file}${file.error === undefined ? "" : ` (${file.error.replace(/\.$/, "")})`}.`;
}

function ofControl(error: unknown, mountpoint: string): unknown {
  if (!(error instanceof ControlError)) return error;
  const code = (error.cause as NodeJS.ErrnoException | undefined)?.code;
  if (code === "EACCES" || code === "EPERM") return new MountFailure("not-permitted", `The mount on ${mountpoint} belongs to another user: ask that user, or root.`, error);
  return new MountFailure(error.code === "failed" || error.code === "invalid" ? "unexpected" : "daemon-silent", error.message, error);
}

/** No daemon answers for it: either nothing is mounted, or a daemon died. */
async function withoutDaemon(mountpoint: string): Promise<ExitName> {
  const mounted = await mountAt(mountpoint);
  if (mounted === undefined) throw new MountFailure("not-mounted", `Nothing is mounted on ${mountpoint}.`);
  if (!isObjmount(mounted)) throw new MountFailure("not-mounted", `${mountpoint} is a ${mounted.type} mount of ${mounted.source}, not one of objmount: use umount.`);
  if (await probeMount(mountpoint) !== "dead") {
    throw new MountFailure("daemon-silent", `The daemon of ${mountpoint} cannot be found from here: run this as the user who mounted it or as root, with the same --runtime-dir.`);
  }
  const complaint = await detachMount(mountpoint);
  if (complaint !== "") throw new MountFailure("mountpoint-dead", `${mountpoint} is a dead mount and could not be cleaned up (${complaint}): run "umount -l ${mountpoint}" as root.`);
  await say(`${mountpoint} was a dead mount of ${mounted.source}, left by a daemon that ended: cleaned up.`);
  return "ok";
}
