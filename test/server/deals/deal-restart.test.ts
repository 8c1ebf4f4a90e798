import { afterAll, beforeAll, describe, expect, it } from "vitest"
import type { Backbone } from "../../../src/backbone/backbone.js"
import { openNatsBackbone } from "../../../src/backbone/nats/nats-backbone.js"
import { systemClock } from "../../../src/base/clock.js"
import type { Statement } from "../../../src/protocol/statements.js"
import type { Verb } from "../../../src/protocol/verbs.js"
import { until } from "../../kit/condition.js"
import { DealRoom, enterParty, type Party, Signer } from "../../kit/deal-room.js"
import { LastingEngine } from "../../kit/engine.js"
import { FakeClock } from "../../kit/fake-clock.js"
import { NatsServer } from "../../kit/nats.js"
import { TestRelay } from "../../kit/relay.js"
import { hasProgram } from "../../kit/requires.js"
import { storeOpener } from "../../kit/store.js"
import { temporaryDirectory } from "../../kit/temporary.js"

const store = storeOpener()
const waitMs = 30_000
const testMs = 120_000

/** Makes an open deal on one relay, stops that, and ends the deal on the next one. */
async function outlives(open: () => Promise<Backbone>): Promise<void> {
  const clock = new FakeClock()
  const room = await DealRoom.open({ backbone: await open(), clock })
  const { ann, bob } = room
  const chain = await room.make(["bob", "ACCEPT"])
  const expiring = room.proposal({ expires: 60 })
  await ann.say(expiring)
  await room.house.stop()

  const house = await TestRelay.start({ backbone: await open(), clock })
  const [ann2, bob2] = [
    await enterParty(house, "ann", ann.signer),
    await enterParty(house, "bob", bob.signer),
  ]
  expect(house.relay.serverId).toBe(room.aud)
  const listed = await bob2.wire.ask({ type: "LIST_PROPOSALS", proposal: chain[0].id })
  const names = { [ann.id]: "ann", [bob.id]: "bob" }
  expect(listed).toMatchObject({ list: [{ state: "accepted", statements: chain, names }] })
  const [, accept] = chain
  const done = room.answer(bob, chain, "COMPLETE")
  expect(await bob2.say(done)).toMatchObject({ type: "COMPLETE", state: "completed" })
  expect(await ann2.wire.next("COMPLETE")).toMatchObject({ id: done.id })
  expect(await bob2.say(accept ?? done)).toMatchObject({ type: "ACCEPT", state: "accepted" })
  clock.advance(60_001)
  const late = room.answer(bob, [expiring], "ACCEPT")
  expect(await bob2.say(late)).toMatchObject({ code: "PROPOSAL_EXPIRED" })
}

/** Two parties on two relays that share an engine and a clock. */
async function apart(open: () => Promise<Backbone> | Backbone) {
  const clock = new FakeClock()
  const east = await TestRelay.start({ backbone: await open(), clock })
  const west = await TestRelay.start({ backbone: await open(), clock })
  const ann = await enterParty(east, "ann")
  const bob = await enterParty(west, "bob")
  const knows = async ({ wire }: Party, ref: string) => {
    const answer = await wire.ask({ type: "LIST_AGENTS", agent: ref })
    return answer.type === "AGENTS" && answer.roster[0]?.did !== undefined
  }
  await until("they know each other", async () => (await knows(ann, bob.id)) && knows(bob, ann.id), waitMs)
  return { clock, east, west, ann, bob, aud: east.relay.serverId }
}

/** A deal from its proposal to its end, between two relays; both speak at once as often as they can. */
async function dealApart({ clock, ann, bob, aud }: Awaited<ReturnType<typeof apart>>): Promise<void> {
  const proposal = ann.signer.propose(bob.signer, { aud, now: clock.now() })
  expect(await ann.say(proposal)).toMatchObject({ type: "PROPOSAL" })
  expect(await bob.wire.next("PROPOSAL")).toMatchObject({ id: proposal.id, state: "pending", name: "ann" })
  const sign = (by: Signer, chain: readonly Statement[], type: Verb) =>
    by.force(chain, type, { ts: clock.now() })
  const accept = sign(bob.signer, [proposal], "ACCEPT")
  expect(await bob.say(accept)).toMatchObject({ type: "ACCEPT" })
  await ann.wire.next("ACCEPT")
  const chain = [proposal, accept]
  const both = [ann, bob].map((party) => ({ party, done: sign(party.signer, chain, "COMPLETE") }))
  const answers = await Promise.all(both.map(({ party, done }) => party.say(done)))
  const codes = answers.map((answer) => (answer.type === "ERROR" ? answer.code : answer.type))
  expect([...codes].sort()).toEqual(["COMPLETE", "STATEMENT_STALE"])
  const [winner, loser] = codes[0] === "COMPLETE" ? both : both.toReversed()
  if (winner === undefined || loser === undefined) throw new Error("nobody")
  expect(await loser.party.wire.next("COMPLETE")).toMatchObject({ id: winner.done.id })
  const anew = sign(loser.party.signer, [...chain, winner.done], "COMPLETE")
  expect(await loser.party.say(anew)).toMatchObject({ type: "COMPLETE", state: "completed" })
  // The other relay answers for a step it did not take itself.
  for (const party of [ann, bob]) {
    const statements = [...chain, winner.done, anew]
    const listed = await party.wire.ask({ type: "LIST_PROPOSALS", proposal: proposal.id })
    expect(listed).toMatchObject({ list: [{ state: "completed", statements }] })
    await until(
      "the index follows",
      async () => {
        const all = await party.wire.ask({ type: "LIST_PROPOSALS" })
        return all.type === "PROPOSALS" && all.list[0]?.statements.length === 4
      },
      waitMs,
    )
  }
}

describe("open deals", () => {
  it("outlive a relay that keeps them on disk", async () => {
    const dir = temporaryDirectory()
    await outlives(() => store.open(dir, systemClock))
  })

  it("are one table for relays that share an engine", async () => {
    const engine = await LastingEngine.make({ isShared: true })
    await dealApart(await apart(() => engine.lend()))
  })

  it("stay as they are while the store cannot be reached, and go on afterwards", async () => {
    const engine = await LastingEngine.make()
    const lent = engine.lend()
    const room = await DealRoom.open({ backbone: lent })
    const chain = await room.make()
    const accept = room.answer(room.bob, chain, "ACCEPT")
    lent.setReachable(false)
    expect(await room.bob.say(accept)).toMatchObject({ code: "UNAVAILABLE" })
    expect(await room.ann.wire.ask({ type: "LIST_PROPOSALS" })).toMatchObject({ code: "UNAVAILABLE" })
    lent.setReachable(true)
    expect(await room.bob.say(accept)).toMatchObject({ type: "ACCEPT", state: "accepted" })
    expect((await room.ann.newStatements()).map(({ type }) => type)).toEqual(["ACCEPT"])
  })

  it("are delivered even if the relay crashed before it could send them", async () => {
    const engine = await LastingEngine.make()
    const lent = engine.lend()
    const table = lent.table.bind(lent)
    // Cut off right after the row was written, before the mail was.
    lent.table = async (name) => {
      const made = await table(name)
      if (name !== "proposal") return made
      return {
        ...made,
        put: async (...row) => {
          const revision = await made.put(...row)
          if (isFalling) lent.isReachable = false
          return revision
        },
      }
    }
    let isFalling = false
    const room = await DealRoom.open({ backbone: lent })
    const chain = await room.make()
    const accept = room.answer(room.bob, chain, "ACCEPT")
    isFalling = true
    expect(await room.bob.say(accept)).toMatchObject({ code: "UNAVAILABLE" })
    isFalling = false
    lent.setReachable(true)
    expect(await room.ann.newStatements()).toEqual([])
    const again = room.bob.signer.resign(accept, { ts: room.now + 1 })
    expect(await room.bob.say(again)).toMatchObject({ type: "ACCEPT", sig: accept.sig })
    expect(await room.ann.newStatements()).toMatchObject([{ type: "ACCEPT", sig: accept.sig }])
    expect((await room.stored(chain[0].id))?.statements).toEqual([...chain, accept])
  })
})

describe.runIf(hasProgram("nats-server"))("open deals on NATS", { timeout: testMs }, () => {
  let server: NatsServer
  beforeAll(async () => {
    server = await NatsServer.start()
  }, testMs)
  afterAll(() => server.dispose())
  const open = () => openNatsBackbone({ servers: server.url, clock: systemClock, log: () => {} })

  it("outlive a relay", () => outlives(open))

  it("are one table for two relays", async () => dealApart(await apart(open)))
})
