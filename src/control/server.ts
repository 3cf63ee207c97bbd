import { chmod, unlink } from "node:fs/promises";
import { createServer, type Server, type Socket } from "node:net";
import type { Logger } from "../util/log.js";
import { CONTROL_PROTOCOL, ControlError, LineSplitter, type ControlMethod, type ControlMethods, type ControlReply, type ControlRequest } from "./protocol.js";

/** One per method. `event` sends progress; what is thrown becomes an error reply (a ControlError with its code). */
export type ControlHandlers = {
  readonly [M in ControlMethod]: (parameters: ControlMethods[M]["parameters"], event: (event: ControlMethods[M]["event"]) => void) => Promise<ControlMethods[M]["result"]>;
};

export interface ControlServerOptions {
  /** Absolute path, free to be created. */
  readonly path: string;
  readonly version: string;
  readonly handlers: ControlHandlers;
  readonly logger: Logger;
}

const LINGER_MS = 1000;

export class ControlServer {
  readonly path: string;
  readonly #options: ControlServerOptions;
  readonly #sockets = new Set<Socket>();
  readonly #server: Server;
  readonly #running = new Set<Promise<void>>();

  constructor(options: ControlServerOptions) {
    this.path = options.path;
    this.#options = options;
    this.#server = createServer((socket) => this.#serve(socket));
  }

  async listen(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(this.path, () => { this.#server.off("error", reject); resolve(); });
    });
    this.#server.on("error", (error) => this.#options.logger.warn({ err: error }, "the control socket failed"));
    await chmod(this.path, 0o600);
  }

  /** Removes the socket, lets running answers end, and hangs up; neither a slow answer nor a client that stays holds it for long. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => { this.#server.close(() => resolve()); });
    await Promise.race([Promise.allSettled(this.#running), new Promise((resolve) => { setTimeout(resolve, LINGER_MS).unref(); })]);
    for (const socket of this.#sockets) socket.end();
    setTimeout(() => { for (const socket of this.#sockets) socket.destroy(); }, LINGER_MS).unref();
    await closed;
    await unlink(this.path).catch(() => undefined);
  }

  #serve(socket: Socket): void {
    this.#sockets.add(socket);
    const lines = new LineSplitter();
    socket.setEncoding("utf8");
    socket.on("close", () => this.#sockets.delete(socket));
    socket.on("error", () => socket.destroy());
    socket.on("data", (text: string) => {
      try {
        for (const line of lines.push(text)) this.#take(socket, line);
      } catch {
        socket.destroy();
      }
    });
    this.#write(socket, { objmount: this.#options.version, protocol: CONTROL_PROTOCOL, pid: process.pid });
  }

  #write(socket: Socket, value: object): void {
    if (socket.writable) socket.write(`${JSON.stringify(value)}\n`);
  }

  #take(socket: Socket, line: string): void {
    const request = readRequest(line);
    if (request === undefined) {
      this.#write(socket, { id: 0, error: { code: "protocol", message: "That line is not a request." } } satisfies ControlReply);
      return;
    }
    const answer = this.#answer(request, (event) => this.#write(socket, { id: request.id, event }))
      .then((reply) => this.#write(socket, reply))
      .finally(() => this.#running.delete(answer));
    this.#running.add(answer);
  }

  async #answer(request: ControlRequest, event: (event: unknown) => void): Promise<ControlReply> {
    const { id, method } = request;
    if (!Object.hasOwn(this.#options.handlers, method)) {
      return { id, error: { code: "unknown-method", message: `This objmount (${this.#options.version}) does not know the request "${method}".` } };
    }
    // The table of methods fixes the types per name; here, the name is only known at run time.
    const handler = this.#options.handlers[method as ControlMethod] as (parameters: unknown, event: (event: unknown) => void) => Promise<unknown>;
    try {
      return { id, result: await handler(request.parameters ?? {}, event) };
    } catch (error) {
      if (!(error instanceof ControlError)) this.#options.logger.warn({ err: error, method }, "a control request failed");
      return { id, error: { code: error instanceof ControlError ? error.code : "failed", message: error instanceof Error ? error.message : String(error) } };
    }
  }
}

function readRequest(line: string): ControlRequest | undefined {
  try {
    const value = JSON.parse(line) as Partial<ControlRequest> | null;
    return typeof value?.id === "number" && typeof value.method === "string" ? value as ControlRequest : undefined;
  } catch {
    return undefined;
  }
}
