// The only file that sees native/. Turns the addon's -errno into words; nothing here knows an opcode.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { getSystemErrorMap } from "node:util";
import type { Channel, OnMessage } from "./types.js";

// Bound to their channel in C.
interface AddonChannel {
  readonly useInput: (input: Buffer) => number;
  readonly send: (length: number) => number;
  readonly sendWith: (length: number, slices: readonly Buffer[]) => number;
  readonly notify: (message: Buffer) => number;
  readonly close: () => number;
}

interface Addon {
  openDevice(): number;
  mountDevice(source: string, target: string, type: string, flags: number, data: string): number;
  unmountPath(path: string, lazy: boolean, done: (result: number) => void): number;
  socketPair(): readonly [number, number] | number;
  receiveDescriptor(socket: number): number;
  adoptDescriptor(descriptor: number): number;
  openBacking(device: number, file: number): number;
  closeBacking(device: number, id: number): number;
  openChannel(device: number, input: Buffer, output: Buffer, onMessage: OnMessage): AddonChannel | number;
  sendDatagram(path: Buffer, data: Buffer): number;
}

// From src/fuse and from dist/fuse alike.
const NATIVE = new URL("../../native/", import.meta.url);
let loaded: Addon | { readonly why: string } | undefined;

function load(): Addon | { readonly why: string } {
  if (process.platform !== "linux") return { why: `the native front end speaks to Linux's /dev/fuse, and this is ${process.platform}` };
  try {
    return createRequire(import.meta.url)(new URL("build/Release/objmount_fuse.node", NATIVE).pathname) as Addon;
  } catch (error) {
    return { why: installedWhy() ?? `the native front end's addon cannot be loaded: ${error instanceof Error ? error.message.split("\n")[0] : String(error)}` };
  }
}

/** What native/install.mjs noted when it could not build. */
function installedWhy(): string | undefined {
  try {
    const { why } = JSON.parse(readFileSync(new URL("build/status.json", NATIVE), "utf8")) as { why?: string };
    return why === undefined ? undefined : `the native front end is not there: ${why}`;
  } catch {
    return undefined;
  }
}

/** Undefined when the addon can be used; else the reason, as one clause. */
export function whyNoAddon(): string | undefined {
  loaded ??= load();
  return "why" in loaded ? loaded.why : undefined;
}

function addon(): Addon {
  loaded ??= load();
  if ("why" in loaded) throw new Error(loaded.why);
  return loaded;
}

/** A failed call of the system: `errno` is positive, `code` its name. */
export class ChannelError extends Error {
  override readonly name = "ChannelError";
  readonly code: string;
  readonly call: string;

  constructor(call: string, negative: number) {
    const code = errnoName(negative);
    super(`${call}: ${code}`);
    this.code = code;
    this.call = call;
  }
}

/** "ENOENT" for -2. */
export function errnoName(negative: number): string {
  return getSystemErrorMap().get(negative)?.[0] ?? `errno ${-negative}`;
}

function check(call: string, result: number): number {
  if (result < 0) throw new ChannelError(call, result);
  return result;
}

/** Opens /dev/fuse, non-blocking. @throws ChannelError */
export function openDevice(): number {
  return check("open /dev/fuse", addon().openDevice());
}

/** mount(2). @throws ChannelError */
export function mountDevice(source: string, target: string, type: string, flags: number, data: string): void {
  check("mount", addon().mountDevice(source, target, type, flags, data));
}

/** umount2(2), beside the event loop: it may have to wait for this very process. @throws ChannelError */
export function unmountPath(path: string, lazy: boolean): Promise<void> {
  return new Promise((resolve, reject) => {
    const result = addon().unmountPath(path, lazy, (done) => {
      if (done < 0) reject(new ChannelError("umount", done));
      else resolve();
    });
    if (result < 0) reject(new ChannelError("umount", result));
  });
}

/** Two connected sockets. @throws ChannelError */
export function socketPair(): readonly [number, number] {
  const result = addon().socketPair();
  if (typeof result === "number") throw new ChannelError("socketpair", result);
  return result;
}

/** The descriptor that was sent over the socket. @throws ChannelError: ENODATA or EAGAIN when none was. */
export function receiveDescriptor(socket: number): number {
  return check("recvmsg", addon().receiveDescriptor(socket));
}

/** Prepares a /dev/fuse descriptor that somebody else opened. @throws ChannelError: ENOTTY when it is something else. */
export function adoptDescriptor(descriptor: number): void {
  check("fcntl", addon().adoptDescriptor(descriptor));
}

/**
 * One datagram to a unix socket; "@" in front of the path means the abstract name space. Nothing of FUSE, but Node cannot
 * do it and only this file sees the addon. @throws ChannelError
 */
export function sendDatagram(path: string, data: Buffer): void {
  check("sendto", addon().sendDatagram(Buffer.from(path), data));
}

/** Largest reply head: structures and names, no data. */
const OUTPUT_SIZE = 64 * 1024;

/** Starts to read from a mounted device, which belongs to the channel from here on. @throws ChannelError */
export function openChannel(device: number, input: Buffer, onMessage: OnMessage): Channel {
  const native = addon();
  const output = Buffer.allocUnsafeSlow(OUTPUT_SIZE);
  const channel = native.openChannel(device, input, output, onMessage);
  if (typeof channel === "number") throw new ChannelError("poll /dev/fuse", channel);
  return {
    output,
    useInput: channel.useInput,
    send: channel.send,
    sendWith: channel.sendWith,
    notify: channel.notify,
    openBacking: (fd) => native.openBacking(device, fd),
    closeBacking: (id) => native.closeBacking(device, id),
    close: channel.close,
  };
}
