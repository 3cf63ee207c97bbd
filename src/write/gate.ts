// A fair lock: any number of sharers, or one alone, in the order in which they came. Writes share, a commit is alone, so
// a commit sees everything that was written before it and nothing that came after.

interface Waiter { readonly alone: boolean; readonly grant: () => void }

export class Gate {
  #sharers = 0;
  #alone = false;
  readonly #waiting: Waiter[] = [];

  get waiting(): number { return this.#waiting.length; }
  get held(): boolean { return this.#alone || this.#sharers > 0; }

  /** @returns the function that leaves (call it once). Rejects with the signal's reason. */
  share(signal?: AbortSignal): Promise<() => void> {
    return this.#enter(false, signal);
  }

  alone(signal?: AbortSignal): Promise<() => void> {
    return this.#enter(true, signal);
  }

  async #enter(alone: boolean, signal: AbortSignal | undefined): Promise<() => void> {
    signal?.throwIfAborted();
    if (this.#waiting.length === 0 && this.#free(alone)) {
      this.#take(alone);
    } else {
      await new Promise<void>((resolve, reject) => {
        const onAbort = (): void => {
          this.#waiting.splice(this.#waiting.indexOf(waiter), 1);
          reject(signal?.reason as Error);
          this.#admit();
        };
        const waiter: Waiter = { alone, grant: () => { signal?.removeEventListener("abort", onAbort); resolve(); } };
        signal?.addEventListener("abort", onAbort, { once: true });
        this.#waiting.push(waiter);
      });
    }
    return () => {
      if (alone) this.#alone = false;
      else this.#sharers -= 1;
      this.#admit();
    };
  }

  #free(alone: boolean): boolean {
    return !this.#alone && (!alone || this.#sharers === 0);
  }

  #take(alone: boolean): void {
    if (alone) this.#alone = true;
    else this.#sharers += 1;
  }

  #admit(): void {
    for (;;) {
      const first = this.#waiting[0];
      if (first === undefined || !this.#free(first.alone)) return;
      this.#waiting.shift();
      // Taken for the waiter at once: nobody slips in between the grant and its continuation.
      this.#take(first.alone);
      first.grant();
    }
  }
}
