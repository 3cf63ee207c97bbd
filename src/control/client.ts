import { createConnection, type Socket } from "node:net";
import { CONTROL_PROTOCOL, ControlError, LineSplitter, type ControlMethod, type ControlMethods, type ControlReply, type Greeting } from "./protocol.js";

interface Waiting {
  readonly event: ((event: never) => void) | undefined;
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: Error) => void;
}

export interface CallOptions<M extends ControlMethod> {
  /** Milliseconds of silence (no event, no answer) after which the call gives up; absent: waits as long as the connection lives. */
  readonly timeoutMs?: number;
  readonly event?: (event: ControlMethods[M]["event"]) => void;
}

export class ControlClient {
  readonly greeting: Greeting;
  readonly #socket: Socket;
  readonly #waiting = new Map<number, Waiting>();
  #last = 0;

  private constructor(socket: Socket, greeting: Greeting) {
    this.#socket = socket;
    this.greeting = greeting;
  }

  /**
   * Connects and hears the greeting.
   * @throws ControlError `unreachable` when nobody serves the socket, `silent` when no greeting comes in time, `protocol`
   *   when the other side speaks another one.
   */
  static connect(path: string, timeoutMs = 5000): Promise<ControlClient> {
    return new Promise((resolve, reject) => {
      const socket = createConnection(path);
      const lines = new LineSplitter();
      let client: ControlClient | undefined;
      const fail = (code: string, message: string, cause?: unknown): void => {
        clearTimeout(timer);
        socket.destroy();
        const error = new ControlError(code, message, cause);
        if (client === undefined) reject(error); else client.#failAll(error);
      };
      const timer = setTimeout(() => fail("silent", `The daemon behind ${path} does not answer.`), timeoutMs);
      socket.setEncoding("utf8");
      socket.on("error", (error: NodeJS.ErrnoException) => fail("unreachable", `Nobody answers on ${path} (${error.code ?? error.message}).`, error));
      socket.on("close", () => fail("unreachable", `The daemon behind ${path} has hung up.`));
      socket.on("data", (text: string) => {
        try {
          for (const line of lines.push(text)) {
            const value = JSON.parse(line) as unknown;
            if (client !== undefined) {
              client.#take(value as ControlReply);
              continue;
            }
            const greeting = value as Greeting;
            if (greeting.protocol !== CONTROL_PROTOCOL) {
              fail("protocol", `The daemon is objmount ${greeting.objmount} and speaks control protocol ${greeting.protocol}, this command speaks ${CONTROL_PROTOCOL}: use the matching version.`);
              return;
            }
            clearTimeout(timer);
            client = new ControlClient(socket, greeting);
            resolve(client);
          }
        } catch (error) {
          fail("protocol", `What came from ${path} is not the control protocol.`, error);
        }
      });
    });
  }

  async call<M extends ControlMethod>(method: M, parameters: ControlMethods[M]["parameters"], options: CallOptions<M> = {}): Promise<ControlMethods[M]["result"]> {
    const id = ++this.#last;
    let timer: NodeJS.Timeout | undefined;
    try {
      return await new Promise<unknown>((resolve, reject) => {
        const wait = (): void => {
          if (options.timeoutMs === undefined) return;
          clearTimeout(timer);
          timer = setTimeout(() => reject(new ControlError("silent", `The daemon (process ${this.greeting.pid}) does not answer.`)), options.timeoutMs);
        };
        const event = (value: never): void => { wait(); options.event?.(value); };
        this.#waiting.set(id, { event, resolve, reject });
        wait();
        if (this.#socket.destroyed) reject(new ControlError("unreachable", "The daemon has hung up."));
        else this.#socket.write(`${JSON.stringify({ id, method, parameters })}\n`);
      }) as ControlMethods[M]["result"];
    } finally {
      clearTimeout(timer);
      this.#waiting.delete(id);
    }
  }

  close(): void {
    this.#socket.destroy();
  }

  #take(reply: ControlReply): void {
    const waiting = this.#waiting.get(reply.id);
    if (waiting === undefined) return;
    if ("event" in reply) waiting.event?.(reply.event as never);
    else if ("error" in reply) waiting.reject(new ControlError(reply.error.code, reply.error.message));
    else waiting.resolve(reply.result);
  }

  #failAll(error: Error): void {
    for (const waiting of this.#waiting.values()) waiting.reject(error);
  }
}
