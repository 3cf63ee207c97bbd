import { describe, expect, it } from "vitest";
import type { MountConfig } from "../../../src/config/config.js";
import { toConfig } from "../../../src/config/resolve.js";
import { derive, mountId, reject, type Facts } from "../../../src/config/rules.js";

const MiB = 2 ** 20;
const facts: Facts = {
  url: "s3://photos", mountpoint: "/mnt/photos", uid: 1000, gid: 1000, memory: 8 * 1024 * MiB, userAllowOther: false, home: "/home/ann", xdgStateHome: undefined,
};
const config = (changes: Partial<MountConfig> = {}): MountConfig => ({ ...toConfig(new Map()), ...changes });

describe("reject", () => {
  it("has nothing against the defaults", () => {
    expect(reject(config(), facts)).toEqual([]);
  });

  it.each<[string, Partial<MountConfig>, string]>([
    ["too little memory", { memoryLimit: MiB }, "--memory-limit is 1MiB"],
    ["a tiny part", { partSize: 1024 }, "--part-size is 1KiB"],
    ["a tiny window", { maxWindow: 1024 }, "--max-window"],
    ["no requests", { maxRequests: 0 }, "--max-requests is 0"],
    ["no time", { mountTimeout: 0 }, "--mount-timeout is 0"],
    ["creating read-only", { readOnly: true, createContainer: true }, "contradict"],
    ["allow-other by a user", { allowOther: true }, "user_allow_other"],
    ["staging inside the mount", { stagingDir: "/mnt/photos/x" }, "--staging-dir lies inside the mountpoint"],
    ["a log inside the mount", { logFile: "/mnt/photos/log" }, "--log-file lies inside"],
    ["a mount inside staging", { stagingDir: "/mnt" }, "lies inside --staging-dir"],
  ])("refuses %s", (_, changes, words) => {
    expect(reject(config(changes), facts).join(" ")).toContain(words);
  });

  it("lets root, and users where fuse.conf allows it, pass allow-other", () => {
    expect(reject(config({ allowOther: true }), { ...facts, uid: 0 })).toEqual([]);
    expect(reject(config({ allowOther: true }), { ...facts, userAllowOther: true })).toEqual([]);
  });

  it("does not take a neighbour for an inside", () => {
    expect(reject(config({ stagingDir: "/mnt/photos-staging" }), facts)).toEqual([]);
  });
});

describe("derive", () => {
  it("takes an eighth of the memory, at most 96 MiB and at least 16", () => {
    expect(derive(config(), facts).memoryLimit).toBe(96 * MiB);
    expect(derive(config(), { ...facts, memory: 512 * MiB }).memoryLimit).toBe(64 * MiB);
    expect(derive(config(), { ...facts, memory: 32 * MiB }).memoryLimit).toBe(16 * MiB);
    expect(derive(config({ memoryLimit: 512 * MiB }), facts).memoryLimit).toBe(512 * MiB);
  });

  it("keeps a window within half of the budget", () => {
    expect(derive(config({ memoryLimit: 32 * MiB }), facts).maxWindow).toBe(16 * MiB);
    expect(derive(config(), facts).maxWindow).toBe(48 * MiB);
    expect(derive(config({ memoryLimit: 512 * MiB }), facts).maxWindow).toBe(64 * MiB);
  });

  it("finds the state of root and of users", () => {
    expect(derive(config(), { ...facts, uid: 0 }).stateDir).toBe("/var/lib/objmount");
    expect(derive(config(), facts).stateDir).toBe("/home/ann/.local/state/objmount");
    expect(derive(config(), { ...facts, xdgStateHome: "/s" }).stateDir).toBe("/s/objmount");
  });

  it("gives every mount a staging directory of its own", () => {
    const one = derive(config(), facts).stagingDir;
    expect(one).toMatch(/\/staging\/mnt-photos-[0-9a-f]{8}$/);
    expect(derive(config(), { ...facts, url: "s3://other" }).stagingDir).not.toBe(one);
    expect(mountId("file:///a", "/")).toMatch(/^root-/);
  });

  it("logs to a file in the background only", () => {
    expect(derive(config(), facts).logFile).toMatch(/\/log\/mnt-photos-.*\.log$/);
    expect(derive(config({ foreground: true }), facts).logFile).toBeUndefined();
    expect(derive(config({ logFile: "/x" }), facts).logFile).toBe("/x");
  });

  it("owns what has no owner as the mounting user", () => {
    expect(derive(config(), facts)).toMatchObject({ uid: 1000, gid: 1000 });
    expect(derive(config({ uid: 5 }), facts)).toMatchObject({ uid: 5, gid: 1000 });
  });
});
