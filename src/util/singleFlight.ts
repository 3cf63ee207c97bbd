/** Concurrent equal questions share one answer. Nothing is kept after it has arrived. */
export class SingleFlight<K, V> {
  readonly #running = new Map<K, Promise<V>>();

  get size(): number { return this.#running.size; }

  run(key: K, work: () => Promise<V>): Promise<V> {
    const running = this.#running.get(key);
    if (running !== undefined) return running;
    const started = work().finally(() => { this.#running.delete(key); });
    this.#running.set(key, started);
    return started;
  }
}
