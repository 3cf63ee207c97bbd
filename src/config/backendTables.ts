import { FILE_OPTIONS } from "../backends/file/options.js";
import { S3_OPTIONS } from "../backends/s3/options.js";
import type { OptionRow } from "../util/optionRow.js";

/** The option tables of the backends, by URL scheme. */
export const BACKEND_ROWS: Readonly<Record<string, readonly OptionRow[]>> = { file: FILE_OPTIONS, s3: S3_OPTIONS };
