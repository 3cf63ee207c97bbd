import { inspect } from "node:util";

/** A value whose every textual form is stars. `reveal` is called only where the value goes onto the wire. */
export class Secret {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
  }

  reveal(): string { return this.#value; }
  toString(): string { return "***"; }
  toJSON(): string { return "***"; }
  [inspect.custom](): string { return "***"; }
}
