import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { DealEngine, type VerifiedStatement } from "../../../src/client/deals/deal-engine.js"
import { agentIdOf, formatDidKey } from "../../../src/identity/keys.js"
import type { KeyPair } from "../../../src/identity/signer.js"
import type { Deal } from "../../../src/proposals/deal.js"
import { openDeal } from "../../../src/proposals/deal.js"
import { signStatement } from "../../../src/proposals/statement.js"
import type { Statement } from "../../../src/protocol/statements.js"
import { alice, answer, aud, bob, carol, carolDid, dealAfter, propose, type Step } from "../../kit/deals.js"
import { FakeClock } from "../../kit/fake-clock.js"

const steps: readonly Step[] = [
  ["ACCEPT", bob],
  ["COMPLETE", bob],
  ["COMPLETE", alice],
  ["DISPUTE", alice],
]
const whole = dealAfter(steps)
const code = (expected: string): Error => expect.objectContaining({ code: expected }) as Error

/** The engine of one agent, without a relay. */
class Party {
  readonly added: VerifiedStatement[] = []
  readonly #deals = new Map<string, Deal>()
  readonly #engine: DealEngine

  constructor(keyPair: KeyPair) {
    const did = formatDidKey(keyPair.publicKey)
    const identity = {
      agentId: agentIdOf(keyPair.publicKey),
      did,
      keyPair,
      createdTs: 0,
      rotations: [],
      grants: [],
    }
    const relay = { serverId: () => aud, request: () => Promise.reject(new Error("no relay")) }
    this.#engine = new DealEngine(
      { identity, clock: new FakeClock(), relay },
      {
        get: (id) => this.#deals.get(id),
        add: (verified) => {
          this.added.push(verified)
          this.#deals.set(verified.deal.id, verified.deal)
        },
        onInvalid: () => {},
        onDeferred: () => {},
      },
    )
  }

  get(id: string): Deal | undefined {
    return this.#deals.get(id)
  }

  take(statement: Statement, server = aud): Deal {
    return this.#engine.take(statement, server)
  }

  takeAll(statements: readonly Statement[]): void {
    for (const statement of statements) this.take(statement)
  }
}

function partyAfter(deal: Deal, owner = bob): Party {
  const party = new Party(owner)
  party.takeAll(deal.chain)
  return party
}

describe("DealEngine", () => {
  it.each([
    ["the proposer", alice],
    ["the recipient", bob],
  ])("adds each statement of a deal once, for %s", (_who, owner) => {
    const party = new Party(owner)
    whole.chain.forEach((statement, index) => {
      for (let times = 0; times < 2; times++) {
        const deal = party.take(structuredClone(statement))
        expect(deal.chain).toHaveLength(index + 1)
        expect(party.added).toHaveLength(index + 1)
      }
    })
    expect(party.get(whole.id)).toEqual(whole)
    expect(party.added).toMatchObject(whole.chain.map((statement) => ({ statement, isNew: true })))
  })

  it("adds only the missing statements of a chain", () => {
    for (let known = 0; known <= whole.chain.length; known++) {
      const party = new Party(alice)
      party.takeAll(whole.chain.slice(0, known))
      const added = party.added.splice(0)
      expect(added).toHaveLength(known)
      party.takeAll(whole.chain)
      expect(party.added.map(({ deal }) => deal.chain.length)).toEqual([1, 2, 3, 4, 5].slice(known))
      expect(party.get(whole.id)).toEqual(whole)
    }
  })

  it("ends with a valid prefix of the deal, in whatever order statements arrive", () => {
    const order = fc.array(fc.nat(whole.chain.length - 1), { maxLength: 20 })
    fc.assert(
      fc.property(order, (places) => {
        const party = new Party(bob)
        for (const place of places) {
          try {
            party.take(whole.chain[place] ?? whole.chain[0], aud)
          } catch (error) {
            expect(error).toMatchObject({ name: "ChatError" })
          }
        }
        const chain = party.get(whole.id)?.chain ?? []
        expect(chain).toEqual(whole.chain.slice(0, chain.length))
      }),
    )
  })

  it("refuses a proposal between other agents", () => {
    const party = new Party(carol)
    expect(() => party.take(whole.chain[0], aud)).toThrow(code("NOT_A_PARTY"))
    expect(party.added).toEqual([])
  })

  it("refuses a proposal made for another relay", () => {
    const party = new Party(bob)
    expect(() => party.take(whole.chain[0], "relay-2")).toThrow(code("VERIFICATION_FAILED"))
  })

  it("refuses an answer to an unknown proposal", () => {
    const party = new Party(bob)
    const [, accept] = whole.chain
    expect(() => party.take(accept ?? whole.chain[0], aud)).toThrow(code("PROPOSAL_NOT_FOUND"))
  })

  it.each(["task", "aud", "to", "ts", "sig"] as const)(
    "refuses a proposal whose %s the relay changed",
    (member) => {
      const [proposal, accept] = whole.chain
      const others = { task: "x", aud: "x", to: carolDid, ts: proposal.ts + 1, sig: accept?.sig }
      const changed = { ...proposal, [member]: others[member] }
      const party = new Party(alice)
      expect(() => party.take(changed, member === "aud" ? "x" : aud)).toThrow(code("VERIFICATION_FAILED"))
      expect(party.added).toEqual([])
    },
  )

  it("refuses a statement whose signature is of another key or another type", () => {
    const party = partyAfter(openDeal(whole.chain[0]), alice)
    const forged = answer(openDeal(whole.chain[0]), "ACCEPT", carol)
    const { sig: _sig, ...claimed } = answer(openDeal(whole.chain[0]), "ACCEPT", bob)
    expect(() => party.take({ ...claimed, sig: forged.sig }, aud)).toThrow(code("VERIFICATION_FAILED"))
    const typ = signStatement({ ...claimed, type: "REJECT" }, bob)
    expect(() => party.take({ ...claimed, sig: typ.sig }, aud)).toThrow(code("VERIFICATION_FAILED"))
    expect(party.get(whole.id)?.state).toBe("pending")
  })

  it("refuses the second of two answers that contradict each other", () => {
    const open = openDeal(whole.chain[0])
    const party = partyAfter(dealAfter([["ACCEPT", bob]]), alice)
    expect(() => party.take(answer(open, "REJECT", bob), aud)).toThrow(code("PROPOSAL_STATE"))
    const other = dealAfter([["ACCEPT", bob, { id: "acc_other" }]])
    expect(() => party.takeAll(other.chain)).toThrow(code("PROPOSAL_STATE"))
    expect(party.get(whole.id)?.state).toBe("accepted")
  })

  it("refuses a second proposal under a known id", () => {
    const party = partyAfter(whole)
    expect(() => party.take(propose({ task: "another" }), aud)).toThrow(code("PROPOSAL_STATE"))
    const stranger = propose({ to: whole.chain[0].to }, carol)
    expect(() => party.take(stranger, aud)).toThrow(code("PROPOSAL_STATE"))
    expect(party.get(whole.id)).toEqual(whole)
  })
})
