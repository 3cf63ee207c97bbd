import { mkdtemp, rm, writeFile, chmod } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { BACKEND_ROWS } from "../../../src/config/backendTables.js";
import { parseEnvFile, urlMatches } from "../../../src/config/file.js";
import { sortMountOptions, splitMountOptions } from "../../../src/config/mountOptions.js";
import { CORE_ROWS, OPTIONS } from "../../../src/config/options.js";
import { resolveOptions, type Sources } from "../../../src/config/resolve.js";
import { environmentName } from "../../../src/config/sources.js";
import { parseValue } from "../../../src/config/values.js";
import type { Secret } from "../../../src/util/secret.js";

let directory: string;
beforeEach(async () => { directory = await mkdtemp(join(tmpdir(), "objmount-config-")); });
afterEach(async () => { await rm(directory, { recursive: true }); });

async function resolve(sources: Partial<Sources> & { file?: string }): Promise<Awaited<ReturnType<typeof resolveOptions>>> {
  const file = join(directory, "objmount.toml");
  await writeFile(file, sources.file ?? "", { mode: 0o600 });
  const { file: _, ...rest } = sources;
  const environment = { OBJMOUNT_CONFIG: file, ...sources.environment };
  return await resolveOptions({ url: "s3://photos/2026", flags: {}, mountOptions: [], ...rest, environment }, BACKEND_ROWS);
}

describe("the option tables", () => {
  const all = [...CORE_ROWS, ...Object.values(BACKEND_ROWS).flat()];

  it("have no name twice", () => {
    const names = all.map((row) => row.name);
    expect(names.filter((name, i) => names.indexOf(name) !== i)).toEqual([]);
    const variables = all.map(environmentName);
    expect(new Set(variables).size).toBe(variables.length);
  });

  it("have rows that can be used", () => {
    for (const row of all) {
      expect(row.name).toMatch(/^[a-z][a-z0-9]*(-[a-z0-9]+)*$/);
      expect(row.help).toMatch(/^\S.*[^.\s]$/);
      expect(row.since).toMatch(/^\d+\.\d+\.\d+$/);
      if (row.type === "enum") expect(row.choices?.length ?? 0).toBeGreaterThan(0);
      if (row.type === "enum" && row.default !== undefined) expect(row.choices).toContain(row.default);
      if (row.type === "secret") expect(row.secret, row.name).toBe(true);
      if (typeof row.default === "string") expect(parseValue(row, row.default, row.name)).toBe(row.default);
    }
  });
});

describe("-o", () => {
  it("takes escapes away", () => {
    expect(splitMountOptions(String.raw`a=1\,2,b,,c=x\\y,d=k=v`)).toEqual([
      { name: "a", value: "1,2" }, { name: "b", value: undefined }, { name: "c", value: "x\\y" }, { name: "d", value: "k=v" }]);
  });

  it("sorts kernel words, words for others, and ours", () => {
    const { own, flags } = sortMountOptions(["defaults,_netdev,nofail,x-systemd.automount,noauto,rw,noexec,noatime,allow_other,uid=7"]);
    expect(own).toEqual([{ name: "read-only", value: "false" }, { name: "allow-other", value: "true" }, { name: "uid", value: "7" }]);
    expect([...flags].sort()).toEqual(["noatime", "nodev", "noexec", "nosuid"]);
  });

  it("keeps nosuid, nodev and noatime until they are taken back", () => {
    expect(sortMountOptions([]).flags).toEqual(["nosuid", "nodev", "noatime"]);
    expect(sortMountOptions(["suid", "dev,atime"]).flags).toEqual([]);
    expect([...sortMountOptions(["user,exec"]).flags].sort()).toEqual(["noatime", "nodev", "nosuid"]);
    expect([...sortMountOptions(["user"]).flags].sort()).toEqual(["noatime", "nodev", "noexec", "nosuid"]);
  });

  it("refuses a word it does not know with the nearest name", async () => {
    await expect(resolve({ mountOptions: ["rw,part_sise=8M"] })).rejects.toThrow("The mount option \"part-sise\" is not known. Did you mean \"part-size\"?");
  });
});

describe("precedence", () => {
  const flags = { retries: "1" };
  const mountOptions = ["retries=2"];
  const environment = { OBJMOUNT_RETRIES: "3" };
  const file = "retries = 4\n";

  it("is flag, -o, environment, file, default", async () => {
    expect((await resolve({ flags, mountOptions, environment, file })).config.retries).toBe(1);
    expect((await resolve({ mountOptions, environment, file })).config.retries).toBe(2);
    expect((await resolve({ environment, file })).config.retries).toBe(3);
    expect((await resolve({ file })).config.retries).toBe(4);
    expect((await resolve({})).config.retries).toBe(OPTIONS.retries.default);
  });

  it("lets the last of a repeated flag win, and a later -o an earlier one", async () => {
    expect((await resolve({ flags: { retries: ["5", "6"] } })).config.retries).toBe(6);
    expect((await resolve({ mountOptions: ["retries=5", "retries=7"] })).config.retries).toBe(7);
    expect((await resolve({ flags: { "read-only": false }, mountOptions: ["ro"] })).config.readOnly).toBe(false);
  });

  it("prefers our variable to the vendor's", async () => {
    const both = await resolve({ environment: { AWS_REGION: "eu-west-1", OBJMOUNT_REGION: "eu-north-1" } });
    expect(both.backend["region"]).toBe("eu-north-1");
    expect((await resolve({ environment: { AWS_REGION: "eu-west-1" } })).backend["region"]).toBe("eu-west-1");
  });

  it("reads an environment file, which what is set already outweighs", async () => {
    const envFile = join(directory, "env");
    await writeFile(envFile, "# comment\nexport OBJMOUNT_RETRIES=11\nAWS_REGION='eu-x'\n");
    const found = await resolve({ flags: { "env-file": envFile } });
    expect(found.config.retries).toBe(11);
    expect(found.environment["AWS_REGION"]).toBe("eu-x");
    expect((await resolve({ flags: { "env-file": envFile }, environment })).config.retries).toBe(3);
  });
});

describe("the configuration file", () => {
  it("has tables per URL, of which the longest that matches wins", async () => {
    const file = "retries = 1\n[url.\"s3://photos\"]\nretries = 2\nregion = \"a\"\n[url.\"s3://photos/2026\"]\nretries = 3\n[url.\"s3://photosX\"]\nretries = 9\n";
    const found = await resolve({ file });
    expect(found.config.retries).toBe(3);
    expect(found.backend["region"]).toBe("a");
  });

  it("matches URLs by whole components", () => {
    expect(urlMatches("s3://photos/2026", "s3://photos")).toBe(true);
    expect(urlMatches("s3://photos", "s3://photos/")).toBe(true);
    expect(urlMatches("s3://photos-old", "s3://photos")).toBe(false);
    expect(urlMatches("s3://photos", "s3:")).toBe(true);
  });

  it.each([
    ["part_sise = 3\n", "the option \"part_sise\" is not known"],
    ["retries = [1]\n", "must be a plain value"],
    ["retries = \n", "is not valid TOML at line 1"],
    ["[url]\n\"s3://x\" = 3\n", "must be a table"],
    ["[url.\"s3://elsewhere\"]\nnonsense = 1\n", "the option \"nonsense\" is not known"],
  ])("refuses %j", async (file, words) => {
    await expect(resolve({ file })).rejects.toThrow(words);
  });

  it("keeps a mode that is written in octal", async () => {
    expect((await resolve({ file: "umask = 0o027\nfile-mode = \"0640\"\n" })).config).toMatchObject({ umask: 0o27, fileMode: 0o640 });
  });

  it("may hold a secret only when nobody else can read it", async () => {
    const file = join(directory, "secret.toml");
    await writeFile(file, "secret-access-key = \"hunter2\"\n", { mode: 0o600 });
    const found = await resolve({ flags: { config: file } });
    expect((found.backend["secret-access-key"] as Secret).reveal()).toBe("hunter2");
    await chmod(file, 0o644);
    await expect(resolve({ flags: { config: file } })).rejects.toThrow(`run "chmod 600 ${file}"`);
  });

  it("must exist when it is named", async () => {
    await expect(resolve({ flags: { config: "/nowhere/x.toml" } })).rejects.toThrow("The configuration file /nowhere/x.toml cannot be read (ENOENT).");
  });
});

describe("what is refused", () => {
  it("a secret on a command line, without repeating it", async () => {
    const refused = resolve({ flags: { "secret-access-key": "hunter2" } });
    await expect(refused).rejects.toThrow("--secret-access-key is a secret");
    await expect(refused).rejects.not.toThrow("hunter2");
    await expect(resolve({ mountOptions: ["secret_access_key=hunter2"] })).rejects.toThrow("-o secret-access-key is a secret");
  });

  it("a misspelt variable", async () => {
    await expect(resolve({ environment: { OBJMOUNT_RETRYS: "1" } })).rejects.toThrow("OBJMOUNT_RETRYS is not known. Did you mean \"OBJMOUNT_RETRIES\"?");
    // What resembles none of ours belongs to somebody else.
    await resolve({ environment: { OBJMOUNT_SERVERS_DIR: "/x", OBJMOUNT_BACKGROUND: "1" } });
  });

  it("another backend's option on the command line, but not in the environment", async () => {
    await expect(resolve({ flags: { "file-sync": "no" } })).rejects.toThrow("--file-sync is an option of file://, not of s3://.");
    expect((await resolve({ environment: { OBJMOUNT_FILE_SYNC: "no" } })).backend["file-sync"]).toBeUndefined();
  });

  it("an environment file with a line that is none", () => {
    expect(() => parseEnvFile("A=1\nnonsense\n", "/x")).toThrow("/x has no NAME=value at line 2.");
  });
});
