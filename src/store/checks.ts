// Arguments that no store accepts, checked the same way by all of them before anything is sent.

import { StoreError } from "./errors.js";
import type { ByteRange, Capabilities, Metadata, ObjectInfo, PartLimits, PartReceipt, WriteConditions } from "./objectStore.js";

/** `invalid` for the empty key, a lone surrogate, or more UTF-8 bytes than the store takes. */
export function checkKey(key: string, maxKeyBytes: number): void {
  if (key === "") throw new StoreError("invalid", "an object's key cannot be empty", { key });
  if (!key.isWellFormed()) throw new StoreError("invalid", "the key is not valid Unicode", { key });
  // A UTF-16 unit is at most three bytes: most keys need no counting.
  if (key.length * 3 > maxKeyBytes) {
    const bytes = Buffer.byteLength(key);
    if (bytes > maxKeyBytes) throw new StoreError("invalid", `the key has ${bytes} bytes, the store takes ${maxKeyBytes}`, { key });
  }
}

/** Bytes of names and values, as the limit counts them. */
export function metadataBytes(metadata: Metadata): number {
  return Object.entries(metadata).reduce((sum, [name, value]) => sum + name.length + Buffer.byteLength(value), 0);
}

/** `invalid` for names outside `[a-z0-9-_.]+`, values with NUL, or too much of it; `unsupported` where the store keeps none. */
export function checkMetadata(metadata: Metadata | undefined, limit: Capabilities["metadata"], key?: string): void {
  if (metadata === undefined) return;
  for (const [name, value] of Object.entries(metadata)) {
    if (limit === false) throw new StoreError("unsupported", "this store keeps no user metadata", { key });
    if (!/^[a-z0-9\-_.]+$/.test(name)) throw new StoreError("invalid", `the metadata name ${JSON.stringify(name)} is not of [a-z0-9-_.]`, { key });
    if (value.includes("\0") || !value.isWellFormed()) {
      throw new StoreError("invalid", `the value of the metadata ${name} has a NUL or is not valid Unicode`, { key });
    }
  }
  if (limit === false) return;
  const bytes = metadataBytes(metadata);
  if (bytes > limit.maxBytes) throw new StoreError("invalid", `the metadata has ${bytes} bytes, the store takes ${limit.maxBytes}`, { key });
}

export function checkConditions(conditions: WriteConditions | undefined, key?: string): void {
  if (conditions?.ifMatch !== undefined && conditions.ifNoneMatch !== undefined) {
    throw new StoreError("invalid", "a write takes ifMatch or ifNoneMatch, not both", { key });
  }
}

export function preconditionError(key: string, message = "the object is not the version that was expected"): StoreError {
  return new StoreError("precondition", message, { key });
}

/** `precondition` unless the target, as it is now, allows the write. A missing target fails `ifMatch`. */
export function checkTarget(target: Pick<ObjectInfo, "etag"> | undefined, conditions: WriteConditions | undefined, key: string): void {
  if (conditions?.ifNoneMatch !== undefined && target !== undefined) throw preconditionError(key, "the object exists already");
  if (conditions?.ifMatch !== undefined && target?.etag !== conditions.ifMatch) throw preconditionError(key);
}

/** The range cut at the object's end; the whole object for none. `range` when it starts at or past the end, `invalid` when it is no range. */
export function cutRange(range: ByteRange | undefined, size: number, key: string): ByteRange {
  if (range === undefined) return { start: 0, length: size };
  const { start, length } = range;
  if (!Number.isSafeInteger(start) || start < 0 || !Number.isSafeInteger(length) || length < 1) {
    throw new StoreError("invalid", `not a range: ${length} bytes from ${start}`, { key });
  }
  if (start >= size) throw new StoreError("range", `the range starts at ${start}, the object has ${size} bytes`, { key });
  return { start, length: Math.min(length, size - start) };
}

/** `invalid` unless the part's number, offset and length fit the limits. */
export function checkPart(limits: PartLimits, number: number, offset: number, length: number, last: boolean, key: string): void {
  const say = (message: string): never => { throw new StoreError("invalid", `part ${number}: ${message}`, { key }); };
  if (!Number.isSafeInteger(number) || number < 1 || number > limits.maxParts) say(`numbers go from 1 to ${limits.maxParts}`);
  if (!Number.isSafeInteger(offset) || offset < 0) say(`not an offset: ${offset}`);
  if (length > limits.maxSize) say(`${length} bytes, the store takes ${limits.maxSize}`);
  if (!last && length < limits.minSize) say(`${length} bytes, all but the last need ${limits.minSize}`);
}

/** `invalid` unless these parts make one object: ascending numbers, no gaps, lengths within the limits. @returns the object's size. */
export function checkParts(limits: PartLimits, parts: readonly PartReceipt[], key: string): number {
  if (parts.length === 0) throw new StoreError("invalid", "an upload needs at least one part", { key });
  let size = 0;
  let number = 0;
  for (const [index, part] of parts.entries()) {
    const last = index === parts.length - 1;
    if (part.number <= number) throw new StoreError("invalid", `part ${part.number} comes after part ${number}`, { key });
    if (part.offset !== size) throw new StoreError("invalid", `part ${part.number} starts at ${part.offset}, the parts before end at ${size}`, { key });
    checkPart(limits, part.number, part.offset, part.size, last, key);
    if (limits.equalSizes && part.size !== (parts[0] as PartReceipt).size && !(last && part.size < (parts[0] as PartReceipt).size)) {
      throw new StoreError("invalid", `part ${part.number} has another length than part 1`, { key });
    }
    number = part.number;
    size += part.size;
  }
  if (size > limits.maxObjectSize) throw new StoreError("invalid", `${size} bytes, the store takes ${limits.maxObjectSize}`, { key });
  return size;
}
