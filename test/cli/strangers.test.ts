// What people do who have not read the manual, and machines that lack something.

import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { BIN, run, Sandbox, whyNoMount } from "./harness.js";

const box = new Sandbox();
afterAll(() => box.dispose());

describe("a wrong command line", () => {
  it("with the URL behind the directory is answered with the right order", async () => {
    expect(await box.objmount("mount", "m", "file:///srv/x")).toEqual({ code: 2, out: "", err: "objmount: The URL comes first: objmount mount file:///srv/x m.\n" });
  });

  it("with too few arguments is answered with the form", async () => {
    for (const args of [["mount"], ["mount", "file:///srv/x"], ["unmount"]]) {
      const form = args[0] === "mount" ? "mount <url> <dir>" : "unmount <dir>";
      expect(await box.objmount(...args)).toEqual({ code: 2, out: "", err: `objmount: An argument is missing: the form is objmount ${form}.\n` });
    }
  });
});

it("a scheme that is not known is answered in the name of objmount", async () => {
  expect(await box.objmount("mount", "http://x/y", box.directory("mnt"))).toMatchObject({ code: 3, err: expect.stringMatching(/^objmount: objmount does not know the scheme http:\/\//) as string });
});

const why = whyNoMount();
if (why !== undefined) console.log(`test/cli/strangers: ${why}`);
describe.skipIf(why !== undefined)("a strange place", () => {
  let url: string;
  beforeAll(async () => { url = await box.store(); });

  it("in which no state directory can be made is refused, and not tried for ever", async () => {
    expect(await box.objmount("mount", url, box.directory("mnt"), "--state-dir", "/proc/none/at/all")).toMatchObject({
      code: 60, err: expect.stringMatching(/^objmount: \/proc\/none\/at\/all cannot be made or written \(E\w+\): name another place with --state-dir\.\n$/) as string,
    });
  });

  it("is mounted on by any of its names", async () => {
    const dir = join(box.directory("odd"), "with space, \u00fc and \\");
    await run("mkdir", [dir], { limit: 10_000 });
    const link = `${dir}-link`;
    await run("ln", ["-s", dir, link], { limit: 10_000 });
    for (const name of [`${dir}/`, link, join(dir, "../.", dir.slice(dir.lastIndexOf("/")))]) {
      await box.ok("mount", url, name);
      expect(await box.ok("status", name)).toContain(`${dir}  ${url}  mounted`);
      await box.ok("unmount", name);
    }
  });

  it("without HOME, or with an empty one, is no reason to keep files below the working directory", async () => {
    const { HOME, OBJMOUNT_STATE_DIR, ...env } = box.env;
    expect([HOME, OBJMOUNT_STATE_DIR]).not.toContain(undefined);
    const there = async (home: NodeJS.ProcessEnv): Promise<string> => (await box.command(process.execPath, ["--input-type=module", "-e", `
      const { homeOf, xdgFolder } = await import(process.argv[1]);
      console.log(homeOf(process.env), xdgFolder(process.env, "XDG_DATA_HOME", ".x"));
    `, new URL("../dist/util/home.js", `file://${BIN}`).href], { ...env, ...home })).out.trim();
    const known = await there({});
    expect(known).toMatch(/^\/\S* \/\S*\.x$/);
    expect(await there({ HOME: "", XDG_DATA_HOME: "" })).toBe(known);
    expect(await there({ HOME: "/h" })).toBe("/h /h/.x");
  });
});
