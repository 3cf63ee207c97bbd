// Copies pinned to one version of their source. Swift's S3 layer compares x-amz-copy-source-if-match with the entity tag of its own
// manifest, which no client ever sees, so for objects made by multipart the right condition fails there. That is found out by
// the first such refusal; from then on the version is asked for by HEAD just before, and those copies go without the condition.
// A whole copy of such an object is listed there with yet another tag than HEAD tells, so it is made by parts.

import { isStoreError } from "../../store/errors.js";
import { headObject, type Bucket } from "./bucket.js";

const refuses = new WeakSet<Bucket["findings"]>();

/** The entity tag of an object made by multipart: digests of the parts' digests, and their count. */
function isComposite(etag: string): boolean {
  return /-\d+$/.test(etag);
}

export interface PinnedSource {
  readonly container: string;
  readonly key: string;
  readonly etag: string;
}

export function sourceCondition(etag: string): Readonly<Record<string, string>> {
  return { "x-amz-copy-source-if-match": `"${etag}"` };
}

async function isCurrent(bucket: Bucket, { container, key, etag }: PinnedSource, signal: AbortSignal | undefined): Promise<boolean> {
  return (await headObject(container === bucket.name ? bucket : { ...bucket, name: container }, key, signal)).info.etag === etag;
}

/** Whether it was refused although the source is this version. A condition on the target may be the reason as well. */
async function refusedWrongly(bucket: Bucket, source: PinnedSource, error: unknown, signal: AbortSignal | undefined): Promise<boolean> {
  return isComposite(source.etag) && isStoreError(error, "precondition") && await isCurrent(bucket, source, signal);
}

/** One copy of a whole object (`whole`, with the source's condition), or `byParts` where the server wants that. */
export async function wholeOrByParts<T>(bucket: Bucket, source: PinnedSource, whole: () => Promise<T>, byParts: () => Promise<T>,
  signal: AbortSignal | undefined): Promise<T> {
  if (isComposite(source.etag) && refuses.has(bucket.findings)) return byParts();
  try {
    return await whole();
  } catch (error) {
    if (!await refusedWrongly(bucket, source, error, signal)) throw error;
    return byParts();
  }
}

/**
 * A part's copy: `send` puts the given headers into its request; with none, it is sent only when the source is that version now.
 * `checked`: the server was asked to look.
 */
export async function pinnedPart<T>(bucket: Bucket, source: PinnedSource, send: (condition: Readonly<Record<string, string>>) => Promise<T>,
  signal: AbortSignal | undefined): Promise<{ readonly answer: T; readonly checked: boolean }> {
  if (isComposite(source.etag) && refuses.has(bucket.findings) && await isCurrent(bucket, source, signal)) return { answer: await send({}), checked: false };
  try {
    return { answer: await send(sourceCondition(source.etag)), checked: true };
  } catch (error) {
    if (!await refusedWrongly(bucket, source, error, signal)) throw error;
    const answer = await send({});
    refuses.add(bucket.findings);
    return { answer, checked: false };
  }
}
