import { describe, expect, it } from "vitest"
import { dealOf, statementsOf } from "../../../src/proposals/deal.js"
import type { Verb } from "../../../src/protocol/verbs.js"
import { type Chain, DealRoom, enterParty, type Step, stepsIn } from "../../kit/deal-room.js"
import { liftedGuards } from "../../kit/guards.js"

/** Checks that no message was sent and that the deal is unchanged. */
async function expectUntouched(room: DealRoom, chain: Chain): Promise<void> {
  expect(await room.ann.newStatements()).toEqual([])
  expect(await room.bob.newStatements()).toEqual([])
  expect((await room.stored(chain[0].id))?.statements).toEqual(chain)
}

describe("a statement is refused", () => {
  it("that was changed after it was signed, whichever member it is", async () => {
    const room = await DealRoom.open()
    const chain = await room.make()
    const accept = room.answer(room.bob, chain, "ACCEPT", { payment_code: "x" })
    const changes = {
      ts: accept.ts + 1,
      payment_code: "y",
      id: "another",
      sig: accept.sig.replace(/.{6}$/, "AAAAAA"),
      type: "REJECT",
    }
    for (const [member, value] of Object.entries(changes)) {
      const { payment_code: _, ...rejecting } = { payment_code: "", ...accept }
      const forged = member === "type" ? { ...rejecting, type: value } : { ...accept, [member]: value }
      expect(await room.bob.say(forged as typeof accept), member).toMatchObject({
        type: "ERROR",
        code: "VERIFICATION_FAILED",
      })
    }
    const { payment_code: _, ...without } = { payment_code: "", ...accept }
    expect(await room.bob.say(without as typeof accept)).toMatchObject({ code: "VERIFICATION_FAILED" })
    await expectUntouched(room, chain)
  })

  it("that somebody else signed, party or not", async () => {
    const room = await DealRoom.open()
    const chain = await room.make()
    const accept = room.answer(room.bob, chain, "ACCEPT")
    const eve = await enterParty(room.house, "eve")
    for (const party of [room.ann, eve]) {
      expect(await party.say(accept)).toMatchObject({ type: "ERROR", code: "VERIFICATION_FAILED" })
    }
    await expectUntouched(room, chain)
  })

  it("that was made for another relay", async () => {
    const room = await DealRoom.open()
    const chain = await room.make()
    const elsewhere = await DealRoom.open()
    const { signer } = room.ann
    const proposal = signer.propose(room.bob.signer, { aud: elsewhere.aud, now: room.now })
    const accept = room.answer(room.bob, chain, "ACCEPT", { aud: elsewhere.aud })
    for (const [party, statement] of [
      [room.ann, proposal],
      [room.bob, accept],
    ] as const) {
      const answer = await party.say(statement)
      expect(answer).toMatchObject({ code: "VERIFICATION_FAILED", message: expect.stringContaining("aud") })
    }
    await expectUntouched(room, chain)
  })

  it("by the party whose step it is not, and by a stranger who knows the deal", async () => {
    const room = await DealRoom.open()
    const chain = await room.make()
    const eve = await enterParty(room.house, "eve")
    for (const type of ["ACCEPT", "REJECT"] as const) {
      expect(await room.ann.say(room.answer(room.ann, chain, type))).toMatchObject({ code: "NOT_A_PARTY" })
    }
    const [{ id: proposal }] = chain
    for (const to of [room.ann, room.bob]) {
      const statement = room.answer(eve, chain, "ACCEPT", { to: to.signer.did })
      expect(await eve.say(statement)).toMatchObject({ code: "PROPOSAL_NOT_FOUND" })
    }
    expect(await eve.wire.ask({ type: "LIST_PROPOSALS", proposal })).toMatchObject({
      code: "PROPOSAL_NOT_FOUND",
    })
    expect(await eve.wire.ask({ type: "LIST_PROPOSALS" })).toMatchObject({ list: [] })
    const astray = room.answer(room.bob, chain, "ACCEPT", { to: eve.signer.did })
    expect(await room.bob.say(astray)).toMatchObject({ code: "VERIFICATION_FAILED" })
    expect(stepsIn(await eve.wire.settle())).toEqual([])
    await expectUntouched(room, chain)
  })

  it("that does not follow from the state, naming what can", async () => {
    const room = await DealRoom.open()
    const cases: { steps: Step[]; types: Verb[] }[] = [
      { steps: [], types: ["COMPLETE", "DISPUTE"] },
      { steps: [["bob", "ACCEPT"]], types: ["ACCEPT", "REJECT"] },
      { steps: [["bob", "REJECT"]], types: ["ACCEPT", "COMPLETE", "DISPUTE"] },
      {
        steps: [
          ["bob", "ACCEPT"],
          ["bob", "COMPLETE"],
        ],
        types: ["ACCEPT", "REJECT"],
      },
      {
        steps: [
          ["bob", "ACCEPT"],
          ["ann", "DISPUTE"],
        ],
        types: ["ACCEPT", "REJECT", "COMPLETE"],
      },
    ]
    for (const { steps, types } of cases) {
      const chain = await room.make(...steps)
      for (const type of types) {
        const answer = await room.bob.say(room.answer(room.bob, chain, type))
        expect(answer, `${type} after ${steps.length}`).toMatchObject({
          code: "PROPOSAL_STATE",
          hint: expect.any(String),
        })
      }
      await expectUntouched(room, chain)
    }
  })

  it("whose prev is not the last statement, telling when to sign anew", async () => {
    const room = await DealRoom.open()
    const chain = await room.make(["bob", "ACCEPT"])
    const [proposal] = chain
    const late = room.answer(room.ann, [proposal], "COMPLETE")
    expect(await room.ann.say(late)).toMatchObject({ code: "STATEMENT_STALE", retry_after_ms: 250 })
    await expectUntouched(room, chain)
  })

  it("whose time is not the relay's, or runs backwards", async () => {
    const room = await DealRoom.open()
    const chain = await room.make()
    for (const skew of [-300_001, 300_001]) {
      const proposal = room.ann.signer.propose(room.bob.signer, { aud: room.aud, now: room.now + skew })
      const accept = room.answer(room.bob, chain, "ACCEPT", { ts: room.now + skew })
      expect(await room.ann.say(proposal)).toMatchObject({
        code: "INVALID_MSG",
        message: expect.stringMatching(/ts: is 300 s (ahead of|behind) this relay's clock/),
      })
      expect(await room.bob.say(accept)).toMatchObject({ code: "INVALID_MSG" })
    }
    const early = room.answer(room.bob, chain, "ACCEPT", { ts: room.now - 1 })
    expect(await room.bob.say(early)).toMatchObject({
      code: "INVALID_MSG",
      message: expect.stringContaining("before"),
    })
    await expectUntouched(room, chain)
    const close = room.answer(room.bob, chain, "ACCEPT", { ts: room.now + 300_000 })
    expect(await room.bob.say(close)).toMatchObject({ type: "ACCEPT", state: "accepted" })
  })

  it("that answers no proposal, or has no id", async () => {
    const room = await DealRoom.open()
    const unknown = room.answer(room.bob, [room.proposal()], "ACCEPT")
    expect(await room.bob.say(unknown)).toMatchObject({ code: "PROPOSAL_NOT_FOUND" })
    const { id: _, ...anonymous } = room.proposal()
    room.ann.wire.say(anonymous)
    expect(await room.ann.wire.next("ERROR")).toMatchObject({
      code: "INVALID_MSG",
      message: expect.stringContaining("PROPOSAL.id"),
    })
  })

  it("that is longer than a chain of them could be", async () => {
    const room = await DealRoom.open()
    const long = room.proposal({ terms: "x" })
    expect(await room.ann.say({ ...long, terms: "x".repeat(16_385) })).toMatchObject({ code: "INVALID_MSG" })
  })
})

describe("a proposal is refused", () => {
  it("of somebody without a key, with a hint", async () => {
    const room = await DealRoom.open()
    const { wire } = await room.house.enter("eve")
    expect(await wire.answerTo(room.proposal())).toMatchObject({
      code: "IDENTITY_REQUIRED",
      hint: expect.stringContaining("identity"),
    })
    const chain = await room.make()
    expect(await wire.answerTo(room.answer(room.bob, chain, "ACCEPT"))).toMatchObject({
      code: "IDENTITY_REQUIRED",
    })
    expect(await wire.ask({ type: "LIST_PROPOSALS" })).toMatchObject({ list: [] })
    await expectUntouched(room, chain)
  })

  it("to an agent without a key, which has none to be named by", async () => {
    const room = await DealRoom.open()
    const { ann, house } = room
    const eve = await house.enter("eve")
    const asked = await ann.wire.ask({ type: "LIST_AGENTS", agent: eve.id })
    expect(asked).toMatchObject({ roster: [{ id: eve.id }] })
    expect(JSON.stringify(asked)).not.toContain("did")
  })

  it("that would stand for longer than this relay keeps one", async () => {
    const room = await DealRoom.open({ limits: { proposalTermMs: 1_000_000 } })
    const longest = { expires: 1_000, dispute_window: 1_000 }
    for (const member of ["expires", "dispute_window"]) {
      expect(await room.ann.say(room.proposal({ ...longest, [member]: 1_001 }))).toMatchObject({
        code: "INVALID_MSG",
        message: `PROPOSAL.${member}: must be at most 1000 s on this relay`,
      })
    }
    expect(await room.ann.say(room.proposal(longest))).toMatchObject({ type: "PROPOSAL" })
  })

  it("whose id is another deal's, or says something else than before", async () => {
    const room = await DealRoom.open()
    const chain = await room.make()
    const eve = await enterParty(room.house, "eve")
    const { ann } = room
    const stolen = eve.signer.resign(chain[0], { from: eve.signer.did })
    const changed = ann.signer.resign(chain[0], { task: "more work" })
    expect(await eve.say(stolen)).toMatchObject({ code: "PROPOSAL_STATE" })
    expect(await ann.say(changed)).toMatchObject({ code: "PROPOSAL_STATE" })
    await expectUntouched(room, chain)
    const short = ann.signer.resign(chain[0], { id: "a.b:c" })
    expect(await ann.say(short)).toMatchObject({
      code: "INVALID_MSG",
      message: expect.stringContaining("id"),
    })
  })

  it("that nobody can answer any more", async () => {
    const room = await DealRoom.open()
    const { ann, bob, aud, now } = room
    const late = ann.signer.propose(bob.signer, { aud, now: now - 61_000, expires: 60 })
    expect(await ann.say(late)).toMatchObject({ code: "PROPOSAL_EXPIRED" })
    expect(await bob.newStatements()).toEqual([])
  })

  it("that comes too fast, while answers do not count as messages", async () => {
    const room = await DealRoom.open({
      limits: { ratePerSecond: 1, rateBurst: 3 },
      guards: { ...liftedGuards, ratePatienceMs: 999 },
    })
    const chain = await room.make(["bob", "ACCEPT"], ["bob", "COMPLETE"])
    expect(await room.ann.say(room.proposal())).toMatchObject({ type: "PROPOSAL" })
    expect(await room.ann.wire.ask({ type: "MSG", to: room.bob.id, content: "x" })).toMatchObject({
      type: "ACK",
    })
    expect(await room.ann.say(room.proposal())).toMatchObject({
      code: "RATE_LIMITED",
      retry_after_ms: expect.any(Number),
    })
    expect(await room.ann.say(room.answer(room.ann, chain, "COMPLETE"))).toMatchObject({ type: "COMPLETE" })
    room.house.clock.advance(1_000)
    expect(await room.ann.say(room.proposal())).toMatchObject({ type: "PROPOSAL" })
  })

  it("beyond the bounds of the relay and of one agent, until there is room", async () => {
    const room = await DealRoom.open({
      limits: { proposals: 3, agentProposals: 2, closedProposalMs: 60_000 },
    })
    const { ann, bob, aud } = room
    const [first] = await room.make(["bob", "REJECT"])
    await room.make()
    expect(await ann.say(room.proposal())).toMatchObject({
      code: "LIMIT_REACHED",
      message: expect.stringContaining("2 proposals of yours"),
      retry_after_ms: expect.any(Number),
    })
    const back = () => bob.signer.propose(ann.signer, { aud, now: room.now })
    expect(await bob.say(back())).toMatchObject({ type: "PROPOSAL" })
    expect(await bob.say(back())).toMatchObject({ code: "LIMIT_REACHED" })
    room.house.clock.advance(600_001)
    expect(await room.stored(first.id)).toBeUndefined()
    expect(await bob.say(back())).toMatchObject({ type: "PROPOSAL" })
  })

  it("beyond the room for all of them together", async () => {
    const room = await DealRoom.open({ limits: { proposalCharacters: 500 } })
    await room.make()
    expect(await room.ann.say(room.proposal())).toMatchObject({
      code: "LIMIT_REACHED",
      message: expect.stringContaining("no more proposals"),
    })
  })
})

describe("a step that was taken", () => {
  it("is answered again and changes nothing, sent again or signed again", async () => {
    const room = await DealRoom.open()
    const { ann, bob } = room
    const chain = await room.make(["bob", "ACCEPT"], ["bob", "COMPLETE"])
    room.house.clock.advance(86_400_000)
    const [accept] = statementsOf(dealOf(chain), "ACCEPT")
    if (accept === undefined) throw new Error("not accepted")
    const cases = [
      { party: ann, statement: chain[0], state: "pending" },
      { party: bob, statement: accept, state: "accepted" },
    ]
    for (const { party, statement, state } of cases) {
      const answer = await party.say(statement)
      expect(answer).toMatchObject({ ...statement, re: statement.id, state })
      const again = party.signer.resign(statement, { ts: room.now })
      expect(again.sig).not.toBe(statement.sig)
      expect(await party.say(again)).toEqual(answer)
    }
    const proof = bob.signer.resign(chain[2] ?? accept, { proof: "another", ts: room.now })
    expect(await bob.say(proof)).toMatchObject({ code: "PROPOSAL_STATE" })
    expect((await room.stored(chain[0].id))?.statements).toEqual(chain)
  })
})
