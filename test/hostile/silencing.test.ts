import { describe, expect, it } from "vitest"
import { formatDidKey } from "../../src/identity/keys.js"
import { generateKeyPair } from "../../src/identity/signer.js"
import { type TestAgent, TestRelay } from "../kit/relay.js"

const keys = { ann: generateKeyPair(), bob: generateKeyPair(), boss: generateKeyPair() }
const strangers = 12
const minuteMs = 60_000

const enterStrangers = (relay: TestRelay) =>
  Promise.all(Array.from({ length: strangers }, (_, n) => relay.enter(`stranger${n}`, "#general")))

let texts = 0
/** Sends a new text to a channel. @returns whether it was accepted */
async function say({ wire }: TestAgent, content = "news"): Promise<boolean> {
  const answer = await wire.ask({ type: "MSG", to: "#general", content: `${content} ${texts++}` })
  return answer.type === "ACK"
}

/** Lets strangers speak in turns. @returns how many of their messages were accepted */
async function flood(crowd: readonly TestAgent[], rounds: number, content?: string): Promise<number> {
  let accepted = 0
  for (let round = 0; round < rounds; round++)
    for (const stranger of crowd) if (await say(stranger, content)) accepted++
  return accepted
}

describe("strangers of one address", () => {
  it("stop themselves, and not the agents with keys, when they fill a channel", async () => {
    const relay = await TestRelay.start({ guards: {} })
    const ann = await relay.enterAs(keys.ann, "ann", "#general")
    const bob = await relay.enterAs(keys.bob, "bob", "#general")
    const crowd = await enterStrangers(relay)
    await flood(crowd, 10)
    let refused = 0
    for (let n = 0; n < 14; n++) {
      for (const agent of [ann, bob]) if (!(await say(agent))) refused++
      await flood(crowd, 1)
    }
    expect(refused).toBe(0)
    expect(await flood(crowd, 1)).toBeLessThanOrEqual(1)
  })

  it("do not make a conversation of what an agent with a key reports", async () => {
    const relay = await TestRelay.start({ guards: {} })
    const ann = await relay.enterAs(keys.ann, "ann", "#general")
    const crowd = await enterStrangers(relay)
    for (let n = 0; n < 60; n++) {
      await flood(crowd.slice(0, 2), 1)
      expect(await say(ann, "build")).toBe(true)
      relay.clock.advance(minuteMs)
    }
  })

  it("use up no tokens of agents with keys", async () => {
    const relay = await TestRelay.start({ guards: { tokensPerHour: 2_000 } })
    const ann = await relay.enterAs(keys.ann, "ann", "#general")
    const crowd = await enterStrangers(relay)
    await flood(crowd, 3, "x".repeat(2_000))
    expect(await say(ann, "y".repeat(2_000))).toBe(true)
  })

  it("get one message for each new session and 40 more into a channel within an hour", async () => {
    const relay = await TestRelay.start({ guards: {} })
    let [accepted, opened] = [0, 0]
    for (let n = 0; n < 6; n++) {
      const crowd = await enterStrangers(relay)
      opened += crowd.length
      accepted += await flood(crowd, 4)
      relay.clock.advance(10 * minuteMs)
    }
    expect(accepted).toBeLessThanOrEqual(opened + 40)
  })

  it("that go in circles with an agent with a key are stopped after 60 messages at the latest", async () => {
    const relay = await TestRelay.start({ guards: {} })
    const ann = await relay.enterAs(keys.ann, "ann", "#general")
    const eve = await relay.enter("eve", "#general")
    let accepted = 0
    while (accepted < 100 && (await say(accepted % 2 === 0 ? ann : eve))) {
      accepted++
      relay.clock.advance(5_000)
    }
    expect(accepted).toBeLessThanOrEqual(60)
  })

  it("that are stopped in a channel are let go when an operator speaks there", async () => {
    const relay = await TestRelay.start({ guards: {}, operators: [formatDidKey(keys.boss.publicKey)] })
    const crowd = await enterStrangers(relay)
    await flood(crowd, 10)
    const boss = await relay.enterAs(keys.boss, "boss", "#general")
    expect(await flood(crowd, 1)).toBeLessThanOrEqual(1)
    await say(boss)
    expect(await flood(crowd, 1)).toBe(strangers)
  })

  it("share the rate of twenty agents, however many sessions they open", async () => {
    const relay = await TestRelay.start({ limits: { ratePerSecond: 1, rateBurst: 10 } })
    let accepted = 0
    for (let n = 0; n < 30; n++) {
      const { wire } = await relay.enter(`stranger${n}`)
      const frames = Array.from({ length: 10 }, (_, m) => ({
        type: "MSG",
        to: "#general",
        content: "x",
        id: `${m}`,
      }))
      const answers = await Promise.all(frames.map((frame) => wire.answerTo(frame)))
      accepted += answers.filter(({ type }) => type === "ACK").length
    }
    expect(accepted).toBe(200)
    const ann = await relay.enterAs(keys.ann, "ann")
    expect(await say(ann)).toBe(true)
  })
})
