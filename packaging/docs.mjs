// npm run docs: writes the pages that are made from the option tables.

import { mkdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { documents } from "../dist/cli/documents.js";

for (const [path, content] of Object.entries(documents())) {
  const file = new URL(`../${path}`, import.meta.url).pathname;
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, content);
}
