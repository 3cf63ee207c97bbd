// The object file. It begins with a line of fixed length that gives the lengths and the CRC-32 of what follows: the record
// of the object (JSON), its table of segments (JSON, only for objects made of parts), and then, for an object without
// segments, the bytes themselves. So a small object is one file, one open and one read; and a put of any size is one file.

import { crc32 } from "node:zlib";
import { StoreError } from "../../store/errors.js";
import type { Metadata, ObjectInfo } from "../../store/objectStore.js";

const MAGIC = "objmount-object 1";
/** "objmount-object 1 IIIIIIII SSSSSSSS CCCCCCCC\n", the three numbers in hexadecimal. */
export const LINE_BYTES = MAGIC.length + 28;
/** Covers the head of nearly every object in one read. */
export const HEAD_BYTES = 4096;

export interface Manifest {
  /** As it was when the file was written: the name of the file is what counts, since a rename leaves the file alone. */
  readonly key: string;
  readonly size: number;
  readonly etag: string;
  /** Milliseconds since the epoch. */
  readonly modified: number;
  readonly type?: string | undefined;
  readonly metadata: Metadata;
  /** Names the directory of the segments; absent: the bytes follow in this file. */
  readonly data?: string | undefined;
  /** CRC-32 of the bytes that follow, eight hexadecimal digits. */
  readonly crc?: string | undefined;
}

/** A piece of an object: part of an immutable file in its data directory. */
export interface Segment {
  readonly file: string;
  /** Where it starts in that file. */
  readonly offset: number;
  readonly length: number;
  /** CRC-32 of these bytes, where it is known. */
  readonly crc?: string | undefined;
}

export interface Head {
  readonly manifest: Manifest;
  /** Where the segment table starts, and where the bytes do (the table ends). */
  readonly tableStart: number;
  readonly dataStart: number;
}

export function hexCrc(crc: number): string {
  return (crc >>> 0).toString(16).padStart(8, "0");
}

/** The head of an object file. Its length does not depend on the digits of `crc`, so it may be written again when the CRC is known. */
export function encodeHead(manifest: Manifest, segments?: readonly Segment[]): Buffer {
  const record = Buffer.from(JSON.stringify(manifest), "utf8");
  const table = segments === undefined ? Buffer.alloc(0)
    : Buffer.from(JSON.stringify(segments.map((s) => (s.crc === undefined ? [s.file, s.offset, s.length] : [s.file, s.offset, s.length, s.crc]))), "utf8");
  const line = `${MAGIC} ${hexCrc(record.length)} ${hexCrc(table.length)} ${hexCrc(crc32(table, crc32(record)))}\n`;
  return Buffer.concat([Buffer.from(line, "latin1"), record, table]);
}

function damaged(path: string, why: string): StoreError {
  return new StoreError("corrupt", `The object file ${path} is damaged: ${why}.`, { retry: "never" });
}

/** Bytes of the file that `decodeHead` needs, from its first LINE_BYTES. Throws `corrupt`. */
export function headLength(bytes: Buffer, path: string): { readonly record: number; readonly table: number; readonly crc: string } {
  const line = /^objmount-object (\d+) ([0-9a-f]{8}) ([0-9a-f]{8}) ([0-9a-f]{8})\n$/.exec(bytes.toString("latin1", 0, LINE_BYTES));
  if (line === null) throw damaged(path, "it does not begin as one");
  if (line[1] !== "1") throw new StoreError("unsupported", `The object file ${path} was written by a newer version of objmount.`);
  return { record: Number.parseInt(line[2] as string, 16), table: Number.parseInt(line[3] as string, 16), crc: line[4] as string };
}

/** @param bytes the file from its start, at least as far as the record goes; the table is checked where it is decoded. */
export function decodeHead(bytes: Buffer, path: string): Head {
  const { record, table, crc } = headLength(bytes, path);
  const tableStart = LINE_BYTES + record;
  if (bytes.length < tableStart) throw damaged(path, "it is cut short");
  const text = bytes.subarray(LINE_BYTES, tableStart);
  if (table === 0 && hexCrc(crc32(text)) !== crc) throw damaged(path, "the checksum of its head is wrong");
  try {
    return { manifest: JSON.parse(text.toString("utf8")) as Manifest, tableStart, dataStart: tableStart + table };
  } catch {
    throw damaged(path, "its record cannot be read");
  }
}

/** @param bytes the file from its start to `dataStart`. Throws `corrupt`. */
export function decodeSegments(bytes: Buffer, head: Head, path: string): Segment[] {
  const { crc } = headLength(bytes, path);
  if (bytes.length < head.dataStart || hexCrc(crc32(bytes.subarray(LINE_BYTES, head.dataStart))) !== crc) {
    throw damaged(path, "the checksum of its head is wrong");
  }
  const rows = JSON.parse(bytes.toString("utf8", head.tableStart, head.dataStart)) as [string, number, number, string?][];
  return rows.map(([file, offset, length, sum]) => ({ file, offset, length, crc: sum }));
}

/** @param key the key under which the file was found. */
export function infoOf(manifest: Manifest, key: string): ObjectInfo {
  return { key, size: manifest.size, etag: manifest.etag, lastModified: manifest.modified, metadata: manifest.metadata,
    ...(manifest.type === undefined ? {} : { contentType: manifest.type }) };
}
