// The command line's one entry: reads it, runs the command, turns what was thrown into one sentence and an exit code.

import { ConfigError } from "../config/error.js";
import { toFailure } from "../mount/failure.js";
import { parseCommandLine, type CommandName, type Invocation } from "./arguments.js";
import { isBackgroundChild, report } from "./background.js";
import { exitCode, type ExitName } from "./exitCodes.js";
import { cleanEnvironment, translateHelperCall } from "./mountHelper.js";
import { say } from "./output.js";

/** Commands are loaded when they are run: `objmount status` must not wait for a backend's packages. */
const RUN: Readonly<Record<CommandName, (invocation: Invocation) => Promise<ExitName>>> = {
  mount: async (invocation) => (await import("./mountCommand.js")).mountCommand(invocation),
  unmount: async (invocation) => (await import("./unmountCommand.js")).unmountCommand(invocation),
  status: async (invocation) => (await import("./statusCommand.js")).statusCommand(invocation),
  "log-level": async (invocation) => (await import("./statusCommand.js")).logLevelCommand(invocation),
  doctor: async (invocation) => (await import("./doctorCommand.js")).doctorCommand(invocation),
  demo: async (invocation) => (await import("./demoCommand.js")).demoCommand(invocation),
};

/** What bin/mount.objmount calls us with, in our own words; undefined when only the form was to be checked. */
function helperArguments(args: readonly string[]): readonly string[] | undefined {
  cleanEnvironment(process.env);
  const call = translateHelperCall(args);
  return call.fake ? undefined : call.args;
}

/** @param args without the names of node and the script. @returns the exit code. */
export async function main(args: readonly string[]): Promise<number> {
  try {
    const own = args[0] === "mount-helper" ? helperArguments(args.slice(1)) : args;
    const invocation = own === undefined ? undefined : await parseCommandLine(own);
    return invocation === undefined ? exitCode("ok") : exitCode(await RUN[invocation.command](invocation));
  } catch (error) {
    const { kind, message } = error instanceof ConfigError ? { kind: "usage", message: error.message } as const : toFailure(error, "The command");
    if (isBackgroundChild()) await report({ type: "failed", kind, message });
    else await say(message);
    return exitCode(kind);
  }
}

/** What bin/objmount calls. */
export async function run(): Promise<never> {
  // A reader of our output that has gone away ("objmount status | head") is no reason for a trace.
  process.stdout.on("error", () => undefined);
  process.stderr.on("error", () => undefined);
  process.exit(await main(process.argv.slice(2)));
}
