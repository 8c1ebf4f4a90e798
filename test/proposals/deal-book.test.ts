import fc from "fast-check"
import { describe, expect, it } from "vitest"
import type { Deal } from "../../src/proposals/deal.js"
import { openDeal } from "../../src/proposals/deal.js"
import { DealBook } from "../../src/proposals/deal-book.js"
import { signStatement } from "../../src/proposals/statement.js"
import { alice, answer, aud, bob, carol, carolDid, dealAfter, propose, type Step } from "../kit/deals.js"

const steps: readonly Step[] = [
  ["ACCEPT", bob],
  ["COMPLETE", bob],
  ["COMPLETE", alice],
  ["DISPUTE", alice],
]
const whole = dealAfter(steps)
const code = (expected: string): Error => expect.objectContaining({ code: expected }) as Error

function bookAfter(deal: Deal, owner = bob): DealBook {
  const book = new DealBook(owner.publicKey)
  book.takeChain(deal.chain, aud)
  return book
}

describe("DealBook", () => {
  it.each([
    ["the proposer", alice],
    ["the recipient", bob],
  ])("follows a deal as %s, step by step, each once", (_who, owner) => {
    const book = new DealBook(owner.publicKey)
    whole.chain.forEach((statement, index) => {
      const isNew = book.take(structuredClone(statement), aud)
      expect(isNew).toMatchObject({ isNew: true, deal: { chain: { length: index + 1 } } })
      const again = book.take(structuredClone(statement), aud)
      expect(again).toMatchObject({ isNew: false, deal: { chain: { length: index + 1 } } })
    })
    expect(book.get(whole.id)).toEqual(whole)
    expect(book.list()).toEqual([whole])
  })

  it("takes of a whole chain what it missed", () => {
    for (let known = 0; known <= whole.chain.length; known++) {
      const book = new DealBook(alice.publicKey)
      book.takeChain(whole.chain.slice(0, known), aud)
      const taken = book.takeChain(whole.chain, aud)
      expect(taken.map(({ deal }) => deal.chain.length)).toEqual([1, 2, 3, 4, 5].slice(known))
      expect(book.get(whole.id)).toEqual(whole)
    }
  })

  it("comes to the same deals in whatever order and how often statements come, or refuses", () => {
    const order = fc.array(fc.nat(whole.chain.length - 1), { maxLength: 20 })
    fc.assert(
      fc.property(order, (places) => {
        const book = new DealBook(bob.publicKey)
        for (const place of places) {
          try {
            book.take(whole.chain[place] ?? whole.chain[0], aud)
          } catch (error) {
            expect(error).toMatchObject({ name: "ChatError" })
          }
        }
        const chain = book.get(whole.id)?.chain ?? []
        expect(chain).toEqual(whole.chain.slice(0, chain.length))
      }),
    )
  })

  it("refuses what is between others", () => {
    const book = new DealBook(carol.publicKey)
    expect(() => book.take(whole.chain[0], aud)).toThrow(code("NOT_A_PARTY"))
    expect(book.list()).toEqual([])
  })

  it("refuses what was made for another relay", () => {
    const book = new DealBook(bob.publicKey)
    expect(() => book.take(whole.chain[0], "relay-2")).toThrow(code("VERIFICATION_FAILED"))
  })

  it("does not know what it was not told", () => {
    const book = new DealBook(bob.publicKey)
    const [, accept] = whole.chain
    expect(() => book.take(accept ?? whole.chain[0], aud)).toThrow(code("PROPOSAL_NOT_FOUND"))
  })

  it.each(["task", "aud", "to", "ts", "sig"] as const)("believes no relay that changes %s", (member) => {
    const [proposal, accept] = whole.chain
    const others = { task: "x", aud: "x", to: carolDid, ts: proposal.ts + 1, sig: accept?.sig }
    const changed = { ...proposal, [member]: others[member] }
    const book = new DealBook(alice.publicKey)
    expect(() => book.take(changed, member === "aud" ? "x" : aud)).toThrow(code("VERIFICATION_FAILED"))
    expect(book.list()).toEqual([])
  })

  it("believes no signature by another key, whoever it is from", () => {
    const book = bookAfter(openDeal(whole.chain[0]), alice)
    const forged = answer(openDeal(whole.chain[0]), "ACCEPT", carol)
    const { sig: _sig, ...claimed } = answer(openDeal(whole.chain[0]), "ACCEPT", bob)
    expect(() => book.take({ ...claimed, sig: forged.sig }, aud)).toThrow(code("VERIFICATION_FAILED"))
    const typ = signStatement({ ...claimed, type: "REJECT" }, bob)
    expect(() => book.take({ ...claimed, sig: typ.sig }, aud)).toThrow(code("VERIFICATION_FAILED"))
    expect(book.get(whole.id)?.state).toBe("pending")
  })

  it("refuses the second of two answers that contradict each other", () => {
    const open = openDeal(whole.chain[0])
    const book = bookAfter(dealAfter([["ACCEPT", bob]]), alice)
    expect(() => book.take(answer(open, "REJECT", bob), aud)).toThrow(code("PROPOSAL_STATE"))
    const other = dealAfter([["ACCEPT", bob, { id: "acc_other" }]])
    expect(() => book.takeChain(other.chain, aud)).toThrow(code("PROPOSAL_STATE"))
    expect(book.get(whole.id)?.state).toBe("accepted")
  })

  it("refuses a second proposal under a known id", () => {
    const book = bookAfter(whole)
    expect(() => book.take(propose({ task: "another" }), aud)).toThrow(code("PROPOSAL_STATE"))
    const stranger = propose({ to: whole.chain[0].to }, carol)
    expect(() => book.take(stranger, aud)).toThrow(code("PROPOSAL_STATE"))
    expect(book.get(whole.id)).toEqual(whole)
  })

  it("restores what it held, and forgets what it is told to", () => {
    const book = new DealBook(bob.publicKey)
    book.restore(structuredClone([...whole.chain]))
    expect(book.get(whole.id)).toEqual(whole)
    expect(() => book.restore(whole.chain.slice(1))).toThrow(code("INVALID_MSG"))
    book.drop(whole.id)
    expect(book.list()).toEqual([])
  })
})
