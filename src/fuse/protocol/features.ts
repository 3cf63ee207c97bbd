// What an agreement makes possible, by name: nobody else looks at flag bits or minors.

import { INIT, INIT2 } from "./constants.js";
import type { Negotiated } from "./init.js";

/** struct fuse_setxattr_in has its second half (7.33). */
export const hasExtendedSetxattr = (n: Negotiated): boolean => (n.flags & INIT.SETXATTR_EXT) !== 0;
/** Opens may name a backing file (7.40). */
export const hasPassthrough = (n: Negotiated): boolean => (n.flags2 & INIT2.PASSTHROUGH) !== 0;
/** NOTIFY_RESEND is understood (7.40). */
export const hasResend = (n: Negotiated): boolean => (n.flags2 & INIT2.HAS_RESEND) !== 0;
/** FOPEN_NOFLUSH is understood (7.35); before, the bit meant nothing. */
export const hasNoFlush = (n: Negotiated): boolean => n.minor >= 35;

const NAMES: readonly (readonly [string, 1 | 2, number])[] = [
  ...Object.entries(INIT).map(([name, bit]) => [name, 1, bit] as const),
  ...Object.entries(INIT2).map(([name, bit]) => [name, 2, bit] as const),
];

/** Names of the agreed features, for `status`, `doctor` and the log. */
export function featureNames(n: Negotiated): readonly string[] {
  return NAMES.filter(([, word, bit]) => ((word === 1 ? n.flags : n.flags2) & bit) !== 0).map(([name]) => name.toLowerCase().replaceAll("_", "-"));
}
