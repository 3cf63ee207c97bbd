// The rows of the benchmark. Each gets a context of one subject at one round-trip time and answers the seconds it took
// (or a rate where `unit` says so), measured from outside, by the tools a person would use.

import { execFile } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { curlRanges, parallel, putLarge, s3 } from "./s3.mjs";

const MiB = 1 << 20;

/** Runs a bash script; rejects when it fails or takes longer than `limit` ms. */
export async function sh(script, limit = 300_000) {
  // In a process group of its own, so that what it started ends with it.
  const child = execFile("setsid", ["bash", "-c", `set -euo pipefail\n${script}`], { maxBuffer: 1 << 28 });
  const timer = setTimeout(() => { try { process.kill(-Number(child.pid), "SIGKILL"); } catch { /* it has ended */ } }, limit);
  const out = [];
  const errors = [];
  child.stdout.on("data", (chunk) => out.push(chunk));
  child.stderr.on("data", (chunk) => errors.push(chunk));
  const [code, signal] = await once(child, "close");
  clearTimeout(timer);
  if (signal === "SIGKILL") throw new TooSlow();
  if (code !== 0) throw new Error(`${script.slice(0, 200)}: exit ${code}: ${errors.join("").slice(0, 300)}`);
  return out.join("");
}

/** A subject that needs longer than this is stopped; the row then says "over". */
export const LIMIT = 25_000;
export class TooSlow extends Error {}

async function seconds(work) {
  const started = performance.now();
  await work();
  return (performance.now() - started) / 1000;
}

async function fio(file, depth, runtime, size) {
  const out = await sh(`fio --name=r --filename='${file}' --readonly --rw=randread --bs=4k --size=${size} --direct=1 --ioengine=libaio --iodepth=${depth} --time_based --runtime=${runtime} --norandommap --randseed=7 --output-format=json 2>/dev/null`);
  return JSON.parse(out.slice(out.indexOf("{"))).jobs[0].read.iops;
}

/** Sizes: full, and short for CI. */
export function sizes(short) {
  return short
    ? { large: 128 * MiB, random: 32 * MiB, changed: 64 * MiB, small: 200, listed: 1000, runtime: 2 }
    : { large: 1024 * MiB, random: 48 * MiB, changed: 256 * MiB, small: 2000, listed: 10_000, runtime: 5 };
}

/** What the buckets hold before any row runs. `smallfiles/` is made by hand of a plain client: objects without metadata. */
export async function fill(server, bucket, size) {
  await putLarge(server, `/${bucket}/large.bin`, size.large);
  await putLarge(server, `/${bucket}/random.bin`, size.random);
  await parallel(size.listed, 32, (i) => s3(server, "PUT", `/${bucket}/listed/object-${String(i).padStart(6, "0")}.txt`, { body: Buffer.from(`${i}\n`) }));
  const body = Buffer.alloc(16384, "s");
  await parallel(size.small, 32, (i) => s3(server, "PUT", `/${bucket}/smallfiles/f${String(i).padStart(5, "0")}`, { body }));
}

/**
 * lower: less is better. peers: which mode of rclone is the fair one. limit: the yardstick, same unit.
 * rtt: the round trips at which the row is measured. Rows start on a fresh mount unless `warm`.
 */
export const ROWS = [
  {
    name: "sequential write and close", lower: true, rclone: "off", rtt: [0, 20],
    run: ({ dir, size, timed }) => seconds(() => timed(`dd if=/dev/zero of='${dir}/w.bin' bs=1M count=${size.large / MiB} status=none`)),
    after: ({ dir }) => sh(`rm -f '${dir}/w.bin'`),
    limit: async ({ size }) => {
      const local = mkdtempSync(join(existsSync("/var/tmp") ? "/var/tmp" : tmpdir(), "objmount-bench-local-"));
      const took = await seconds(() => sh(`dd if=/dev/zero of='${local}/w.bin' bs=1M count=${size.large / MiB} conv=fdatasync status=none`));
      rmSync(local, { recursive: true });
      return took;
    }, limitName: "local file",
  },
  {
    name: "sequential read, cold", lower: true, rclone: "off", rtt: [0, 20],
    run: ({ dir, timed }) => seconds(() => timed(`dd if='${dir}/large.bin' of=/dev/null bs=1M status=none`)),
    limit: ({ server, bucket, size }) => curlRanges(server, `/${bucket}/large.bin`, size.large, 8), limitName: "curl, 8 ranges",
  },
  { name: "random 4 KiB, cold, depth 1 (per second)", lower: false, rclone: "off", rtt: [0, 20], run: ({ dir, size }) => fio(`${dir}/random.bin`, 1, size.runtime, size.random) },
  { name: "random 4 KiB, cold, depth 32 (per second)", lower: false, rclone: "off", rtt: [0, 20], run: ({ dir, size }) => fio(`${dir}/random.bin`, 32, size.runtime, size.random) },
  {
    name: "random 4 KiB, warm, depth 1 (per second)", lower: false, rclone: "full", rtt: [0],
    run: async ({ dir, size }) => { await sh(`cat '${dir}/random.bin' > /dev/null; cat '${dir}/random.bin' > /dev/null`); return fio(`${dir}/random.bin`, 1, size.runtime, size.random); },
  },
  {
    name: "random 4 KiB, warm, depth 32 (per second)", lower: false, rclone: "full", rtt: [0],
    run: async ({ dir, size }) => { await sh(`cat '${dir}/random.bin' > /dev/null; cat '${dir}/random.bin' > /dev/null`); return fio(`${dir}/random.bin`, 32, size.runtime, size.random); },
  },
  {
    name: "small files of 16 KiB written (cp -r)", lower: true, rclone: "off", rtt: [0, 20],
    run: ({ dir, scratch, tag, timed }) => seconds(() => timed(`cp -r '${scratch}/small' '${dir}/written-${tag}'`)),
  },
  { name: "the same listed with attributes (ls -l), cold", lower: true, rclone: "off", rtt: [0, 20], run: ({ dir, timed }) => seconds(() => timed(`ls -l '${dir}/smallfiles' > /dev/null`)) },
  { name: "the same read one by one, cold", lower: true, rclone: "off", rtt: [0, 20], run: ({ dir, size, timed }) => seconds(async () => {
    const out = await timed(`cd '${dir}/smallfiles'; for f in *; do cat "$f"; done | wc -c`);
    if (Number(out) !== size.small * 16384) throw new Error(`read ${out.trim()} bytes`);
  }) },
  { name: "ls -l of a large directory, cold", lower: true, rclone: "off", rtt: [0, 20], run: ({ dir, size, timed }) => seconds(async () => {
    const out = await timed(`ls -l '${dir}/listed' | wc -l`);
    if (Number(out) !== size.listed + 1) throw new Error(`listed ${out.trim()} lines`);
  }) },
  {
    name: "1 byte changed in a large object", lower: true, rclone: "full", rtt: [0, 20], counted: true,
    before: ({ server, bucket, size }) => putLarge(server, `/${bucket}/changed.bin`, size.changed),
    // Ends when the store has the new version: a mount that uploads after close is waited for.
    run: async ({ dir, server, bucket, size }) => {
      const etag = async () => (await s3(server, "HEAD", `/${bucket}/changed.bin`)).headers.etag;
      const old = await etag();
      return seconds(async () => {
        await sh(`printf X | dd of='${dir}/changed.bin' bs=1 seek=${Math.floor(size.changed / 3)} conv=notrunc status=none`);
        while (await etag() === old) await new Promise((next) => setTimeout(next, 20));
      });
    },
  },
];
