import type { Body, ObjectStream } from "../store/objectStore.js";

export const EMPTY_BODY: Body = { length: 0, open: () => [] };

export function bufferBody(bytes: Buffer): Body {
  return { length: bytes.length, open: () => (bytes.length === 0 ? [] : [bytes]) };
}

export async function collect(stream: ObjectStream): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of stream) pieces.push(piece);
  return Buffer.concat(pieces);
}
