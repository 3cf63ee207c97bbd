// How reading is tuned. Every field has a default that suits both a store in the same rack and one 20 ms away.

const KiB = 1024;
const MiB = 1024 * KiB;

/** All sizes in bytes. */
export interface ReadOptions {
  /** Grain of the cache: what is dropped at once when memory is wanted. A multiple of 4 KiB. */
  readonly blockSize: number;
  /**
   * The first request of a reader that starts at the beginning, and the smallest window. 1 MiB + 128 KiB: a first read of
   * 1 MiB and the kernel's default read-ahead behind it come with one answer.
   */
  readonly firstRequest: number;
  /** An object up to this size is fetched whole, by one request, whichever part of it is read first. */
  readonly wholeFile: number;
  /** How far one sequential reader is fetched ahead at most: what is on its way, and what has arrived and waits for the reader. */
  readonly maxWindow: number;
  /** Of these, how many bytes may be on their way. 20 ms at 1.5 GB/s are 30 MiB. */
  readonly inFlight: number;
  /** Longest single range; a window is fetched as several of them side by side. */
  readonly rangeSize: number;
  /** Ranges fetched ahead at once for one handle. */
  readonly handleRanges: number;
  /** Ranges fetched ahead at once for the whole mount. What a reader waits for is asked at once and not counted here. */
  readonly mountRanges: number;
  /** Missing pieces of one read that lie closer than this are asked by one request; what lies between is dropped. */
  readonly mergeGap: number;
  /** Share of the byte budget that may be held by what nobody has read yet. */
  readonly aheadShare: number;
  /**
   * Requests of a reader at random after which the whole object is fetched, where it fits: one for so many bytes of it, and never
   * fewer than `sweepLeast`. At 20 ms the line carries several times that while one small answer is waited for.
   */
  readonly sweepPer: number;
  readonly sweepLeast: number;
  /** Share of the byte budget that such an object may take. */
  readonly sweepShare: number;
}

export const READ_DEFAULTS: ReadOptions = {
  blockSize: 1 * MiB,
  firstRequest: 1 * MiB + 128 * KiB,
  wholeFile: 1 * MiB + 128 * KiB,
  maxWindow: 64 * MiB,
  inFlight: 48 * MiB,
  rangeSize: 8 * MiB,
  handleRanges: 16,
  mountRanges: 32,
  mergeGap: 128 * KiB,
  aheadShare: 0.5,
  sweepPer: 8 * MiB,
  sweepLeast: 8,
  sweepShare: 0.6,
};

/** Requests of random readers begin and end at multiples of this: the kernel's page. */
export const PAGE = 4 * KiB;
