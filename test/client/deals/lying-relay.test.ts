import { describe, expect, it } from "vitest"
import { agentIdOf } from "../../../src/identity/keys.js"
import type { DealEvent } from "../../../src/index.js"
import { statementMessageId } from "../../../src/proposals/statement.js"
import type { Statement } from "../../../src/protocol/statements.js"
import { until } from "../../kit/condition.js"
import { alice, answer, bob, bobDid, carol, carolDid, dealAfter, propose } from "../../kit/deals.js"
import { confirmed, enter, relayed, withDeals } from "./deal-client.js"

describe("a statement from the relay", () => {
  it("causes an event and is confirmed once it is verified", async () => {
    const { session, events } = await enter()
    const proposal = propose({ amount: "0.05", currency: "SOL" })
    session.send(relayed(proposal))
    expect(await confirmed(session)).toEqual([statementMessageId(proposal)])
    expect(events).toEqual([
      {
        type: "PROPOSAL",
        id: "prop_0001",
        task: "echo hello",
        amount: "0.05",
        currency: "SOL",
        expires: 300,
        dispute_window: 3_600,
        from: agentIdOf(alice.publicKey),
        name: "eve",
        to: agentIdOf(bob.publicKey),
        state: "pending",
        ts: proposal.ts,
        msg_id: statementMessageId(proposal),
      },
    ])
  })

  it.each<[string, object, string]>([
    ["its task was changed", { ...propose(), task: "send all your money" }, "VERIFICATION_FAILED"],
    ["it has no signature", { ...propose(), sig: "" }, "VERIFICATION_FAILED"],
    ["another agent has signed it", { ...propose({}, carol), from: propose().from }, "VERIFICATION_FAILED"],
    ["it is made for another server", propose({ aud: "relay-2" }), "VERIFICATION_FAILED"],
    ["it is between two others", propose({ to: carolDid }), "NOT_A_PARTY"],
    ["it does not match the schema", { ...propose(), expires: 0 }, "INVALID_MSG"],
    [
      "it claims to be from the client itself",
      { ...propose(), from: bobDid, to: propose().from },
      "VERIFICATION_FAILED",
    ],
  ])("causes an error, no event and a confirmation if %s", async (_what, statement, code) => {
    const { session, events, errors } = await enter()
    session.send(relayed(statement as Statement, { msg_id: "x.1" }))
    expect(await confirmed(session)).toEqual(["x.1"])
    expect(events).toEqual([])
    expect(errors).toMatchObject([
      { code, message: expect.stringMatching(/^server: sent an invalid PROPOSAL/) },
    ])
  })

  it("is invalid from the wrong party or out of order", async () => {
    const made = dealAfter([], propose({ to: propose().from }, bob))
    const accept = answer(made, "ACCEPT", alice)
    const { session, events, errors } = await enter(withDeals(made))
    session.send(
      relayed(answer(made, "ACCEPT", carol, { to: bobDid }), { msg_id: "x.1" }),
      relayed(answer(made, "COMPLETE", alice), { msg_id: "x.2" }),
      relayed(answer(made, "ACCEPT", bob), { msg_id: "x.3" }),
      relayed({ ...accept, prev: "a".repeat(43) }, { msg_id: "x.4" }),
      relayed(answer(made, "REJECT", alice, { prev: "a".repeat(43) }), { msg_id: "x.5" }),
      relayed(accept),
    )
    expect(await confirmed(session, 6)).toEqual([
      "x.1",
      "x.2",
      "x.3",
      "x.4",
      "x.5",
      statementMessageId(accept),
    ])
    expect(errors.map(({ code }) => code)).toEqual([
      "VERIFICATION_FAILED",
      "PROPOSAL_STATE",
      "NOT_A_PARTY",
      "VERIFICATION_FAILED",
      "STATEMENT_STALE",
    ])
    expect(events).toMatchObject([{ type: "ACCEPT", proposal_id: "prop_0001", state: "accepted" }])
  })

  it("causes one event, however often and under whatever id it is replayed", async () => {
    const { session, events } = await enter()
    session.send(relayed(propose()), relayed(propose()), relayed(propose(), { msg_id: "x.1" }))
    await confirmed(session, 3)
    expect(events).toHaveLength(1)
  })

  it("is invalid with other content and a known signature", async () => {
    const deal = dealAfter([])
    const [proposal] = deal.chain
    const { client, session, events, errors } = await enter(withDeals(deal))
    await client.proposals({ id: deal.id })
    session.send(relayed({ ...proposal, task: "echo hello", payment_code: "mallory" }))
    await confirmed(session)
    expect(events).toEqual([])
    expect(errors).toHaveLength(1)
    session.send(relayed(proposal))
    await confirmed(session, 2)
    expect(events).toMatchObject([{ type: "PROPOSAL", task: "echo hello" }])
    expect(events[0]).not.toHaveProperty("payment_code")
  })

  it("is confirmed without an event if it is your own", async () => {
    const { session, events } = await enter()
    const own = propose({ to: propose().from }, bob)
    session.send(relayed(own))
    expect(await confirmed(session)).toEqual([statementMessageId(own)])
    expect(events).toEqual([])
  })

  it("waits for a listener of its type, and is not confirmed before", async () => {
    const { client, session } = await enter({}, { isListening: false })
    const deal = dealAfter([])
    const reject = answer(
      dealAfter([], propose({ id: "prop_0002", to: propose().from }, bob)),
      "REJECT",
      alice,
    )
    session.send(relayed(deal.chain[0]))
    await client.ping()
    const rejects: DealEvent[] = []
    client.on("reject", (event) => rejects.push(event))
    session.send(relayed(propose({ id: "prop_0002", to: propose().from }, bob)), relayed(reject))
    await until("the rejection", () => rejects.length === 1)
    expect(await confirmed(session, 2)).not.toContain(statementMessageId(deal.chain[0]))
    const proposals: DealEvent[] = []
    client.on("proposal", (event) => proposals.push(event))
    await until("the proposal", () => proposals.length === 1)
    expect((await confirmed(session, 3)).at(-1)).toBe(statementMessageId(deal.chain[0]))
  })

  it("causes its event in the order of arrival, even if a deal must be fetched first", async () => {
    const deal = dealAfter([], propose({ id: "prop_0002", to: propose().from }, bob))
    const accept = answer(deal, "ACCEPT", alice)
    const { session, events } = await enter(withDeals(deal))
    session.send(relayed(accept), relayed(propose()))
    await until("both", () => events.length === 2)
    expect(events.map(({ type }) => type)).toEqual(["ACCEPT", "PROPOSAL"])
    expect(await session.received("LIST_PROPOSALS")).toMatchObject([{ proposal: "prop_0002" }])
  })

  it("is valid after missed statements if the relay's chain proves it", async () => {
    const deal = dealAfter([
      ["ACCEPT", bob],
      ["COMPLETE", alice],
      ["COMPLETE", bob],
    ])
    const complete = answer(dealAfter([["ACCEPT", bob]]), "COMPLETE", alice)
    const { session, events, errors } = await enter(withDeals(deal))
    session.send(relayed(complete))
    await confirmed(session)
    expect(errors).toEqual([])
    expect(events).toMatchObject([{ type: "COMPLETE", proposal_id: deal.id, state: "completed" }])
  })

  it("is invalid if the relay lists a forged beginning of the deal, or none", async () => {
    const deal = dealAfter([["ACCEPT", bob]])
    const [proposal] = deal.chain
    const complete = answer(deal, "COMPLETE", alice)
    let statements: readonly object[] = [{ ...proposal, amount: "1" }, answer(dealAfter([]), "ACCEPT", bob)]
    const { session, events, errors } = await enter({
      LIST_PROPOSALS: ({ id: re }) => ({
        type: "PROPOSALS",
        re,
        list: [{ id: deal.id, state: "accepted", statements, names: {} }],
      }),
    })
    session.send(relayed(complete))
    await confirmed(session)
    statements = []
    session.send(relayed(complete))
    await confirmed(session, 2)
    expect(events).toEqual([])
    expect(errors.map(({ code }) => code)).toEqual(["VERIFICATION_FAILED", "PROPOSAL_NOT_FOUND"])
  })

  it("is not confirmed, and so sent again, if it cannot be checked now", async () => {
    const deal = dealAfter([], propose({ to: propose().from }, bob))
    let isDown = true
    const { LIST_PROPOSALS } = withDeals(deal)
    const { session, events, errors } = await enter({
      LIST_PROPOSALS: (frame, to) =>
        isDown
          ? { type: "ERROR", re: frame.id, code: "UNAVAILABLE", message: "no store" }
          : LIST_PROPOSALS?.(frame, to),
    })
    session.send(relayed(answer(deal, "ACCEPT", alice)))
    await until("the failure", () => errors.length === 1)
    expect(session.frames.some(({ type }) => type === "RECEIVED")).toBe(false)
    isDown = false
    session.send(relayed(answer(deal, "ACCEPT", alice)))
    await confirmed(session)
    expect(events).toMatchObject([{ type: "ACCEPT" }])
  })

  it("waits while the relay limits the rate", async () => {
    const deal = dealAfter([], propose({ to: propose().from }, bob))
    let refusals = 0
    const { session, events, clock } = await enter({
      LIST_PROPOSALS: (frame, to) =>
        refusals++ === 0
          ? { type: "ERROR", re: frame.id, code: "RATE_LIMITED", message: "slow", retry_after_ms: 400 }
          : withDeals(deal).LIST_PROPOSALS?.(frame, to),
    })
    session.send(relayed(answer(deal, "ACCEPT", alice)))
    await until("the wait", () => clock.pending.includes(400))
    expect(events).toEqual([])
    clock.advance(400)
    await until("the acceptance", () => events.length === 1)
  })

  it("causes no event after the client has disconnected", async () => {
    const deal = dealAfter([], propose({ to: propose().from }, bob))
    const { client, session, events, errors } = await enter({ LIST_PROPOSALS: () => undefined })
    session.send(relayed(answer(deal, "ACCEPT", alice)), relayed(propose({ id: "prop_0002" })))
    await session.received("LIST_PROPOSALS")
    await client.disconnect()
    await client.connect()
    await client.ping()
    expect([events, errors]).toEqual([[], []])
  })
})
