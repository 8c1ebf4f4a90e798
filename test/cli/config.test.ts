import { describe, expect, it } from "vitest"
import { mergeConfig, wantsColor } from "../../src/cli/config.js"

const noFlags = { json: false, home: undefined }

describe("mergeConfig", () => {
  it("prefers options to the environment, and the environment to the defaults", () => {
    expect(mergeConfig(noFlags, {}, "/home/agent").home).toBe("/home/agent/.agentchat")
    expect(mergeConfig(noFlags, { AGENTCHAT_HOME: "there" }, "/home/agent").home).toBe("/home/agent/there")
    expect(mergeConfig({ ...noFlags, home: "/flag" }, { AGENTCHAT_HOME: "there" }, "/home/agent").home).toBe(
      "/flag",
    )
  })

  it("treats an empty variable as absent", () => {
    expect(mergeConfig(noFlags, { AGENTCHAT_HOME: "", AGENTCHAT_SERVER: "" }, "/home/agent")).toMatchObject({
      home: "/home/agent/.agentchat",
      server: undefined,
    })
  })

  it("returns a frozen object", () => {
    expect(Object.isFrozen(mergeConfig(noFlags, {}, "/home/agent"))).toBe(true)
  })
})

describe("wantsColor", () => {
  it.each([
    [{}, true, true],
    [{}, false, false],
    [{ NO_COLOR: "1" }, true, false],
    [{ NO_COLOR: "" }, true, true],
    [{ TERM: "dumb" }, true, false],
    [{ FORCE_COLOR: "1" }, false, true],
    [{ FORCE_COLOR: "1", NO_COLOR: "1" }, false, true],
    [{ FORCE_COLOR: "0" }, true, false],
  ])("returns for %j and terminal %s: %s", (env, isTerminal, expected) => {
    expect(wantsColor(env, isTerminal)).toBe(expected)
  })
})
