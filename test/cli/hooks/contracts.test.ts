import { describe, expect, it } from "vitest"
import { HARNESSES } from "../../../src/harness/harness.js"
import { contractProblem } from "./contracts.js"
import { HookRoom } from "./hook-room.js"
import { recordedEvents, recordedSession } from "./recorded-events.js"

const env = { AGENTCHAT_NAME: "ann" }

describe.each(HARNESSES)("a hook of %s", (harness) => {
  const events = recordedEvents[harness]

  it("answers each event as the harness accepts it, and keeps the state of the session", async () => {
    const room = new HookRoom()
    await room.daemon("ann")
    for (const { name, payload, state } of events) {
      room.clock.advance(10_000)
      const { status, out, err } = await room.hook(harness, name, payload, { env })
      const problem = contractProblem(harness, name, out.trimEnd())
      expect({ name, status, err, problem }).toEqual({ name, status: 0, err: "", problem: undefined })
      expect({ name, state: room.session(recordedSession)?.state }).toEqual({ name, state })
      const presence = state === "ended" ? "away" : state
      expect({ name, presence: room.presence("ann")?.["status"] }).toEqual({ name, presence })
    }
  })

  it("gives the model a direct message once, in a form that the harness accepts", async () => {
    const room = new HookRoom()
    await room.daemon("ann")
    let found = 0
    for (const [index, { name, payload }] of events.entries()) {
      room.clock.advance(10_000)
      if (index === 1) room.receive("ann", { content: "the-text" })
      const { status, out } = await room.hook(harness, name, payload, { env })
      expect({ name, status, problem: contractProblem(harness, name, out.trimEnd()) }).toEqual({
        ...{ name, status: 0, problem: undefined },
      })
      if (out.includes("the-text")) found += 1
    }
    expect(found).toBe(1)
  })

  it("answers each event with nothing, and exits with 0, while the daemon does not run", async () => {
    const room = new HookRoom()
    for (const { name, payload } of events) {
      room.clock.advance(10_000)
      const { status, out } = await room.hook(harness, name, payload)
      const problem = contractProblem(harness, name, out.trimEnd())
      expect({ name, status, problem }).toEqual({ name, status: 0, problem: undefined })
    }
  })

  it.each([
    ["no JSON", "{"],
    ["nothing", ""],
    ["another value", "[1]"],
    ["other types", '{"session_id":{"a":1},"cwd":7,"tool_input":"{","prompt":[],"background_tasks":{}}'],
    ["a deep value", `{"session_id":"s","tool_input":${"[".repeat(5_000)}${"]".repeat(5_000)}}`],
  ])("answers %s on standard input, and an event of the future", async (_, text) => {
    const room = new HookRoom()
    const tool = events.find(({ name }) => /tool/i.test(name))?.name ?? ""
    for (const name of [tool, events.at(-1)?.name ?? "", "SomethingNew"]) {
      const { status, out } = await room.hook(harness, name, text)
      const problem = contractProblem(harness, name, out.trimEnd())
      expect({ name, status, problem }).toEqual({ name, status: 0, problem: undefined })
    }
  })
})
