// CRC-32C (Castagnoli) and CRC-64/NVME, which Node has no native form of: table-driven, eight bytes at a time. Reflected
// polynomials; the check values of "123456789" are e3069283 and ae8b14860a799888.

const CRC32C = 0x82f63b78;
const NVME_HIGH = 0x9a6c9329;
const NVME_LOW = 0xac4bc9b5;

let tables32: Uint32Array | undefined;
let tables64: { readonly low: Uint32Array; readonly high: Uint32Array } | undefined;

function make32(): Uint32Array {
  const t = new Uint32Array(8 * 256);
  for (let n = 0; n < 256; n++) {
    let c = n;
    for (let k = 0; k < 8; k++) c = (c & 1) !== 0 ? (c >>> 1) ^ CRC32C : c >>> 1;
    t[n] = c;
  }
  for (let i = 256; i < t.length; i++) {
    const before = t[i - 256] as number;
    t[i] = (t[before & 255] as number) ^ (before >>> 8);
  }
  return t;
}

function make64(): { low: Uint32Array; high: Uint32Array } {
  const low = new Uint32Array(8 * 256);
  const high = new Uint32Array(8 * 256);
  for (let n = 0; n < 256; n++) {
    let l = n;
    let h = 0;
    for (let k = 0; k < 8; k++) {
      const odd = (l & 1) !== 0;
      l = (l >>> 1) | (h << 31);
      h >>>= 1;
      if (odd) {
        l ^= NVME_LOW;
        h ^= NVME_HIGH;
      }
    }
    low[n] = l;
    high[n] = h;
  }
  for (let i = 256; i < low.length; i++) {
    const l = low[i - 256] as number;
    const h = high[i - 256] as number;
    low[i] = (low[l & 255] as number) ^ ((l >>> 8) | (h << 24));
    high[i] = (high[l & 255] as number) ^ (h >>> 8);
  }
  return { low, high };
}

/** @param crc what a former call gave, 0 at first. */
export function crc32c(data: Uint8Array, crc = 0): number {
  const t = tables32 ??= make32();
  let c = ~crc;
  let i = 0;
  for (const end = data.length - 7; i < end; i += 8) {
    const a = c ^ ((data[i] as number) | ((data[i + 1] as number) << 8) | ((data[i + 2] as number) << 16) | ((data[i + 3] as number) << 24));
    c = (t[1792 + (a & 255)] as number) ^ (t[1536 + ((a >>> 8) & 255)] as number) ^ (t[1280 + ((a >>> 16) & 255)] as number) ^ (t[1024 + (a >>> 24)] as number)
      ^ (t[768 + (data[i + 4] as number)] as number) ^ (t[512 + (data[i + 5] as number)] as number)
      ^ (t[256 + (data[i + 6] as number)] as number) ^ (t[data[i + 7] as number] as number);
  }
  for (; i < data.length; i++) c = (t[(c ^ (data[i] as number)) & 255] as number) ^ (c >>> 8);
  return ~c >>> 0;
}

/** A running CRC-64/NVME. */
export class Crc64 {
  #low = ~0;
  #high = ~0;

  update(data: Uint8Array): void {
    const { low: tl, high: th } = tables64 ??= make64();
    let l = this.#low;
    let h = this.#high;
    let i = 0;
    for (const end = data.length - 7; i < end; i += 8) {
      const a = l ^ ((data[i] as number) | ((data[i + 1] as number) << 8) | ((data[i + 2] as number) << 16) | ((data[i + 3] as number) << 24));
      const b = h ^ ((data[i + 4] as number) | ((data[i + 5] as number) << 8) | ((data[i + 6] as number) << 16) | ((data[i + 7] as number) << 24));
      const i0 = 1792 + (a & 255), i1 = 1536 + ((a >>> 8) & 255), i2 = 1280 + ((a >>> 16) & 255), i3 = 1024 + (a >>> 24);
      const i4 = 768 + (b & 255), i5 = 512 + ((b >>> 8) & 255), i6 = 256 + ((b >>> 16) & 255), i7 = b >>> 24;
      l = (tl[i0] as number) ^ (tl[i1] as number) ^ (tl[i2] as number) ^ (tl[i3] as number) ^ (tl[i4] as number) ^ (tl[i5] as number) ^ (tl[i6] as number) ^ (tl[i7] as number);
      h = (th[i0] as number) ^ (th[i1] as number) ^ (th[i2] as number) ^ (th[i3] as number) ^ (th[i4] as number) ^ (th[i5] as number) ^ (th[i6] as number) ^ (th[i7] as number);
    }
    for (; i < data.length; i++) {
      const at = (l ^ (data[i] as number)) & 255;
      l = (tl[at] as number) ^ ((l >>> 8) | (h << 24));
      h = (th[at] as number) ^ (h >>> 8);
    }
    this.#low = l;
    this.#high = h;
  }

  /** Eight bytes, the most significant first. */
  digest(): Buffer {
    const out = Buffer.alloc(8);
    out.writeUInt32BE(~this.#high >>> 0, 0);
    out.writeUInt32BE(~this.#low >>> 0, 4);
    return out;
  }
}
