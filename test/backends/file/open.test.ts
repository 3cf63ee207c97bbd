// URLs, and what a directory must be to become a store.

import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { FileService } from "../../../src/backends/file/index.js";
import { parseFileUrl } from "../../../src/backends/file/parse.js";
import { openService, parseStoreUrl, SCHEMES } from "../../../src/backends/registry.js";
import { bodyOf } from "../../../src/store/body.js";
import { systemClock } from "../../../src/util/clock.js";
import { silentLogger } from "../../../src/util/log.js";
import { Place, WEEK } from "./tools.js";

let place: Place;
beforeEach(async () => { place = await Place.make(); });
afterEach(async () => { await place.remove(); });

const context = { logger: silentLogger, clock: systemClock };
const openAt = (root: string): Promise<FileService> => FileService.open(root, { sync: true, uploadExpiry: WEEK }, context);

describe("a file URL", () => {
  it("names the store itself when there is none above it", () => {
    expect(parseFileUrl(`file://${place.root}/new%20one`)).toEqual({ scheme: "file", location: `${place.root}/new one`, prefix: "" });
  });

  it("is split where the disk says the store is", async () => {
    await place.store();
    const at = (rest: string) => parseFileUrl(`file://${place.root}${rest}`);
    const location = place.root;
    expect(at("")).toEqual({ scheme: "file", location, prefix: "" });
    expect(at("/")).toEqual({ scheme: "file", location, prefix: "" });
    expect(at("/c")).toEqual({ scheme: "file", location, container: "c", prefix: "" });
    expect(at("/c/")).toEqual({ scheme: "file", location, container: "c", prefix: "" });
    expect(at("/other%25/a%20b/c")).toEqual({ scheme: "file", location, container: "other%", prefix: "a b/c/" });
    expect(at("/c/a//b/./x/")).toEqual({ scheme: "file", location, container: "c", prefix: "a//b/./x/" });
  });

  it.each([
    ["file:dir", /not a file URL/], ["file://dir/x", /absolute/], ["file://", /absolute/], ["file:///a%zz", /%25/], ["file:///a%00", /NUL/], ["file:///a?b", /%3F/],
  ])("%s is refused with a sentence", (url, message) => {
    expect(() => parseFileUrl(url)).toThrow(message);
  });

  it("cannot name the store's own files as a container", async () => {
    await place.store();
    expect(() => parseFileUrl(`file://${place.root}/.objmount-store/owners`)).toThrow(/starts with a dot/);
  });
});

describe("the root of a store", () => {
  it("is made in a missing directory whose parent exists, and in an empty one", async () => {
    const service = await openAt(join(place.root, "new"));
    expect(await service.containers()).toEqual([]);
    await service.close();
    await mkdir(join(place.root, "empty", "lost+found"), { recursive: true });
    await (await openAt(join(place.root, "empty"))).close();
  });

  it("is not made in a directory with files, which stays as it is", async () => {
    await writeFile(join(place.root, "thesis.txt"), "mine");
    await expect(openAt(place.root)).rejects.toMatchObject({ kind: "invalid", message: expect.stringContaining("is not empty and is not a store") });
    expect(await readdir(place.root)).toEqual(["thesis.txt"]);
  });

  it("is refused where it cannot be one", async () => {
    await writeFile(join(place.root, "file"), "");
    await expect(openAt(join(place.root, "no", "parent"))).rejects.toMatchObject({ kind: "invalid", message: expect.stringContaining("is not there") });
    await expect(openAt(join(place.root, "file"))).rejects.toMatchObject({ kind: "invalid", message: expect.stringContaining("not a directory") });
  });

  it("of a later format is not touched", async () => {
    await (await place.open()).close();
    await writeFile(join(place.root, ".objmount-store/format"), JSON.stringify({ format: 2 }));
    await expect(openAt(place.root)).rejects.toMatchObject({ kind: "unsupported", message: expect.stringContaining("format 2") });
  });

  it("is made once when many open it at once", async () => {
    const root = join(place.root, "busy");
    const services = await Promise.all(Array.from({ length: 8 }, () => openAt(root)));
    await (services[0] as FileService).createContainer("c");
    for (const service of services) expect((await service.containers()).map(({ name }) => name)).toEqual(["c"]);
    await Promise.all(services.map((service) => service.close()));
    expect((await readdir(root)).sort()).toEqual([".objmount-store", "c"]);
    expect(await readdir(join(root, ".objmount-store/owners"))).toEqual([]);
    expect(await readdir(join(root, ".objmount-store/trash"))).toEqual([]);
  });
});

describe("the registry", () => {
  it("opens the backend of the scheme", async () => {
    const service = await openService(`FILE://${place.root}/store`, { "file-sync": false }, context);
    await service.createContainer("c");
    await (await service.container("c")).put("a", bodyOf("x"));
    await service.close();
    expect(await parseStoreUrl(`file://${place.root}/store/c/a`)).toMatchObject({ container: "c", prefix: "a/" });
    expect((await parseStoreUrl("s3://bucket/some/where")).container).toBe("bucket");
    expect((await parseStoreUrl("s3://")).container).toBeUndefined();
    expect(SCHEMES).toEqual(["s3", "file"]);
  });

  it.each([
    ["", "invalid", /empty/], ["bucket", "invalid", /no ":\/\/"/], ["/srv/data", "invalid", /file:\/\/\/srv\/data/], ["s3:bucket", "invalid", /s3:\/\//],
    ["ftp://host/x", "invalid", /does not know the scheme ftp:\/\/.*s3:\/\/ and file:\/\//], ["gs://bucket", "unsupported", /no backend for gs:\/\//],
    ["foo://user:secret@host/", "invalid", /^(?!.*secret)/],
  ])("says what is wrong with %j", async (url, kind, message) => {
    await expect(parseStoreUrl(url)).rejects.toMatchObject({ kind, message: expect.stringMatching(message) });
  });
});
