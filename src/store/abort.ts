// Abort signals in the store's terms: whatever the signal's reason, what leaves is a StoreError of kind `aborted`.

import { StoreError } from "./errors.js";

export function abortedError(signal: AbortSignal | undefined, key?: string): StoreError {
  return new StoreError("aborted", "the call was aborted", { key, cause: signal?.reason });
}

export function throwIfAborted(signal: AbortSignal | undefined, key?: string): void {
  if (signal?.aborted === true) throw abortedError(signal, key);
}

/**
 * Settles like `promise`, or rejects with `aborted` as soon as the signal fires. A promise that is left behind this way
 * is still observed: its later rejection is nobody's unhandled one.
 */
export function orAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined, key?: string): Promise<T> {
  if (signal === undefined) return promise;
  return new Promise<T>((resolve, reject) => {
    const onAbort = (): void => reject(abortedError(signal, key));
    if (signal.aborted) onAbort();
    else signal.addEventListener("abort", onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}
