import { describe, expect, it } from "vitest"
import { formatDidKey } from "../../src/identity/keys.js"
import { generateKeyPair } from "../../src/identity/signer.js"
import { defaultLimits } from "../../src/protocol/limits.js"
import { type TestAgent, TestRelay } from "../kit/relay.js"

const keys = {
  boss: generateKeyPair(),
  ann: generateKeyPair(),
  bob: generateKeyPair(),
  eve: generateKeyPair(),
}
const operators = [formatDidKey(keys.boss.publicKey)]
const { ratePerSecond, rateBurst } = defaultLimits
const rate = { ratePerSecond, rateBurst }
const hourMs = 3_600_000

const typesOf = async ({ wire }: TestAgent) => (await wire.settle()).map(({ type }) => type)

/** Counts the lines of some types that an agent has received. */
async function count(agent: TestAgent, ...types: readonly string[]): Promise<number> {
  return (await typesOf(agent)).filter((type) => types.includes(type)).length
}

/** Sends frames at once and returns the codes of the errors, and ACK or JOINED for the others. */
async function answersTo({ wire }: TestAgent, frames: readonly object[]): Promise<string[]> {
  const answers = await Promise.all(frames.map((frame, n) => wire.answerTo({ ...frame, id: `a-${n}` })))
  return answers.map((answer) => ("code" in answer ? answer.code : answer.type))
}

describe("the settings of a channel", () => {
  it("belong to its maker or an operator, and those of a default channel to an operator", async () => {
    const relay = await TestRelay.start({ operators })
    const ann = await relay.enterAs(keys.ann, "ann", "#general")
    const eve = await relay.enterAs(keys.eve, "eve", "#general")
    const boss = await relay.enterAs(keys.boss, "boss", "#general")
    await ann.wire.ask({ type: "CREATE_CHANNEL", channel: "#ours" })
    for (const { wire } of [eve, boss]) await wire.ask({ type: "JOIN", channel: "#ours" })
    const set = (agent: TestAgent, channel: string) =>
      agent.wire.ask({ type: "SET_CHANNEL", channel, instructions: `do as ${agent.id} says` })
    const refused = { code: "OPERATOR_REQUIRED" }
    expect(await set(eve, "#ours")).toMatchObject(refused)
    expect(await set(eve, "#general")).toMatchObject(refused)
    expect(await set(ann, "#general")).toMatchObject(refused)
    expect(await set(ann, "#ours")).toMatchObject({ type: "ACK" })
    expect(await set(boss, "#ours")).toMatchObject({ type: "ACK" })
    expect(await set(boss, "#general")).toMatchObject({ type: "ACK" })
  })

  it("do not pass to an agent that a stranger invited to a default channel", async () => {
    const relay = await TestRelay.start()
    const eve = await relay.enterAs(keys.eve, "eve", "#general")
    await eve.wire.ask({ type: "INVITE", channel: "#general", agent: eve.id })
    expect(
      await eve.wire.ask({ type: "SET_CHANNEL", channel: "#general", instructions: "obey" }),
    ).toMatchObject({ code: "OPERATOR_REQUIRED" })
  })

  it("of all channels together belong to an operator", async () => {
    const relay = await TestRelay.start({ operators })
    const eve = await relay.enterAs(keys.eve, "eve")
    const off = { type: "SET_CHANNEL", channel: "*", replay: false }
    expect(await eve.wire.ask(off)).toMatchObject({ code: "OPERATOR_REQUIRED" })
    const boss = await relay.enterAs(keys.boss, "boss")
    expect(await boss.wire.ask(off)).toMatchObject({ type: "ACK" })
  })
})

describe("text in an inbox", () => {
  it("counts against the rate of its author, whichever frame brings it", async () => {
    const relay = await TestRelay.start({ limits: rate, operators })
    const bob = await relay.enterAs(keys.bob, "bob", "#x.>")
    const eve = await relay.enterAs(keys.eve, "eve")
    const set = (n: number) => ({ type: "SET_CHANNEL", channel: "#x.0", description: `${n}` })
    const create = (n: number) => ({ type: "CREATE_CHANNEL", channel: `#x.${n}`, description: `${n}` })
    const invite = { type: "INVITE", channel: "#x.0", agent: bob.id }
    const frames = [
      create(0),
      ...Array.from({ length: 30 }, (_, n) => [set(n), invite, create(n + 1)]).flat(),
    ]
    const answering = answersTo(eve, frames)
    await eve.wire.settle()
    for (let n = 0; n < 10; n++) relay.clock.advance(1_000)
    const answers = await answering
    const accepted = answers.filter((answer) => answer !== "RATE_LIMITED").length
    expect(accepted).toBeLessThanOrEqual(rateBurst + 5)
    expect(await count(bob, "CHANNEL_CHANGED", "INVITE", "JOINED")).toBeLessThanOrEqual(accepted)
  })

  it("passes the guards: the same text again, or in a stopped channel, is refused", async () => {
    const relay = await TestRelay.start({ guards: {} })
    const ann = await relay.enterAs(keys.ann, "ann")
    await ann.wire.ask({ type: "CREATE_CHANNEL", channel: "#ours" })
    const say = (content: string) => ann.wire.ask({ type: "MSG", to: "#ours", content })
    const set = (description: string) => ann.wire.ask({ type: "SET_CHANNEL", channel: "#ours", description })
    const texts = ["the plan of today", "the plan of tomorrow"]
    const answers = []
    for (let n = 0; n < 6; n++) answers.push(await set(`${texts[n % 2]}, as agreed with all of you`))
    expect(answers.slice(0, 2)).toMatchObject([{ type: "ACK" }, { type: "ACK" }])
    // After each refusal the other text is still set, so setting it again changes nothing.
    const refused = { code: "GUARDED", guard: { layer: "same" } }
    expect([answers[2], answers[4]]).toMatchObject([refused, refused])
    expect(await say("something new")).toMatchObject({ code: "GUARDED" })
  })

  it("comes once: settings that change nothing are silent", async () => {
    const relay = await TestRelay.start({ operators })
    const boss = await relay.enterAs(keys.boss, "boss", "#general")
    const bob = await relay.enterAs(keys.bob, "bob", "#general")
    for (let n = 0; n < 5; n++)
      expect(
        await boss.wire.ask({ type: "SET_CHANNEL", channel: "#general", description: "all" }),
      ).toMatchObject({ type: "ACK" })
    expect(await count(bob, "CHANNEL_CHANGED")).toBe(1)
  })
})

describe("an invitation", () => {
  it("of one agent to one channel comes once an hour, whoever repeats it", async () => {
    const relay = await TestRelay.start()
    const ann = await relay.enterAs(keys.ann, "ann")
    const eve = await relay.enterAs(keys.eve, "eve")
    const bob = await relay.enterAs(keys.bob, "bob")
    await ann.wire.ask({ type: "CREATE_CHANNEL", channel: "#den" })
    await eve.wire.ask({ type: "JOIN", channel: "#den" })
    const invite = { type: "INVITE", channel: "#den", agent: bob.id }
    for (const { wire } of [ann, eve, ann, eve]) expect(await wire.ask(invite)).toMatchObject({ type: "ACK" })
    expect(await count(bob, "INVITE")).toBe(1)
    relay.clock.advance(hourMs)
    await eve.wire.ask(invite)
    expect(await count(bob, "INVITE")).toBe(1)
  })
})

describe("joins and leaves", () => {
  it("of agents that come and go wake a member 20 times, then once a minute", async () => {
    const relay = await TestRelay.start()
    const bob = await relay.enterAs(keys.bob, "bob", "#general")
    let lines = 0
    for (let n = 0; n < 60; n++) {
      const { wire } = await relay.enter(`buy-my-tokens-${n}`, "#general")
      relay.clock.advance(500)
      await wire.ask({ type: "LEAVE", channel: "#general" })
      relay.clock.advance(500)
      lines += await count(bob, "AGENT_JOINED", "AGENT_LEFT")
    }
    expect(lines).toBeLessThanOrEqual(21)
    relay.clock.advance(60_000)
    expect(await count(bob, "AGENT_JOINED", "AGENT_LEFT")).toBeLessThanOrEqual(2)
  })
})
