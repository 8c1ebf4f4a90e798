import { describe, expect, it } from "vitest"
import { agentIdOf } from "../../../src/identity/keys.js"
import { AgentChatClient } from "../../../src/index.js"
import type { Deal } from "../../../src/proposals/deal.js"
import { advanceDeal, openDeal } from "../../../src/proposals/deal.js"
import { readStatement, verifyStatement } from "../../../src/proposals/statement.js"
import type { ClientFrame } from "../../../src/protocol/client-messages.js"
import type { Statement } from "../../../src/protocol/statements.js"
import type { Verb } from "../../../src/protocol/verbs.js"
import { until } from "../../kit/condition.js"
import { alice, aliceDid, answer, bob, bobDid, carol, carolDid, dealAfter, propose } from "../../kit/deals.js"
import { FakeRelay, type FakeRelayOptions } from "../../kit/fake-relay.js"
import { enter, relayed, withDeals } from "./deal-client.js"

const aliceId = agentIdOf(alice.publicKey)
const carolId = agentIdOf(carol.publicKey)
const entry = { id: aliceId, name: "alice", status: "idle", did: aliceDid }

type Answers = NonNullable<FakeRelayOptions["answers"]>

/** A relay with this roster. */
function withRoster(...roster: readonly object[]): Answers {
  return { LIST_AGENTS: ({ id: re }) => ({ type: "AGENTS", re, list: [], roster }) }
}

/** A relay that accepts every statement. */
const acceptsAll: Answers = Object.fromEntries(
  ["PROPOSAL", "ACCEPT", "REJECT", "COMPLETE", "DISPUTE"].map((verb) => [
    verb,
    (frame: Statement) => relayed(frame, { re: frame.id, name: "bob" }),
  ]),
)

/** A deal that Bob proposed to Alice, after the given steps. */
function bobsDeal(...steps: Parameters<typeof dealAfter>[0]): Deal {
  return dealAfter(steps, propose({ to: aliceDid }, bob))
}

function refusal(code: string, retryAfterMs?: number) {
  return ({ id: re }: { id?: string }) => ({
    type: "ERROR",
    re,
    code,
    message: "no",
    ...(retryAfterMs === undefined ? {} : { retry_after_ms: retryAfterMs }),
  })
}

const statementsIn = (frames: readonly ClientFrame[], verb: Verb) =>
  frames.filter(({ type }) => type === verb).map((frame) => readStatement(frame))

describe("propose", () => {
  it("signs for the key that belongs to the agent id, and returns the recorded proposal", async () => {
    const { client, session, events } = await enter({ ...withRoster(entry), ...acceptsAll })
    const offer = { task: "echo", amount: 0.05, currency: "SOL", payment_code: "PM8T", expires: 300 }
    const proposal = await client.propose("@alice", offer)
    expect(proposal).toMatchObject({ type: "PROPOSAL", to: aliceId, state: "pending", task: "echo" })
    const [statement] = statementsIn(session.frames, "PROPOSAL") as [Statement<"PROPOSAL">]
    verifyStatement(statement)
    expect(statement).toMatchObject({
      ...offer,
      amount: "0.05",
      from: bobDid,
      to: aliceDid,
      aud: "relay-1",
      id: proposal.id,
      dispute_window: 604_800,
    })
    expect(events).toEqual([])
  })

  it("makes one proposal per id, and a new one without an id", async () => {
    const { client } = await enter({ ...withRoster(entry), ...acceptsAll })
    const ids = []
    for (const id of ["a", "a", undefined, undefined]) {
      ids.push((await client.propose("@alice", { task: "echo", ...(id && { id }) })).id)
    }
    expect(ids[1]).toBe(ids[0])
    expect(new Set(ids).size).toBe(3)
  })

  it.each<[string, string, object[], string]>([
    ["has swapped the key", "@alice", [{ ...entry, did: carolDid }], "VERIFICATION_FAILED"],
    ["names an invalid key", "@alice", [{ ...entry, did: "did:key:zNo" }], "VERIFICATION_FAILED"],
    [
      "names another agent than requested",
      aliceId,
      [{ ...entry, id: carolId, did: carolDid }],
      "VERIFICATION_FAILED",
    ],
    [
      "gives another agent that id",
      aliceId,
      [{ ...entry, id: carolId, name: aliceId.slice(1), did: carolDid }],
      "VERIFICATION_FAILED",
    ],
    ["knows no agent of that name", "@alice", [], "AGENT_NOT_FOUND"],
    [
      "knows no key of that agent",
      "@alice",
      [{ id: "@bbbbbbbb", name: "alice", status: "idle" }],
      "IDENTITY_REQUIRED",
    ],
  ])("sends no proposal if the relay %s", async (_what, to, roster, code) => {
    const { client, session } = await enter({ ...withRoster(...roster), ...acceptsAll })
    await expect(client.propose(to, { task: "echo" })).rejects.toMatchObject({ code })
    expect(session.frames.some(({ type }) => type === "PROPOSAL")).toBe(false)
  })

  it.each([
    [{ task: "" }, "PROPOSAL.task: must not be empty"],
    [{ task: "x", amount: -1 }, "amount: must be a decimal number"],
    [{ task: "x", expires: 0 }, "PROPOSAL.expires: must be at least 1"],
    [{ task: "x", prise: 1 }, /^PROPOSAL.prise: unknown field/],
  ])("refuses %j without asking for a signature", async (offer, message) => {
    const { client, session } = await enter({ ...withRoster(entry), ...acceptsAll })
    await expect(client.propose("@alice", offer)).rejects.toMatchObject({
      code: "INVALID_MSG",
      message: expect.stringMatching(message),
    })
    expect(session.frames.some(({ type }) => type === "PROPOSAL")).toBe(false)
  })

  it("does not accept another statement as the answer", async () => {
    const other = propose({ id: "prop_0009", to: aliceDid }, bob)
    const { client } = await enter({
      ...withRoster(entry),
      PROPOSAL: ({ id: re }) => relayed(other, { re }),
    })
    await expect(client.propose("@alice", { task: "x" })).rejects.toMatchObject({
      code: "VERIFICATION_FAILED",
    })
  })

  it("rejects without an identity, with a hint how to get one", async () => {
    const relay = await FakeRelay.start()
    const client = new AgentChatClient({ server: relay.url, name: "bob" })
    await client.connect()
    for (const call of [
      () => client.propose("@alice", { task: "x" }),
      () => client.accept("prop_0001"),
      () => client.complete("prop_0001"),
      () => client.proposals(),
      () => client.receipt("prop_0001"),
    ]) {
      await expect(call()).rejects.toMatchObject({
        code: "IDENTITY_REQUIRED",
        hint: expect.stringContaining("agentchat identity --generate"),
      })
    }
    await client.disconnect()
  })

  it("rejects while there is no session", async () => {
    const { client } = await enter()
    await client.disconnect()
    await expect(client.propose("@alice", { task: "x" })).rejects.toMatchObject({ code: "UNREACHABLE" })
  })
})

describe("an answer", () => {
  it("follows from the last statement that the relay lists if the deal is unknown", async () => {
    const deal = dealAfter([])
    const { client, session } = await enter({ ...withDeals(deal), ...acceptsAll })
    expect(await client.accept(deal.id, "my-code")).toMatchObject({
      type: "ACCEPT",
      proposal_id: deal.id,
      state: "accepted",
      payment_code: "my-code",
    })
    const [accept] = statementsIn(session.frames, "ACCEPT") as [Statement]
    verifyStatement(accept)
    expect(advanceDeal(deal, accept).state).toBe("accepted")
  })

  it("requests nothing from the relay if the deal is known", async () => {
    const { client, session, events } = await enter(acceptsAll)
    session.send(relayed(propose()))
    await until("the proposal", () => events.length === 1)
    expect(await client.reject("prop_0001", "no time")).toMatchObject({
      state: "rejected",
      reason: "no time",
    })
    expect(session.frames.some(({ type }) => type === "LIST_PROPOSALS")).toBe(false)
  })

  it("is signed again if the other party answered first", async () => {
    let deal = dealAfter([["ACCEPT", bob]])
    let isStale = true
    const { client, session, clock } = await enter({
      ...acceptsAll,
      LIST_PROPOSALS: (frame, to) => withDeals(deal).LIST_PROPOSALS?.(frame, to),
      COMPLETE: (frame) => {
        if (!isStale) return relayed(frame as Statement, { re: frame.id })
        isStale = false
        deal = advanceDeal(deal, answer(deal, "COMPLETE", alice))
        return refusal("STATEMENT_STALE", 250)(frame)
      },
    })
    const completing = client.complete(deal.id, "tx:1")
    await session.received("COMPLETE")
    await until("the wait", () => clock.pending.includes(250))
    clock.advance(250)
    expect(await completing).toMatchObject({ state: "completed", proof: "tx:1" })
    const [first, second] = statementsIn(session.frames, "COMPLETE") as [Statement, Statement]
    expect(second.id).toBe(first.id)
    expect(advanceDeal(deal, second).chain).toHaveLength(4)
  })

  it("gives up after the other party was first several times", async () => {
    const deal = dealAfter([["ACCEPT", bob]])
    const { client, session } = await enter({ ...withDeals(deal), COMPLETE: refusal("STATEMENT_STALE") })
    await expect(client.complete(deal.id)).rejects.toMatchObject({ code: "STATEMENT_STALE" })
    expect(statementsIn(session.frames, "COMPLETE")).toHaveLength(3)
  })

  it("is checked against the fetched deal before it is refused as illegal", async () => {
    const later = dealAfter([["ACCEPT", bob]])
    const { client, session, events } = await enter({ ...withDeals(later), ...acceptsAll })
    session.send(relayed(propose()))
    await until("the proposal", () => events.length === 1)
    expect(await client.dispute("prop_0001", "nothing came", { fault: "other" })).toMatchObject({
      state: "disputed",
      fault: "other",
    })
    await expect(client.accept("prop_0001")).rejects.toMatchObject({ code: "PROPOSAL_STATE" })
    expect(session.frames.some(({ type }) => type === "ACCEPT")).toBe(false)
  })

  it("is refused before it is sent if it is not the agent's turn, too late, or to an unknown proposal", async () => {
    const own = bobsDeal()
    const { client, clock } = await enter({
      ...withDeals(own, dealAfter([], propose({ id: "prop_0002", expires: 1 }))),
      ...acceptsAll,
    })
    await expect(client.accept(own.id)).rejects.toMatchObject({ code: "NOT_A_PARTY" })
    await expect(client.accept("prop_0009")).rejects.toMatchObject({ code: "PROPOSAL_NOT_FOUND" })
    clock.advance(1_001)
    await expect(client.accept("prop_0002")).rejects.toMatchObject({ code: "PROPOSAL_EXPIRED" })
  })
})

describe("complete", () => {
  it("waits for the answer to your own proposal", async () => {
    const { client, session, events } = await enter({ ...withDeals(bobsDeal()), ...acceptsAll })
    const completing = client.complete("prop_0001", "tx:1")
    await session.received("LIST_PROPOSALS", 2)
    await client.ping()
    expect(session.frames.some(({ type }) => type === "COMPLETE")).toBe(false)
    session.send(relayed(answer(bobsDeal(), "ACCEPT", alice)))
    expect(await completing).toMatchObject({ type: "COMPLETE", state: "completed", proof: "tx:1" })
    expect(events).toMatchObject([{ type: "ACCEPT" }])
  })

  it("rejects when the other party rejects, or the session ends", async () => {
    const { client, session } = await enter({ ...withDeals(bobsDeal()), ...acceptsAll })
    const completing = client.complete("prop_0001")
    await session.received("LIST_PROPOSALS", 2)
    session.send(relayed(answer(bobsDeal(), "REJECT", alice)))
    await expect(completing).rejects.toMatchObject({ code: "PROPOSAL_STATE" })
    const other = await enter({ ...withDeals(bobsDeal()), ...acceptsAll })
    const cut = other.client.complete("prop_0001")
    await other.session.received("LIST_PROPOSALS", 2)
    await other.client.ping()
    const refused = expect(cut).rejects.toMatchObject({ code: "UNREACHABLE" })
    await other.client.disconnect()
    await refused
  })

  it("continues to wait in the next session", async () => {
    const { client, relay, session, clock } = await enter(
      { ...withDeals(bobsDeal()), ...acceptsAll },
      { reconnect: true, random: () => 0 },
    )
    const completing = client.complete("prop_0001")
    await session.received("LIST_PROPOSALS", 2)
    await client.ping()
    session.socket.terminate()
    await until("the loss", () => !client.isConnected)
    clock.advance(0)
    const next = await relay.session(1)
    await until("the return", () => client.isConnected)
    next.send(relayed(answer(bobsDeal(), "ACCEPT", alice)))
    expect(await completing).toMatchObject({ state: "completed" })
    expect(statementsIn(next.frames, "COMPLETE")).toHaveLength(1)
  })

  it("asks the relay once more, then rejects, when the time to accept is over", async () => {
    const short = dealAfter([], propose({ to: aliceDid, expires: 1 }, bob))
    const { client, session, clock } = await enter({ ...withDeals(short), ...acceptsAll })
    const completing = client.complete("prop_0001")
    completing.catch(() => {})
    await until("the wait", () => clock.pending.includes(1_001))
    const asked = (await session.received("LIST_PROPOSALS")).length
    clock.advance(1_001)
    await expect(completing).rejects.toMatchObject({ code: "PROPOSAL_EXPIRED" })
    expect((await session.received("LIST_PROPOSALS")).length).toBeGreaterThan(asked)
  })

  it("does not wait if the other party proposed the deal", async () => {
    const { client } = await enter({ ...withDeals(dealAfter([])), ...acceptsAll })
    await expect(client.complete("prop_0001")).rejects.toMatchObject({ code: "PROPOSAL_STATE" })
  })
})

describe("proposals", () => {
  it("lists verified deals with their current state and all answers", async () => {
    const done = bobsDeal(["ACCEPT", alice], ["COMPLETE", bob])
    const open = dealAfter([], propose({ id: "prop_0002", expires: 1 }))
    const { client, clock } = await enter(withDeals(done, open))
    expect(await client.proposals()).toMatchObject([
      {
        id: "prop_0001",
        state: "completed",
        task: "echo hello",
        steps: [{ type: "ACCEPT", state: "accepted" }, { type: "COMPLETE" }],
      },
      { id: "prop_0002", state: "pending", from: aliceId, steps: [] },
    ])
    clock.advance(1_001)
    expect(await client.proposals({ id: "prop_0002" })).toMatchObject([{ state: "expired" }])
    await expect(client.proposals({ id: "prop_0009" })).rejects.toMatchObject({ code: "PROPOSAL_NOT_FOUND" })
  })

  it("requests further pages, and stops at a relay that repeats itself", async () => {
    const deals = [1, 2, 3].map((n) => openDeal(propose({ id: `prop_000${n}`, ts: propose().ts + n })))
    const { client, session } = await enter({
      LIST_PROPOSALS: ({ id: re, since = 0 }) => {
        const list = deals.filter(({ chain: [{ ts }] }) => ts >= since).slice(0, 2)
        const entries = list.map(({ id, state, chain }) => ({ id, state, statements: chain, names: {} }))
        return { type: "PROPOSALS", re, list: entries, more: true }
      },
    })
    expect((await client.proposals()).map(({ id }) => id)).toEqual(["prop_0001", "prop_0002", "prop_0003"])
    expect((await session.received("LIST_PROPOSALS")).length).toBeLessThan(6)
  })

  it("rejects if one statement is forged", async () => {
    const deal = dealAfter([])
    const forged = { ...deal, chain: [{ ...deal.chain[0], task: "more" }] as const }
    const { client } = await enter(withDeals(forged))
    await expect(client.proposals()).rejects.toMatchObject({ code: "VERIFICATION_FAILED" })
  })
})

describe("receipt", () => {
  it("contains the signed chain once a party has completed the deal", async () => {
    const done = bobsDeal(["ACCEPT", alice], ["COMPLETE", bob])
    const { client } = await enter(withDeals(done, dealAfter([], propose({ id: "prop_0002", expires: 1 }))))
    const [proposal, accept, complete] = done.chain
    expect(await client.receipt("prop_0001")).toEqual({
      v: 1,
      type: "RECEIPT",
      proposal,
      accept,
      complete: [complete],
    })
    await expect(client.receipt("prop_0002")).rejects.toMatchObject({ code: "PROPOSAL_STATE" })
    await expect(client.receipt("prop_0009")).rejects.toMatchObject({ code: "PROPOSAL_NOT_FOUND" })
  })

  it("is available after the relay has deleted the deal", async () => {
    const done = bobsDeal(["ACCEPT", alice], ["COMPLETE", bob])
    const known = [done]
    const { client } = await enter({
      LIST_PROPOSALS: (frame, to) => withDeals(...known).LIST_PROPOSALS?.(frame, to),
    })
    await client.proposals()
    known.pop()
    expect((await client.receipt("prop_0001")).complete).toHaveLength(1)
  })
})
