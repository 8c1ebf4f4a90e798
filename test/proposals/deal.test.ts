import fc from "fast-check"
import { describe, expect, it } from "vitest"
import type { KeyPair } from "../../src/identity/signer.js"
import {
  advanceDeal,
  agreedFault,
  type Deal,
  dealOf,
  dealRules,
  disputableUntil,
  expiryOf,
  openDeal,
  stateAt,
} from "../../src/proposals/deal.js"
import type { DealState } from "../../src/protocol/server-messages.js"
import { type Verb, verbs } from "../../src/protocol/verbs.js"
import {
  alice,
  answer,
  bob,
  bobDid,
  carol,
  carolDid,
  dealAfter,
  propose,
  type Step,
  startTs,
} from "../kit/deals.js"

/** One way into each state, and each other way that leaves other things to say. */
const ways: readonly (readonly [DealState, readonly Step[]])[] = [
  ["pending", []],
  ["accepted", [["ACCEPT", bob]]],
  ["rejected", [["REJECT", bob]]],
  [
    "completed",
    [
      ["ACCEPT", bob],
      ["COMPLETE", alice],
    ],
  ],
  [
    "completed",
    [
      ["ACCEPT", bob],
      ["COMPLETE", bob],
    ],
  ],
  [
    "completed",
    [
      ["ACCEPT", bob],
      ["COMPLETE", bob],
      ["COMPLETE", alice],
    ],
  ],
  [
    "disputed",
    [
      ["ACCEPT", bob],
      ["DISPUTE", alice],
    ],
  ],
  [
    "disputed",
    [
      ["ACCEPT", bob],
      ["DISPUTE", bob],
    ],
  ],
  [
    "disputed",
    [
      ["ACCEPT", bob],
      ["COMPLETE", bob],
      ["DISPUTE", alice],
    ],
  ],
  [
    "disputed",
    [
      ["ACCEPT", bob],
      ["COMPLETE", bob],
      ["DISPUTE", alice],
      ["DISPUTE", bob],
    ],
  ],
]
const answers = verbs.filter((verb) => verb !== "PROPOSAL")
const code = (expected: string): Error => expect.objectContaining({ code: expected }) as Error

/** The expected rule for a statement, written independently of the table. */
function isLegal(state: DealState, said: readonly Step[], verb: Verb, by: KeyPair): boolean {
  const hasSaid = said.some(([type, author]) => type === verb && author === by)
  return dealRules.some(
    (rule) =>
      rule.state === state &&
      rule.verb === verb &&
      (rule.by === "either" || (rule.by === "recipient" && by === bob) || (rule.by === "other" && !hasSaid)),
  )
}

describe("the table of states", () => {
  const every = ways.flatMap(([state, steps]) =>
    answers.flatMap((verb) => [alice, bob].map((by) => ({ state, steps, verb, by }))),
  )

  it.each(every)("$state, $verb: is taken exactly if a rule says so", ({ state, steps, verb, by }) => {
    const deal = dealAfter(steps)
    expect(deal.state).toBe(state)
    const before = structuredClone(deal)
    const step = () => advanceDeal(deal, answer(deal, verb, by))
    if (isLegal(state, steps, verb, by)) {
      const rule = dealRules.find((one) => one.state === state && one.verb === verb)
      expect(step()).toMatchObject({ state: rule?.next, chain: { length: deal.chain.length + 1 } })
    } else {
      expect(step).toThrow(/^[A-Z]+: /)
    }
    expect(deal).toEqual(before)
  })

  it("reaches every state, and nothing follows a rejection", () => {
    const reached = new Set<DealState>(ways.map(([state]) => state))
    expect(reached).toEqual(new Set(dealRules.flatMap(({ state, next }) => [state, next])))
    expect(dealRules.filter(({ state }) => state === "rejected" || state === "expired")).toEqual([])
  })

  it("holds along any way two parties may take", () => {
    const step = fc.record({
      verb: fc.constantFrom(...answers),
      isAlice: fc.boolean(),
      waitMs: fc.nat(5_000_000),
    })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 8 }), (steps) => {
        const said: Step[] = []
        let deal = openDeal(propose())
        for (const { verb, isAlice, waitMs } of steps) {
          const by = isAlice ? alice : bob
          const ts = (deal.chain.at(-1)?.ts ?? 0) + waitMs
          const until = dealRules.find((rule) => rule.state === deal.state && rule.verb === verb)?.until
          const end = until === "expires" ? expiryOf(deal) : until && disputableUntil(deal)
          const legal = isLegal(deal.state, said, verb, by) && (end === undefined || ts <= end)
          const before = deal
          try {
            deal = advanceDeal(deal, answer(deal, verb, by, { ts }))
          } catch (error) {
            expect(error).toMatchObject({ name: "ChatError" })
          }
          expect(deal !== before).toBe(legal)
          if (legal) said.push([verb, by])
          expect(dealOf(deal.chain)).toEqual(deal)
        }
      }),
      { numRuns: 60 },
    )
  })

  it("refuses a second proposal of one id", () => {
    expect(() => advanceDeal(openDeal(propose()), propose())).toThrow(code("PROPOSAL_STATE"))
  })

  it("hints at the legal answers", () => {
    const deal = dealAfter([["ACCEPT", bob]])
    const hint = "it can be answered with COMPLETE or DISPUTE"
    expect(() => advanceDeal(deal, answer(deal, "ACCEPT", bob))).toThrow(expect.objectContaining({ hint }))
  })
})

describe("whose step it is", () => {
  it.each(["ACCEPT", "REJECT"] as const)("lets only the recipient %s", (verb) => {
    const deal = openDeal(propose())
    expect(() => advanceDeal(deal, answer(deal, verb, alice))).toThrow(code("NOT_A_PARTY"))
  })

  it("takes a step of nobody else, whatever it says", () => {
    for (const [, steps] of ways) {
      const deal = dealAfter(steps)
      for (const verb of answers) {
        for (const to of [bobDid, deal.chain[0].from]) {
          const strange = answer(deal, verb, carol, { to })
          expect(() => advanceDeal(deal, strange)).toThrow(code("VERIFICATION_FAILED"))
        }
      }
    }
  })

  it("takes none that a party says to somebody else", () => {
    const deal = openDeal(propose())
    const strange = answer(deal, "ACCEPT", bob, { to: carolDid })
    expect(() => advanceDeal(deal, strange)).toThrow(
      "ACCEPT.from: and to must be the parties of the proposal",
    )
  })
})

describe("what a step answers", () => {
  const deal = dealAfter([["ACCEPT", bob]])

  it.each([
    ["another deal", { proposal_id: "prop_0002" }, "VERIFICATION_FAILED"],
    ["the deal on another relay", { aud: "relay-2" }, "VERIFICATION_FAILED"],
    ["the statement before the last", { prev: openDeal(propose()).head }, "STATEMENT_STALE"],
    ["nothing there is", { prev: "A".repeat(43) }, "STATEMENT_STALE"],
    ["what is said later", { ts: startTs + 999 }, "INVALID_MSG"],
  ])("is not %s", (_what, changes, expected) => {
    const before = structuredClone(deal)
    expect(() => advanceDeal(deal, answer(deal, "COMPLETE", bob, changes))).toThrow(code(expected))
    expect(deal).toEqual(before)
  })

  it("may be as old as the last statement", () => {
    expect(advanceDeal(deal, answer(deal, "COMPLETE", bob, { ts: startTs + 1_000 })).state).toBe("completed")
  })

  it("takes a chain apart from another deal's statements", () => {
    const steps: Step[] = [
      ["ACCEPT", bob],
      ["COMPLETE", bob],
      ["COMPLETE", alice],
      ["DISPUTE", alice],
    ]
    const one = dealAfter(steps)
    const others = [
      dealAfter(steps, propose({ id: "prop_0002" })),
      dealAfter(steps, propose({ aud: "relay-2" })),
      dealAfter(steps, propose({ task: "echo bye" })),
      dealAfter(steps, propose({ ts: startTs + 1 })),
    ]
    for (const other of others) {
      one.chain.forEach((_, index) => {
        const mixed = one.chain.map((statement, at) =>
          at === index ? (other.chain[at] ?? statement) : statement,
        )
        expect(() => dealOf(mixed)).toThrow(/^[A-Z]+/)
      })
    }
  })

  it("is a proposal first", () => {
    expect(() => dealOf([])).toThrow(code("INVALID_MSG"))
    expect(() => dealOf(dealAfter([["ACCEPT", bob]]).chain.slice(1))).toThrow(code("INVALID_MSG"))
  })
})

describe("time", () => {
  it.each(["ACCEPT", "REJECT"] as const)("ends for %s with the last millisecond of expires", (verb) => {
    const deal = openDeal(propose())
    const end = startTs + 300_000
    expect(expiryOf(deal)).toBe(end)
    expect(advanceDeal(deal, answer(deal, verb, bob, { ts: end })).chain).toHaveLength(2)
    const late = () => advanceDeal(deal, answer(deal, verb, bob, { ts: end + 1 }))
    expect(late).toThrow(code("PROPOSAL_EXPIRED"))
    expect(late).toThrow("expired at 2027-01-15T08:05:00.000Z")
  })

  it("expires only a pending deal", () => {
    for (const [state, steps] of ways) {
      const deal = dealAfter(steps)
      expect(stateAt(deal, expiryOf(deal))).toBe(state)
      expect(stateAt(deal, expiryOf(deal) + 1)).toBe(state === "pending" ? "expired" : state)
    }
  })

  it("bounds a dispute by the first completion", () => {
    const open = dealAfter([
      ["ACCEPT", bob],
      ["COMPLETE", bob],
      ["COMPLETE", alice, { ts: startTs + 60_000 }],
    ])
    const end = startTs + 2_000 + 3_600_000
    expect(disputableUntil(open)).toBe(end)
    expect(advanceDeal(open, answer(open, "DISPUTE", alice, { ts: end })).state).toBe("disputed")
    expect(() => advanceDeal(open, answer(open, "DISPUTE", alice, { ts: end + 1 }))).toThrow(
      code("PROPOSAL_STATE"),
    )
  })

  it("does not bound the dispute of what nobody completed, nor the answer to a dispute", () => {
    const accepted = dealAfter([["ACCEPT", bob]])
    expect(disputableUntil(accepted)).toBeUndefined()
    const late = advanceDeal(accepted, answer(accepted, "DISPUTE", alice, { ts: startTs + 1e11 }))
    expect(advanceDeal(late, answer(late, "DISPUTE", bob, { ts: startTs + 1e12 })).state).toBe("disputed")
  })

  it("has an end however large a stranger chose it", () => {
    const proposal = propose({ ts: Number.MAX_SAFE_INTEGER, expires: 315_360_000 })
    const deal = openDeal(proposal)
    expect(stateAt(deal, Number.MAX_SAFE_INTEGER)).toBe("pending")
    const accept = answer(deal, "ACCEPT", bob, { ts: Number.MAX_SAFE_INTEGER })
    expect(advanceDeal(deal, accept).state).toBe("accepted")
  })
})

describe("agreedFault", () => {
  it.each([
    ["self", "other", "proposer"],
    ["other", "self", "recipient"],
    ["mutual", "mutual", "mutual"],
    ["self", "self", undefined],
    ["other", "other", undefined],
    ["self", "mutual", undefined],
    ["mutual", undefined, undefined],
    [undefined, undefined, undefined],
  ])("of the proposer's %s and the recipient's %s is %s", (first, second, expected) => {
    const steps: Step[] = [
      ["DISPUTE", alice, { fault: first }],
      ["DISPUTE", bob, { fault: second }],
    ]
    expect(agreedFault(dealAfter([["ACCEPT", bob], ...steps]))).toBe(expected)
    expect(agreedFault(dealAfter([["ACCEPT", bob], ...[...steps].reverse()]))).toBe(expected)
  })

  it.each(["self", "other", "mutual", undefined])("is not there while only one says %s", (fault) => {
    const one: Deal = dealAfter([
      ["ACCEPT", bob],
      ["DISPUTE", alice, { fault }],
    ])
    expect(agreedFault(one)).toBeUndefined()
  })
})
