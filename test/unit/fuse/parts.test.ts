// The smaller parts: notifications, open modes, mount options, the kernel's list of mounts.

import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { Fh, Ino } from "../../../src/fs/filesystem.js";
import { whyNoAddon } from "../../../src/fuse/channel.js";
import { findFusermount } from "../../../src/fuse/fusermount.js";
import { parseMountinfo } from "../../../src/fuse/mountinfo.js";
import { fusermountOptions, mountData, mountFlags } from "../../../src/fuse/mountOptions.js";
import { OpenModes } from "../../../src/fuse/openModes.js";
import { OPCODE } from "../../../src/fuse/protocol/constants.js";
import { timeoutNanoseconds, timeoutSeconds } from "../../../src/fuse/protocol/structs.js";
import { supportsNative } from "../../../src/fuse/support.js";
import { silentLogger } from "../../../src/util/log.js";
import { bytes, FakeKernel, message, recordingFilesystem } from "./fakeKernel.js";

describe("notifications", () => {
  it("are laid out as the kernel reads them", () => {
    const kernel = new FakeKernel(recordingFilesystem({}).filesystem);
    const { notifier } = kernel.dispatcher;
    notifier.invalidateInode(9 as Ino, 0, -1);
    notifier.invalidateEntry(1 as Ino, "ab");
    notifier.deleteEntry(1 as Ino, 9 as Ino, "ab");
    notifier.resend();
    notifier.invalidateEntry(1 as Ino, "x".repeat(1025));
    expect(kernel.notices.map((notice) => notice.toString("hex"))).toEqual([bytes(`
  28 00 00 00 02 00 00 00  len, code: INVAL_INODE
  00 00 00 00 00 00 00 00  unique
  09 00 00 00 00 00 00 00  ino
  00 00 00 00 00 00 00 00  off
  ff ff ff ff ff ff ff ff  len: to the end`), bytes(`
  23 00 00 00 03 00 00 00  len, code: INVAL_ENTRY
  00 00 00 00 00 00 00 00  unique
  01 00 00 00 00 00 00 00  parent
  02 00 00 00 00 00 00 00  namelen, flags
  61 62 00                 name`), bytes(`
  2b 00 00 00 06 00 00 00  len, code: DELETE
  00 00 00 00 00 00 00 00  unique
  01 00 00 00 00 00 00 00  parent
  09 00 00 00 00 00 00 00  child
  02 00 00 00 00 00 00 00  namelen, padding
  61 62 00                 name`), bytes(`
  10 00 00 00 07 00 00 00  len, code: RESEND
  00 00 00 00 00 00 00 00  unique`)].map((notice) => notice.toString("hex")));
    expect(notifier.count).toBe(4);
  });
});

describe("a notification about an inode with requests under way", () => {
  it("waits for those, and for no later ones", async () => {
    const done: ((slices: Buffer[]) => void)[] = [];
    const kernel = new FakeKernel(recordingFilesystem({ read: () => new Promise((resolve) => { done.push(resolve); }) }).filesystem);
    const read = (unique: bigint, ino: number): void => { kernel.deliver(message(OPCODE.READ, Buffer.alloc(40), { unique, ino })); };
    const { notifier } = kernel.dispatcher;
    read(2n, 9);
    read(4n, 9);
    notifier.invalidateInode(9 as Ino, 0, -1);
    notifier.invalidateEntry(9 as Ino, "name");
    notifier.deleteEntry(1 as Ino, 9 as Ino, "name");
    notifier.invalidateInode(8 as Ino, 0, -1);
    expect([kernel.notices.length, notifier.held]).toEqual([1, 3]);
    read(6n, 9);
    done[0]?.([]);
    await kernel.reply(0);
    expect([kernel.notices.length, notifier.held]).toEqual([1, 3]);
    done[1]?.([]);
    await kernel.reply(1);
    expect([kernel.notices.length, notifier.held]).toEqual([4, 0]);
    done[2]?.([]);
    await kernel.reply(2);
  });

  it("waits for a rename into its directory", async () => {
    let done: (() => void) | undefined;
    const kernel = new FakeKernel(recordingFilesystem({ rename: () => new Promise<void>((resolve) => { done = resolve; }) }).filesystem);
    kernel.deliver(message(OPCODE.RENAME, bytes(`
  07 00 00 00 00 00 00 00  newdir
  "a\\0"
  "b\\0"`)));
    kernel.dispatcher.notifier.invalidateEntry(7 as Ino, "b");
    expect(kernel.notices).toEqual([]);
    done?.();
    await kernel.reply(0);
    expect(kernel.notices).toHaveLength(1);
  });
});

describe("open modes", () => {
  const withFiles = (test: (modes: OpenModes, kernel: FakeKernel, one: number, two: number) => void): void => {
    const folder = mkdtempSync(join(tmpdir(), "objmount-modes-"));
    const open = (name: string): number => {
      writeFileSync(join(folder, name), name);
      return openSync(join(folder, name), "r");
    };
    const [one, two] = [open("one"), open("two")];
    try {
      const kernel = new FakeKernel(recordingFilesystem({}).filesystem);
      const modes = new OpenModes(kernel, silentLogger);
      modes.passthrough = true;
      test(modes, kernel, one, two);
      expect(modes.openHandles).toBe(0);
    } finally {
      closeSync(one);
      closeSync(two);
      rmSync(folder, { recursive: true });
    }
  };
  const ino = 5 as Ino;
  const fh = (n: number): Fh => n as Fh;

  it("share one backing id among the handles of a file, and let go of it with the last", () => {
    withFiles((modes, kernel, one) => {
      expect(modes.opened(ino, { fh: fh(1), backingFd: one })).toEqual({ flags: 0x80, backingId: 1 });
      expect(modes.opened(ino, { fh: fh(2), backingFd: one, keepCache: true })).toEqual({ flags: 0x82, backingId: 1 });
      modes.released(ino, fh(1));
      modes.released(ino, fh(1));
      expect(kernel.backings).toEqual([one]);
      modes.released(ino, fh(2));
      expect(kernel.backings).toEqual([0]);
    });
  });

  it("refuse another file, or none, while one backs the inode", () => {
    withFiles((modes, _kernel, one, two) => {
      modes.opened(ino, { fh: fh(1), backingFd: one });
      expect(() => modes.opened(ino, { fh: fh(2), backingFd: two })).toThrow(expect.objectContaining({ errno: "EBUSY" }) as Error);
      expect(() => modes.opened(ino, { fh: fh(2) })).toThrow(expect.objectContaining({ errno: "EBUSY" }) as Error);
      modes.released(ino, fh(1));
      expect(modes.opened(ino, { fh: fh(3), backingFd: two }).backingId).toBe(2);
      modes.released(ino, fh(3));
    });
  });

  it("leave an inode to messages while a handle uses the page cache; direct handles do not count", () => {
    withFiles((modes, kernel, one) => {
      modes.opened(ino, { fh: fh(1) });
      expect(modes.opened(ino, { fh: fh(2), backingFd: one })).toEqual({ flags: 0, backingId: 0 });
      modes.released(ino, fh(1));
      modes.released(ino, fh(2));
      expect(modes.opened(ino, { fh: fh(3), directIo: true })).toEqual({ flags: 1, backingId: 0 });
      expect(modes.opened(ino, { fh: fh(4), backingFd: one }).backingId).toBe(1);
      modes.released(ino, fh(4));
      expect(kernel.backings).toEqual([0]);
    });
  });

  it("fall back to messages where the kernel does not take the file, or was not asked", () => {
    withFiles((modes, kernel, one) => {
      kernel.openBacking = () => -40;
      expect(modes.opened(ino, { fh: fh(1), backingFd: one })).toEqual({ flags: 0, backingId: 0 });
      modes.released(ino, fh(1));
      modes.passthrough = false;
      expect(modes.opened(ino, { fh: fh(2), backingFd: one })).toEqual({ flags: 0, backingId: 0 });
      modes.released(ino, fh(2));
    });
  });
});

describe("mount options", () => {
  const request = { fsname: "s3://a,b\\c", readOnly: true, allowOther: true };

  it("for mount(2)", () => {
    expect(mountFlags(request)).toBe(1 | 2 | 4 | 1024);
    expect(mountFlags({ ...request, readOnly: false, suid: true, dev: true, exec: false, atime: true })).toBe(8);
    expect(mountData(request, 7, 1000, 100)).toBe("fd=7,rootmode=40000,user_id=1000,group_id=100,default_permissions,max_read=1048576,allow_other");
  });

  it("for fusermount3", () => {
    expect(fusermountOptions(request)).toBe("ro,nosuid,nodev,noatime,fsname=s3://a\\,b\\\\c,subtype=objmount,default_permissions,max_read=1048576,allow_other");
    expect(fusermountOptions({ ...request, readOnly: false, allowOther: false })).not.toMatch(/allow_other|\bro\b/);
  });
});

describe("the kernel's list of mounts", () => {
  it("is read with its escapes and its optional fields", () => {
    const text = "36 35 0:57 / /mnt/a\\040b\\134c rw,noatime shared:1 master:2 - fuse.objmount s3://x\\040y rw,user_id=0\n"
      + "37 35 0:58 / /mnt/\\303\\266 rw - fuse.objmount src rw\nnonsense\n";
    expect(parseMountinfo(text)).toEqual([
      { device: "0:57", mountpoint: "/mnt/a b\\c", type: "fuse.objmount", source: "s3://x y" },
      { device: "0:58", mountpoint: "/mnt/\u00f6", type: "fuse.objmount", source: "src" },
    ]);
  });
});

describe("timeouts", () => {
  it("are seconds and nanoseconds, and as long as they can be", () => {
    expect([timeoutSeconds(1999), timeoutNanoseconds(1999)]).toEqual([1, 999_000_000]);
    expect([timeoutSeconds(0), timeoutNanoseconds(0)]).toEqual([0, 0]);
    expect([timeoutSeconds(-1), timeoutNanoseconds(-1)]).toEqual([0, 0]);
    expect([timeoutSeconds(Number.POSITIVE_INFINITY), timeoutNanoseconds(Number.POSITIVE_INFINITY)]).toEqual([0xffff_ffff, 0]);
  });
});

describe("what is there", () => {
  it("finds fusermount3 in PATH before fusermount, and ignores relative folders", () => {
    const folder = mkdtempSync(join(tmpdir(), "objmount-path-"));
    try {
      writeFileSync(join(folder, "fusermount3"), "#!/bin/sh\n", { mode: 0o755 });
      expect(findFusermount(`relative::${folder}`)).toBe(join(folder, "fusermount3"));
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it("answers with a sentence or with yes", () => {
    const support = supportsNative();
    if (support.ok) expect(whyNoAddon()).toBeUndefined();
    else expect(support.why).toMatch(/^[^.]+/);
  });
});
