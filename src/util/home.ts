import { userInfo } from "node:os";
import { join } from "node:path";

/** $HOME; where it is not set or empty, what the user database says; where that knows no such user (containers), /. */
export function homeOf(environment: NodeJS.ProcessEnv): string {
  const home = environment["HOME"];
  if (home !== undefined && home !== "") return home;
  try {
    return userInfo().homedir;
  } catch {
    return "/";
  }
}

/** A folder of the XDG base directories: `variable` where it is set, else `fallback` below the home directory. */
export function xdgFolder(environment: NodeJS.ProcessEnv, variable: string, fallback: string): string {
  const chosen = environment[variable];
  return chosen === undefined || chosen === "" ? join(homeOf(environment), fallback) : chosen;
}
