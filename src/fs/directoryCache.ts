// What is known of one directory's names, and since when. It answers lookups without asking the store.

import type { ObjectInfo } from "../store/objectStore.js";

/** When a group of facts was learnt (monotonic milliseconds) and how long they hold. A listing moves `at` on until it has ended. */
export interface Batch { at: number; readonly ttl: number }

/**
 * Both facts of one component, always known together. `directory`: there are keys below `component/`. `object`: the object
 * `component` itself. Neither: there is no such name.
 */
export interface Known {
  readonly directory: boolean;
  readonly object: ObjectInfo | undefined;
  /** The directory's marker `component/`; null: it has none; undefined: not known. */
  readonly marker?: ObjectInfo | null | undefined;
  /** Other objects that say that it is a directory (`d_$folder$`, an empty `d` of a directory's type). */
  readonly legacy?: readonly string[] | undefined;
  readonly batch: Batch;
  /** When the store was asked, where that differs from `batch.at`. */
  readonly asked?: number | undefined;
}

/** Whether the objects of a directory carry attributes in metadata, as a sample says. */
export type Sample = "unknown" | "carried" | "none";

export class DirectoryCache {
  /** By component. Records whose batch has run out are ignored and dropped when met. */
  readonly entries = new Map<string, Known>();
  /** Set: every name there is stands in `entries`, as of that batch. */
  complete: Batch | undefined;
  /** A whole listing has run out: how many names it had, and how many questions it could have answered since. */
  lapsed: { readonly names: number; asked: number } | undefined;
  /** Raised by every change this mount makes to a name of the directory. */
  epoch = 0;
  /** The epoch of the last own change of a component; kept only while an answer of the store is awaited (`pending` > 0). */
  readonly changes = new Map<string, number>();
  pending = 0;
  /** Of `changes`, the names that were forgotten since: what they are now is the store's to say. */
  readonly unsure = new Set<string>();
  /** Raised when names are thrown out: a listing that was being collected is then no longer whole. */
  losses = 0;
  sample: Sample = "unknown";
  sampledAt = -Infinity;
  /** Objects met since the last sample that carried no attributes. */
  plain = 0;

  /** Before an await that will fill the cache. Every `begin` is followed by one `end`. */
  begin(): number {
    this.pending += 1;
    return this.epoch;
  }

  end(): void {
    this.pending -= 1;
    if (this.pending > 0) return;
    this.changes.clear();
    this.unsure.clear();
  }

  /** Whether this mount changed the name after `epoch`: an answer asked for then says nothing about it. */
  changedSince(component: string, epoch: number): boolean {
    return (this.changes.get(component) ?? 0) > epoch;
  }

  /** An own change: what the name is from now on. */
  change(component: string, known: Known): void {
    this.epoch += 1;
    if (this.pending > 0) this.changes.set(component, this.epoch);
    this.unsure.delete(component);
    this.#put(component, known);
  }

  /** An own change of a directory's marker; the name is what it was. */
  marked(component: string, marker: ObjectInfo): void {
    this.epoch += 1;
    if (this.pending > 0) this.changes.set(component, this.epoch);
    const known = this.entries.get(component);
    if (known !== undefined) this.entries.set(component, { ...known, marker });
  }

  /** An answer of the store. Ignored when the name was changed here after `epoch`. */
  learn(component: string, known: Known, epoch: number): boolean {
    if (this.changedSince(component, epoch)) return false;
    this.#put(component, known);
    return true;
  }

  #put(component: string, known: Known): void {
    // Of a complete directory absence needs no record of its own.
    if (!known.directory && known.object === undefined && this.complete !== undefined) this.entries.delete(component);
    else this.entries.set(component, known);
  }

  /** What is known and still holds at `now`; a complete directory knows of every name. */
  get(component: string, now: number): Known | undefined {
    const complete = this.complete !== undefined && holds(this.complete, now);
    const known = this.entries.get(component);
    if (known !== undefined && (complete || holds(known.batch, now))) return known;
    if (known !== undefined) this.entries.delete(component);
    if (this.complete === undefined) return undefined;
    if (complete) return { directory: false, object: undefined, batch: this.complete };
    this.complete = undefined;
    this.lapsed = { names: this.entries.size + 1, asked: 0 };
    return undefined;
  }

  isComplete(now: number): boolean {
    return this.complete !== undefined && holds(this.complete, now);
  }

  /** A whole listing has ended: what it did not show, and this mount did not change since, is not there. */
  finish(batch: Batch, epoch: number): void {
    for (const [component, known] of this.entries) {
      if (known.batch !== batch && !this.changedSince(component, epoch)) this.entries.delete(component);
    }
    this.complete = batch;
    this.lapsed = undefined;
  }

  forget(component: string): void {
    this.epoch += 1;
    if (this.pending > 0) {
      this.changes.set(component, this.epoch);
      this.unsure.add(component);
    }
    this.entries.delete(component);
    this.complete = undefined;
  }

  clear(): void {
    this.losses += 1;
    this.entries.clear();
    this.complete = undefined;
    this.lapsed = undefined;
  }
}

export function holds(batch: Batch, now: number): boolean {
  return now - batch.at <= batch.ttl;
}
