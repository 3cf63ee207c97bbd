import { gatherFacts } from "../config/facts.js";
import { derive } from "../config/rules.js";
import { clockCheck, credentialCheck, machineChecks, type Check } from "../mount/doctor.js";
import { examineStore } from "../mount/examineStore.js";
import type { Invocation } from "./arguments.js";
import { resolveInvocation } from "./context.js";
import type { ExitName } from "./exitCodes.js";
import { print, table } from "./output.js";

const MARKS: Readonly<Record<Check["state"], string>> = { ok: "ok  ", info: "-   ", warn: "warn", fail: "FAIL" };

export async function doctorCommand(invocation: Invocation): Promise<ExitName> {
  const url = invocation.positional["url"];
  const resolved = await resolveInvocation(invocation, url);
  const facts = await gatherFacts(url ?? "", "/nonexistent", process.env);
  const config = derive(resolved.config, facts);
  const machine = await machineChecks(config, facts);
  const store: Check[] = [];
  let capabilities: Readonly<Record<string, unknown>> | undefined;
  if (url !== undefined) {
    const credentials = credentialCheck(url.split(":")[0] as string, resolved.backend, process.env);
    if (credentials !== undefined) store.push(credentials);
    const endpoint = resolved.backend["endpoint"];
    if (typeof endpoint === "string") store.push(await clockCheck(endpoint));
    const found = await examineStore({ url, config, backend: resolved.backend });
    store.push(...found.checks);
    capabilities = found.capabilities;
  }
  const failed = [...machine, ...store].some((check) => check.state === "fail");
  if (invocation.flags["json"] === true) {
    await print(JSON.stringify({ machine, store, capabilities }, undefined, 2));
  } else {
    await print(lines(machine));
    if (url !== undefined) await print(`\n${url}\n${lines(store)}`);
    if (capabilities !== undefined) await print(`\nWhat this store can do, as found out now:\n${table(Object.entries(capabilities).map(([name, value]) => [`  ${name}`, describe(value)]))}`);
  }
  return failed ? "doctor" : "ok";
}

function lines(checks: readonly Check[]): string {
  return table(checks.map((check) => [`  ${MARKS[check.state]}`, check.name, check.text]));
}

function describe(value: unknown): string {
  if (value === true) return "yes";
  if (value === false) return "no";
  if (Array.isArray(value)) return value.length === 0 ? "none" : value.join(", ");
  if (typeof value === "object" && value !== null) return Object.entries(value).map(([name, inner]) => `${name} ${describe(inner)}`).join(", ");
  return value === Infinity ? "unlimited" : String(value);
}
