// s3://: Amazon S3 and what speaks its protocol.

import type { Backend } from "../backend.js";
import { readConfig } from "./config.js";
import { S3Service } from "./service.js";
import { parseS3Url } from "./url.js";

export const s3Backend: Backend = {
  scheme: "s3",
  parse: parseS3Url,
  open: async (url, options, context) => new S3Service(await readConfig(options), context, url.prefix),
};
