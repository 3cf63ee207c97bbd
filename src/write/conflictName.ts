// The name of a copy made because somebody else changed the object: `name (conflict HOST 2026-01-31T12-00-00)`.

const MAX_NAME_BYTES = 255;

/** @param again 2, 3 ... when the name before was taken too. */
export function conflictKey(key: string, host: string, now: number, maxKeyBytes: number, again = 1): string {
  const time = new Date(now).toISOString().slice(0, 19).replaceAll(":", "-");
  const suffix = ` (conflict ${host.replaceAll(/[/\0]/g, "_")} ${time}${again > 1 ? ` ${String(again)}` : ""})`;
  const slash = key.lastIndexOf("/") + 1;
  const folder = key.slice(0, slash);
  const room = Math.min(MAX_NAME_BYTES, maxKeyBytes - Buffer.byteLength(folder)) - Buffer.byteLength(suffix);
  let name = "";
  let used = 0;
  for (const character of key.slice(slash)) {
    used += Buffer.byteLength(character);
    if (used > room) break;
    name += character;
  }
  return folder + name + suffix;
}
