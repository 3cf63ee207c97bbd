// Stores whose staged uploads are wrong on purpose, with the case of the contract that must catch it.

import { bodyOf, collectBody } from "../../src/store/body.js";
import { StoreError } from "../../src/store/errors.js";
import { MemoryStore } from "../../src/store/memory/memoryStore.js";
import type { Body, ByteRange, ObjectStore, PartReceipt, PutOptions, Upload, WriteReceipt } from "../../src/store/objectStore.js";
import { StoreWrapper } from "../../src/store/wrapper.js";
import type { MemoryOptions } from "../../src/store/memory/memoryContainer.js";
import type { Broken } from "./stores.js";

/** What an upload does differently; `store` is the sound store below. */
type Bend = (upload: Upload, store: ObjectStore, options: PutOptions | undefined) => Partial<Upload>;

function broken(name: string, caught: string | readonly string[], bend: Bend, options?: MemoryOptions): Broken {
  class BentUploads extends StoreWrapper {
    override async beginUpload(key: string, put?: PutOptions): Promise<Upload> {
      const upload = await this.inner.beginUpload(key, put);
      return { ...this.wrapUpload(upload), ...bend(upload, this.inner, put) };
    }
  }
  return { name, caught: typeof caught === "string" ? [caught] : caught, options, open: (container) => new BentUploads(new MemoryStore(container)) };
}

/** Parts kept here, so that `complete` can do with them what it likes. */
function keeping(make: (parts: Map<number, Buffer>, receipts: readonly PartReceipt[]) => Buffer): Bend {
  return (upload, store, options) => {
    const kept = new Map<number, Buffer>();
    return {
      putPart: async (number: number, offset: number, last: boolean, body: Body): Promise<PartReceipt> => {
        const bytes = await collectBody(body);
        kept.set(number, bytes);
        return upload.putPart(number, offset, last, bodyOf(bytes));
      },
      complete: (receipts: readonly PartReceipt[]): Promise<WriteReceipt> => store.put(upload.key, bodyOf(make(kept, receipts)), { ...options, signal: undefined }),
    };
  };
}

export const BROKEN_UPLOADS: readonly Broken[] = [
  broken("complete passes over parts it does not have", "completing with a part the store does not have fails",
    keeping((kept, receipts) => Buffer.concat(receipts.map(({ number }) => kept.get(number) ?? Buffer.alloc(0))))),
  broken("parts are joined as they arrived", "parts may come in any order, and at once", keeping((kept) => Buffer.concat([...kept.values()]))),
  broken("all parts sent are joined, not those named", "the object is made of exactly the parts named",
    keeping((kept) => Buffer.concat([...kept].sort(([a], [b]) => a - b).map(([, bytes]) => bytes)))),
  broken("a part sent again is ignored", "a part sent again replaces the first", (upload) => {
    const sent = new Map<number, Promise<PartReceipt>>();
    return {
      putPart: (number: number, offset: number, last: boolean, body: Body): Promise<PartReceipt> => {
        const part = sent.get(number) ?? upload.putPart(number, offset, last, body);
        sent.set(number, part);
        return part;
      },
    };
  }),
  broken("an aborted upload becomes an object", "an aborted upload is gone, and aborting again is success", (upload) => ({
    abort: async (): Promise<void> => {
      const parts = await upload.parts().catch(() => []);
      if (parts.length > 0) await upload.complete(parts);
    },
  })),
  broken("aborting again throws", "an aborted upload is gone, and aborting again is success", (upload) => {
    let aborted = false;
    return {
      abort: async (): Promise<void> => {
        if (aborted) throw new StoreError("not-found", "no such upload");
        aborted = true;
        await upload.abort();
      },
    };
  }),
  broken("parts are visible before they are complete", "parts become one object when the upload completes", (upload, store) => ({
    putPart: async (number: number, offset: number, last: boolean, body: Body): Promise<PartReceipt> => {
      const bytes = await collectBody(body);
      await store.put(upload.key, bodyOf(bytes));
      return upload.putPart(number, offset, last, bodyOf(bytes));
    },
  })),
  broken("beginning an upload removes the old version", "the old version is there until the upload completes", (upload, store) => ({
    putPart: async (number: number, offset: number, last: boolean, body: Body): Promise<PartReceipt> => {
      await store.delete(upload.key);
      return upload.putPart(number, offset, last, body);
    },
  })),
  broken("complete ignores its conditions", ["complete keeps to its conditions", "of uploads that create one key, exactly one completes"], (upload) => ({
    complete: (parts: readonly PartReceipt[]): Promise<WriteReceipt> => upload.complete(parts),
  })),
  broken("completing again is not-found", "completing twice is one object, abort after it changes nothing", (upload) => {
    let done = false;
    return {
      complete: async (parts: readonly PartReceipt[]): Promise<WriteReceipt> => {
        if (done) throw new StoreError("not-found", "no such upload");
        const receipt = await upload.complete(parts);
        done = true;
        return receipt;
      },
    };
  }),
  broken("completing again writes again", "completing again does not bring back what was replaced",
    keeping((kept, receipts) => Buffer.concat(receipts.map(({ number }) => kept.get(number) ?? Buffer.alloc(0))))),
  broken("metadata is taken at complete, too late", "parts become one object when the upload completes", (upload, store) => ({
    complete: async (parts: readonly PartReceipt[]): Promise<WriteReceipt> => {
      const receipt = await upload.complete(parts);
      await store.setMetadata(upload.key, {});
      return receipt;
    },
  })),
  broken("copied ranges are one byte off", ["parts copied from ranges make up the object", "an object can be changed by copying its own other parts"], (upload) => ({
    copyPart: (number: number, offset: number, from: string, range: ByteRange): Promise<PartReceipt> =>
      upload.copyPart(number, offset, from, { start: range.start === 0 ? 1 : range.start - 1, length: range.length }),
  })),
  broken("a part is copied from any version", "a part copy needs its source, in the version that was meant", (upload) => ({
    copyPart: (number: number, offset: number, from: string, range: ByteRange): Promise<PartReceipt> => upload.copyPart(number, offset, from, range),
  })),
  broken("parts that are too small are taken", "a part that is too small and not the last fails", (upload, store) => {
    const kept: Buffer[] = [];
    return {
      putPart: async (number: number, offset: number, _last: boolean, body: Body): Promise<PartReceipt> => {
        kept[number - 1] = await collectBody(body);
        return { number, offset, size: body.length, etag: `${number}` };
      },
      complete: (): Promise<WriteReceipt> => store.put(upload.key, bodyOf(...kept)),
    };
  },
    { capabilities: { upload: { minSize: 2, maxSize: 1 << 30, maxParts: 10_000, maxObjectSize: 1 << 30, equalSizes: false } } }),
  broken("a part is kept under another number", "an upload is resumed from the parts the store has", (upload) => ({
    putPart: async (number: number, offset: number, last: boolean, body: Body): Promise<PartReceipt> =>
      ({ ...await upload.putPart(number + 1, offset, last, body), number }),
  })),
];
