import { describe, expect, it } from "vitest";
import { Gate } from "../../../src/write/gate.js";

describe("Gate", () => {
  it("lets sharers in together, one alone, in the order in which they came", async () => {
    const gate = new Gate();
    const order: string[] = [];
    const first = await gate.share();
    const second = await gate.share();
    const alone = gate.alone().then((leave) => { order.push("alone"); return leave; });
    const late = gate.share().then((leave) => { order.push("late"); return leave; });
    expect(gate.waiting).toBe(2);
    first();
    await Promise.resolve();
    expect(order).toEqual([]);
    second();
    const leave = await alone;
    expect(order).toEqual(["alone"]);
    leave();
    (await late)();
    expect(order).toEqual(["alone", "late"]);
    expect(gate.held).toBe(false);
  });

  it("forgets a waiter whose signal fires, and lets in who stood behind it", async () => {
    const gate = new Gate();
    const leave = await gate.share();
    const abort = new AbortController();
    const waiting = gate.alone(abort.signal);
    const behind = gate.share();
    abort.abort(new Error("gone"));
    await expect(waiting).rejects.toThrow("gone");
    (await behind)();
    leave();
    expect(gate.held).toBe(false);
    await expect(gate.share(AbortSignal.abort(new Error("early")))).rejects.toThrow("early");
  });
});
