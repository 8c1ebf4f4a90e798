import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { openDeal } from "../../src/proposals/deal.js"
import { signAnswer, signProposal, statementId } from "../../src/proposals/draft.js"
import { readStatement, verifyStatement } from "../../src/proposals/statement.js"
import type { AgentRef } from "../../src/protocol/names.js"
import { amountPattern, type Draft } from "../../src/protocol/statements.js"
import { verbs } from "../../src/protocol/verbs.js"
import { alice, aliceDid, aud, bob, bobDid, carol, dealAfter, propose, startTs } from "../kit/deals.js"

const draft: Draft<"PROPOSAL"> = { type: "PROPOSAL", to: "@bob" as AgentRef, task: "echo hello" }
const address = { to: bobDid, aud }
const signing = { keyPair: alice, id: "prop_0001", now: startTs }
const code = (expected: string): Error => expect.objectContaining({ code: expected }) as Error

describe("statementId", () => {
  it("is the same each time a draft is tried, and another for each agent, act and draft", () => {
    const ids = verbs.flatMap((verb) =>
      [aliceDid, bobDid].flatMap((did) => ["1", "2"].map((key) => statementId(verb, did, key))),
    )
    expect(new Set(ids).size).toBe(ids.length)
    expect(statementId("PROPOSAL", aliceDid, "1")).toBe(ids[0])
  })

  it("has the form every act's id has", () => {
    fc.assert(
      fc.property(fc.constantFrom(...verbs), fc.string({ unit: "binary" }), (verb, key) => {
        expect(statementId(verb, aliceDid, key)).toMatch(/^(?:prop|acc|rej|comp|disp)_[a-z2-7]{16}$/)
      }),
    )
  })
})

describe("signProposal", () => {
  it("says what the draft says, and how long it is good for", () => {
    const statement = signProposal(draft, address, signing)
    const { sig, ...said } = statement
    expect(said).toEqual({
      v: 1,
      type: "PROPOSAL",
      id: "prop_0001",
      from: aliceDid,
      to: bobDid,
      ts: startTs,
      aud,
      task: "echo hello",
      expires: 604_800,
      dispute_window: 604_800,
    })
    expect(sig).toMatch(/^[\w-]+\.\.[\w-]{86}$/)
    expect(() => verifyStatement(readStatement(JSON.parse(JSON.stringify(statement))))).not.toThrow()
    expect(signProposal(draft, address, signing)).toEqual(statement)
  })

  it.each([
    [0.05, "0.05"],
    ["0.050", "0.050"],
    [0, "0"],
    [1, "1"],
    [1e20, "100000000000000000000"],
    [0.000001, "0.000001"],
    ["999999999999999999999.000000000000000001", "999999999999999999999.000000000000000001"],
  ])("writes the amount %j as %j", (amount, text) => {
    expect(signProposal({ ...draft, amount }, address, signing).amount).toBe(text)
  })

  it.each([1e21, 1e-7, Number.NaN, Number.POSITIVE_INFINITY, -1, "1e3", "5.", "", " 1"])(
    "does not guess at the amount %j",
    (amount) => {
      const hint = 'write it as text: "0.0000001"'
      expect(() => signProposal({ ...draft, amount }, address, signing)).toThrow(
        expect.objectContaining({ code: "INVALID_MSG", hint }),
      )
    },
  )

  it("keeps any number it takes exactly", () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 1e20, noNaN: true }), (amount) => {
        try {
          const text = signProposal({ ...draft, amount }, address, signing).amount ?? ""
          expect(text).toMatch(amountPattern)
          expect(Number(text)).toBe(amount)
        } catch (error) {
          expect(error).toMatchObject({ code: "INVALID_MSG" })
          expect(String(amount)).toMatch(/e|\.\d{19}/)
        }
      }),
    )
  })

  it("cannot be to yourself", () => {
    expect(() => signProposal(draft, { ...address, to: aliceDid }, signing)).toThrow("to: cannot be yourself")
  })
})

describe("signAnswer", () => {
  const deal = openDeal(propose())
  const accept = { type: "ACCEPT", proposal_id: "prop_0001" } as const

  it("answers the last statement, to the other party, on the same relay", () => {
    const { statement, deal: after } = signAnswer(deal, accept, { keyPair: bob, id: "a1", now: startTs + 5 })
    expect(statement).toMatchObject({
      from: bobDid,
      to: aliceDid,
      aud,
      prev: deal.head,
      ts: startTs + 5,
      id: "a1",
    })
    expect(after).toMatchObject({ state: "accepted", chain: [deal.chain[0], statement] })
    expect(() => verifyStatement(statement)).not.toThrow()
  })

  it("lets no time run backwards, though clocks differ", () => {
    const { statement } = signAnswer(deal, accept, { keyPair: bob, id: "a1", now: startTs - 60_000 })
    expect(statement.ts).toBe(startTs)
  })

  it.each([
    ["a stranger", carol, accept, startTs, "NOT_A_PARTY"],
    ["the proposer, to accept", alice, accept, startTs, "NOT_A_PARTY"],
    ["anybody too late", bob, accept, startTs + 300_001, "PROPOSAL_EXPIRED"],
    [
      "anybody to complete what is not accepted",
      bob,
      { ...accept, type: "COMPLETE" as const },
      startTs,
      "PROPOSAL_STATE",
    ],
  ])("refuses %s", (_who, keyPair, said, now, expected) => {
    expect(() => signAnswer(deal, said, { keyPair, id: "a1", now })).toThrow(code(expected))
  })

  it("does not sign a time far ahead because the other party did", () => {
    const signAt = (now: number) => signAnswer(deal, accept, { keyPair: bob, id: "a1", now })
    expect(signAt(startTs - 600_000).statement.ts).toBe(startTs)
    expect(() => signAt(startTs - 600_001)).toThrow(code("INVALID_MSG"))
  })

  it("does not answer another deal than it was written for", () => {
    const other = { ...accept, proposal_id: "prop_0002" }
    expect(() => signAnswer(deal, other, { keyPair: bob, id: "a1", now: startTs })).toThrow(
      code("VERIFICATION_FAILED"),
    )
  })

  it("carries reason, proof and fault", () => {
    const accepted = dealAfter([["ACCEPT", bob]])
    const dispute = { type: "DISPUTE", proposal_id: "prop_0001", reason: "no", fault: "other" } as const
    const now = startTs + 9_000
    expect(signAnswer(accepted, dispute, { keyPair: alice, id: "d1", now }).statement).toMatchObject(dispute)
    const complete = { type: "COMPLETE", proposal_id: "prop_0001", proof: "hello" } as const
    expect(signAnswer(accepted, complete, { keyPair: bob, id: "c1", now }).statement).toMatchObject(complete)
  })
})
