// Digests of a body before it is sent: one pass for all that are wanted.

import { createHash } from "node:crypto";
import { crc32 } from "node:zlib";
import { readBody } from "../../store/body.js";
import type { Body } from "../../store/objectStore.js";
import { Crc64, crc32c } from "./crc.js";

/** What can be sent as x-amz-checksum-*. */
export type CrcName = "crc32" | "crc32c" | "crc64nvme";
export type DigestName = "sha256" | "md5" | CrcName;

interface Running {
  update(data: Buffer): void;
  digest(): Buffer;
}

function begin(name: DigestName): Running {
  switch (name) {
    case "crc32": return running32(crc32);
    case "crc32c": return running32(crc32c);
    case "crc64nvme": return new Crc64();
    case "md5": case "sha256": {
      const hash = createHash(name);
      return { update: (data) => { hash.update(data); }, digest: () => hash.digest() };
    }
  }
}

function running32(step: (data: Buffer, crc: number) => number): Running {
  let crc = 0;
  return {
    update: (data) => { crc = step(data, crc); },
    digest: () => {
      const out = Buffer.alloc(4);
      out.writeUInt32BE(crc);
      return out;
    },
  };
}

/** Reads the body once. Fails as `readBody` does. */
export async function digestBody(body: Body, names: readonly DigestName[], signal?: AbortSignal, key?: string): Promise<Map<DigestName, Buffer>> {
  const all = names.map((name) => [name, begin(name)] as const);
  if (all.length > 0) {
    for await (const piece of readBody(body, signal, key)) {
      for (const [, one] of all) one.update(piece);
    }
  }
  return new Map(all.map(([name, one]) => [name, one.digest()]));
}

export function md5(data: Buffer): string {
  return createHash("md5").update(data).digest("base64");
}
