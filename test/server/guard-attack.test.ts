import { describe, expect, it } from "vitest"
import { generateKeyPair } from "../../src/identity/signer.js"
import type { ServerMessage } from "../../src/protocol/server-messages.js"
import { DealRoom } from "../kit/deal-room.js"
import { LastingEngine } from "../kit/engine.js"
import { type TestAgent, TestRelay } from "../kit/relay.js"

/** The guards stop any two agents within so many messages. */
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

describe("one who says the same again", () => {
  const unseen = ["\u200b", "\u00ad", "\u2060", "\ufeff", "\u{e0061}", "\ufe0f", "\u202e"]

  it.each(unseen)("with %j between its letters, says the same", async (mark) => {
    const { ann, bob } = await twoWithKeys()
    const text = "please look at the parser again because the test is still failing for me"
    const codes: unknown[] = []
    for (const every of [3, 4, 5, 7]) {
      const content = text.replace(/./g, (letter, n: number) =>
        n % every === 1 ? `${letter}${mark}` : letter,
      )
      const said = await ann.wire.ask({ type: "MSG", to: bob.id, content })
      codes.push(said.type === "ERROR" ? said.guard?.layer : said.type)
    }
    expect(codes).toEqual(["ACK", "same", "same", "same"])
  })
})

describe("two who make a deal about nothing every few messages", () => {
  it("are stopped all the same", async () => {
    const room = await DealRoom.open({ guards: {} })
    const { house, ann, bob } = room
    const most = 250
    const { refusal, turns } = await alternate(
      house,
      [ann, bob],
      async ({ turn, by, other }) => {
        if (turn % 8 === 7) await room.make(["bob", "ACCEPT"], ["bob", "COMPLETE"])
        house.clock.advance(2_000)
        return by.wire.ask({ type: "MSG", to: other.id, content: textOf(turn) })
      },
      most,
    )
    expect(turns).toBeLessThan(most)
    expect(refusal).toMatchObject({ code: "GUARDED", guard: { lifted_by: "progress" } })
  })
})

describe("a store with a malformed reset", () => {
  it("lifts nothing and ends nothing", async () => {
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

describe("a stranger", () => {
  async function withSecret(options: Parameters<typeof TestRelay.start>[0] = {}) {
    const room = await twoWithKeys(options)
    const { house, ann, bob } = room
    const eve = await house.enterAs(generateKeyPair(), "eve", "#general")
    await ann.wire.ask({ type: "CREATE_CHANNEL", channel: "#secret", invite_only: true })
    await ann.wire.ask({ type: "INVITE", channel: "#secret", agent: bob.id })
    await bob.wire.ask({ type: "JOIN", channel: "#secret" })
    return { ...room, eve }
  }

  it("does not learn of an invite-only channel by what the guards count", async () => {
    const { ann, bob, eve } = await withSecret()
    const question = { type: "MSG", to: "#secret", content: "does anybody know why the build is red?" }
    expect(await ann.wire.ask(question)).toMatchObject({ type: "ACK" })
    const answer = { type: "MSG", to: "#secret", content: "it is the parser, since the change of noon" }
    expect(await bob.wire.ask(answer)).toMatchObject({ type: "ACK" })
    const asked = [
      { type: "LIST_GUARDS" },
      { type: "FORECAST", to: "#general", content: "does anybody know?" },
      { type: "FORECAST", to: "#secret", content: "does anybody know?" },
      { type: "FORECAST", to: "#general", content: "@ann @bob look", mentions: [ann.id] },
    ]
    for (const frame of asked) {
      const told = JSON.stringify(await eve.wire.ask(frame))
      expect(told.replace(/CHANNEL_NOT_FOUND.*/, "")).not.toContain("#secret")
    }
    const seen = JSON.stringify(await bob.wire.ask({ type: "LIST_GUARDS" }))
    expect(seen).toContain("#secret")
  })

  it("does not learn of direct messages by naming them", async () => {
    const { ann, bob, eve } = await withSecret()
    const said = { type: "MSG", id: "m1", to: bob.id, content: "the words of a direct message", kind: "ack" }
    expect(await ann.wire.answerTo(said)).toMatchObject({ type: "ACK" })
    const in_reply_to = `${ann.id.slice(1)}.m1`
    const probe = { type: "FORECAST", to: "#general", content: "ok, thanks", in_reply_to }
    const guess = { ...probe, in_reply_to: `${ann.id.slice(1)}.m2` }
    const [right, wrong] = [await eve.wire.ask(probe), await eve.wire.ask(guess)]
    expect({ ...right, re: "" }).toEqual({ ...wrong, re: "" })
    for (const frame of [probe, guess]) {
      await eve.wire.ask({ ...frame, type: "MSG", content: `look at ${frame.in_reply_to}, please` })
      let heard = await bob.wire.next("MSG")
      while (heard.from !== eve.id) heard = await bob.wire.next("MSG")
      expect(heard.hops).toBe(1)
    }
  })

  it("is not shown the ids of direct messages between others", async () => {
    const { house, ann, bob, eve } = await withSecret({ guards: { conversationTurns: 6 } })
    const hidden: string[] = []
    const chain = [
      [ann, bob],
      [bob, ann],
      [ann, eve],
      [eve, ann],
    ] as const
    for (let turn = 0; turn < 80; turn++) {
      const [by, to] = chain[turn % 4] ?? chain[0]
      house.clock.advance(1_000)
      const answer = await by.wire.ask({ type: "MSG", to: to.id, content: textOf(turn) })
      if (answer.type === "ACK" && to !== eve && by !== eve) hidden.push(answer.msg_id ?? "")
      if (answer.type !== "ERROR" || by !== eve) continue
      const shown = new Set(answer.guard?.evidence)
      expect(shown.size).toBeGreaterThan(0)
      expect(hidden.filter((id) => shown.has(id))).toEqual([])
      return
    }
    throw new Error("nobody was stopped")
  })

  it("cannot keep the relay busy by asking what is counted", async () => {
    const { eve } = await withSecret({ limits: { requestsPerSecond: 50, requestBurst: 200 } })
    const answers: string[] = []
    for (let i = 0; i < 20; i++) {
      const frames = [{ type: "LIST_GUARDS" }, { type: "FORECAST", to: "#general", content: "x" }]
      for (const frame of frames) answers.push((await eve.wire.ask(frame)).type)
    }
    expect(answers.filter((type) => type !== "ERROR").length).toBeLessThan(15)
    expect(answers[0]).toBe("GUARDS")
  })
})
