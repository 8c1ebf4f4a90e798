import { describe, expect, it } from "vitest"
import { generateKeyPair } from "../../src/identity/signer.js"
import type { ServerMessage } from "../../src/protocol/server-messages.js"
import { LastingEngine } from "../kit/engine.js"
import { type TestAgent, TestRelay } from "../kit/relay.js"

/** What the goal of the guards is, for any two. */
const mostOfLoop = 60

/** Text that is like no other. */
function textOf(turn: number): string {
  const words = Array.from({ length: 12 }, (_, index) => `word${(turn * 7919 + index * 104_729) % 99_991}`)
  return `${turn}: ${words.join(" ")}`
}

interface Turn {
  readonly turn: number
  readonly by: TestAgent
  readonly other: TestAgent
}

/** Two speak in turn, 2 s apart. @returns the first refusal, and how many turns were taken before it */
async function alternate(
  house: TestRelay,
  [ann, bob]: readonly [TestAgent, TestAgent],
  speak: (turn: Turn) => Promise<ServerMessage>,
  most = mostOfLoop,
) {
  for (let turn = 0; turn < most; turn++) {
    const [by, other] = turn % 2 === 0 ? [ann, bob] : [bob, ann]
    house.clock.advance(2_000)
    const refusal = await speak({ turn, by, other })
    if (refusal.type === "ERROR") return { refusal, turns: turn, by, other }
  }
  return { refusal: undefined, turns: most, by: ann, other: bob }
}

async function twoWithKeys(options: Parameters<typeof TestRelay.start>[0] = {}) {
  const house = await TestRelay.start({ guards: {}, ...options })
  const ann = await house.enterAs(generateKeyPair(), "ann", "#general")
  const bob = await house.enterAs(generateKeyPair(), "bob", "#general")
  return { house, ann, bob }
}

describe("two who want to go on", () => {
  it("win nothing by the id of a message that could not be delivered elsewhere", async () => {
    const { house, ann, bob } = await twoWithKeys({ limits: { roleTasks: 1 } })
    expect(await ann.wire.ask({ type: "MSG", to: "+full", content: textOf(900) })).toMatchObject({
      type: "ACK",
    })
    const { refusal } = await alternate(house, [ann, bob], async ({ turn, by, other }) => {
      const message = { type: "MSG", id: `turn-${turn}`, content: textOf(turn) }
      expect(await by.wire.answerTo({ ...message, to: "+full" })).toMatchObject({ code: "LIMIT_REACHED" })
      return by.wire.answerTo({ ...message, to: other.id })
    })
    expect(refusal).toMatchObject({ code: "GUARDED" })
  })
})

describe("what stands in the store", () => {
  it("and tells of a reset that is none, lifts nothing and ends nothing", async () => {
    const engine = await LastingEngine.make({ isShared: true })
    const { house, ann, bob } = await twoWithKeys({ backbone: engine.lend() })
    const table = await engine.lend().table("guard")
    const loop = await alternate(house, [ann, bob], ({ turn, by, other }) =>
      by.wire.ask({ type: "MSG", to: other.id, content: textOf(turn) }),
    )
    expect(loop.refusal).toMatchObject({ code: "GUARDED" })
    for (const row of ["{", "null", "[]", "{}", '{"id":7}', '{"id":"x","scope":{}}', '{"scope":"@a"}'])
      await table.put("reset", row)
    const { by, other } = loop
    expect(await by.wire.ask({ type: "MSG", to: other.id, content: textOf(900) })).toMatchObject({
      code: "GUARDED",
    })
  })
})
