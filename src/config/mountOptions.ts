// The comma list of `-o` and of the fourth field of fstab. A comma inside a value is written `\,`, a backslash `\\`.
// Three kinds of words meet there: ours (by the names of the option tables, `-` or `_` alike), the mount flags that the
// kernel takes, and words for mount(8) and systemd, which are not for us and are passed over.

/** One word of the list; `value` is absent when there was no `=`. */
export interface MountOption { readonly name: string; readonly value: string | undefined }

/** Splits the list and takes the escapes away. Empty words are dropped. */
export function splitMountOptions(text: string): MountOption[] {
  const words: string[] = [];
  let word = "";
  for (let i = 0; i < text.length; i++) {
    const c = text[i] as string;
    const next = text[i + 1];
    if (c === "\\" && (next === "," || next === "\\")) { word += next; i += 1; }
    else if (c === ",") { words.push(word); word = ""; }
    else word += c;
  }
  words.push(word);
  return words.filter((w) => w !== "").map((w) => {
    const at = w.indexOf("=");
    return at < 0 ? { name: w, value: undefined } : { name: w.slice(0, at), value: w.slice(at + 1) };
  });
}

/** Mount flags of the kernel: the word that sets each, and the one that takes it back. */
const FLAG_WORDS: Readonly<Record<string, readonly [flag: string, set: boolean]>> = {
  nosuid: ["nosuid", true], suid: ["nosuid", false], nodev: ["nodev", true], dev: ["nodev", false],
  noexec: ["noexec", true], exec: ["noexec", false], noatime: ["noatime", true], atime: ["noatime", false],
};

/** For mount(8) and systemd, or without a meaning for a mount whose writes are saved at close and whose reads leave no trace. */
const FOR_OTHERS = new Set(["defaults", "auto", "noauto", "fail", "nofail", "_netdev", "netdev", "owner", "noowner", "group", "nogroup",
  "nousers", "nouser", "comment", "helper", "uhelper", "loud", "silent", "relatime", "norelatime", "strictatime", "nostrictatime",
  "diratime", "nodiratime", "lazytime", "nolazytime", "sync", "async", "dirsync"]);
/** `user` and `users` imply these for mount(8). */
const USER_WORDS = new Set(["user", "users"]);

export interface SplitOptions {
  /** Ours: names as written in the tables. A bare word has the value "true". */
  readonly own: readonly { readonly name: string; readonly value: string }[];
  /** Mount flags in force: "nosuid", "nodev" and "noatime" unless taken back; "noexec" when asked for. */
  readonly flags: readonly string[];
}

/** Sorts the words of one or more lists; later words win. */
export function sortMountOptions(lists: readonly string[]): SplitOptions {
  const own: { name: string; value: string }[] = [];
  const flags = new Set(["nosuid", "nodev", "noatime"]);
  for (const { name, value } of lists.flatMap(splitMountOptions)) {
    const flag = FLAG_WORDS[name];
    if (flag !== undefined && value === undefined) {
      if (flag[1]) flags.add(flag[0]); else flags.delete(flag[0]);
    } else if (USER_WORDS.has(name)) {
      for (const implied of ["nosuid", "nodev", "noexec"]) flags.add(implied);
    } else if (name === "ro" || name === "rw") {
      own.push({ name: "read-only", value: name === "ro" ? "true" : "false" });
    } else if (!FOR_OTHERS.has(name) && !name.startsWith("x-") && !name.startsWith("X-")) {
      own.push({ name: name.replaceAll("_", "-"), value: value ?? "true" });
    }
  }
  return { own, flags: [...flags] };
}
