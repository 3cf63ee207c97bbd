// The root of a store: found, or made out of an empty directory. A directory that holds anything else is not touched.

import { mkdir, readdir, rename, stat, writeFile } from "node:fs/promises";
import { randomBytes } from "node:crypto";
import { dirname, join } from "node:path";
import { StoreError } from "../../store/errors.js";
import { errnoOf, exists, readSmall, succeeds, syncDirectory } from "./api.js";
import { removeTree } from "./changes.js";
import { FORMAT, MARK, type StoreFormat } from "./layout.js";

function invalid(message: string, cause?: unknown): StoreError {
  return new StoreError("invalid", message, { cause });
}

/** Reads the mark of the store in `root`, or makes one. Throws `invalid` with one sentence when that directory cannot be a store. */
export async function openRoot(root: string): Promise<StoreFormat> {
  const found = await readFormat(root);
  if (found !== undefined) return found;
  await requireEmpty(root);
  // Made aside and renamed: two processes that start at once make one store, and a kill leaves none that is half made.
  const made = join(root, `${MARK}.${randomBytes(6).toString("hex")}`);
  await mkdir(made);
  const format: StoreFormat = { format: FORMAT, folded: await foldsNames(made) };
  await writeFile(join(made, "format"), `${JSON.stringify(format)}\n`, { flush: true });
  for (const name of ["owners", "trash"]) await mkdir(join(made, name));
  await syncDirectory(made);
  if (!(await succeeds(rename(made, join(root, MARK)), "ENOTEMPTY", "EEXIST"))) await removeTree(made);
  await syncDirectory(root);
  await syncDirectory(dirname(root));
  return (await readFormat(root)) ?? format;
}

async function readFormat(root: string): Promise<StoreFormat | undefined> {
  const text = await readSmall(join(root, MARK, "format")).catch((error: unknown) => {
    if (errnoOf(error) === "ENOTDIR") throw invalid(`${root} is not a directory.`, error);
    throw error;
  });
  if (text === undefined) return undefined;
  let format: Partial<StoreFormat>;
  try {
    format = JSON.parse(text) as Partial<StoreFormat>;
  } catch (error) {
    throw new StoreError("corrupt", `The file ${join(root, MARK, "format")} is damaged.`, { retry: "never", cause: error });
  }
  if (format.format !== FORMAT) throw new StoreError("unsupported", `The store in ${root} has format ${String(format.format)}; this version of objmount reads format ${FORMAT}.`);
  return { format: FORMAT, folded: format.folded === true };
}

async function requireEmpty(root: string): Promise<void> {
  try {
    await mkdir(root);
    return;
  } catch (error) {
    if (errnoOf(error) === "ENOENT") throw invalid(`The directory ${dirname(root)}, in which the store should be made, is not there.`, error);
    if (errnoOf(error) !== "EEXIST") throw error;
  }
  if (!(await stat(root)).isDirectory()) throw invalid(`${root} is not a directory.`);
  // lost+found: the root of a disk of its own. Marks half made: by a process that was killed, or is at it right now.
  const others = (await readdir(root)).filter((name) => name !== "lost+found" && !name.startsWith(MARK));
  if (others.length > 0) {
    throw invalid(`${root} is not empty and is not a store: name an empty directory, or one that does not exist yet, so that nobody's files are touched.`);
  }
}

/** Whether two names that differ only in case, or in the composition of an accented letter, are one here. */
async function foldsNames(directory: string): Promise<boolean> {
  await writeFile(join(directory, "Probe-\u00c4"), "");
  const folds = await exists(join(directory, "probe-\u00e4")) || await exists(join(directory, "Probe-A\u0308"));
  await removeTree(join(directory, "Probe-\u00c4"));
  return folds;
}
