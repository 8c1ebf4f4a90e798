import { encode } from "gpt-tokenizer"
import { describe, expect, it } from "vitest"
import { isTool, readCall, toolList } from "../../src/mcp/tools.js"

interface Tool {
  name: string
  inputSchema: { properties: object; additionalProperties: boolean }
}
const tools = toolList as unknown as readonly Tool[]

describe("the tools", () => {
  it("are six, and their list costs at most 1,000 tokens", () => {
    expect(tools.map(({ name }) => name)).toEqual(["send", "inbox", "who", "status", "task", "deal"])
    expect(encode(JSON.stringify({ tools: toolList })).length).toBeLessThanOrEqual(1_000)
  })

  it("take no other arguments than those that they list", () => {
    for (const { name, inputSchema } of tools) {
      expect(inputSchema.additionalProperties, name).toBe(false)
      expect(Object.keys(inputSchema.properties).length, name).toBeGreaterThan(0)
    }
  })

  it.each([
    ["send", { text: "hi", too: "#a" }, "send: too: unknown argument; did you mean to?"],
    ["send", { text: "hi", from: "@alice" }, /^send: from: unknown argument; its arguments: to, reply/],
    ["send", { text: "hi", to: "a" }, "send: to: must be a #channel, an @agent or a +role"],
    ["send", { to: "#a" }, "send: text: is missing"],
    ["send", { to: "#a", text: "hi", mentions: ["bob"] }, /^send: mentions\.0: must be @/],
    ["inbox", { wait: 51 }, "inbox: wait: must be at most 50"],
    ["inbox", { identity: "x" }, /^inbox: identity: unknown argument/],
    ["who", {}, "who: action: is missing; one of agents, channels, join, leave"],
    ["who", { action: "kick" }, "who: action: must be one of agents, channels, join, leave"],
    ["who", { action: "join" }, "who join: channel: is missing"],
    ["task", { action: "claim", task: "t", text: "x" }, /^task claim: text: unknown argument/],
    ["deal", { action: "dispute", proposal_id: "prop_k3v5mq2a" }, "deal dispute: reason: is missing"],
    ["deal", { action: "accept", proposal_id: 7 }, "deal accept: proposal_id: must be a string"],
    ["status", { __proto__: null, status: "asleep" }, /^status: status: must be one of idle/],
    ["status", [], "status: the arguments must be an object"],
  ] as const)("%s %j is refused with the name of the argument", (tool, args, message) => {
    if (typeof message === "string") expect(readCall(tool, args)).toBe(message)
    else expect(readCall(tool, args)).toMatch(message)
  })

  it("count null as absent", () => {
    expect(readCall("inbox", { wait: null, peek: true })).toEqual({
      operation: "inbox",
      args: { peek: true },
    })
  })

  it("are found by their own names only", () => {
    expect(isTool("send")).toBe(true)
    for (const name of ["constructor", "__proto__", "sen", "", undefined]) expect(isTool(name)).toBe(false)
  })
})
