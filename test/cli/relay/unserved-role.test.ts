import { describe, expect, it } from "vitest"
import { describeUnserved, findUnserved } from "../../../src/cli/relay/unserved-role.js"
import { ChatError } from "../../../src/protocol/errors.js"
import type { Address } from "../../../src/protocol/names.js"

const agent = (id: string, role?: string, status = "idle") => ({ id, name: "x", status, role })
const find = (to: string, roster: object[], list = roster.map(() => "@x")) =>
  findUnserved(to as Address, () => Promise.resolve({ list, roster }), "@me")

describe("a task for a role", () => {
  it("is unserved if no other agent online has the role; similar roles are named, whoever has them", async () => {
    const roster = [
      agent("@me", "reviwer"),
      agent("@a", "Reviewer", "offline"),
      agent("@b", "tester"),
      agent("@c"),
    ]
    const unserved = await find("+reviwer", roster)
    expect(unserved).toEqual({ unserved: true, candidates: ["+reviewer"] })
    expect(await find("+reviewer", roster)).toEqual({ unserved: true })
    expect(await find("+zzz", roster)).toEqual({ unserved: true })
    expect(describeUnserved("+reviwer" as Address, { unserved: true, candidates: ["+reviewer"] })).toBe(
      "no agent online has the role +reviwer, so the task waits for one; did you mean +reviewer?",
    )
  })

  it("is served by a busy agent, and in any case", async () => {
    expect(await find("+REVIEWER", [agent("@a", "reviewer", "working")])).toBeUndefined()
  })

  it("is not called unserved if the relay does not say", async () => {
    expect(await find("+reviewer", [agent("@a")], ["@a", "@b", "@c"])).toBeUndefined()
    expect(await find("@bob", [])).toBeUndefined()
    const refuse = () => Promise.reject(new ChatError("TIMEOUT", "no answer"))
    expect(await findUnserved("+reviewer" as Address, refuse, "@me")).toBeUndefined()
    expect(await findUnserved("+reviewer" as Address, () => Promise.resolve({}), "@me")).toBeUndefined()
  })
})
