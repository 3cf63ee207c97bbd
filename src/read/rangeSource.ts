// Between the memory cache and the store: where ranges come from. A disk tier is a RangeSource too, which answers what it
// holds and asks the next one for the rest; nothing above this line would notice it.

import { isStoreError, StoreError } from "../store/errors.js";
import type { ByteRange, ObjectStore, ObjectStream } from "../store/objectStore.js";
import type { ObjectVersion } from "./types.js";

export interface RangeSource {
  /**
   * Hands the bytes of `range` (which lies inside the object) to `sink`, in order, exactly `range.length` of them, then
   * resolves. The Buffers become the receiver's. Rejects with StoreError: `precondition` when the object is another version
   * or gone, `unavailable` when the body ends early, `corrupt` when what arrives is not what was asked, `aborted`. What the sink
   * had got before a rejection other than `corrupt` are right bytes of this version.
   */
  fetch(version: ObjectVersion, range: ByteRange, sink: (chunk: Buffer) => void, signal: AbortSignal): Promise<void>;
}

/** Ranges of exactly one version, straight from the store. */
export class StoreSource implements RangeSource {
  readonly #store: ObjectStore;

  constructor(store: ObjectStore) {
    this.#store = store;
  }

  async fetch(version: ObjectVersion, range: ByteRange, sink: (chunk: Buffer) => void, signal: AbortSignal): Promise<void> {
    let stream: ObjectStream;
    try {
      stream = await this.#store.get(version.key, range, { ifMatch: version.etag, signal });
    } catch (error) {
      throw gone(error, version) ?? error;
    }
    await drain(stream, version, range, sink);
  }
}

/** As `RangeSource.fetch`, from a stream that has begun. */
export async function drain(stream: ObjectStream, version: ObjectVersion, range: ByteRange, sink: (chunk: Buffer) => void): Promise<void> {
  const { key } = version;
  let arrived = 0;
  try {
    checkAnswer(stream, version, range);
    for await (const chunk of stream) {
      arrived += chunk.length;
      if (arrived > range.length) throw new StoreError("corrupt", `more than the ${range.length} bytes asked for arrived`, { key });
      if (chunk.length > 0) sink(chunk);
    }
  } finally {
    stream.cancel();
  }
  if (arrived < range.length) {
    throw new StoreError("unavailable", `only ${arrived} of ${range.length} bytes from ${range.start} arrived`, { key });
  }
}

/** The version that was opened is not there any more, whether replaced, deleted or made shorter. */
function gone(error: unknown, version: ObjectVersion): StoreError | undefined {
  if (!isStoreError(error, "not-found", "range")) return undefined;
  return new StoreError("precondition", `${version.key} is no longer the version that was opened`, { key: version.key, cause: error });
}

function checkAnswer(stream: ObjectStream, version: ObjectVersion, range: ByteRange): void {
  const { key } = version;
  if (stream.info.etag !== version.etag) {
    throw new StoreError("precondition", `${key} is no longer the version that was opened`, { key });
  }
  if (stream.info.size !== version.size) {
    throw new StoreError("corrupt", `${key} has ${stream.info.size} bytes under the version that was listed with ${version.size}`, { key });
  }
  if (stream.start !== range.start || stream.length !== range.length) {
    throw new StoreError("corrupt",
      `asked for ${range.length} bytes from ${range.start}, the answer has ${stream.length} from ${stream.start}`, { key });
  }
}
