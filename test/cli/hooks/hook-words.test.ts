import { describe, expect, it } from "vitest"
import { readHookWords } from "../../../src/cli/hooks/hook-words.js"
import { contextIn, HookRoom } from "./hook-room.js"

const start = ["hook", "SessionStart", "--harness", "claude"]

describe("the command line of a hook", () => {
  it("is read without the parser as install registers it", () => {
    const request = { name: "SessionStart", harness: "claude" }
    expect(readHookWords(start)).toEqual({ ...request, isRewake: false })
    expect(readHookWords([...start, "--rewake"])).toEqual({ ...request, isRewake: true })
    expect(readHookWords([...start, "--claims", "warn"])).toEqual({
      ...{ ...request, claims: "warn", isRewake: false },
    })
  })

  it.each([
    [["hook"]],
    [["hook", "--help"]],
    [["hook", "SessionStart"]],
    [["hook", "SessionStart", "--harness"]],
    [["hook", "SessionStart", "--harness=claude"]],
    [["hook", "--harness", "claude", "SessionStart"]],
    [[...start, "--claims"]],
    [[...start, "--claims", "--json"]],
    [[...start, "--rewake", "--quiet"]],
    [[...start, "--home", "x"]],
  ])("in another form is left to the parser: %j", (words) => {
    expect(readHookWords(words)).toBeUndefined()
  })

  it("means the same in another form", async () => {
    const room = new HookRoom()
    const answer = async (session: string, args: string[]) => {
      const input = { session_id: session, cwd: room.dir, source: "startup" }
      const env = { AGENTCHAT_NAME: "ann" }
      return contextIn((await room.input(JSON.stringify(input), args, env)).out)
    }
    const greeting = await answer("s1", start)
    expect(greeting).toContain("@ann")
    expect(await answer("s2", ["hook", "--harness=claude", "SessionStart"])).toBe(greeting)
  })
})
