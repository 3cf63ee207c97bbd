// Copies pinned to one version of their source. Swift's S3 layer compares x-amz-copy-source-if-match with the entity tag of its own
// manifest, which no client ever sees, so for objects made by multipart the right condition fails there. That is found out by
// the first such refusal; from then on the version is asked for by HEAD just before, and those copies go without the condition.

import { isStoreError } from "../../store/errors.js";
import { headObject, type Bucket } from "./bucket.js";

const refuses = new WeakSet<Bucket["findings"]>();

/** The entity tag of an object made by multipart: digests of the parts' digests, and their count. */
function isComposite(etag: string): boolean {
  return /-\d+$/.test(etag);
}

/** `send` puts the given headers into the copy's request; with none, it is sent only when the source is that version now. */
export async function pinnedCopy<T>(bucket: Bucket, source: { readonly container: string; readonly key: string; readonly etag: string },
  send: (condition: Readonly<Record<string, string>>) => Promise<T>, signal: AbortSignal | undefined): Promise<{ readonly answer: T; readonly checked: boolean }> {
  const { container, key, etag } = source;
  const composite = isComposite(etag);
  if (composite && refuses.has(bucket.findings) && await isCurrent()) return { answer: await send({}), checked: false };
  try {
    return { answer: await send({ "x-amz-copy-source-if-match": `"${etag}"` }), checked: true };
  } catch (error) {
    if (!composite || !isStoreError(error, "precondition") || !await isCurrent()) throw error;
    // Either the condition on the target does not hold, and fails again, or the server compares with something else.
    const answer = await send({});
    refuses.add(bucket.findings);
    return { answer, checked: false };
  }

  async function isCurrent(): Promise<boolean> {
    return (await headObject(container === bucket.name ? bucket : { ...bucket, name: container }, key, signal)).info.etag === etag;
  }
}
