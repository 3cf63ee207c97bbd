import { constants } from "node:fs";
import { access, lstat } from "node:fs/promises";
import { dirname } from "node:path";
import type { ReadyConfig } from "../config/config.js";
import { MountFailure } from "./failure.js";
import { makeDirectory } from "../util/directories.js";

/** Makes a private directory, or checks that the one that is there is this user's own. @throws MountFailure */
async function ensurePrivate(directory: string, option: string): Promise<void> {
  try {
    await makeDirectory(directory, 0o700);
    const found = await lstat(directory);
    const uid = process.geteuid?.() ?? found.uid;
    if (found.uid !== uid) throw new MountFailure("state-directory", `${directory} belongs to user ${found.uid}: name another place with --${option}.`);
    await access(directory, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (error) {
    if (error instanceof MountFailure) throw error;
    throw new MountFailure("state-directory", `${directory} cannot be made or written (${(error as NodeJS.ErrnoException).code ?? String(error)}): name another place with --${option}.`, error);
  }
}

/** The places for journals, staged files and the log, ready to be written to. */
export async function ensureStateDirectories(config: ReadyConfig): Promise<void> {
  await ensurePrivate(config.stateDir, "state-dir");
  await ensurePrivate(config.stagingDir, "staging-dir");
  if (config.logFile !== undefined) {
    await makeDirectory(dirname(config.logFile), 0o700).catch((error: NodeJS.ErrnoException) => {
      throw new MountFailure("state-directory", `The directory of the log file ${config.logFile as string} cannot be made (${error.code ?? error.message}): name another with --log-file.`, error);
    });
  }
}
