import { FsError } from "./errors.js";
import { S_IF, type Attributes, type Context } from "./filesystem.js";

const W_OK = 2;
const X_OK = 1;

/** access(2) by owner, group and others; root may all but run what nobody may run. Supplementary groups are not known here. */
export function checkAccess(context: Context, attributes: Attributes, mask: number, readOnly: boolean): void {
  if ((mask & W_OK) !== 0 && readOnly) throw new FsError("EROFS", "the mount is read-only");
  const { mode } = attributes;
  if (context.uid === 0) {
    if ((mask & X_OK) !== 0 && (mode & S_IF.MT) !== S_IF.DIR && (mode & 0o111) === 0) throw new FsError("EACCES");
    return;
  }
  const bits = context.uid === attributes.uid ? mode >> 6 : context.gid === attributes.gid ? mode >> 3 : mode;
  if ((bits & mask & 7) !== (mask & 7)) throw new FsError("EACCES");
}
