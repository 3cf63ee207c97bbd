// The memory tier: pieces of blocks by (key, etag, block), dropped when the mount's budget wants their bytes back.
//
// Invariants. Pieces of a block are sorted and do not overlap. A block stands in one of the three LRU lists exactly while it has
// complete pieces; their leases are what the cache holds of the budget. Arriving pieces belong to a fetch and cannot be evicted.
// A block lives as long as it has pieces, a version as long as it has blocks or open handles.
//
// What goes first when memory is wanted: blocks that a sequential reader has passed (the kernel has them, and a scan must not
// push out what others come back to), then blocks that were read, then what was fetched ahead and waits for its reader.

import { LRUCache } from "lru-cache";
import type { ByteRange } from "../store/objectStore.js";
import type { ByteBudget, Lease } from "../util/byteBudget.js";
import type { Clock } from "../util/clock.js";
import type { Fetch } from "./fetch.js";
import { Piece } from "./piece.js";
import type { ObjectVersion } from "./types.js";

/** What a piece costs besides its bytes; it matters where pieces are single pages. */
export const PIECE_OVERHEAD = 512;
/** What was fetched ahead and lay unread for so long (milliseconds) gives way to other readers' windows. */
const STALE = 2000;

type BlockList = LRUCache<Block, Block>;
// The budget decides how much is kept, not the list.
const blockList = (): BlockList => new LRUCache({ maxSize: Number.MAX_SAFE_INTEGER });

export class Block {
  readonly blocks: VersionBlocks;
  readonly index: number;
  readonly pieces: Piece[] = [];
  /** Bytes of complete pieces, with their overhead. */
  held = 0;
  /** How many of the complete pieces nobody has read. */
  unread = 0;
  /** When its last piece was completed, by the monotonic clock. */
  arrivedAt = 0;
  /** Where it stands. */
  list: BlockList | undefined;

  constructor(blocks: VersionBlocks, index: number) {
    this.blocks = blocks;
    this.index = index;
  }
}

/** Everything known of one version of one object. */
export class VersionBlocks {
  readonly version: ObjectVersion;
  readonly blocks = new Map<number, Block>();
  handles = 0;
  /** The store has another version by now: nothing more is fetched ahead. */
  outdated = false;

  constructor(version: ObjectVersion) {
    this.version = version;
  }
}

/** What is there of a range, in order, and what is missing. */
export interface Survey { readonly pieces: Piece[]; readonly gaps: ByteRange[] }

export class BlockCache {
  readonly #budget: ByteBudget;
  readonly #blockSize: number;
  readonly #clock: Clock;
  readonly #unregister: () => void;
  // Objects by key, then by etag and size: blocks of two versions can never meet.
  readonly #objects = new Map<string, Map<string, VersionBlocks>>();
  readonly #passed = blockList();
  readonly #kept = blockList();
  readonly #unread = blockList();
  #cachedBytes = 0;
  #aheadBytes = 0;
  #wastedBytes = 0;

  constructor(budget: ByteBudget, blockSize: number, clock: Clock) {
    this.#budget = budget;
    this.#blockSize = blockSize;
    this.#clock = clock;
    this.#unregister = budget.addReclaimer((wanted) => this.#reclaim(wanted));
  }

  /** Bytes of complete pieces. */
  get cachedBytes(): number { return this.#cachedBytes; }
  /** Bytes fetched or being fetched ahead that nobody has read. */
  get aheadBytes(): number { return this.#aheadBytes; }
  get wastedBytes(): number { return this.#wastedBytes; }
  /** Versions with blocks or handles. */
  get versions(): number {
    let count = 0;
    for (const versions of this.#objects.values()) count += versions.size;
    return count;
  }

  /** Counted; `leave` is its counterpart. */
  enter(version: ObjectVersion): VersionBlocks {
    let versions = this.#objects.get(version.key);
    if (versions === undefined) {
      versions = new Map();
      this.#objects.set(version.key, versions);
    }
    const id = identity(version);
    let blocks = versions.get(id);
    if (blocks === undefined) {
      blocks = new VersionBlocks(version);
      versions.set(id, blocks);
    }
    blocks.handles += 1;
    return blocks;
  }

  leave(blocks: VersionBlocks): void {
    blocks.handles -= 1;
    this.#tidy(blocks);
  }

  survey(blocks: VersionBlocks, start: number, end: number): Survey {
    const pieces: Piece[] = [];
    const gaps: ByteRange[] = [];
    let at = start;
    const gapUpTo = (to: number): void => {
      const last = gaps.at(-1);
      if (last !== undefined && last.start + last.length === at) gaps[gaps.length - 1] = { start: last.start, length: to - last.start };
      else gaps.push({ start: at, length: to - at });
    };
    while (at < end) {
      const index = Math.floor(at / this.#blockSize);
      const blockEnd = Math.min(end, (index + 1) * this.#blockSize);
      const block = blocks.blocks.get(index);
      for (let i = block === undefined ? 0 : firstEndingAfter(block.pieces, at); block !== undefined && i < block.pieces.length; i++) {
        const piece = block.pieces[i] as Piece;
        if (piece.start >= blockEnd) break;
        if (piece.start > at) gapUpTo(piece.start);
        pieces.push(piece);
        at = Math.min(piece.end, blockEnd);
      }
      if (at < blockEnd) gapUpTo(blockEnd);
      at = blockEnd;
    }
    return { pieces, gaps };
  }

  /** What the pieces of these gaps will hold of the budget. */
  costOf(gaps: readonly ByteRange[]): number {
    let cost = 0;
    for (const { start, length } of gaps) {
      const pieces = Math.floor((start + length - 1) / this.#blockSize) - Math.floor(start / this.#blockSize) + 1;
      cost += length + pieces * PIECE_OVERHEAD;
    }
    return cost;
  }

  /** Makes the arriving pieces of a gap, which no piece may overlap: from now on others find them instead of asking again. */
  plant(blocks: VersionBlocks, gap: ByteRange, fetch: Fetch): Piece[] {
    const planted: Piece[] = [];
    const end = gap.start + gap.length;
    for (let at = gap.start; at < end;) {
      const index = Math.floor(at / this.#blockSize);
      const length = Math.min(end, (index + 1) * this.#blockSize) - at;
      let block = blocks.blocks.get(index);
      if (block === undefined) {
        block = new Block(blocks, index);
        blocks.blocks.set(index, block);
      }
      const piece = new Piece(block, fetch, at, length, fetch.ahead);
      block.pieces.splice(firstEndingAfter(block.pieces, at), 0, piece);
      if (piece.ahead) this.#aheadBytes += length;
      planted.push(piece);
      at += length;
    }
    return planted;
  }

  /** All bytes of the piece have arrived; `lease` becomes the cache's. */
  complete(piece: Piece, lease: Lease): void {
    piece.state = "complete";
    piece.lease = lease;
    const { block } = piece;
    block.held += lease.bytes;
    block.arrivedAt = this.#clock.monotonic();
    if (piece.ahead) block.unread += 1;
    this.#cachedBytes += piece.length;
    this.#place(block, block.list ?? this.#kept);
    this.#budget.offer();
  }

  /** Its fetch has failed or was cancelled, or its bytes are not to be trusted. */
  drop(piece: Piece): void {
    if (piece.state === "dropped") return;
    const { block } = piece;
    const at = block.pieces.indexOf(piece);
    if (at >= 0) this.#takeOut(piece);
    piece.drop();
    if (at < 0) return;
    block.pieces.splice(at, 1);
    this.#place(block, block.list ?? this.#kept);
    this.#tidyBlock(block);
  }

  /** Somebody reads it. `passed`: a sequential reader, who is through with it then. */
  touch(piece: Piece, passed: boolean): void {
    const { block } = piece;
    if (piece.ahead) {
      piece.ahead = false;
      this.#aheadBytes -= piece.length;
      if (piece.state === "complete") block.unread -= 1;
    }
    this.#place(block, passed ? this.#passed : this.#kept);
  }

  /** Drops what is cached of the key; what is arriving goes on. */
  forget(key: string): void {
    for (const blocks of this.#objects.get(key)?.values() ?? []) {
      for (const block of blocks.blocks.values()) this.#evict(block);
    }
  }

  /** Drops what was fetched ahead long ago and never read, about `wanted` bytes of it. */
  dropStale(wanted: number): void {
    const before = this.#clock.monotonic() - STALE;
    for (let freed = 0; freed < wanted;) {
      const oldest = this.#unread.rkeys().next().value;
      if (oldest === undefined || oldest.arrivedAt > before) return;
      freed += this.#evict(oldest);
    }
  }

  /** Drops every complete piece, and takes the cache out of the budget. */
  close(): void {
    this.#unregister();
    while (this.#reclaim(Number.MAX_SAFE_INTEGER) > 0);
  }

  #reclaim(wanted: number): number {
    let freed = 0;
    while (freed < wanted) {
      const block = this.#passed.pop() ?? this.#kept.pop() ?? this.#unread.pop();
      if (block === undefined) break;
      block.list = undefined;
      freed += this.#evict(block);
    }
    return freed;
  }

  #evict(block: Block): number {
    const evicted = block.pieces.filter((piece) => piece.state === "complete");
    const staying = block.pieces.filter((piece) => piece.state !== "complete");
    const freed = block.held;
    block.pieces.splice(0, block.pieces.length, ...staying);
    block.held = 0;
    block.unread = 0;
    this.#place(block, this.#kept);
    this.#tidyBlock(block);
    for (const piece of evicted) this.#giveBack(piece);
    return freed;
  }

  #takeOut(piece: Piece): void {
    if (piece.state === "complete") {
      piece.block.held -= piece.lease?.bytes ?? 0;
      if (piece.ahead) piece.block.unread -= 1;
    }
    this.#giveBack(piece);
  }

  /** The counters and the lease of a piece that leaves the cache. */
  #giveBack(piece: Piece): void {
    if (piece.ahead) {
      piece.ahead = false;
      this.#aheadBytes -= piece.length;
      this.#wastedBytes += piece.received;
    }
    if (piece.state !== "complete") return;
    this.#cachedBytes -= piece.length;
    const { lease } = piece;
    piece.lease = undefined;
    // Last: it may let somebody in who reclaims in turn.
    lease?.release();
  }

  /** Puts the block at the young end of the list it belongs to: `list`, unless some of it is unread or none of it is held. */
  #place(block: Block, list: BlockList): void {
    const target = block.held === 0 ? undefined : block.unread > 0 ? this.#unread : list === this.#unread ? this.#kept : list;
    if (block.list !== target) block.list?.delete(block);
    block.list = target;
    target?.set(block, block, { size: block.held });
  }

  #tidyBlock(block: Block): void {
    const { blocks } = block;
    if (block.pieces.length > 0 || blocks.blocks.get(block.index) !== block) return;
    blocks.blocks.delete(block.index);
    this.#tidy(blocks);
  }

  #tidy(blocks: VersionBlocks): void {
    if (blocks.handles > 0 || blocks.blocks.size > 0) return;
    const { key } = blocks.version;
    const versions = this.#objects.get(key);
    versions?.delete(identity(blocks.version));
    if (versions?.size === 0) this.#objects.delete(key);
  }
}

function identity(version: ObjectVersion): string {
  return `${version.size} ${version.etag}`;
}

/** Index of the first piece that ends after `at`: where a piece that holds `at`, or is to begin there, stands. */
function firstEndingAfter(pieces: readonly Piece[], at: number): number {
  let low = 0;
  let high = pieces.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((pieces[middle] as Piece).end <= at) low = middle + 1;
    else high = middle;
  }
  return low;
}
