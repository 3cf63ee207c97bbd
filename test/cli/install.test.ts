// What `npm install` leaves behind on a machine that has Node and npm, and nothing else.

import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ROOT, run } from "./harness.js";

let base: string;
beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), "objmount-install-"));
  mkdirSync(join(base, "native"));
  for (const name of readdirSync(join(ROOT, "native"))) if (name !== "build") cpSync(join(ROOT, "native", name), join(base, "native", name));
  cpSync(join(ROOT, "package-lock.json"), join(base, "package-lock.json"));
});
afterEach(() => rmSync(base, { recursive: true, force: true }));

/** Runs the install script with an npm that does what `npm` says, and no compiler on the PATH. */
async function install(npm: string, env: NodeJS.ProcessEnv = {}): Promise<string> {
  const script = join(base, "npm.mjs");
  writeFileSync(script, npm);
  return await run(process.execPath, [join(base, "native/install.mjs")], { limit: 20_000, env: { PATH: join(base, "empty"), npm_execpath: script, ...env } });
}

const NO_COMPILER = "because no C compiler was found when it was installed (install gcc, then run npm install)";
const FETCHES = `
  import { mkdirSync, writeFileSync } from "node:fs";
  if (!process.argv.includes("--ignore-scripts")) process.exit(1);
  mkdirSync("node_modules/fuse-native", { recursive: true });
  writeFileSync("node_modules/fuse-native/package.json", "{}");
`;

describe.skipIf(process.platform !== "linux" || process.arch !== "x64")("npm install without a compiler", () => {
  it("fetches the second front end that npm has left out, once", async () => {
    expect(await install(FETCHES)).toBe(`objmount: mounts will use the fuse-native package, ${NO_COMPILER}.\n`);
    expect(existsSync(join(base, "native/build/fuse-native/node_modules/fuse-native"))).toBe(true);
  });

  it("leaves alone what npm has installed", async () => {
    mkdirSync(join(base, "node_modules/fuse-native"), { recursive: true });
    writeFileSync(join(base, "node_modules/fuse-native/package.json"), "{}");
    expect(await install("throw new Error('called')")).toContain("mounts will use the fuse-native package");
    expect(existsSync(join(base, "native/build/fuse-native"))).toBe(false);
  });

  it("says that nothing can be mounted when there is no front end at all, and does not fail", async () => {
    expect(await install("process.exit(1)")).toBe(
      `objmount: nothing can be mounted yet, ${NO_COMPILER}, and the package fuse-native could not be fetched (${join(base, "native/build/build.log")} tells more).\n`);
    expect(await install(FETCHES, { npm_config_omit: "dev,optional" })).toContain("and the package fuse-native was left out.");
  });
});

describe("packaging/systemd/objmount@.service", () => {
  const unit = readFileSync(join(ROOT, "packaging/systemd/objmount@.service"), "utf8").split("\n");

  it("starts again over a mount that a crash left dead, below which mkdir fails", () => {
    expect(unit.filter((line) => line.startsWith("ExecStartPre="))).toEqual(["ExecStartPre=-/bin/mkdir -p ${DIR}"]);
  });

  it("is not restarted for ever where it has no configuration", () => {
    expect(unit).toContain("EnvironmentFile=/etc/objmount/%i.conf");
    expect(unit).toContain("AssertPathExists=/etc/objmount/%i.conf");
  });
});

describe("packaging/install.sh", () => {
  it("with DESTDIR leaves this machine alone", async () => {
    const dest = join(base, "dest");
    const installed = async (...args: string[]): Promise<string> => {
      await run("sh", [join(ROOT, "packaging/install.sh"), ...args], { limit: 20_000, env: { DESTDIR: dest, PREFIX: "/usr" } });
      return await run("find", [dest, "-type", "l", "-printf", "/%P %l\n"], { limit: 20_000 });
    };
    const links = (await installed()).trim().split("\n").sort();
    expect(links).toContain(`/usr/bin/objmount ${ROOT}/bin/objmount`);
    expect(links).toContainEqual(expect.stringMatching(/^(?:\/usr)?\/sbin\/mount\.objmount .*\/bin\/mount\.objmount$/));
    expect(links).toContain(`/etc/systemd/system/objmount@.service ${ROOT}/packaging/systemd/objmount@.service`);
    expect(links).toHaveLength(5);
    expect(await installed("remove")).toBe("");
  });
});
