// Clearing up after instances that died: at the opening of a store, and before a dead instance's lock is broken. One
// instance at a time does it. The right to do it is a directory that is not empty: rename(2) of a prepared directory onto
// `breaking` fails while somebody's file is in it, and a dead breaker is put out by removing exactly its file. So no step
// of two instances that judge the same state can take away a third one's right.

import { mkdir, readdir, rename, rmdir, stat, unlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../../util/clock.js";
import type { Logger } from "../../util/log.js";
import { exists, readSmall, succeeds } from "./api.js";
import { removeTree, type ChangeRecord } from "./changes.js";
import type { ContainerPaths, StorePaths } from "./layout.js";
import { readManifest } from "./objectFile.js";
import { parseOwner, type Owner } from "./owner.js";
import { UPLOAD_FILE } from "./upload.js";

const WAIT_MS = 10;

export interface RecoverySurroundings {
  readonly paths: StorePaths;
  readonly owner: Owner;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly containerPaths: (name: string) => ContainerPaths;
}

/** Every directory that is or was a container. */
export async function containerNames(paths: StorePaths): Promise<string[]> {
  return (await readdir(paths.root, { withFileTypes: true })).filter((entry) => entry.isDirectory() && !entry.name.startsWith(".")).map(({ name }) => name);
}

/** Runs `work` while no other instance clears up, creates or deletes a container. Not to be nested. */
export async function withRight<T>(around: RecoverySurroundings, work: () => Promise<T>): Promise<T> {
  const { paths, owner, clock } = around;
  const mine = join(paths.trash, `${owner.nextName("trash")}`);
  await mkdir(mine);
  await writeFile(join(mine, owner.token), "");
  while (!(await succeeds(rename(mine, paths.breaking), "ENOTEMPTY", "EEXIST"))) {
    for (const token of await namesIn(paths.breaking)) {
      if (!(await owner.lives(token))) await succeeds(unlink(join(paths.breaking, token)), "ENOENT");
    }
    await clock.sleep(WAIT_MS);
  }
  try {
    return await work();
  } finally {
    await succeeds(unlink(join(paths.breaking, owner.token)), "ENOENT");
    await succeeds(rmdir(paths.breaking), "ENOTEMPTY", "EEXIST", "ENOENT");
  }
}

async function namesIn(directory: string): Promise<string[]> {
  let names: string[] = [];
  await succeeds(readdir(directory).then((found) => { names = found; }), "ENOENT");
  return names;
}

/** Settles everything the dead instance `token` was in the middle of, and gives its locks back. */
export async function clearAfter(around: RecoverySurroundings, token: string): Promise<void> {
  await withRight(around, async () => {
    if (await around.owner.lives(token)) return;
    for (const name of await containerNames(around.paths)) await clearContainer(around, around.containerPaths(name), token);
    await succeeds(unlink(around.paths.owner(token)), "ENOENT");
    around.logger.info({ token }, "cleared up after an instance that ended without closing the store");
  });
}

async function clearContainer(around: RecoverySurroundings, paths: ContainerPaths, token: string): Promise<void> {
  const left = (await namesIn(paths.work)).filter((name) => name.startsWith(`${token}.`));
  for (const name of left) {
    const path = join(paths.work, name);
    if (name.endsWith(".change")) await settle(around, paths, path, token);
    await removeTree(path);
  }
  for (const name of await namesIn(paths.locks)) {
    const path = join(paths.locks, name);
    const text = await readSmall(path);
    if (text !== undefined && parseOwner(text)?.token === token) await succeeds(unlink(path), "ENOENT");
  }
}

async function settle(around: RecoverySurroundings, paths: ContainerPaths, path: string, token: string): Promise<void> {
  let record: ChangeRecord;
  try {
    record = JSON.parse((await readSmall(path)) ?? "") as ChangeRecord;
  } catch {
    // Written just before a power failure: it was never acted upon.
    return;
  }
  const holder = parseOwner((await readSmall(paths.lock(record.key))) ?? "");
  // Without the lock the instance had made nothing of these segments visible (changes.ts).
  if (holder?.token === token && (await readManifest(paths, record.key).catch(() => undefined))?.data === record.data) return;
  const directory = paths.dataDirectory(record.data);
  if (await exists(join(directory, UPLOAD_FILE))) {
    await succeeds(rename(directory, paths.upload(record.data)), "ENOENT", "ENOTEMPTY", "EEXIST");
    return;
  }
  const trash = join(paths.work, around.owner.nextName("trash"));
  if (await succeeds(rename(directory, trash), "ENOENT")) await removeTree(trash);
}

/** At the opening: dead instances, containers on their way out, uploads that nobody has touched for `uploadExpiry` ms. */
export async function sweep(around: RecoverySurroundings, uploadExpiry: number): Promise<void> {
  const { paths, owner, clock } = around;
  const names = await containerNames(paths);
  const tokens = new Set(await namesIn(paths.owners));
  for (const name of names) {
    for (const file of await namesIn(around.containerPaths(name).work)) {
      const token = /^([0-9a-f]{16})\./.exec(file)?.[1];
      if (token !== undefined) tokens.add(token);
    }
  }
  for (const token of tokens) if (!(await owner.lives(token))) await clearAfter(around, token);
  for (const name of await namesIn(paths.trash)) {
    if (!(await owner.lives(name.slice(0, name.indexOf("."))))) await removeTree(join(paths.trash, name));
  }
  for (const name of names) {
    const container = around.containerPaths(name);
    for (const id of await namesIn(container.uploads)) {
      const directory = container.upload(id);
      const touched = await stat(directory).catch(() => undefined);
      if (touched === undefined || clock.now() - touched.mtimeMs < uploadExpiry) continue;
      const trash = join(container.work, owner.nextName("trash"));
      if (await succeeds(rename(directory, trash), "ENOENT")) await removeTree(trash);
    }
  }
  await withRight(around, async () => {
    for (const name of names) await removeHalfDeleted(around.containerPaths(name), paths, owner);
  });
}

/** deleteContainer takes `objects` away first; what it leaves behind when it is killed is no container any more. Needs the right. */
export async function removeHalfDeleted(container: ContainerPaths, paths: StorePaths, owner: Owner): Promise<void> {
  if (await exists(container.objects) || !(await exists(container.locks))) return;
  const trash = join(paths.trash, owner.nextName("trash"));
  if (await succeeds(rename(container.directory, trash), "ENOENT")) await removeTree(trash);
}
