// What must hold of a container at rest: every segment belongs to one object, nothing is half done, nothing is left over.

import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { manifestAt } from "../../../src/backends/file/objectFile.js";
import { QuickReads } from "../../../src/backends/file/quick.js";

async function names(directory: string): Promise<string[]> {
  return readdir(directory).catch(() => []);
}

/** @returns what is wrong, in words. */
export async function findLeftovers(root: string, container = "c"): Promise<string[]> {
  const directory = join(root, container);
  const wrong: string[] = [];
  for (const place of ["work", "locks"]) for (const name of await names(join(directory, place))) wrong.push(`${place}/${name} is left over`);
  const users = new Map<string, string[]>();
  for (const path of await readdir(join(directory, "objects"), { recursive: true })) {
    const full = join(directory, "objects", path);
    if ((await stat(full)).isDirectory()) {
      if ((await names(full)).length === 0) wrong.push(`objects/${path} is empty`);
      continue;
    }
    const manifest = await manifestAt(full, new QuickReads(false));
    if (manifest?.data !== undefined) users.set(manifest.data, [...users.get(manifest.data) ?? [], path]);
  }
  for (const group of await names(join(directory, "data"))) {
    for (const id of await names(join(directory, "data", group))) {
      const count = users.get(id)?.length ?? 0;
      if (count !== 1) wrong.push(`data/${group}/${id} has ${count} objects`);
      users.delete(id);
    }
  }
  for (const [id, paths] of users) wrong.push(`${paths.join(", ")} has no data directory ${id}`);
  return wrong;
}
