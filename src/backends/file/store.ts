// One container of the embedded store as an ObjectStore.

import { statfs } from "node:fs/promises";
import { dirname } from "node:path";
import { checkConditions, checkKey, checkMetadata, checkTarget, preconditionError } from "../../store/checks.js";
import { isStoreError, StoreError } from "../../store/errors.js";
import type {
  Body, ByteRange, CallOptions, Capabilities, CopyOptions, DeleteOptions, GetOptions, ListPage, ListRequest, Metadata, ObjectInfo,
  ObjectStore, ObjectStream, PutOptions, Upload, Usage, WriteConditions, WriteReceipt,
} from "../../store/objectStore.js";
import { CAPABILITIES } from "./capabilities.js";
import type { Container } from "./container.js";
import type { Listing } from "./listing.js";
import { infoOf, type Manifest } from "./manifest.js";
import { MAX_KEY_BYTES } from "./names.js";
import { readManifest } from "./objectFile.js";
import type { Reader } from "./reader.js";
import { stageManifest, stageObject } from "./stage.js";
import { beginUpload, resumeUpload } from "./upload.js";

/** Deletions at once in deleteMany. */
const DELETES = 16;

function receiptOf({ etag, size, modified }: Manifest): WriteReceipt {
  return { etag, size, lastModified: modified };
}

export async function diskUsage(path: string): Promise<Usage> {
  const { blocks, bfree, bavail, bsize } = await statfs(path);
  const usedBytes = (blocks - bfree) * bsize;
  return { usedBytes, quotaBytes: usedBytes + bavail * bsize };
}

export class FileStore implements ObjectStore {
  readonly label: string;
  readonly capabilities: Capabilities = CAPABILITIES;
  readonly #container: Container;
  readonly #reader: Reader;
  readonly #listing: Listing;

  constructor(label: string, container: Container, reader: Reader, listing: Listing) {
    this.label = label;
    this.#container = container;
    this.#reader = reader;
    this.#listing = listing;
  }

  head(key: string, options?: CallOptions): Promise<ObjectInfo> {
    return this.#container.run("look at the object", key, options?.signal, async () => {
      checkKey(key, MAX_KEY_BYTES);
      const manifest = await readManifest(this.#container.paths, key);
      if (manifest === undefined) throw new StoreError("not-found", "There is no such object.", { key });
      return infoOf(manifest, key);
    });
  }

  list(request: ListRequest): Promise<ListPage> {
    return this.#container.run("list the objects", undefined, request.signal, () => this.#listing.page(request));
  }

  get(key: string, range?: ByteRange, options?: GetOptions): Promise<ObjectStream> {
    return this.#container.run("read the object", key, options?.signal, async () => {
      checkKey(key, MAX_KEY_BYTES);
      return this.#reader.get(key, range, options);
    });
  }

  put(key: string, body: Body, options: PutOptions = {}): Promise<WriteReceipt> {
    return this.#container.run("write the object", key, options.signal, async (signal) => {
      this.#checkWrite(key, options);
      if (body.length > CAPABILITIES.maxPutSize) {
        throw new StoreError("invalid", `The object has ${body.length} bytes; the store takes at most ${CAPABILITIES.maxPutSize}.`, { key });
      }
      const { changes, sync } = this.#container;
      const file = changes.workPath("new");
      const fresh = this.#container.newManifest(key, body.length, options.metadata, options.contentType);
      const manifest = await changes.inContainer(stageObject(file, fresh, body, sync, signal), key);
      await changes.replace(key, { file, manifest }, (current) => checkTarget(current, options, key), signal);
      return receiptOf(manifest);
    });
  }

  copy(from: string, to: string, options: CopyOptions = {}): Promise<WriteReceipt> {
    return this.#container.run("copy the object", to, options.signal, async (signal) => {
      checkKey(from, MAX_KEY_BYTES);
      this.#checkWrite(to, options);
      const source = await this.#container.other(options.fromContainer);
      await this.#container.require(to);
      return source.withSegments(from, async (found, pieces) => {
        if (options.sourceIfMatch !== undefined && options.sourceIfMatch !== found.etag) throw preconditionError(from);
        const manifest = this.#container.newManifest(to, found.size, options.metadata ?? found.metadata, options.contentType ?? found.type);
        await this.#container.replaceFromPieces(manifest, pieces({ start: 0, length: found.size }), (current) => checkTarget(current, options, to), signal);
        return receiptOf(manifest);
      });
    });
  }

  setMetadata(key: string, metadata: Metadata,
    options: CallOptions & { readonly ifMatch?: string | undefined; readonly contentType?: string | undefined } = {}): Promise<WriteReceipt> {
    return this.#container.run("change the metadata", key, options.signal, async (signal) => {
      this.#checkWrite(key, { metadata });
      const { changes, sync } = this.#container;
      for (;;) {
        const receipt = await this.#container.withSegments(key, async (found, pieces, segments) => {
          if (options.ifMatch !== undefined && options.ifMatch !== found.etag) throw preconditionError(key);
          // The same bytes, so the same etag; a later time, so that what was known of the old metadata is seen to be old.
          const fresh = this.#container.newManifest(key, found.size, metadata, options.contentType ?? found.type);
          const manifest = { ...fresh, etag: found.etag, modified: Math.max(fresh.modified, found.modified + 1) };
          let replaced = false;
          const check = (current: Manifest | undefined): void => {
            replaced = current?.etag !== found.etag;
            if (replaced) throw preconditionError(key);
          };
          try {
            if (segments === undefined) {
              await this.#container.replaceFromPieces(manifest, pieces({ start: 0, length: found.size }), check, signal);
            } else {
              const file = changes.workPath("new");
              const shared = { ...manifest, data: found.data };
              await stageManifest(file, shared, segments, sync);
              await changes.replace(key, { file, manifest: shared }, check, signal);
            }
          } catch (error) {
            if (replaced && options.ifMatch === undefined) return undefined;
            throw error;
          }
          return receiptOf(manifest);
        });
        if (receipt !== undefined) return receipt;
      }
    });
  }

  delete(key: string, options?: DeleteOptions): Promise<void> {
    return this.#container.run("delete the object", key, options?.signal, async (signal) => {
      checkKey(key, MAX_KEY_BYTES);
      await this.#container.changes.remove(key, (current) => {
        if (options?.ifMatch !== undefined && current !== undefined && current.etag !== options.ifMatch) throw preconditionError(key);
      }, signal);
    });
  }

  async deleteMany(keys: readonly string[], options?: CallOptions): Promise<{ readonly key: string; readonly error: unknown }[]> {
    const failed: { readonly key: string; readonly error: unknown }[] = [];
    const { changes, paths } = this.#container;
    const touched = new Map<string, string[]>();
    let next = 0;
    const work = async (): Promise<void> => {
      for (let key = keys[next++]; key !== undefined; key = keys[next++]) {
        const name = key;
        try {
          await this.#container.run("delete the object", name, options?.signal, async (signal) => {
            checkKey(name, MAX_KEY_BYTES);
            if (!(await changes.remove(name, () => {}, signal, false))) return;
            const directory = dirname(paths.object(name));
            touched.set(directory, [...touched.get(directory) ?? [], name]);
          });
        } catch (error) {
          // Given up as a whole: what is left was not even tried.
          if (isStoreError(error, "aborted")) throw error;
          failed.push({ key: name, error });
        }
      }
    };
    await this.#container.run("delete the objects", keys[0], options?.signal, async () => {
      await Promise.all(Array.from({ length: Math.min(DELETES, keys.length) }, work));
    });
    for (const [directory, names] of touched) {
      try {
        await this.#container.run("delete the objects", names[0], undefined, () => changes.syncAbove(directory));
      } catch (error) {
        failed.push(...names.map((key) => ({ key, error })));
      }
    }
    return failed;
  }

  rename(from: string, to: string, options: CallOptions & WriteConditions = {}): Promise<void> {
    return this.#container.run("rename the object", from, options.signal, async (signal) => {
      checkKey(from, MAX_KEY_BYTES);
      this.#checkWrite(to, options);
      await this.#container.changes.move(from, to, (current) => checkTarget(current, options, to), signal);
    });
  }

  beginUpload(key: string, options: PutOptions = {}): Promise<Upload> {
    return this.#container.run("begin an upload", key, options.signal, () => {
      this.#checkWrite(key, options);
      return beginUpload(this.#container, { key, metadata: options.metadata ?? {}, type: options.contentType });
    });
  }

  resumeUpload(key: string, id: string, options?: PutOptions): Promise<Upload> {
    return this.#container.run("resume the upload", key, options?.signal, () => {
      checkKey(key, MAX_KEY_BYTES);
      return resumeUpload(this.#container, key, id);
    });
  }

  usage(options?: CallOptions): Promise<Usage> {
    return this.#container.run("ask the disk for its usage", undefined, options?.signal, () => diskUsage(this.#container.paths.directory));
  }

  async presign(key: string): Promise<string> {
    throw new StoreError("unsupported", "A store on the local disk has no URLs to give away.", { key });
  }

  close(): Promise<void> {
    return this.#container.close();
  }

  #checkWrite(key: string, options: PutOptions): void {
    checkKey(key, MAX_KEY_BYTES);
    checkConditions(options, key);
    checkMetadata(options.metadata, CAPABILITIES.metadata, key);
    if (options.expires !== undefined) throw new StoreError("unsupported", "This store does not delete objects by itself.", { key });
  }
}
