import { describe, expect, it } from "vitest";
import { INIT, INIT2, OPCODE } from "../../../src/fuse/protocol/constants.js";
import { featureNames, hasExtendedSetxattr, hasNoFlush, hasPassthrough, hasResend } from "../../../src/fuse/protocol/features.js";
import { bytes, FakeKernel, recordingFilesystem } from "./fakeKernel.js";

const kernelWith = (passthrough = true): FakeKernel => new FakeKernel(recordingFilesystem({}).filesystem, { agreed: null, wishes: { passthrough, maxBackground: 64 } });

/** fuse_init_in of a kernel that offers everything. */
const offer = (minor: string): Buffer => bytes(`
  07 00 00 00 ${minor} 00 00 00  major, minor
  00 00 02 00 ff ff ff 7f  max_readahead: 128 KiB; flags
  ff ff ff ff 00 00 00 00  flags2, unused
  00 00 00 00 00 00 00 00  unused
  00 00 00 00 00 00 00 00  unused
  00 00 00 00 00 00 00 00  unused
  00 00 00 00 00 00 00 00  unused
  00 00 00 00 00 00 00 00  unused`);

describe("INIT", () => {
  it("agrees with a kernel of 7.45", async () => {
    const kernel = kernelWith();
    const reply = await kernel.ask(OPCODE.INIT, offer("2d"));
    expect(reply.error).toBe(0);
    expect(reply.body.toString("hex")).toBe(bytes(`
  07 00 00 00 2d 00 00 00  major, minor
  00 00 02 00 29 e0 e4 72  max_readahead, flags
  40 00 30 00 00 00 10 00  max_background 64, congestion_threshold 48, max_write 1 MiB
  01 00 00 00 00 01 00 00  time_gran, max_pages 256, map_alignment
  e0 00 00 00 01 00 00 00  flags2, max_stack_depth
  00 00 00 00 00 00 00 00  request_timeout, unused
  00 00 00 00 00 00 00 00  unused
  00 00 00 00 00 00 00 00  unused`).toString("hex"));
    expect(kernel.negotiated).toMatchObject({ kernelMajor: 7, kernelMinor: 45, minor: 45 });
  });

  it("takes what it says it takes, and nothing else", async () => {
    const kernel = kernelWith();
    await kernel.ask(OPCODE.INIT, offer("2d"));
    const { flags = 0, flags2 = 0 } = kernel.negotiated ?? {};
    for (const wanted of [INIT.EXPLICIT_INVAL_DATA, INIT.DO_READDIRPLUS, INIT.ATOMIC_O_TRUNC, INIT.HANDLE_KILLPRIV_V2, INIT.PARALLEL_DIROPS, INIT.MAX_PAGES]) {
      expect(flags & wanted).toBe(wanted);
    }
    for (const refused of [INIT.AUTO_INVAL_DATA, INIT.WRITEBACK_CACHE, INIT.POSIX_ACL, INIT.POSIX_LOCKS, INIT.FLOCK_LOCKS, INIT.EXPORT_SUPPORT, INIT.DONT_MASK,
      INIT.NO_OPEN_SUPPORT, INIT.SPLICE_READ, INIT.HANDLE_KILLPRIV]) {
      expect(flags & refused).toBe(0);
    }
    expect(flags2 & (INIT2.ALLOW_IDMAP | INIT2.OVER_IO_URING | INIT2.DIRECT_IO_ALLOW_MMAP | INIT2.SECURITY_CTX)).toBe(0);
    expect(flags2 & INIT2.HAS_RESEND).toBe(INIT2.HAS_RESEND);
  });

  it("asks for passthrough only where it is permitted", async () => {
    const kernel = kernelWith(false);
    const reply = await kernel.ask(OPCODE.INIT, offer("2d"));
    expect(reply.body.readUInt32LE(32) & INIT2.PASSTHROUGH).toBe(0);
    // max_stack_depth
    expect(reply.body.readUInt32LE(36)).toBe(0);
  });

  it("serves 7.31, whose INIT is 16 bytes and has no second flags", async () => {
    const kernel = kernelWith();
    const reply = await kernel.ask(OPCODE.INIT, offer("1f").subarray(0, 16));
    expect(reply.error).toBe(0);
    expect(reply.body.readUInt32LE(4)).toBe(45);
    expect(reply.body.readUInt32LE(32)).toBe(0);
    const agreed = kernel.negotiated;
    if (agreed === undefined) throw new Error("no agreement");
    expect([agreed.minor, hasNoFlush(agreed), hasPassthrough(agreed), hasResend(agreed)]).toEqual([31, false, false, false]);
  });

  it("follows its own minor with a newer kernel of the same major", async () => {
    const kernel = kernelWith();
    await kernel.ask(OPCODE.INIT, offer("63"));
    expect(kernel.negotiated).toMatchObject({ kernelMinor: 99, minor: 45 });
  });

  it("tells a newer major its own, and is asked again", async () => {
    const kernel = kernelWith();
    const reply = await kernel.ask(OPCODE.INIT, bytes(`
  08 00 00 00 01 00 00 00  major, minor`));
    expect([reply.error, reply.body.readUInt32LE(0), kernel.negotiated]).toEqual([0, 7, undefined]);
    await kernel.ask(OPCODE.INIT, offer("2d"));
    expect(kernel.negotiated).toBeDefined();
  });

  it("refuses a kernel before 7.31, with a sentence", async () => {
    const kernel = kernelWith();
    expect(await kernel.ask(OPCODE.INIT, offer("1e").subarray(0, 16))).toMatchObject({ error: -71 });
    expect(kernel.refused).toBe("this kernel speaks FUSE 7.30, objmount needs 7.31 or newer (Linux 5.4)");
    expect(kernel.negotiated).toBeUndefined();
  });

  it("answers nothing else before", async () => {
    const { filesystem, calls } = recordingFilesystem({});
    const kernel = new FakeKernel(filesystem, { agreed: null });
    expect(await kernel.ask(OPCODE.STATFS)).toMatchObject({ error: -5 });
    expect(calls).toEqual([]);
  });

  it("names what was agreed", async () => {
    const kernel = kernelWith();
    await kernel.ask(OPCODE.INIT, offer("2d"));
    const agreed = kernel.negotiated;
    if (agreed === undefined) throw new Error("no agreement");
    expect(featureNames(agreed)).toEqual(expect.arrayContaining(["explicit-inval-data", "passthrough", "has-resend", "max-pages"]));
    expect(hasExtendedSetxattr(agreed)).toBe(true);
  });
});
