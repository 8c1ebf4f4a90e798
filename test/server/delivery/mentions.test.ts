import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { ChatError } from "../../../src/protocol/errors.js"
import type { AgentId, AgentRef, Nick } from "../../../src/protocol/names.js"
import { resolveMentions } from "../../../src/server/delivery/mentions.js"
import { Roster } from "../../../src/server/roster/roster.js"
import { SessionRegistry } from "../../../src/server/sessions/session-registry.js"
import { TestRelay } from "../../kit/relay.js"

/** A roster of agents connected elsewhere, so that no session is needed: `name`, or `name=id`. */
function rosterOf(...agents: readonly string[]): Roster {
  const roster = new Roster(new SessionRegistry())
  for (const agent of agents) {
    const [name = "", id = name] = agent.split("=")
    const relay = "elsewhere"
    const facts = {
      id: `@${id}` as AgentId,
      name: name as Nick,
      status: "idle",
      since: 1,
      seenTs: 1,
    } as const
    roster.set({ ...facts, relay, epoch: "1", channels: [] })
  }
  return roster
}

const everybody = (id: AgentId) => roster.find(id) !== undefined
const roster = rosterOf("bob", "eve=0123456789abcdef", "Ann", "dot.name", "end_", "twin=t1", "twin=t2")

function mentioned(content: string): string[] {
  return resolveMentions({ content }, roster, everybody) ?? []
}

describe("an @word in a text", () => {
  it.each([
    ["@bob look", ["@bob"]],
    ["look, @bob.", ["@bob"]],
    ["(@bob) @BOB: @bob!", ["@bob"]],
    ["@bob... @Eve?", ["@bob", "@0123456789abcdef"]],
    ["@0123456789abcdef and @0123456789ABCDEF", ["@0123456789abcdef"]],
    ["@dot.name, @dot.name.", ["@dot.name"]],
    ["@end_ @end_.", ["@end_"]],
    ["\u{1F44B}@bob", ["@bob"]],
    ["**@ann**", ["@Ann"]],
    ["@bob\u2019s", ["@bob"]],
  ])("is a mention: %s", (content, ids) => {
    expect(mentioned(content)).toEqual(ids)
  })

  it.each([
    "@noble/ed25519",
    "@bob/ed25519",
    "me@example.org",
    "me@bob",
    "@media (max-width: 3em)",
    "@bob@example.org",
    "@@bob",
    "/@bob",
    ".@bob",
    "-@bob",
    "é@bob",
    "\u{1D400}@bob",
    "@bobé",
    "@bob.word",
    "@bob-x",
    "@twin",
    "@",
    "@ bob",
    "@-bob",
    `@${"b".repeat(65)}`,
    `@bob${".".repeat(100)}x`,
  ])("is just text: %s", (content) => {
    expect(mentioned(content)).toEqual([])
  })

  it("mentions only members of the channel", () => {
    const isMember = (id: AgentId) => id === "@t2"
    expect(resolveMentions({ content: "@bob @twin" }, roster, isMember)).toEqual(["@t2"])
  })

  it("takes little time for any text", () => {
    const pieces = [
      "@bob",
      "@bob ",
      "@",
      "@a",
      "@twin.",
      "@bob-",
      ".-_",
      "@b......",
      "\u{1F44B}@bob\u{1D400}",
    ]
    for (const piece of pieces) {
      const content = piece.repeat(Math.ceil((256 * 1024) / piece.length))
      expect(mentioned(content).length).toBeLessThanOrEqual(2)
    }
  })

  it("is a member and occurs in the text, for any text", () => {
    const piece = fc.constantFrom(
      "@",
      "bob",
      "Ann",
      ".",
      "-",
      "/",
      " ",
      "é",
      "\u{1F44B}",
      "dot.name",
      "twin",
      "x",
    )
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 40 }), (pieces) => {
        const content = pieces.join("")
        const ids = mentioned(content)
        expect(new Set(ids).size).toBe(ids.length)
        for (const id of ids) {
          const name = roster.find(id)?.name ?? ""
          expect(content.toLowerCase()).toContain(`@${name.toLowerCase()}`)
        }
      }),
    )
  })
})

describe("the field mentions", () => {
  const resolve = (...mentions: string[]) =>
    resolveMentions({ content: "hi", mentions: mentions as AgentRef[] }, roster, everybody)

  function refusalOf(...mentions: string[]): ChatError {
    try {
      resolve(...mentions)
    } catch (error) {
      if (error instanceof ChatError) return error
    }
    throw new Error("nothing was refused")
  }

  it("becomes ids without duplicates; an empty one is left out", () => {
    expect(resolve("@bob", "@BOB", "@EVE", "@0123456789abcdef")).toEqual(["@bob", "@0123456789abcdef"])
    expect(resolve()).toBeUndefined()
  })

  it("refuses the message for a name that nobody or several agents have", () => {
    expect(refusalOf("@bob", "@bbo")).toMatchObject({ code: "AGENT_NOT_FOUND", candidates: ["@bob"] })
    expect(refusalOf("@bob", "@bbo").message).toMatch(/^mentions: /)
    expect(refusalOf("@twin")).toMatchObject({ code: "AMBIGUOUS_NAME", candidates: ["@t1", "@t2"] })
  })

  it("comes before the mentions in the text", () => {
    const mentions = ["@eve" as AgentRef]
    expect(resolveMentions({ content: "@bob", mentions }, roster, everybody)).toEqual([
      "@0123456789abcdef",
      "@bob",
    ])
  })
})

describe("a message that mentions", () => {
  it("shows its readers ids, and is not sent if a name in the field is unknown", async () => {
    const relay = await TestRelay.start()
    const bob = await relay.enter("Bob", "#general")
    const eve = await relay.enter("eve", "#general")
    await bob.wire.settle()
    const say = (fields: object) => eve.wire.ask({ type: "MSG", to: "#general", content: "hi", ...fields })
    expect(await say({ mentions: ["@bob", "@nobody"] })).toMatchObject({
      type: "ERROR",
      code: "AGENT_NOT_FOUND",
    })
    expect((await bob.wire.settle()).filter(({ type }) => type === "MSG")).toEqual([])
    expect(await say({ mentions: ["@BOB", "@bob"] })).toMatchObject({ type: "ACK" })
    expect(await bob.wire.next("MSG")).toMatchObject({ mentions: [bob.id] })
    await say({ content: "see @noble/ed25519, @bob" })
    expect(await bob.wire.next("MSG")).toMatchObject({ mentions: [bob.id] })
    await say({ mentions: [] })
    expect(await bob.wire.next("MSG")).not.toHaveProperty("mentions")
  })
})
