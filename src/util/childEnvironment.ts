/**
 * What a program that is called for its answer gets of our environment: where programs are, and answers in English. Nothing
 * else: ours may carry the store's credentials.
 */
export function childEnvironment(more: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv {
  return { PATH: process.env["PATH"] ?? "/usr/bin:/bin:/usr/sbin:/sbin", LC_ALL: "C", ...more };
}
