import { describe, expect, it } from "vitest"
import type { Statement } from "../../../src/protocol/statements.js"
import { until } from "../../kit/condition.js"
import { type Chain, DealRoom, enterParty, Signer } from "../../kit/deal-room.js"
import { LastingEngine } from "../../kit/engine.js"
import { TestRelay } from "../../kit/relay.js"

const guards = { dealTurns: 4 }

/** Somebody proposes until it is refused. @returns how many were taken, and the refusal */
async function proposeAll(room: DealRoom) {
  for (let taken = 0; taken < 20; taken++) {
    room.house.clock.advance(2_000)
    const answer = await room.ann.say(room.proposal())
    if (answer.type === "ERROR") return { taken, refusal: answer }
  }
  throw new Error("nobody stopped it")
}

describe("proposals that lead to no deal", () => {
  it("are refused in the end, and nothing of those is kept or told", async () => {
    const room = await DealRoom.open({ guards })
    const { taken, refusal } = await proposeAll(room)
    expect(taken).toBe(4)
    expect(refusal).toMatchObject({
      code: "GUARDED",
      retry_after_ms: 900_000,
      guard: { layer: "deals", scope: `${room.ann.id} to ${room.bob.id}`, lifted_by: "progress" },
    })
    expect(await room.bob.newStatements()).toHaveLength(4)
    expect(await room.ann.wire.ask({ type: "LIST_PROPOSALS" })).toMatchObject({
      list: Array.from({ length: 4 }, () => ({ state: "pending" })),
    })
  })

  it("keep no other step from being taken, nor a message, nor what somebody else proposes", async () => {
    const room = await DealRoom.open({ guards })
    const [first] = await room.make()
    await proposeAll(room)
    const { ann, bob, house, aud, now } = room
    const eve = await enterParty(house, "eve")
    const eves = eve.signer.propose(bob.signer, { aud, now })
    expect(await eve.say(eves)).toMatchObject({ type: "PROPOSAL" })
    expect(await ann.wire.ask({ type: "MSG", to: bob.id, content: "the parser is done" })).toMatchObject({
      type: "ACK",
    })
    let chain: readonly Statement[] = [first]
    for (const [by, type] of [
      [bob, "ACCEPT"],
      [ann, "COMPLETE"],
    ] as const) {
      const statement = room.answer(by, chain, type)
      expect(await by.say(statement)).toMatchObject({ type })
      chain = [...chain, statement]
    }
    // A completed deal counts as work.
    expect((await proposeAll(room)).taken).toBe(4)
  })

  it("cause one warning to the proposer; an operator lifts the stop and is never refused", async () => {
    const operator = new Signer()
    const room = await DealRoom.open({ guards, operators: [operator.did] })
    const { ann, bob, house, aud } = room
    await proposeAll(room)
    await ann.say(room.proposal())
    expect(await guardNews(ann)).toMatchObject([
      { state: "warned", layer: "deals" },
      { state: "tripped", layer: "deals" },
    ])
    expect(await guardNews(bob)).toEqual([])
    const boss = await enterParty(house, "boss", operator)
    const scope = `${ann.id} to ${bob.id}`
    expect(await boss.wire.ask({ type: "RESET_GUARD", scope })).toMatchObject({ type: "ACK" })
    expect((await proposeAll(room)).taken).toBe(4)
    for (let n = 0; n < 10; n++) {
      const proposal = boss.signer.propose(bob.signer, { aud, now: room.now })
      expect(await boss.say(proposal)).toMatchObject({ type: "PROPOSAL" })
      house.clock.advance(1_000)
    }
  })

  it("are counted on after a restart of the relay", async () => {
    const engine = await LastingEngine.make()
    const before = await DealRoom.open({ guards, backbone: engine.lend() })
    expect((await proposeAll(before)).taken).toBe(4)
    await before.house.stop()
    const house = await TestRelay.start({ guards, backbone: engine.lend(), clock: before.house.clock })
    const ann = await enterParty(house, "ann", before.ann.signer)
    const again = ann.signer.propose(before.bob.signer, { aud: house.relay.serverId, now: before.now })
    expect(await ann.say(again)).toMatchObject({ code: "GUARDED", guard: { layer: "deals" } })
  })

  it("are counted by each relay that shares a store, and so is work that is done", async () => {
    const engine = await LastingEngine.make({ isShared: true })
    const room = await DealRoom.open({ guards: { dealTurns: 6 }, backbone: engine.lend() })
    const { clock } = room.house
    const there = await TestRelay.start({ guards: { dealTurns: 6 }, backbone: engine.lend(), clock })
    const bob = await enterParty(there, "bob", room.bob.signer)
    const used = async () => {
      const answer = await room.ann.wire.ask({ type: "LIST_GUARDS" })
      const usages = answer.type === "GUARDS" ? answer.list : []
      return usages.filter(({ layer }) => layer === "deals").map((usage) => usage.used)
    }
    const chains: Chain[] = []
    for (let n = 0; n < 2; n++) {
      clock.advance(1_000)
      const proposal = room.proposal()
      expect(await room.ann.say(proposal)).toMatchObject({ type: "PROPOSAL" })
      chains.push([proposal])
    }
    expect(await used()).toEqual([2])
    const [first, second] = chains as [Chain, Chain]
    expect(await bob.say(room.answer(bob, first, "REJECT"))).toMatchObject({ type: "REJECT" })
    await until("the rejection is counted", async () => (await used())[0] === 3)
    const accept = room.answer(bob, second, "ACCEPT")
    expect(await bob.say(accept)).toMatchObject({ type: "ACCEPT" })
    const done = room.answer(bob, [...second, accept], "COMPLETE")
    expect(await bob.say(done)).toMatchObject({ type: "COMPLETE" })
    await until("the work is known", async () => (await used()).length === 0)
  })
})

/** Returns the GUARD messages that a party got. */
async function guardNews({ wire }: { readonly wire: DealRoom["ann"]["wire"] }) {
  return (await wire.settle()).filter(({ type }) => type === "GUARD")
}
