// A look at a store without a mount: for `objmount doctor`, and for the demo's container.

import type { MountConfig } from "../config/config.js";
import type { OptionValue } from "../config/values.js";
import type { Capabilities } from "../store/objectStore.js";
import { systemClock } from "../util/clock.js";
import { silentLogger } from "../util/log.js";
import type { Check } from "./doctor.js";
import { toFailure } from "./failure.js";
import { createIfMissing, openContainer, openWrappedService } from "./openStore.js";

export interface StoreQuestion {
  readonly url: string;
  readonly config: MountConfig;
  readonly backend: Readonly<Record<string, OptionValue>>;
}

/** Opens the store of the URL and reads one page of it. Never throws: what goes wrong is a check that failed. */
export async function examineStore({ url, config, backend }: StoreQuestion): Promise<{ readonly checks: Check[]; readonly capabilities?: Readonly<Record<string, unknown>> }> {
  const checks: Check[] = [];
  const signal = AbortSignal.timeout(config.mountTimeout);
  try {
    const opened = await openWrappedService({ url, config, backend, logger: silentLogger, clock: systemClock });
    try {
      const { parsed, service } = opened;
      if (parsed.container === undefined) {
        const containers = await service.containers({ signal });
        checks.push({ name: "server", state: "ok", text: `answers: ${containers.length} container${containers.length === 1 ? "" : "s"} in the account` });
        return { checks };
      }
      const store = await openContainer(opened, parsed.container, false, signal);
      checks.push({ name: "server", state: "ok", text: "answers" }, { name: "container", state: "ok", text: `${store.label} is there and can be read` });
      const capabilities: Capabilities = store.capabilities;
      if (capabilities.conditionalPut !== "swap") {
        checks.push({ name: "conflicts", state: "warn", text: "the server does not enforce conditional writes: two hosts that save one file at the same moment are not told apart" });
      }
      await store.close();
      return { checks, capabilities: { ...capabilities } };
    } finally {
      await opened.service.close();
    }
  } catch (error) {
    const failure = toFailure(error, `opening ${url}`);
    checks.push({ name: "server", state: "fail", text: signal.aborted ? `no answer within --mount-timeout (${config.mountTimeout / 1000} s)` : failure.message });
    return { checks };
  }
}

/** Creates a container of the account at `url` when it is missing. */
export async function ensureContainer({ url, config, backend }: StoreQuestion, name: string): Promise<void> {
  const opened = await openWrappedService({ url, backend, config, logger: silentLogger, clock: systemClock });
  try {
    await createIfMissing(opened.service, name);
  } finally {
    await opened.service.close();
  }
}
