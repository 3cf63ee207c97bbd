// One native mount being served: joins channel, dispatcher and filesystem, from the agreement with the kernel to the
// filesystem's `destroy`.

import type { Filesystem } from "../fs/filesystem.js";
import type { Logger } from "../util/log.js";
import { errnoName, openChannel } from "./channel.js";
import { Dispatcher } from "./dispatch.js";
import { Inputs } from "./inputs.js";
import { type MountedDevice, unmountAt } from "./mount.js";
import { opcodeName } from "./operations/table.js";
import { featureNames, hasPassthrough, hasResend } from "./protocol/features.js";
import type { InitWishes, Negotiated } from "./protocol/init.js";
import { type Channel, type FrontEnd, type FrontEndStats, type KernelFacts, MountError, type OnMessage } from "./types.js";

export interface SessionOptions {
  readonly filesystem: Filesystem;
  readonly mounted: MountedDevice;
  readonly logger: Logger;
  readonly wishes: InitWishes;
  /** Lines of the wire log; absent: there is none. */
  readonly wireLog?: ((line: string) => void) | undefined;
  /** Given to a successor on the same descriptor: the kernel has agreed with its predecessor already. */
  readonly resume?: Negotiated | undefined;
  /** Tests put a fake kernel here. */
  readonly openChannel?: (device: number, input: Buffer, onMessage: OnMessage) => Channel;
}

/** Unmounted; the kernel says the second after an abort through /sys/fs/fuse/connections (or `umount -f`). */
const ENDINGS = new Set(["ENODEV", "ECONNABORTED"]);

export class FuseSession implements FrontEnd {
  readonly driver = "native";
  readonly mountpoint: string;
  readonly closed: Promise<void>;
  readonly #options: SessionOptions;
  readonly #channel: Channel;
  readonly #dispatcher: Dispatcher;
  readonly #ready = deferred<Negotiated>();
  readonly #closed = deferred<void>();
  #negotiated: Negotiated | undefined;
  #destroyed: Promise<void> | undefined;
  #ending = false;

  constructor(options: SessionOptions) {
    this.#options = options;
    this.mountpoint = options.mounted.mountpoint;
    this.closed = this.#closed.promise;
    // Whoever does not await `closed` has the log; both are handled here so that neither ends the process.
    this.closed.catch(() => undefined);
    this.#ready.promise.catch(() => undefined);
    const input = Inputs.allocate();
    this.#channel = (options.openChannel ?? openChannel)(options.mounted.device, input, (length) => {
      if (length > 0) this.#dispatcher.message(length);
      else void this.#end(errnoName(length));
    });
    this.#dispatcher = new Dispatcher({
      filesystem: options.filesystem, channel: this.#channel, input, logger: options.logger, wishes: options.wishes, wireLog: options.wireLog,
      onNegotiated: (negotiated) => {
        this.#negotiated = negotiated;
        this.#ready.resolve(negotiated);
      },
      onRefused: (why) => void this.#end("EPROTO", new MountError("kernel-too-old", why)),
      destroy: () => this.#destroy(),
    });
    options.filesystem.setNotifier(this.#dispatcher.notifier);
    if (options.resume !== undefined) {
      this.#dispatcher.resume(options.resume);
      this.#negotiated = options.resume;
      this.#ready.resolve(options.resume);
      // What the predecessor left unanswered.
      if (hasResend(options.resume)) this.#dispatcher.notifier.resend();
    }
  }

  /** Resolves once INIT is answered: the mount answers from now on. Rejects with MountError when the kernel cannot be served. */
  started(): Promise<Negotiated> {
    return this.#ready.promise;
  }

  /** What a successor on the same descriptor needs; undefined before INIT. */
  get negotiated(): Negotiated | undefined { return this.#negotiated; }

  get kernel(): KernelFacts | undefined {
    const agreed = this.#negotiated;
    return agreed === undefined ? undefined : {
      protocol: `${agreed.kernelMajor}.${agreed.kernelMinor}`, features: featureNames(agreed), passthrough: hasPassthrough(agreed),
    };
  }

  /** Asks the kernel to hand over every unanswered request once more. False where it does not know how (before 7.40). */
  resend(): boolean {
    if (this.#negotiated === undefined || !hasResend(this.#negotiated)) return false;
    this.#dispatcher.notifier.resend();
    return true;
  }

  async unmount({ lazy }: { readonly lazy: boolean }): Promise<void> {
    if (this.#ending) return;
    // A mount that was handed in is its owner's; here only the serving ends.
    if (this.#options.mounted.by === "handed-in") await this.#end("ENODEV");
    else await unmountAt(this.mountpoint, lazy);
  }

  stats(): FrontEndStats {
    const dispatcher = this.#dispatcher;
    return {
      operations: byName(dispatcher.counts), failures: byName(dispatcher.failures), inFlight: dispatcher.inFlight,
      bytesRead: dispatcher.bytesRead, bytesWritten: dispatcher.bytesWritten, interrupts: dispatcher.interrupts, notifications: dispatcher.notifier.count,
    };
  }

  /** For tests: files open at the kernel, backing files included. Zero after unmount. */
  get openModes(): Dispatcher["openModes"] { return this.#dispatcher.openModes; }

  async #end(code: string, refusal?: MountError): Promise<void> {
    if (this.#ending) return;
    this.#ending = true;
    const { logger } = this.#options;
    const broken = refusal ?? (ENDINGS.has(code) ? undefined : new Error(`the connection to the kernel broke: ${code}`));
    if (code === "ECONNABORTED") logger.warn({ mountpoint: this.mountpoint }, "the connection was aborted");
    this.#ready.reject(refusal ?? new MountError("failed", `${this.mountpoint} was unmounted before it answered`));
    this.#channel.close();
    await this.#dispatcher.drain(new DOMException("the mount has ended", "AbortError"));
    try {
      await this.#destroy();
    } catch (error) {
      this.#closed.reject(error);
      return;
    }
    if (broken === undefined) this.#closed.resolve();
    else this.#closed.reject(broken);
  }

  #destroy(): Promise<void> {
    this.#destroyed ??= this.#options.filesystem.destroy();
    return this.#destroyed;
  }
}

function byName(counts: Float64Array): Record<string, number> {
  const named: Record<string, number> = {};
  counts.forEach((count, opcode) => { if (count > 0) named[opcodeName(opcode)] = count; });
  return named;
}

interface Deferred<T> {
  readonly promise: Promise<T>;
  readonly resolve: (value: T) => void;
  readonly reject: (reason: unknown) => void;
}

/** Promise.withResolvers, which Node 20 lacks. */
function deferred<T>(): Deferred<T> {
  let resolve!: Deferred<T>["resolve"];
  let reject!: Deferred<T>["reject"];
  const promise = new Promise<T>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
}
