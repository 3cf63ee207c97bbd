// What the AWS configuration files say besides credentials: region, endpoint and CA bundle of a profile. Credentials are
// read by the vendor's own packages (auth.ts).

import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";

export interface Profile {
  readonly region?: string | undefined;
  readonly endpoint?: string | undefined;
  readonly caBundle?: string | undefined;
}

type Section = Readonly<Record<string, string>>;

/** Sections of the file's INI dialect. Settings nested under one (`s3 =` and indented lines) become `s3.endpoint_url`. */
export function parseIni(text: string): Map<string, Section> {
  const sections = new Map<string, Record<string, string>>();
  let section: Record<string, string> | undefined;
  let parent = "";
  for (const raw of text.split(/\r?\n/)) {
    const line = raw.replace(/(^|\s)[#;].*$/, "");
    if (line.trim() === "") continue;
    const head = /^\[\s*([^\]]+?)\s*\]/.exec(line);
    if (head !== null) {
      section = {};
      sections.set((head[1] as string).replace(/\s+/g, " "), section);
      parent = "";
      continue;
    }
    const pair = /^(\s*)([^=\s]+)\s*=\s*(.*?)\s*$/.exec(line);
    if (pair === null || section === undefined) continue;
    const [, indent, name, value] = pair as unknown as [string, string, string, string];
    if (indent !== "" && parent !== "") {
      section[`${parent}.${name}`] = value;
    } else {
      section[name] = value;
      parent = value === "" ? name : "";
    }
  }
  return sections;
}

async function sectionsOf(file: string): Promise<Map<string, Section>> {
  try {
    return parseIni(await readFile(file, "utf8"));
  } catch {
    // Missing or unreadable: the credential chain, which needs these files, says so where it matters.
    return new Map();
  }
}

/** @param name the profile; default: AWS_PROFILE, else `default`. */
export async function readProfile(name: string | undefined, env: NodeJS.ProcessEnv = process.env): Promise<Profile> {
  const wanted = name ?? env["AWS_PROFILE"] ?? "default";
  const home = env["HOME"] ?? homedir();
  const config = await sectionsOf(env["AWS_CONFIG_FILE"] ?? join(home, ".aws", "config"));
  const credentials = await sectionsOf(env["AWS_SHARED_CREDENTIALS_FILE"] ?? join(home, ".aws", "credentials"));
  const section: Section = { ...(config.get(`profile ${wanted}`) ?? config.get(wanted)), ...credentials.get(wanted) };
  const services = section["services"] === undefined ? undefined : config.get(`services ${section["services"]}`);
  const ignored = env["AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"] === "true" || section["ignore_configured_endpoint_urls"] === "true";
  return {
    region: section["region"],
    endpoint: ignored ? undefined : services?.["s3.endpoint_url"] ?? section["endpoint_url"],
    caBundle: section["ca_bundle"],
  };
}
