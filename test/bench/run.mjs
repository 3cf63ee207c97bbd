// npm run bench [-- --short] [--rows TEXT] [--subjects TEXT] [--no-results]
// One run, one real S3 server (versitygw on a memory disk), every subject side by side, directly and through a latency
// proxy; prints one table of ratios and writes RESULTS.md beside this file, with machine and date. Needs root.

import { execFileSync, spawn } from "node:child_process";
import { cpus, release, totalmem, tmpdir } from "node:os";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { s3 } from "./s3.mjs";
import { SUBJECTS } from "./subjects.mjs";
import { LIMIT, ROWS, TooSlow, fill, sh, sizes } from "./workloads.mjs";
import { markdown, text } from "./table.mjs";

const ROOT = resolve(import.meta.dirname, "../..");
const { values: options } = parseArgs({ options: {
  short: { type: "boolean" }, rows: { type: "string" }, subjects: { type: "string" }, "no-results": { type: "boolean" },
} });
const size = sizes(options.short === true);
const wanted = (name, filter) => filter === undefined || filter.split(",").some((part) => name.includes(part));
const environment = { ...process.env, OBJMOUNT_SERVERS_DIR: join(tmpdir(), "objmount-bench-server"), OBJMOUNT_SERVERS_PORT: "28100", OBJMOUNT_SERVERS_DATA: "/dev/shm/objmount-bench" };
const versitygw = (verb) => execFileSync("bash", [join(ROOT, "test/servers/versitygw.sh"), verb], { env: environment, stdio: verb === "env" ? "pipe" : "inherit", encoding: "utf8" });

const port = 28170;
const key = "testkey";
const secret = "testsecret";
const bucket = "bench";
const direct = { endpoint: `http://127.0.0.1:${port}`, key, secret };

const proxies = new Map();
async function proxy(roundTrip) {
  if (!proxies.has(roundTrip)) {
    const listen = port + 10 + proxies.size * 2;
    const child = spawn(process.execPath, [join(ROOT, "test/bench/proxy.mjs"), String(listen), String(port), String(roundTrip)], { stdio: ["ignore", "pipe", "inherit"] });
    await new Promise((done) => child.stdout.once("data", done));
    proxies.set(roundTrip, { child, endpoint: `http://127.0.0.1:${listen}`, counters: `http://127.0.0.1:${listen + 1}` });
  }
  return proxies.get(roundTrip);
}

async function dropCaches() {
  await sh("sync; echo 3 > /proc/sys/vm/drop_caches").catch(() => undefined);
}

async function measure(row, subject, roundTrip, scratch) {
  const through = row.counted === true || roundTrip > 0 ? await proxy(roundTrip) : undefined;
  const server = { ...direct, endpoint: through?.endpoint ?? direct.endpoint };
  const context = { server: direct, bucket, size, scratch, tag: `${subject.name.replace(/\W+/g, "-")}-${roundTrip}`, timed: (script) => sh(script, subject.ours ? undefined : LIMIT) };
  await row.before?.(context);
  await dropCaches();
  const mount = await subject.start({ ...server, bucket });
  try {
    context.dir = mount.directory;
    if (through !== undefined) await fetch(`${through.counters}/reset`);
    const before = mount.usage();
    const value = await row.run(context);
    const after = mount.usage();
    const moved = through === undefined ? undefined : await (await fetch(through.counters)).json();
    await row.after?.(context);
    return { value, peakMiB: after.peakMiB, cpu: after.cpuSeconds - before.cpuSeconds, movedMiB: moved === undefined ? undefined : (moved.toServer + moved.toClient) / 2 ** 20 };
  } finally {
    await mount.stop();
  }
}

const scratch = mkdtempSync(join(tmpdir(), "objmount-bench-scratch-"));
const results = [];
let failures = 0;
try {
  mkdirSync(environment.OBJMOUNT_SERVERS_DATA, { recursive: true });
  versitygw("start");
  await s3(direct, "PUT", `/${bucket}`);
  await sh(`mkdir -p '${scratch}/small'; cd '${scratch}/small'; head -c ${size.small * 16384} /dev/urandom | split -a 5 -b 16384 -d - f`);
  await fill(direct, bucket, size);
  const subjects = SUBJECTS.filter((subject) => subject.available() && wanted(subject.name, options.subjects));
  for (const row of ROWS.filter(({ name }) => wanted(name, options.rows))) {
    for (const roundTrip of row.rtt) {
      const line = { row: row.name, roundTrip, lower: row.lower, cells: [] };
      for (const subject of subjects) {
        // The second front end differs in what the kernel sends, not in what goes to the server: it is measured where that shows.
        if (subject.name.includes("fuse-native") && roundTrip > 0) continue;
        if (subject.name.startsWith("rclone") && subject.name.includes("full") !== (row.rclone === "full")) continue;
        try {
          line.cells.push({ subject: subject.name, ours: subject.ours, ...(await measure(row, subject, roundTrip, scratch)) });
        } catch (error) {
          if (error instanceof TooSlow && !subject.ours) {
            line.cells.push({ subject: subject.name, ours: false, value: line.lower ? LIMIT / 1000 : 0, over: true, peakMiB: Number.NaN, cpu: Number.NaN });
            continue;
          }
          line.cells.push({ subject: subject.name, ours: subject.ours, error: String(error instanceof Error ? error.message : error).split("\n")[0].slice(0, 200) });
          if (subject.ours) failures += 1;
          process.stderr.write(`${row.name}, ${subject.name}: ${String(error)}\n`);
        }
      }
      if (row.limit !== undefined) {
        const through = roundTrip > 0 ? await proxy(roundTrip) : undefined;
        line.limit = { name: row.limitName, value: await row.limit({ server: { ...direct, endpoint: through?.endpoint ?? direct.endpoint }, bucket, size }) };
      }
      results.push(line);
      process.stdout.write(`${text(line)}\n`);
    }
    // After every row, so that a run that is broken off leaves what it has measured.
    await report(subjects);
  }
  process.stdout.write(`\n${await report(subjects)}\n`);
} finally {
  for (const { child } of proxies.values()) child.kill();
  versitygw("stop");
  rmSync(scratch, { recursive: true, force: true });
  rmSync(environment.OBJMOUNT_SERVERS_DATA, { recursive: true, force: true });
}

/** Writes the table of what was measured so far. @returns it. */
async function report(subjects) {
  const versions = [];
  for (const subject of subjects) versions.push(`${subject.name} ${await subject.version().catch(() => "?")}`);
  const facts = {
    date: new Date().toISOString().slice(0, 10), machine: `${cpus().length} x ${cpus()[0]?.model ?? "?"}, ${Math.round(totalmem() / 2 ** 30)} GiB`,
    kernel: release(), node: process.version, versions, short: options.short === true,
    server: `versitygw ${execFileSync("bash", [join(ROOT, "test/servers/versitygw.sh"), "version"], { env: environment, encoding: "utf8" }).trim()} over a memory disk`,
  };
  const page = markdown(facts, results);
  if (options["no-results"] !== true && options.short !== true) {
    const whole = options.rows === undefined && options.subjects === undefined;
    writeFileSync(whole ? join(ROOT, "test/bench/RESULTS.md") : join(tmpdir(), "objmount-bench-partial.md"), page);
  }
  return page;
}

const measured = results.flatMap(({ cells }) => cells).filter(({ ours }) => ours).length;
process.stdout.write(`bench: ${measured - failures} passed, ${failures} failed\n`);
process.exit(failures === 0 ? 0 : 1);
