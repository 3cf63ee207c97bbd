// What goes wrong before anything is mounted: one sentence, what to do, a code of its own, and no secret.

import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { BIN, Sandbox } from "./harness.js";

const box = new Sandbox();
afterAll(() => box.dispose());
const free = box.directory("free");

function blamed(err: string): string {
  expect(err).toMatch(/^objmount: [^\n]+\n$/);
  return err.slice("objmount: ".length, -1);
}

describe("the command line", () => {
  it.each<[string, string[], number, string]>([
    ["no command", [], 2, "A command is missing: objmount --help shows them."],
    ["an unknown command", ["mout"], 2, "The command \"mout\" is not known. Did you mean \"mount\"?"],
    ["an unknown option", ["mount", "s3://x", free, "--part-sise=3"], 2, "The option --part-sise is not known. Did you mean \"part-size\"?"],
    ["an unknown mount option", ["mount", "s3://x", free, "-o", "rw,partsize=3"], 2, "The mount option \"partsize\" is not known. Did you mean \"part-size\"?"],
    ["a wrong value", ["mount", "s3://x", free, "--part-size", "big"], 2, "--part-size has the value \"big\", which is not a size such as 64MiB."],
    ["a missing argument", ["mount", "s3://x"], 2, "An argument is missing: the form is objmount mount <url> <dir>."],
    ["one argument too many", ["unmount", "a", "b"], 2, "The argument \"b\" is one too many: the form is objmount unmount <dir>."],
    ["a missing value", ["mount", "s3://x", free, "--driver"], 2, "The option --driver wants a value (objmount --help tells more)."],
    ["a contradiction", ["mount", "s3://x", free, "--read-only", "--create-container"], 2, "--read-only and --create-container contradict each other: leave one away."],
    ["too little memory", ["mount", "s3://x", free, "--memory-limit", "1MiB"], 2, "--memory-limit is 1MiB, and objmount needs at least 16MiB."],
    ["staging inside the mount", ["mount", "s3://x", free, "--staging-dir", join(free, "s")], 2, "--staging-dir lies inside the mountpoint"],
    ["no such log level", ["log-level", free, "loud"], 2, "\"loud\" is no log level"],
  ])("%s", async (_, args, code, sentence) => {
    const outcome = await box.objmount(...args);
    expect(blamed(outcome.err)).toContain(sentence);
    expect(outcome).toMatchObject({ code, out: "" });
  });

  it("tells its version and its options", async () => {
    expect(await box.ok("--version")).toMatch(/^\d+\.\d+\.\d+\n$/);
    const help = await box.ok("mount", "--help");
    for (const word of ["--part-size", "--endpoint", "--read-only"]) expect(help).toContain(word);
    expect(help).not.toContain("secret-access-key");
  });

  it("takes a mistake in the environment and in the file for one", async () => {
    const misspelt = await box.command(process.execPath, [BIN, "status"], { ...box.env, OBJMOUNT_RETRYS: "1" });
    expect(blamed(misspelt.err)).toContain("OBJMOUNT_RETRYS is not known. Did you mean \"OBJMOUNT_RETRIES\"?");
    expect(misspelt.code).toBe(2);
    const file = join(box.base, "bad.toml");
    writeFileSync(file, "retrys = 1\n");
    const outcome = await box.objmount("mount", "s3://x", free, "--config", file);
    expect(blamed(outcome.err)).toContain(`${file}: the option "retrys" is not known. Did you mean "retries"?`);
    expect(outcome.code).toBe(2);
  });
});

describe("URLs", () => {
  it.each([
    ["a word", "photos", "has no \"://\""],
    ["a path", "/srv/photos", "is a path, not a URL"],
    ["another scheme", "ftp://photos", "does not know the scheme ftp://"],
    ["an empty one", "", "The URL is empty"],
    ["a bucket that cannot be", "s3://..", "is not a bucket name"],
    ["a host with a port", "s3://localhost:9000/x", "give --endpoint=https://localhost:9000"],
  ])("%s", async (_, url, sentence) => {
    const outcome = await box.objmount("mount", url, free);
    expect(blamed(outcome.err)).toContain(sentence);
    expect(outcome.code).toBe(3);
  });

  it.each(["s3://AKIAKEY:hunter2@photos", "s3://photos?X-Amz-Signature=hunter2", "https://ann:hunter2@store.example/x"])("with credentials are refused unrepeated: %s", async (url) => {
    for (const command of [["mount", url, free], ["doctor", url], ["demo", url, free]]) {
      const outcome = await box.objmount(...command);
      expect(blamed(outcome.err)).toContain("The URL carries credentials");
      expect(outcome.err + outcome.out).not.toContain("hunter2");
      expect(outcome.code).toBe(3);
    }
  });
});

describe("secrets", () => {
  it("are refused on the command line and in -o, unrepeated", async () => {
    for (const args of [["--secret-access-key", "hunter2"], ["--secret-access-key=hunter2"], ["-o", "secret_access_key=hunter2"]]) {
      const outcome = await box.objmount("mount", "s3://x", free, ...args);
      expect(blamed(outcome.err)).toContain("is a secret");
      expect(outcome.err + outcome.out).not.toContain("hunter2");
      expect(outcome.code).toBe(2);
    }
  });
});

describe("mountpoints", () => {
  const url = `file://${box.directory("store")}`;

  it("that are missing", async () => {
    const outcome = await box.objmount("mount", url, join(box.base, "nowhere"));
    expect(blamed(outcome.err)).toContain("nowhere does not exist: create it with \"mkdir -p ");
    expect(outcome.code).toBe(30);
  });

  it("that are files", async () => {
    const file = join(box.base, "file");
    writeFileSync(file, "");
    expect(await box.objmount("mount", url, file)).toMatchObject({ code: 31, err: expect.stringContaining("is not a directory") as string });
    expect((await box.objmount("mount", url, join(file, "below"))).code).toBe(31);
  });

  it("that are not empty", async () => {
    const full = box.directory("full");
    writeFileSync(join(full, "letter"), "");
    const outcome = await box.objmount("mount", url, full);
    expect(blamed(outcome.err)).toContain("is not empty (it has \"letter\")");
    expect(outcome.code).toBe(32);
    rmSync(full, { recursive: true });
  });

  it("that something else is mounted on", async () => {
    expect(await box.objmount("mount", url, "/proc")).toMatchObject({ code: 33, err: expect.stringContaining("is already mounted on /proc") as string });
    expect(await box.objmount("unmount", "/proc")).toMatchObject({ code: 42, err: expect.stringContaining("not one of objmount") as string });
  });

  it("that nothing is mounted on", async () => {
    expect(await box.objmount("unmount", free)).toMatchObject({ code: 42, err: `objmount: Nothing is mounted on ${free}.\n` });
    expect((await box.objmount("status", free)).code).toBe(42);
    expect(await box.ok("status")).toBe("Nothing is mounted by objmount.\n");
    expect(JSON.parse(await box.ok("status", "--json"))).toEqual([]);
  });
});

describe("a store that is not to be had", () => {
  it("is unreachable, with its address", async () => {
    // A port that was free a moment ago.
    const port = await new Promise<number>((resolve) => {
      const server = createServer().listen(0, "127.0.0.1", () => {
        const { port: found } = server.address() as { port: number };
        server.close(() => resolve(found));
      });
    });
    const env = { ...box.env, AWS_ACCESS_KEY_ID: "AKIAEXAMPLE", AWS_SECRET_ACCESS_KEY: "hunter2" };
    const outcome = await box.command(process.execPath, [BIN, "mount", "s3://photos", free, "--endpoint", `http://127.0.0.1:${port}`], env);
    expect(blamed(outcome.err)).toContain("(connection refused): check the endpoint and the network.");
    expect(outcome.err).not.toContain("hunter2");
    expect(outcome.code).toBe(20);
  });

  it("has a state directory that cannot be used", async () => {
    const file = join(box.base, "state-file");
    writeFileSync(file, "");
    mkdirSync(join(box.base, "other"), { recursive: true });
    const outcome = await box.objmount("mount", "s3://photos", join(box.base, "other"), "--state-dir", join(file, "x"));
    expect(blamed(outcome.err)).toContain("name another place with --state-dir");
    expect(outcome.code).toBe(60);
  });
});
