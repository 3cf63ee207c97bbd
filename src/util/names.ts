// File names are bytes to the kernel and strings to us. A byte that is not part of valid UTF-8 stands as a lone
// surrogate U+DC80..U+DCFF (the surrogateescape of PEP 383), so every name survives the way there and back.

const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Bytes to a string; never fails; `encodeName` gives exactly these bytes back. */
export function decodeName(bytes: Uint8Array): string {
  try {
    return strict.decode(bytes);
  } catch {
    return decodeLossless(bytes);
  }
}

function decodeLossless(bytes: Uint8Array): string {
  let out = "";
  for (let i = 0; i < bytes.length;) {
    const width = utf8Width(bytes, i);
    if (width === 0) {
      out += String.fromCharCode(0xdc00 + (bytes[i] as number));
      i += 1;
    } else {
      out += strict.decode(bytes.subarray(i, i + width));
      i += width;
    }
  }
  return out;
}

/** Length of the valid UTF-8 sequence at `at`, 0 when there is none. */
function utf8Width(bytes: Uint8Array, at: number): number {
  const lead = bytes[at] as number;
  const width = lead < 0x80 ? 1 : lead >= 0xc2 && lead < 0xe0 ? 2 : lead >= 0xe0 && lead < 0xf0 ? 3 : lead >= 0xf0 && lead < 0xf5 ? 4 : 0;
  if (width <= 1) return width;
  try {
    strict.decode(bytes.subarray(at, at + width));
    return at + width <= bytes.length ? width : 0;
  } catch {
    return 0;
  }
}

/** The inverse of `decodeName`. */
export function encodeName(name: string): Buffer {
  if (!/[\ud800-\udfff]/.test(name) || name.isWellFormed()) return Buffer.from(name, "utf8");
  const pieces: Buffer[] = [];
  for (const piece of name.split(/([\udc80-\udcff])/u)) {
    const code = piece.charCodeAt(0);
    pieces.push(piece.length === 1 && code >= 0xdc80 && code <= 0xdcff ? Buffer.from([code - 0xdc00]) : Buffer.from(piece, "utf8"));
  }
  return Buffer.concat(pieces);
}

/** Compares two strings by their UTF-8 bytes, the order in which stores list keys (UTF-16 order differs above U+FFFF). */
export function compareUtf8(a: string, b: string): number {
  const n = Math.min(a.length, b.length);
  for (let i = 0; i < n; i++) {
    let x = a.charCodeAt(i);
    let y = b.charCodeAt(i);
    if (x === y) continue;
    // Surrogates (code points above U+FFFF) sort after U+E000..U+FFFF in UTF-8, before them in UTF-16.
    if (x >= 0xd800 && y >= 0xd800) {
      x = x >= 0xe000 ? x - 0x800 : x + 0x2000;
      y = y >= 0xe000 ? y - 0x800 : y + 0x2000;
    }
    return x - y;
  }
  return a.length - b.length;
}
