import { describe, expect, it } from "vitest";
import { chooseDriver } from "../../../src/fuse/driver.js";
import type { Support } from "../../../src/fuse/support.js";

const yes = (): Support => ({ ok: true });
const no = (why: string) => (): Support => ({ ok: false, why });
const never = (): Support => { throw new Error("asked without need"); };

describe("--driver", () => {
  it("auto: native where it works, and fuse-native is not even loaded", () => {
    expect(chooseDriver("auto", yes, never)).toMatchObject({ driver: "native" });
  });

  it("auto: fuse-native where native does not work, and says why", () => {
    expect(chooseDriver("auto", no("there was no compiler"), yes)).toEqual({
      driver: "fuse-native", why: "the fuse-native front end is used, which is slower, for there was no compiler",
    });
  });

  it("auto: neither works: both reasons in one sentence", () => {
    expect(() => chooseDriver("auto", no("there was no compiler"), no("fuse-native is not installed")))
      .toThrow(expect.objectContaining({ code: "no-driver", message: "no front end works here: there was no compiler; and fuse-native is not installed" }));
  });

  it("what is asked for by name is used or refused, never replaced", () => {
    expect(chooseDriver("fuse-native", never, yes)).toMatchObject({ driver: "fuse-native" });
    expect(chooseDriver("native", yes, never)).toMatchObject({ driver: "native" });
    expect(() => chooseDriver("native", no("it is not built"), yes)).toThrow("--driver=native cannot be used: it is not built");
    expect(() => chooseDriver("fuse-native", yes, no("it is not installed"))).toThrow("--driver=fuse-native cannot be used: it is not installed");
  });
});
