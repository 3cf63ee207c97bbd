import { mkdir, stat } from "node:fs/promises";
import { dirname } from "node:path";

/**
 * Makes a directory and those above it; what is there stays as it is. Not mkdir with `recursive`: that asks for ever below a
 * directory in which nothing can be made, such as /proc.
 * @throws the system's error; EEXIST or ENOTDIR where something else is in the way
 */
export async function makeDirectory(path: string, mode: number): Promise<void> {
  try {
    await mkdir(path, { mode });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" && dirname(path) !== path && !await isDirectory(dirname(path))) {
      await makeDirectory(dirname(path), mode);
      await mkdir(path, { mode }).catch(async (again: NodeJS.ErrnoException) => { if (again.code !== "EEXIST" || !await isDirectory(path)) throw again; });
      return;
    }
    // Whatever the complaint (EEXIST, EROFS, EACCES): a directory that is there is enough.
    if (!await isDirectory(path)) throw error;
  }
}

function isDirectory(path: string): Promise<boolean> {
  return stat(path).then((found) => found.isDirectory(), () => false);
}
