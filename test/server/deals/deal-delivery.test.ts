import { describe, expect, it } from "vitest"
import { formatDidKey } from "../../../src/identity/keys.js"
import { generateKeyPair } from "../../../src/identity/signer.js"
import type { Statement } from "../../../src/protocol/statements.js"
import { until } from "../../kit/condition.js"
import { DealRoom, enterParty, type Party, stepsIn } from "../../kit/deal-room.js"
import { LastingEngine } from "../../kit/engine.js"
import { TestRelay } from "../../kit/relay.js"

async function leave({ house }: Pick<DealRoom, "house">, party: Party): Promise<void> {
  party.wire.socket.destroy()
  await until("the relay notices", () => house.log.some((line) => line.startsWith(`left: ${party.id}`)))
}

async function pendingFor({ wire }: Party): Promise<readonly string[]> {
  const answer = await wire.ask({ type: "PENDING" })
  return answer.type === "PENDING" ? answer.ids : []
}

describe("a statement", () => {
  it("waits as mail for a party that is away, until that confirms it", async () => {
    const room = await DealRoom.open()
    const { ann, bob, house } = room
    await leave(room, bob)
    const proposal = room.proposal()
    const told = await ann.say(proposal)
    const again = await enterParty(house, "bob", bob.signer)
    const { re: _, ...mail } = { ...told, re: "" }
    expect(await again.newStatements()).toEqual([mail])
    await leave(room, again)
    const third = await enterParty(house, "bob", bob.signer)
    expect(await third.newStatements()).toEqual([mail])
    const msgId = `${ann.id.slice(1)}.${proposal.id}/PROPOSAL`
    expect(await pendingFor(third)).toEqual([msgId])
    third.wire.say({ type: "RECEIVED", ids: [msgId] })
    expect(await ann.wire.next("DELIVERY")).toMatchObject({ msg_id: msgId, state: "mirrored", by: bob.id })
    expect(await pendingFor(third)).toEqual([])
    await third.wire.settle()
    await leave(room, third)
    expect(await (await enterParty(house, "bob", bob.signer)).newStatements()).toEqual([])
  })

  it("is no delivery to who said it", async () => {
    const room = await DealRoom.open()
    const { ann } = room
    const proposal = room.proposal()
    await ann.say(proposal)
    const [own] = await ann.newStatements()
    ann.wire.say({ type: "RECEIVED", ids: [own?.msg_id], retrieved: [own?.msg_id] })
    expect(await ann.wire.settle()).toEqual([])
    expect(await pendingFor(ann)).toEqual([])
  })

  it("cannot be hidden behind a message of the same id, or a step of the same id in another deal", async () => {
    const room = await DealRoom.open()
    const { ann, bob } = room
    const first = await room.make(["bob", "ACCEPT"])
    const second = await room.make(["bob", "ACCEPT"])
    await ann.wire.answerTo({ type: "MSG", id: "same", to: bob.id, content: "look" })
    for (const chain of [first, second]) {
      const complete = room.answer(ann, chain, "COMPLETE", { id: "same" })
      expect(await ann.say(complete)).toMatchObject({ type: "COMPLETE" })
    }
    const heard = await bob.wire.settle()
    const ids = heard.flatMap((message) => ("msg_id" in message ? [message.msg_id] : []))
    expect(heard.map(({ type }) => type)).toEqual(["MSG", "COMPLETE", "COMPLETE"])
    expect(new Set(ids).size).toBe(3)
  })

  it("is recorded once if both parties make it at once; the other gets STATEMENT_STALE", async () => {
    const room = await DealRoom.open()
    const { ann, bob } = room
    const chain = await room.make(["bob", "ACCEPT"])
    const [hers, his] = [room.answer(ann, chain, "COMPLETE"), room.answer(bob, chain, "COMPLETE")]
    const answers = await Promise.all([ann.say(hers), bob.say(his)])
    const codes = answers.map((answer) => (answer.type === "ERROR" ? answer.code : answer.type))
    expect([...codes].sort()).toEqual(["COMPLETE", "STATEMENT_STALE"])
    const [loser, winning] = codes[0] === "COMPLETE" ? [bob, hers] : [ann, his]
    const anew = room.answer(loser, [...chain, winning], "COMPLETE")
    expect(await loser.say(anew)).toMatchObject({ type: "COMPLETE", state: "completed" })
    expect((await room.stored(chain[0].id))?.statements).toEqual([...chain, winning, anew])
  })

  it("is delivered in order, however fast statements follow each other", async () => {
    const room = await DealRoom.open()
    const { ann, bob } = room
    const proposal = room.proposal()
    const accept = room.answer(bob, [proposal], "ACCEPT")
    const done = room.answer(bob, [proposal, accept], "COMPLETE")
    ann.wire.say(proposal)
    await bob.wire.next("PROPOSAL")
    bob.wire.say(accept, done)
    await ann.wire.next("ACCEPT")
    await ann.wire.next("COMPLETE")
    const types = stepsIn(await bob.wire.settle()).flatMap(({ re, type }) => (re === undefined ? [type] : []))
    expect(types).toEqual(["ACCEPT", "COMPLETE"])
  })

  it("is deleted if it is a proposal that cannot be delivered, and kept if it is an answer", async () => {
    // Two statements, a DELIVERY behind them, and the message.
    const room = await DealRoom.open({ limits: { mailboxMessages: 4 } })
    const { ann, bob, house } = room
    const chain = await room.make(["bob", "ACCEPT"])
    const [own] = await ann.newStatements().then(() => [`${ann.id.slice(1)}.${chain[0].id}/PROPOSAL`])
    ann.wire.say({ type: "RECEIVED", ids: [own, `${bob.id.slice(1)}.${chain[0].id}/ACCEPT`] })
    await leave(room, bob)
    expect(await ann.wire.ask({ type: "MSG", to: bob.id, content: "full" })).toMatchObject({ type: "ACK" })
    const proposal = room.proposal()
    expect(await ann.say(proposal)).toMatchObject({ code: "MAILBOX_FULL", retry_after_ms: 60_000 })
    expect(await room.stored(proposal.id)).toBeUndefined()
    const done = room.answer(ann, chain, "COMPLETE")
    expect(await ann.say(done)).toMatchObject({ type: "COMPLETE", state: "completed" })
    const again = await enterParty(house, "bob", bob.signer)
    const listed = await again.wire.ask({ type: "LIST_PROPOSALS" })
    expect(listed).toMatchObject({ list: [{ state: "completed", statements: [...chain, done] }] })
    expect(house.log.some((line) => line.includes("/COMPLETE: not delivered"))).toBe(true)
  })
})

describe("time", () => {
  it("is the relay's: a proposal cannot be answered late by saying that it was answered in time", async () => {
    const room = await DealRoom.open()
    const { ann, bob } = room
    const proposals = [room.proposal({ expires: 60 }), room.proposal({ expires: 60 })] as const
    for (const proposal of proposals) await ann.say(proposal)
    room.house.clock.advance(60_000)
    const accept = room.answer(bob, [proposals[0]], "ACCEPT")
    expect(await bob.say(accept)).toMatchObject({ type: "ACCEPT", state: "accepted" })
    room.house.clock.advance(1)
    const { id } = proposals[1]
    expect(await room.stored(id)).toMatchObject({ state: "expired", statements: [proposals[1]] })
    for (const type of ["ACCEPT", "REJECT"] as const) {
      for (const ts of [room.now, room.now - 1_000]) {
        const late = room.answer(bob, [proposals[1]], type, { ts })
        expect(await bob.say(late)).toMatchObject({ code: "PROPOSAL_EXPIRED" })
      }
    }
    expect(await room.stored(proposals[0].id)).toMatchObject({ state: "accepted" })
  })

  it("bounds a dispute of what is completed, and not that of what is not", async () => {
    const room = await DealRoom.open()
    const { ann, bob } = room
    const deals = []
    for (let i = 0; i < 2; i++) {
      const proposal = room.proposal({ dispute_window: 60 })
      await ann.say(proposal)
      const accept = room.answer(bob, [proposal], "ACCEPT")
      await bob.say(accept)
      deals.push([proposal, accept] as const)
    }
    const [completed, open] = deals as unknown as [Statement[], Statement[]]
    const done = room.answer(bob, completed, "COMPLETE")
    await bob.say(done)
    room.house.clock.advance(60_001)
    for (const ts of [room.now, room.now - 1_000]) {
      const late = room.answer(ann, [...completed, done], "DISPUTE", { ts })
      expect(await ann.say(late)).toMatchObject({ code: "PROPOSAL_STATE" })
    }
    expect(await ann.say(room.answer(ann, [...completed, done], "COMPLETE"))).toMatchObject({
      state: "completed",
    })
    expect(await ann.say(room.answer(ann, open, "DISPUTE"))).toMatchObject({ state: "disputed" })
  })

  it("takes away what ended a day ago, and what nobody goes on with for a year", async () => {
    const day = 86_400_000
    const room = await DealRoom.open()
    const { clock } = room.house
    const ids = {
      rejected: (await room.make(["bob", "REJECT"]))[0].id,
      expired: (await room.make())[0].id,
      accepted: (await room.make(["bob", "ACCEPT"]))[0].id,
      completed: (await room.make(["bob", "ACCEPT"], ["bob", "COMPLETE"]))[0].id,
      oneSided: (await room.make(["bob", "ACCEPT"], ["bob", "DISPUTE"]))[0].id,
      disputed: (await room.make(["bob", "ACCEPT"], ["bob", "DISPUTE"], ["ann", "DISPUTE"]))[0].id,
    }
    const standing = async () => {
      const answer = await room.ann.wire.ask({ type: "LIST_PROPOSALS" })
      const list = answer.type === "PROPOSALS" ? answer.list.map(({ id }) => id) : []
      return Object.entries(ids).flatMap(([name, id]) => (list.includes(id) ? [name] : []))
    }
    // As a sweep comes every ten minutes, and each ends before the next begins.
    const advance = async (ms: number) => {
      clock.advance(ms)
      clock.advance(600_000)
      await room.ann.wire.settle()
      clock.advance(600_000)
      await room.ann.wire.settle()
    }
    await advance(day - 3_600_000)
    expect(await standing()).toHaveLength(6)
    await advance(3_600_000)
    expect(await standing()).toEqual(["expired", "accepted", "completed", "oneSided"])
    await advance(7 * day)
    expect(await standing()).toEqual(["accepted"])
    await advance(356 * day)
    expect(await standing()).toEqual(["accepted"])
    await advance(day)
    expect(await standing()).toEqual([])
  })
})

describe("LIST_PROPOSALS", () => {
  it("lists the deals of all agents to an operator only", async () => {
    const keyPair = generateKeyPair()
    const room = await DealRoom.open({ operators: [formatDidKey(keyPair.publicKey)] })
    const [{ id }] = await room.make(["bob", "REJECT"])
    const op = await room.house.enterAs(keyPair, "op")
    const all = { type: "LIST_PROPOSALS", all: true }
    expect(await op.wire.ask(all)).toMatchObject({ list: [{ id, state: "rejected" }] })
    expect(await op.wire.ask({ ...all, proposal: id })).toMatchObject({ list: [{ id }] })
    expect(await op.wire.ask({ type: "LIST_PROPOSALS" })).toMatchObject({ list: [] })
    expect(await room.ann.wire.ask(all)).toMatchObject({ code: "OPERATOR_REQUIRED" })
  })

  it("tells each once, oldest change first, in pages that can be asked for one after the other", async () => {
    const room = await DealRoom.open()
    const made: string[] = []
    for (let i = 0; i < 40; i++) {
      const proposal = room.proposal({ terms: "x".repeat(16_000) })
      await room.ann.say(proposal)
      made.push(proposal.id)
      if (i % 4 === 3) room.house.clock.advance(1)
    }
    const chain = await room.make(["bob", "REJECT"])
    const seen: string[] = []
    let since = 0
    for (let pages = 1; ; pages++) {
      const answer = await room.bob.wire.ask({ type: "LIST_PROPOSALS", since })
      if (answer.type !== "PROPOSALS") throw new Error(JSON.stringify(answer))
      expect(JSON.stringify(answer).length).toBeLessThan(1024 * 1024)
      seen.push(...answer.list.map(({ id }) => id))
      const last = answer.list.at(-1)?.statements.at(-1)?.ts ?? 0
      if (answer.more !== true) {
        expect(pages).toBeGreaterThan(2)
        break
      }
      expect(last).toBeGreaterThan(since)
      since = last
    }
    expect([...new Set(seen)].slice(0, -1).sort()).toEqual(made.sort())
    expect(seen.at(-1)).toBe(chain[0].id)
  })

  it("comes to an end also where very many changed at once: they are refused", async () => {
    const room = await DealRoom.open()
    for (let i = 0; i < 64; i++)
      expect(await room.ann.say(room.proposal())).toMatchObject({ type: "PROPOSAL" })
    expect(await room.ann.say(room.proposal())).toMatchObject({ code: "RATE_LIMITED", retry_after_ms: 250 })
    room.house.clock.advance(1)
    expect(await room.ann.say(room.proposal())).toMatchObject({ type: "PROPOSAL" })
  })
})

describe("the key of an agent", () => {
  it("has the key of an agent, online or away, also after a restart of the relay", async () => {
    const engine = await LastingEngine.make()
    const room = await DealRoom.open({ backbone: engine.lend() })
    const { bob } = room
    const didOf = async (party: Party) => {
      const answer = await party.wire.ask({ type: "LIST_AGENTS", agent: "@bob" })
      return answer.type === "AGENTS" ? answer.roster[0]?.did : undefined
    }
    expect(await didOf(room.ann)).toBe(bob.signer.did)
    const all = JSON.stringify(await room.ann.wire.ask({ type: "LIST_AGENTS" }))
    expect(all).not.toContain("did:key")
    await leave(room, bob)
    expect(await didOf(room.ann)).toBe(bob.signer.did)
    await room.house.stop()
    const second = await TestRelay.start({ backbone: engine.lend() })
    expect(await didOf(await enterParty(second, "ann"))).toBe(bob.signer.did)
  })
})
