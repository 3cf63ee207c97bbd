// statfs: the store's own figures where it has any, kept for a minute; otherwise a large constant, because programs believe a zero.

import type { Usage } from "../store/objectStore.js";
import type { Core } from "./core.js";
import type { StatfsReply } from "./filesystem.js";
import { MAX_NAME_BYTES } from "./names.js";

const BLOCK = 4096;
/** 1 PiB */
const PLENTY = 2 ** 50;
const FILES = 2 ** 32;
const KEEP_MS = 60_000;

export class Statfs {
  readonly #core: Core;
  #usage: Usage = {};
  #at = -Infinity;
  #asking: Promise<void> | undefined;

  constructor(core: Core) {
    this.#core = core;
  }

  async statfs(): Promise<StatfsReply> {
    if (this.#core.capabilities.usage && this.#core.clock.monotonic() - this.#at > KEEP_MS) {
      this.#asking ??= this.#ask().finally(() => { this.#asking = undefined; });
      await this.#asking;
    }
    const { usedBytes = 0, quotaBytes = PLENTY, objects = 0 } = this.#usage;
    const blocks = Math.floor(quotaBytes / BLOCK);
    const bfree = Math.max(0, blocks - Math.ceil(usedBytes / BLOCK));
    return { blocks, bfree, bavail: bfree, files: FILES, ffree: Math.max(0, FILES - objects), bsize: BLOCK, frsize: BLOCK, namelen: MAX_NAME_BYTES };
  }

  /** A store that does not answer must not make `df` fail: the last figures stand. */
  async #ask(): Promise<void> {
    try {
      this.#usage = await this.#core.store.usage();
    } catch (error) {
      this.#core.logger.debug({ err: error }, "the store's usage is not known");
    }
    this.#at = this.#core.clock.monotonic();
  }
}
