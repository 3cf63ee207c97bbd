// Bad days that begin before anything is mounted: one sentence that names the thing and what to do, an exit code of its
// own, and nothing left mounted. What has to do with the command line and the mountpoint alone is in test/cli.

import { chmodSync, readFileSync, writeFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { ACCOUNT } from "../backends/fakeS3/server.js";
import { answer, BadDays, digestOf, everything, MIB, page, sentence, until } from "./badDays.js";
import { pattern } from "./fixtures/pattern.mjs";
import { isMounted, run, whyNoMount } from "./harness.js";

const why = whyNoMount();
if (why !== undefined) console.log(`test/mount/badDaysStart: ${why}`);

describe.skipIf(why !== undefined)("a mount that does not come about", () => {
  let days: BadDays;
  let s3: string[];
  beforeAll(async () => {
    days = await BadDays.start();
    s3 = ["--endpoint", days.fake.endpoint, "--retries", "1", "--read-timeout", "300ms"];
  });
  afterEach(() => { days.well(); });
  afterAll(() => days.dispose());

  it("names a bucket that is not there", async () => {
    const { code, err } = await days.refused("s3://nowhere", s3);
    expect(sentence(err)).toMatch(/^s3:\/\/nowhere: there is no such bucket: .*--create-container/);
    expect(code).toBe(22);
  });

  it.each([
    ["a wrong secret", { AWS_SECRET_ACCESS_KEY: "not/the+secret" }, /secret key does not belong to the access key.*AWS_SECRET_ACCESS_KEY/],
    ["a wrong access key", { AWS_ACCESS_KEY_ID: "AKNOBODY" }, /access key is not known.*AWS_ACCESS_KEY_ID/],
    ["no credentials at all", { AWS_ACCESS_KEY_ID: undefined, AWS_SECRET_ACCESS_KEY: undefined, AWS_CONFIG_FILE: "/dev/null", AWS_SHARED_CREDENTIALS_FILE: "/dev/null" }, /^No AWS credentials were found: set AWS_ACCESS_KEY_ID/],
  ])("tells %s", async (_, env, told) => {
    const { code, err } = await days.refused("s3://photos", s3, env as NodeJS.ProcessEnv);
    expect(sentence(err)).toMatch(told);
    expect(err).not.toContain("not/the+secret");
    expect(code).toBe(21);
  });

  it("tells permissions that do not reach as far as a listing", async () => {
    days.fake.fault = (seen) => (seen.url.includes("list-type") ? answer(403, "AccessDenied") : undefined);
    const { code, err } = await days.refused("s3://photos", s3);
    expect(sentence(err)).toMatch(/^s3:\/\/photos: access is denied/);
    expect(code).toBe(21);
  });

  it.each([
    ["asks to slow down", answer(503, "SlowDown"), /asks to slow down: try again in a while/],
    ["fails inside", answer(500, "InternalError"), /failed inside: try again in a while/],
    ["is a web page that says 200", page(200), /is the endpoint right, or a proxy in between\?/],
    ["is a web page that says 502", page(502), /answered 502 .*is the endpoint right, or a proxy in between\?/],
    ["is a web page that says 404", page(404), /answered 404 .*is the endpoint right, or a proxy in between\?/],
    ["does not speak HTTP", { kind: "not-http" as const }, /does not speak HTTP/],
    ["resets every connection", { kind: "reset" as const }, /reset the connection|closed the connection/],
  ])("tells a server that %s", async (_, fault, told) => {
    days.fake.fault = () => fault;
    const { code, err } = await days.refused("s3://photos", s3);
    expect(sentence(err)).toMatch(told);
    if (!err.includes("try again")) expect(err).toContain(new URL(days.fake.endpoint).host);
    expect(code).toBe(20);
  });

  it("tells https where only http is spoken", async () => {
    const { code, err } = await days.refused("s3://photos", [...s3.slice(2), "--endpoint", days.fake.endpoint.replace("http:", "https:")]);
    expect(sentence(err)).toMatch(/does not speak TLS on this port/);
    expect(code).toBe(20);
  });

  it("tells a port that accepts and says nothing, by its own patience or by that of --mount-timeout", async () => {
    const server = createServer(() => undefined);
    await new Promise<void>((done) => { server.listen(0, "127.0.0.1", done); });
    const silent = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    const impatient = await days.refused("s3://photos", ["--endpoint", `http://${silent}`, "--retries", "1", "--read-timeout", "300ms"]);
    expect(sentence(impatient.err)).toContain(`${silent} took the request and did not answer in time`);
    expect(impatient.code).toBe(20);
    const patient = await days.refused("s3://photos", ["--endpoint", `http://${silent}`, "--mount-timeout", "500ms"]);
    expect(sentence(patient.err)).toContain("s3://photos did not answer within --mount-timeout (0.5 s)");
    expect(patient.code).toBe(50);
    server.close();
  });

  it("cleans up after kill -9, and names the bytes that were left", async () => {
    const dead = await days.mount();
    const hand = days.hand();
    const fd = await hand.do<number>("open", dead.path("film"), "w");
    await hand.do("fill", fd, 2 * MIB, 7);
    const staging = join(days.box.base, "state/staging");
    await until("the bytes are staged", () => everything(staging).some((name) => name.endsWith(".data")));
    await dead.stop("SIGKILL");
    expect(await hand.outcome("fsync", fd)).toBe("ENOTCONN");

    const next = await days.mount([], {}, dead.directory);
    expect(next.log.split("\n").filter((line) => line.startsWith("objmount: "))).toEqual([`objmount: ${dead.directory} was a dead mount of s3://photos, left by a daemon that ended: cleaned up.`]);
    const left = /an earlier daemon left bytes.*key=film.*data=(\S+)/.exec(next.log)?.[1] ?? "";
    expect(digestOf(readFileSync(left))).toBe(digestOf(pattern(2 * MIB, 7)));
    // What was never saved is no object: the name is free.
    expect(await hand.outcome("size", next.path("film"))).toBe("ENOENT");
    expect(await hand.outcome("save", next.path("film"), "anew")).toBe("ok");
    expect(days.text("film")).toBe("anew");
    expect(await next.stop()).toBe(0);
    expect(readFileSync(left).length).toBe(2 * MIB);
  });

  it("gives no secret to the programs that it calls, nor to ps, nor to a log at its most talkative", async () => {
    const tools = days.box.directory("tools");
    const dump = join(tools, "environment");
    for (const tool of ["stat", "umount", "fusermount3"]) {
      const real = await run("sh", ["-c", `command -v ${tool} || true`]);
      writeFileSync(join(tools, tool), `#!/bin/sh\ntr '\\0' '\\n' < /proc/$$/environ >> ${dump}\necho called: ${tool} "$@" >> ${dump}\nexec ${real.trim()} "$@"\n`);
      chmodSync(join(tools, tool), 0o755);
    }
    const env = { PATH: `${tools}:${process.env["PATH"] ?? ""}`, OBJMOUNT_S3_ACCESS_KEY_ID: ACCOUNT.accessKeyId, OBJMOUNT_S3_SECRET_ACCESS_KEY: ACCOUNT.secretAccessKey };
    const mount = await days.mount(["--log-level", "trace", "--debug-fuse"], env);
    const hand = days.hand();
    expect(await hand.outcome("save", mount.path("letter"), "dear ann")).toBe("ok");
    // Its complaints repeat what was signed and by whom.
    days.fake.accounts = [{ ...ACCOUNT, secretAccessKey: "changed" }];
    expect(await hand.outcome("save", mount.path("letter"), "dear ben")).toBe("open EACCES");
    expect(await hand.outcome("list", mount.directory)).toBe("EACCES");
    days.fake.fault = () => answer(500, "InternalError");
    expect(await hand.outcome("load", mount.path("letter"))).toMatch(/EACCES|EIO/);
    const shown = [readFileSync(`/proc/${mount.pid}/cmdline`, "utf8"), await days.box.ok("status", mount.directory), JSON.stringify(await mount.status())];
    expect(await mount.stop()).toBe(0);
    expect(mount.log).toContain("DEBUG");
    const called = readFileSync(dump, "utf8");
    expect(called).toContain("called: stat");
    const texts = [...shown, mount.log, called, ...everything(join(days.box.base, "state")).filter((name) => /\.(?:log|journal)$/.test(name)).map((name) => readFileSync(join(days.box.base, "state", name), "latin1"))];
    for (const secret of [ACCOUNT.secretAccessKey, "Signature=", "SignatureDoesNotMatch>"]) expect(texts.filter((text) => text.includes(secret))).toEqual([]);
    expect(isMounted(mount.directory)).toBe(false);
  });
});
