// The sources as JavaScript, for child processes: a directory of their own, since dist may be older than the sources.

import { execFile } from "node:child_process";
import { mkdir, rm } from "node:fs/promises";
import { join, resolve } from "node:path";

const PROJECT = resolve(import.meta.dirname, "../../..");

/** Inside node_modules, so that packages are found. */
export async function compile(name: string): Promise<{ readonly directory: string; remove(): Promise<void> }> {
  const directory = join(PROJECT, "node_modules/.cache", `objmount-${name}-${process.pid}`);
  await mkdir(directory, { recursive: true });
  // Errors of types are the business of `npm run types`; the code is emitted all the same.
  await new Promise<void>((done) => {
    execFile(process.execPath, [join(PROJECT, "node_modules/typescript/bin/tsc"), "-p", PROJECT, "--outDir", directory], () => done());
  });
  return { directory, remove: () => rm(directory, { recursive: true, force: true }) };
}

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export function runNode(script: string, args: readonly string[]): Promise<Ended> {
  return new Promise((done) => {
    const child = execFile(process.execPath, [join(import.meta.dirname, script), ...args], { timeout: 60_000 }, (_error, stdout, stderr) => {
      done({ code: child.exitCode, signal: child.signalCode, stdout, stderr });
    });
  });
}
