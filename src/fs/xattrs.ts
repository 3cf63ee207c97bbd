// Extended attributes. `user.*` is kept in the object's metadata (s3fs's `xattr`). The store's own facts are read by name as
// `user.objmount.*`; they are not listed, because `cp -a` and `rsync -X` would set what they find on the copy.

import type { ObjectInfo } from "../store/objectStore.js";
import type { AttributeView } from "./attributes.js";
import type { Core } from "./core.js";
import { FsError } from "./errors.js";
import { XATTR_FLAGS, type Ino } from "./filesystem.js";
import { prefixOf, type Inode } from "./inode.js";
import { formatXattrs, parseXattrs } from "./metadata.js";
import type { MetadataWriter } from "./metadataWriter.js";

const OWN = "user.objmount.";
/** XATTR_SIZE_MAX */
const MAX_VALUE = 65_536;

export class Xattrs {
  readonly #core: Core;
  readonly #view: AttributeView;
  readonly #writer: MetadataWriter;

  constructor(core: Core, view: AttributeView, writer: MetadataWriter) {
    this.#core = core;
    this.#view = view;
    this.#writer = writer;
  }

  async get(ino: Ino, name: string): Promise<Buffer> {
    this.#assertUser(name);
    const inode = this.#core.inodes.get(ino);
    if (name.startsWith(OWN)) return this.#own(inode, name.slice(OWN.length));
    const value = parseXattrs(await this.#metadata(inode, true)).get(name);
    if (value === undefined) throw new FsError("ENODATA");
    return value;
  }

  async list(ino: Ino): Promise<readonly string[]> {
    const inode = this.#core.inodes.get(ino);
    const ask = inode.parent === undefined || this.#view.worthAsking(inode.parent);
    return [...parseXattrs(await this.#metadata(inode, ask)).keys()];
  }

  async set(ino: Ino, name: string, value: Buffer, flags: number): Promise<void> {
    this.#assertUser(name);
    this.#core.assertWritable();
    const inode = this.#core.inodes.get(ino);
    if (name === `${OWN}content_type`) {
      if (inode.kind === "directory") throw new FsError("EPERM", "a directory has no content type of its own", { ino });
      return this.#writer.file(inode, () => undefined, value.toString("utf8"));
    }
    if (name.startsWith(OWN)) throw new FsError("EPERM", `${name} is the store's own and cannot be set`, { ino });
    if (value.length > MAX_VALUE) throw new FsError("E2BIG", `an extended attribute has at most ${MAX_VALUE} bytes`, { ino });
    const kept = Buffer.from(value);
    return this.#change(inode, (xattrs) => {
      if ((flags & XATTR_FLAGS.CREATE) !== 0 && xattrs.has(name)) throw new FsError("EEXIST", "the attribute is there already", { ino });
      if ((flags & XATTR_FLAGS.REPLACE) !== 0 && !xattrs.has(name)) throw new FsError("ENODATA");
      xattrs.set(name, kept);
    });
  }

  async remove(ino: Ino, name: string): Promise<void> {
    this.#assertUser(name);
    this.#core.assertWritable();
    const inode = this.#core.inodes.get(ino);
    if (name.startsWith(OWN)) throw new FsError("EPERM", `${name} is the store's own and cannot be removed`, { ino });
    return this.#change(inode, (xattrs) => {
      if (!xattrs.delete(name)) throw new FsError("ENODATA");
    });
  }

  #assertUser(name: string): void {
    if (!name.startsWith("user.")) throw new FsError("EOPNOTSUPP", "only extended attributes of the user namespace are kept");
  }

  /** The change is checked before it joins others, and applied to what is there when it is written. */
  async #change(inode: Inode, change: (xattrs: Map<string, Buffer>) => void): Promise<void> {
    change(parseXattrs(await this.#metadata(inode, true)));
    const apply = (metadata: Record<string, string>): void => {
      const xattrs = parseXattrs(metadata);
      change(xattrs);
      const text = formatXattrs(xattrs);
      if (text === undefined) delete metadata["xattr"];
      else metadata["xattr"] = text;
    };
    await (inode.kind === "directory" ? this.#writer.directory(inode, apply) : this.#writer.file(inode, apply));
  }

  async #metadata(inode: Inode, ask: boolean): Promise<Readonly<Record<string, string>> | undefined> {
    // A new object: what is parsed of it is not remembered while it may change.
    if (inode.kind === "file") {
      if (inode.draft !== undefined) return { ...inode.draft.metadata };
      if (ask) await this.#view.refresh(inode, Infinity, true);
      return inode.info?.metadata;
    }
    if (inode.local !== undefined || inode.parent === undefined) return inode.local;
    if (ask && (inode.marker === undefined || (inode.marker !== null && inode.marker.metadata === undefined))) {
      const at = this.#core.clock.monotonic();
      this.#view.learnMarker(inode, await this.#view.head(prefixOf(inode), undefined) ?? null, at);
    }
    return inode.marker?.metadata;
  }

  async #own(inode: Inode, fact: string): Promise<Buffer> {
    const text = await this.#fact(inode, fact);
    if (text === undefined) throw new FsError("ENODATA");
    return Buffer.from(text, "utf8");
  }

  async #fact(inode: Inode, fact: string): Promise<string | undefined> {
    const key = inode.kind === "directory" ? prefixOf(inode) : inode.parent === undefined ? undefined : this.#core.keyOf(inode);
    if (key === undefined) return undefined;
    if (fact === "key") return key;
    let info: ObjectInfo | null | undefined;
    if (inode.kind === "file") {
      if (inode.draft === undefined) await this.#view.refresh(inode, this.#core.options.attributesTimeoutMs, true);
      ({ info } = inode);
    } else info = inode.marker;
    if (info === undefined || info === null) return undefined;
    switch (fact) {
      case "etag": return info.etag;
      case "version": return info.version;
      case "storage_class": return info.storageClass;
      case "content_type": return inode.kind === "file" ? inode.draft?.contentType ?? info.contentType : info.contentType;
      case "url": return this.#core.capabilities.presign ? this.#core.store.presign(key, this.#core.options.presignSeconds) : undefined;
      default: return undefined;
    }
  }
}
