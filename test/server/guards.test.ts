import { describe, expect, it } from "vitest"
import { systemClock } from "../../src/base/clock.js"
import { formatDidKey } from "../../src/identity/keys.js"
import { generateKeyPair } from "../../src/identity/signer.js"
import type { ServerMessage } from "../../src/protocol/server-messages.js"
import { until } from "../kit/condition.js"
import { DealRoom } from "../kit/deal-room.js"
import { LastingEngine } from "../kit/engine.js"
import { FakeClock } from "../kit/fake-clock.js"
import { type TestAgent, TestRelay } from "../kit/relay.js"
import { storeOpener } from "../kit/store.js"
import { temporaryDirectory } from "../kit/temporary.js"

const store = storeOpener()

/** The guards stop any two agents within so many messages. */
const mostOfLoop = 60

/** Text that is like no other. */
function textOf(turn: number): string {
  const words = Array.from({ length: 12 }, (_, index) => `word${(turn * 7919 + index * 104_729) % 99_991}`)
  return `${turn}: ${words.join(" ")}`
}

/** Sends a message and returns whether it was accepted. */
async function speak(house: TestRelay, by: TestAgent, frame: object): Promise<ServerMessage> {
  house.clock.advance(2_000)
  return by.wire.ask({ type: "MSG", to: "#general", ...frame })
}

/** Two answer each other until one of them is stopped. @returns how often they spoke, and the refusal */
async function loop(house: TestRelay, pair: readonly [TestAgent, TestAgent], frame: object = {}) {
  let answered: object = {}
  for (let turn = 0; turn < mostOfLoop; turn++) {
    const [by, other] = turn % 2 === 0 ? pair : [pair[1], pair[0]]
    const said = await speak(house, by, {
      content: textOf(turn),
      mentions: [other.id],
      ...answered,
      ...frame,
    })
    if (said.type === "ERROR") return { turns: turn, refusal: said, by, other }
    if (said.type !== "ACK" || said.msg_id === undefined) throw new Error(`not taken: ${said.type}`)
    answered = { in_reply_to: said.msg_id }
  }
  throw new Error("nobody stopped them")
}

/** The same in direct messages that do not say what they answer. */
async function loopAlone(house: TestRelay, [ann, bob]: readonly [TestAgent, TestAgent]) {
  for (let turn = 0; turn < mostOfLoop; turn++) {
    const [by, other] = turn % 2 === 0 ? [ann, bob] : [bob, ann]
    const refusal = await speak(house, by, { to: other.id, content: textOf(turn) })
    if (refusal.type === "ERROR") return { refusal, by, other }
  }
  throw new Error("nobody stopped them")
}

/** Returns the GUARD messages an agent has received. */
async function toldOf({ wire }: TestAgent): Promise<ServerMessage<"GUARD">[]> {
  return (await wire.settle()).filter((message) => message.type === "GUARD")
}

async function threeInARoom(options: Parameters<typeof TestRelay.start>[0] = {}) {
  const house = await TestRelay.start({ guards: {}, ...options })
  const ann = await house.enter("ann", "#general")
  const bob = await house.enter("bob", "#general")
  const eve = await house.enter("eve", "#general")
  return { house, ann, bob, eve }
}

describe("two who answer each other", () => {
  it("are stopped, and told why once each", async () => {
    const { house, ann, bob, eve } = await threeInARoom()
    const { turns, refusal, by } = await loop(house, [ann, bob])
    expect(turns).toBeGreaterThan(3)
    expect(refusal).toMatchObject({
      code: "GUARDED",
      message: expect.any(String),
      hint: expect.any(String),
      guard: {
        layer: expect.any(String),
        scope: expect.stringContaining(by.id),
        lifted_by: expect.stringMatching(/^(time|progress|operator)$/),
        evidence: expect.arrayContaining([expect.stringMatching(/^[a-z2-7]{8}\./)]),
      },
    })
    expect(JSON.stringify(refusal).length).toBeLessThan(2_000)
    for (let again = 0; again < 3; again++) {
      expect(
        await by.wire.ask({ type: "MSG", to: "#general", content: "x", mentions: [ann.id, bob.id] }),
      ).toMatchObject({
        code: "GUARDED",
      })
    }
    const scope = refusal.guard?.scope
    const tripped = (await toldOf(by)).filter(({ state }) => state === "tripped")
    expect(tripped.filter((told) => told.scope === scope)).toHaveLength(1)
    expect((await eve.wire.settle()).filter(({ type }) => type === "GUARD")).toEqual([])
    expect(house.log.filter((line) => line.startsWith("guard: ")).length).toBeGreaterThan(0)
  })

  it("do not stop a third in the same room", async () => {
    const { house, ann, bob, eve } = await threeInARoom()
    await loop(house, [ann, bob])
    for (let turn = 0; turn < 10; turn++) {
      expect(await speak(house, eve, { content: textOf(100 + turn) })).toMatchObject({ type: "ACK" })
    }
    expect(
      await speak(house, eve, { to: "@ann", content: "are you there, and what do you need from me" }),
    ).toMatchObject({
      type: "ACK",
    })
  })

  it("cannot lift it themselves; an operator can", async () => {
    const operator = generateKeyPair()
    const operators = [formatDidKey(operator.publicKey)]
    const { house, ann, bob } = await threeInARoom({ operators })
    const boss = await house.enterAs(operator, "boss", "#general")
    const { refusal, by } = await loop(house, [ann, bob])
    const scope = refusal.guard?.scope
    for (const { wire } of [ann, bob]) {
      expect(await wire.ask({ type: "RESET_GUARD" })).toMatchObject({ code: "OPERATOR_REQUIRED" })
      expect(await wire.ask({ type: "RESET_GUARD", scope })).toMatchObject({ code: "OPERATOR_REQUIRED" })
    }
    expect(await ann.wire.ask({ type: "LIST_GUARDS", agent: "@bob" })).toMatchObject({
      code: "OPERATOR_REQUIRED",
    })
    const seen = await boss.wire.ask({ type: "LIST_GUARDS", agent: by.id })
    expect(seen).toMatchObject({ type: "GUARDS", agent: by.id })
    await toldOf(by)
    for (const nothing of ["garbage", " ", "#general  in"]) {
      const refused = await boss.wire.ask({ type: "RESET_GUARD", scope: nothing })
      expect(refused).toMatchObject({ type: "ERROR", message: expect.stringContaining("scope: ") })
    }
    for (const [nobody, code] of [
      ["#nosuch", "CHANNEL_NOT_FOUND"],
      ["@nosuch in #general", "AGENT_NOT_FOUND"],
    ] as const) {
      expect(await boss.wire.ask({ type: "RESET_GUARD", scope: nobody })).toMatchObject({ code })
    }
    expect(await boss.wire.ask({ type: "RESET_GUARD", scope })).toMatchObject({ type: "ACK", state: "done" })
    expect(await toldOf(by)).toMatchObject([{ state: "lifted", scope, reason: expect.any(String) }])
    expect(await boss.wire.ask({ type: "RESET_GUARD" })).toMatchObject({ type: "ACK" })
    expect(await speak(house, by, { content: textOf(500) })).toMatchObject({ type: "ACK" })
  })

  it("are shown to an operator with everything else that is stopped, and logged once each", async () => {
    const operator = generateKeyPair()
    const { house, ann, bob } = await threeInARoom({ operators: [formatDidKey(operator.publicKey)] })
    const boss = await house.enterAs(operator, "boss")
    expect(await boss.wire.ask({ type: "LIST_GUARDS", stopped: true })).toMatchObject({ list: [] })
    const { by } = await loop(house, [ann, bob])
    expect(await ann.wire.ask({ type: "LIST_GUARDS", stopped: true })).toMatchObject({
      code: "OPERATOR_REQUIRED",
    })
    const seen = await boss.wire.ask({ type: "LIST_GUARDS", stopped: true })
    if (seen.type !== "GUARDS") throw new Error(seen.type)
    expect(seen.list).toContainEqual(
      expect.objectContaining({ layer: "conversation", scope: `${by.id} in #general`, used: 15, limit: 15 }),
    )
    const logged = house.log.filter((line) => line.includes(" stopped for 900 s: "))
    expect(logged).toHaveLength(seen.list.length)
    for (let again = 0; again < 3; again++) await speak(house, by, { content: textOf(800 + again) })
    expect(house.log.filter((line) => line.includes(" stopped for "))).toEqual(logged)
  })

  it("are free where an operator resets the channel, which says what it lifted", async () => {
    const operator = generateKeyPair()
    const options = { operators: [formatDidKey(operator.publicKey)], guards: { slowPairTurns: 10 } }
    const { house, ann, bob } = await threeInARoom(options)
    const boss = await house.enterAs(operator, "boss")
    const { refusal, by, other } = await loop(house, [ann, bob])
    expect(refusal.guard).toMatchObject({ layer: "slow", scope: [ann.id, bob.id].sort().join(" ") })
    await toldOf(other)
    const reset = { type: "RESET_GUARD", scope: "#general" }
    expect(await boss.wire.ask(reset)).toMatchObject({ type: "ACK", lifted: [refusal.guard?.scope] })
    expect(await boss.wire.ask(reset)).toMatchObject({ type: "ACK", lifted: [] })
    expect(await boss.wire.ask({ type: "LIST_GUARDS", stopped: true })).toMatchObject({ list: [] })
    expect(await toldOf(other)).toMatchObject([{ state: "lifted", layer: "slow" }])
    for (let turn = 0; turn < 10; turn++) {
      const [from, to] = turn % 2 === 0 ? [by, other] : [other, by]
      const said = { content: textOf(850 + turn), mentions: [to.id] }
      expect(await speak(house, from, said)).toMatchObject({ type: "ACK" })
    }
  })

  it("are shown and lifted at each relay that shares the store", async () => {
    const operator = generateKeyPair()
    const engine = await LastingEngine.make({ isShared: true })
    const options = { guards: {}, operators: [formatDidKey(operator.publicKey)] }
    const east = await TestRelay.start({ ...options, backbone: engine.lend() })
    const west = await TestRelay.start({ ...options, backbone: engine.lend(), clock: east.clock })
    const ann = await east.enterAs(generateKeyPair(), "ann", "#general")
    const bob = await east.enterAs(generateKeyPair(), "bob", "#general")
    const boss = await west.enterAs(operator, "boss")
    const { by } = await loop(east, [ann, bob])
    const stopped = async () => {
      const answer = await boss.wire.ask({ type: "LIST_GUARDS", stopped: true })
      return answer.type === "GUARDS" ? answer.list.map(({ scope }) => scope) : []
    }
    east.clock.advance(3_000)
    await until("the stop is known", async () => (await stopped()).includes(`${by.id} in #general`))
    // A relay that starts later knows it as well, and forgets none.
    await TestRelay.start({ ...options, backbone: engine.lend(), clock: east.clock })
    expect(await stopped()).toContain(`${by.id} in #general`)
    const reset = await boss.wire.ask({ type: "RESET_GUARD", scope: "#general" })
    expect(reset).toMatchObject({ type: "ACK", lifted: expect.arrayContaining([`${by.id} in #general`]) })
    await until("nothing is stopped", async () => (await stopped()).length === 0)
    expect(await speak(east, by, { content: textOf(900) })).toMatchObject({ type: "ACK" })
  })

  it("hear that they may go on when an operator speaks, also after a restart", async () => {
    const dir = temporaryDirectory()
    const clock = new FakeClock()
    const operator = generateKeyPair()
    const keys = [generateKeyPair(), generateKeyPair()] as const
    const operators = [formatDidKey(operator.publicKey)]
    const options = { guards: {}, clock, operators }
    const first = await TestRelay.start({ ...options, backbone: await store.open(dir, systemClock) })
    const ann = await first.enterAs(keys[0], "ann", "#general")
    const bob = await first.enterAs(keys[1], "bob", "#general")
    const { by } = await loop(first, [ann, bob])
    await first.stop()
    const again = await TestRelay.start({ ...options, backbone: await store.open(dir, systemClock) })
    const back = await again.enterAs(by.id === ann.id ? keys[0] : keys[1], "back", "#general")
    const boss = await again.enterAs(operator, "boss", "#general")
    expect(await speak(again, boss, { content: "go on, please" })).toMatchObject({ type: "ACK" })
    expect((await toldOf(back)).map(({ state }) => state)).toContain("lifted")
    const message = { type: "MSG", id: "after", to: "#general", content: textOf(900) }
    expect(await back.wire.answerTo(message)).toMatchObject({ type: "ACK" })
  })

  it("are stopped in direct messages too, and by leaving out what they answer", async () => {
    const { house, ann, bob } = await threeInARoom()
    const { refusal } = await loopAlone(house, [ann, bob])
    expect(refusal).toMatchObject({ code: "GUARDED" })
  })
})

describe("what is no talk", () => {
  it("goes on while its agent is stopped", async () => {
    const { house, ann, bob } = await threeInARoom()
    const { by, other } = await loop(house, [ann, bob])
    const { wire } = by
    expect(await wire.ask({ type: "SET_PRESENCE", status: "working" })).toMatchObject({ type: "ACK" })
    expect(await wire.ask({ type: "LIST_AGENTS", channel: "#general" })).toMatchObject({ type: "AGENTS" })
    expect(await wire.ask({ type: "PENDING" })).toMatchObject({ type: "PENDING" })
    const { msg_id } = (await other.wire.ask({
      type: "MSG",
      to: by.id,
      content: "x",
    })) as ServerMessage<"ACK">
    wire.say({ type: "RECEIVED", retrieved: [msg_id] })
    expect((await other.wire.next("DELIVERY")).state).toBe("retrieved")
  })

  it("is a deal: each of its steps is taken, and its end gives back what talk used up", async () => {
    const room = await DealRoom.open({ guards: { conversationTurns: 8 } })
    const { house, ann, bob } = room
    const { by, other, refusal } = await loopAlone(house, [ann, bob])
    expect(refusal).toMatchObject({ guard: { layer: "conversation", lifted_by: "progress" } })
    await room.make(["bob", "ACCEPT"])
    expect(await speak(house, by, { to: other.id, content: textOf(700) })).toMatchObject({ code: "GUARDED" })
    const chain = await room.make(["bob", "ACCEPT"])
    await bob.say(room.answer(bob, chain, "COMPLETE"))
    const facts = { layer: "conversation", scope: refusal.guard?.scope }
    expect(await toldOf(by)).toMatchObject([{ state: "lifted", ...facts, reason: "work was finished" }])
    expect(await speak(house, by, { to: other.id, content: textOf(701) })).toMatchObject({ type: "ACK" })
  })

  it("an operator says is never stopped, and begins the count anew", async () => {
    const operator = generateKeyPair()
    const { house } = await threeInARoom({ operators: [formatDidKey(operator.publicKey)] })
    const boss = await house.enterAs(operator, "boss", "#general")
    for (let turn = 0; turn < 100; turn++) {
      expect(await speak(house, boss, { content: "the same again" })).toMatchObject({ type: "ACK" })
    }
  })
})

describe("FORECAST", () => {
  it("sends nothing, counts nothing and reports who would get it", async () => {
    const { house, ann, bob, eve } = await threeInARoom()
    const frame = { type: "FORECAST", to: "#general", content: "@bob please look at the test of the parser" }
    for (let again = 0; again < 5; again++) {
      expect(await ann.wire.ask(frame)).toEqual({
        type: "FORECAST",
        re: expect.any(String),
        to: "#general",
        recipients: 2,
        woken: [bob.id],
        tokens: Math.ceil(frame.content.length / 4) * 2,
        guards: expect.arrayContaining([expect.objectContaining({ layer: "rate", used: 0, tripped: false })]),
      })
    }
    expect(await bob.wire.settle()).toEqual([])
    expect(await eve.wire.settle()).toEqual([])
    expect(await speak(house, ann, { content: frame.content })).toMatchObject({ type: "ACK" })
    expect(await ann.wire.ask({ ...frame, to: "@bob", kind: "status" })).toMatchObject({
      to: bob.id,
      woken: [],
    })
    expect(await ann.wire.ask({ ...frame, to: "@nobody" })).toMatchObject({ code: "AGENT_NOT_FOUND" })
  })

  it("reports the refusal that a stopped agent would get", async () => {
    const { house, ann, bob } = await threeInARoom()
    const { by, other } = await loop(house, [ann, bob])
    const message = { to: "#general", content: textOf(900), mentions: [other.id] }
    const forecast = await by.wire.ask({ type: "FORECAST", ...message })
    const refusal = await by.wire.ask({ type: "MSG", ...message })
    expect(refusal).toMatchObject({ type: "ERROR", code: "GUARDED" })
    if (refusal.type !== "ERROR" || refusal.guard === undefined) throw new Error("not refused")
    const { message: reason, guard } = refusal
    expect(forecast).toMatchObject({ type: "FORECAST", woken: [], refused: { ...guard, reason } })
  })
})

describe("a restart", () => {
  it("forgives nothing where a relay keeps what it keeps", async () => {
    const dir = temporaryDirectory()
    const keys = [generateKeyPair(), generateKeyPair()] as const
    const clock = new FakeClock()
    const house = await TestRelay.start({ guards: {}, backbone: await store.open(dir, systemClock), clock })
    const ann = await house.enterAs(keys[0], "ann", "#general")
    const bob = await house.enterAs(keys[1], "bob", "#general")
    const { by, other } = await loop(house, [ann, bob])
    await house.stop()
    const again = await TestRelay.start({ guards: {}, backbone: await store.open(dir, systemClock), clock })
    const back = {
      [ann.id]: await again.enterAs(keys[0], "ann", "#general"),
      [bob.id]: await again.enterAs(keys[1], "bob", "#general"),
    }
    const content = textOf(700)
    const message = { type: "MSG", id: "after", to: "#general", content, mentions: [other.id] }
    expect(await back[by.id]?.wire.answerTo(message)).toMatchObject({ code: "GUARDED" })
  })

  it("takes a message again whose author did not hear that it was taken", async () => {
    const engine = await LastingEngine.make()
    const keyPair = generateKeyPair()
    const house = await TestRelay.start({ guards: {}, backbone: engine.lend() })
    const ann = await house.enterAs(keyPair, "ann", "#general")
    const content = "a long enough line about the parser and about each of its many tests"
    const message = { type: "MSG", id: "m1", to: "#general", content }
    expect(await ann.wire.answerTo(message)).toMatchObject({ type: "ACK" })
    await house.stop()
    const again = await TestRelay.start({ guards: {}, backbone: engine.lend(), clock: house.clock })
    const back = await again.enterAs(keyPair, "ann", "#general")
    expect(await back.wire.answerTo(message)).toMatchObject({ type: "ACK" })
    expect(await back.wire.answerTo({ ...message, id: "m2" })).toMatchObject({ code: "GUARDED" })
  })

  it("begins with nothing where what was kept does not read", async () => {
    const engine = await LastingEngine.make()
    const table = await engine.lend().table("guard")
    await table.put("state", "{")
    const house = await TestRelay.start({ guards: {}, backbone: engine.lend() })
    const ann = await house.enter("ann", "#general")
    expect(await speak(house, ann, { content: textOf(1) })).toMatchObject({ type: "ACK" })
  })

  it("finds a state that is written at most every three seconds", async () => {
    const engine = await LastingEngine.make()
    const house = await TestRelay.start({ guards: {}, backbone: engine.lend() })
    const table = await engine.lend().table("guard")
    let writes = 0
    await table.watch(({ key }) => {
      if (key === "state") writes++
    })
    const ann = await house.enter("ann", "#general")
    for (let turn = 0; turn < 20; turn++) {
      house.clock.advance(200)
      await ann.wire.ask({ type: "MSG", to: "#general", content: textOf(turn) })
    }
    await until("a write", () => writes > 0)
    expect(writes).toBeLessThanOrEqual(2)
  })
})

describe("relays of one store", () => {
  it("count what each other let pass, and lift together", async () => {
    const engine = await LastingEngine.make({ isShared: true })
    const clock = new FakeClock()
    const operator = generateKeyPair()
    const operators = [formatDidKey(operator.publicKey)]
    const options = { guards: { conversationTurns: 8 }, clock, operators }
    const houses = [
      await TestRelay.start({ ...options, backbone: engine.lend() }),
      await TestRelay.start({ ...options, backbone: engine.lend() }),
    ] as const
    const ann = await houses[0].enterAs(generateKeyPair(), "ann", "#general")
    const bob = await houses[1].enterAs(generateKeyPair(), "bob", "#general")
    const { by, other } = await loop(houses[0], [ann, bob])
    const boss = await houses[0].enterAs(operator, "boss", "#general")
    expect(await boss.wire.ask({ type: "RESET_GUARD" })).toMatchObject({ type: "ACK" })
    for (const [turn, agent] of [by, other].entries()) {
      const content = textOf(600 + turn)
      expect(await speak(houses[0], agent, { content })).toMatchObject({ type: "ACK" })
    }
  })
})

describe("work that is done", () => {
  it("gives back what talk used up", async () => {
    const house = await TestRelay.start({
      guards: { conversationTurns: 6 },
    })
    const keys = [generateKeyPair(), generateKeyPair()] as const
    const ann = await house.enterAs(keys[0], "ann", "#general")
    const bob = await house.enterAs(keys[1], "bob", "#general")
    const { by, refusal } = await loop(house, [ann, bob])
    expect(refusal).toMatchObject({ guard: { layer: "conversation" } })
    const [asker, worker] = by === ann ? [ann, bob] : [bob, ann]
    worker.wire.say({ type: "SET_PRESENCE", status: "idle", role: "builder" })
    await worker.wire.settle()
    const pushed = await asker.wire.ask({
      type: "MSG",
      to: "+builder",
      content: "build the thing of which we spoke",
    })
    expect(pushed).toMatchObject({ type: "ACK" })
    const task = await worker.wire.next("TASK")
    expect(await worker.wire.ask({ type: "DONE", task: task.task, content: "built" })).toMatchObject({
      type: "ACK",
    })
    expect(await speak(house, by, { content: textOf(800) })).toMatchObject({ type: "ACK" })
  })
})

describe("hops", () => {
  it("are what the relay worked out, whatever their author says", async () => {
    const { ann, bob } = await threeInARoom()
    let answered: object = {}
    const say = async (by: TestAgent, to: TestAgent, content: string) => {
      const ack = await by.wire.ask({ type: "MSG", to: to.id, content, hops: 0, ...answered })
      expect(ack).toMatchObject({ type: "ACK" })
      const { hops, msg_id } = await to.wire.next("MSG")
      answered = { in_reply_to: msg_id }
      return hops
    }
    expect(await say(ann, bob, "can you look at the parser for me, one of its tests fails")).toBe(0)
    expect(await say(bob, ann, "which of them, and since when does it do so")).toBe(1)
    expect(await say(ann, bob, "the third, since the change of this morning")).toBe(2)
  })
})
