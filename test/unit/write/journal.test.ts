import { appendFile, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { Journal, readJournal, type JournalRecord } from "../../../src/write/journal.js";
import { temporaryDirectory } from "./helpers.js";

const FROZEN = new URL("../../fixtures/journal/v1.journal", import.meta.url).pathname;

const OWNER = { host: "alpha", pid: 4711, boot: "5f2c1de2-6d5c-4a53-b1ff-5d7f5c6c2f10", started: "123456" };
const RECORDS: JournalRecord[] = [
  { type: "begin", key: "reports/\u00fcbersicht.bin", data: "d.data", owner: OWNER, time: 1_750_000_000_000, store: "s3://bucket", expected: "e0",
    base: { key: "reports/\u00fcbersicht.bin", etag: "e0", size: 33_554_432 } },
  { type: "upload", key: "reports/\u00fcbersicht.bin", id: "upload-1" },
  { type: "part", id: "upload-1", receipt: { number: 1, offset: 0, size: 8_388_608, etag: "p1", checksum: { crc32c: "AAAAAA==" } } },
  { type: "abort", id: "upload-1" },
  { type: "staged", size: 9_000_000, baseLimit: 100, error: "no answer\nat all", ranges: [[0, 10, 305_419_896], [4096, 8192, 0]] },
  { type: "complete", key: "reports/\u00fcbersicht.bin", etag: "e1", size: 9_000_000 },
  { type: "done" },
];

async function written(): Promise<string> {
  const path = join(await temporaryDirectory(), "one.journal");
  const journal = await Journal.create(path);
  for (const record of RECORDS) journal.append(record);
  await journal.flush();
  await journal.close();
  return path;
}

describe("a journal", () => {
  it("gives back what was appended", async () => {
    expect(await readJournal(await written())).toMatchObject({ version: 1, records: RECORDS, torn: false });
  });

  it("is byte for byte the frozen sample of version 1, which is read as ever", async () => {
    expect(await readFile(await written(), "utf8")).toBe(await readFile(FROZEN, "utf8"));
    expect((await readJournal(FROZEN)).records).toEqual(RECORDS);
  });

  it("is read up to a torn tail, wherever it is torn", async () => {
    const path = await written();
    const whole = await readFile(path);
    const ends = [19, ...[...whole.entries()].filter(([at, byte]) => at > 18 && byte === 10).map(([at]) => at + 1)];
    for (let length = 0; length < whole.length; length++) {
      await writeFile(path, whole.subarray(0, length));
      const { records, torn, validBytes } = await readJournal(path);
      const complete = Math.max(0, ends.filter((end) => end <= length).length - 1);
      expect(records).toEqual(RECORDS.slice(0, complete));
      expect(torn).toBe(!ends.includes(length));
      expect(validBytes).toBe(length < 19 ? 0 : ends.findLast((end) => end <= length));
    }
  });

  it("is read up to a record whose bytes are wrong", async () => {
    const path = await written();
    const whole = await readFile(path);
    const at = whole.indexOf("upload-1");
    whole[at] = (whole[at] as number) ^ 1;
    await writeFile(path, whole);
    expect((await readJournal(path)).records).toEqual(RECORDS.slice(0, 1));
  });

  it("ignores garbage behind the last record", async () => {
    const path = await written();
    await appendFile(path, "00000004 zz");
    expect(await readJournal(path)).toMatchObject({ records: RECORDS, torn: true });
  });

  it("is refused when it is of a later version, or no journal", async () => {
    const path = join(await temporaryDirectory(), "x.journal");
    await writeFile(path, "objmount journal 2\n");
    await expect(readJournal(path)).rejects.toThrow("version 2");
    await writeFile(path, "hello\n");
    await expect(readJournal(path)).rejects.toThrow("is not a journal");
  });

  it("never replaces a file", async () => {
    const path = await written();
    await expect(Journal.create(path)).rejects.toMatchObject({ code: "EEXIST" });
  });
});
