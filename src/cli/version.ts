import { readFileSync } from "node:fs";

/** From package.json, which lies two folders above both src/cli and dist/cli. */
export const VERSION: string = (JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as { version: string }).version;
