import { describe, expect, it } from "vitest"
import {
  describeReplay,
  describeWindow,
  effectiveReplay,
  replayOptions,
  settingsOf,
  textOptions,
} from "../../../src/cli/input/channel-settings.js"

describe("the settings of a channel", () => {
  it("rejects a description of 201 characters and a window like 5x", () => {
    const { description } = textOptions
    expect(description.read(["x".repeat(200)], "--description")).toHaveLength(200)
    expect(() => description.read(["x".repeat(201)], "--description")).toThrow(
      "--description: has 201 characters; at most 200 are allowed",
    )
    for (const window of ["5x", "0h", "24", "h", "-1h", "1.5h", ""]) {
      expect(() => replayOptions.window.read([window], "--window")).toThrow("--window: ")
    }
  })

  it("options of a channel become fields of a frame", () => {
    expect(settingsOf({})).toEqual({})
    expect(settingsOf({ replay: "off", window: replayOptions.window.read(["none"], "--window") })).toEqual({
      replay: false,
      window: "",
    })
    expect(settingsOf({ description: "x", replay: "on" })).toEqual({ description: "x", replay: true })
  })

  it("settings that a channel lacks show the relay's default, marked as such", () => {
    const silent = effectiveReplay(undefined, { replay: false, window: "24h" })
    expect([describeReplay(silent), describeWindow(silent)]).toEqual(["off (default)", "24h (default)"])
    const own = effectiveReplay({ replay: true, window: "2s" }, { replay: false, window: "24h" })
    expect([describeReplay(own), describeWindow(own)]).toEqual(["on", "2s"])
    const none = effectiveReplay({}, {})
    expect([describeReplay(none), describeWindow(none)]).toEqual(["on (default)", "none (default)"])
  })
})
