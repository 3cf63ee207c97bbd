// A TCP proxy on loopback that holds every chunk back for half the given round trip in each direction, and counts
// bytes and requests both ways. Usage: proxy.mjs LISTEN_PORT TARGET_PORT ROUND_TRIP_MS. GET on the port above it
// (LISTEN_PORT + 1) answers the counters as JSON; any other path there resets them first.

import { createServer, connect } from "node:net";
import { createServer as createHttp } from "node:http";

const [listen, target, roundTrip] = process.argv.slice(2).map(Number);
const delay = roundTrip / 2;
const counters = { toServer: 0, toClient: 0, connections: 0 };

/** Chunks leave in order, `delay` ms after they came; reading pauses while more than 64 MiB are under way. */
function pipe(from, to, name) {
  const queue = [];
  let held = 0;
  let timer;
  const drain = () => {
    timer = undefined;
    const now = performance.now();
    while (queue.length > 0 && queue[0].due <= now) {
      const { chunk } = queue.shift();
      if (chunk === null) { to.end(); continue; }
      held -= chunk.length;
      to.write(chunk);
    }
    if (held < 64 << 20 && from.isPaused()) from.resume();
    if (queue.length > 0) timer = setTimeout(drain, Math.max(0, queue[0].due - performance.now()));
  };
  const push = (chunk) => {
    queue.push({ chunk, due: performance.now() + delay });
    timer ??= setTimeout(drain, delay);
  };
  from.on("data", (chunk) => {
    counters[name] += chunk.length;
    if (delay === 0) { if (!to.write(chunk)) { from.pause(); to.once("drain", () => from.resume()); } return; }
    held += chunk.length;
    if (held >= 64 << 20) from.pause();
    push(chunk);
  });
  from.on("end", () => { if (delay === 0) to.end(); else push(null); });
  from.on("error", () => to.destroy());
  from.on("close", () => { if (from.errored) to.destroy(); });
}

createServer({ noDelay: true, allowHalfOpen: true }, (client) => {
  counters.connections += 1;
  const server = connect({ port: target, host: "127.0.0.1", noDelay: true, allowHalfOpen: true });
  pipe(client, server, "toServer");
  pipe(server, client, "toClient");
}).listen(listen, "127.0.0.1", () => { process.stdout.write("ready\n"); });

createHttp((request, response) => {
  if (request.url !== "/") Object.assign(counters, { toServer: 0, toClient: 0, connections: 0 });
  response.end(JSON.stringify(counters));
}).listen(listen + 1, "127.0.0.1");
