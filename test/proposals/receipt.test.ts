import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { JsonError } from "../../src/base/strict-json.js"
import { signRevocation, signRotation, verifyKeyStatement } from "../../src/identity/succession.js"
import { formatReceipt, type Receipt, ReceiptSet, receiptOf } from "../../src/proposals/receipt.js"
import { checkReceipt } from "../../src/proposals/receipt-check.js"
import { ChatError } from "../../src/protocol/errors.js"
import { alice, bob, bobDid, carol, carolDid, dealAfter, propose, type Step, startTs } from "../kit/deals.js"
import { parseReceipt } from "../kit/receipt-line.js"

const all: readonly Step[] = [
  ["ACCEPT", bob, { payment_code: "PM8T" }],
  ["COMPLETE", bob, { proof: "done: \u0000\u001f \u2028 😀" }],
  ["COMPLETE", alice],
  ["DISPUTE", alice, { fault: "other" }],
  ["DISPUTE", bob, { fault: "self" }],
]

function receiptAfter(steps: readonly Step[], changes = {}): Receipt {
  const receipt = receiptOf(dealAfter(steps, propose(changes)))
  if (receipt === undefined) throw new Error("no receipt yet")
  return receipt
}

describe("receiptOf", () => {
  it("is there once an accepted deal is said to be completed, or disputed", () => {
    const kinds: readonly (readonly [readonly Step[], boolean])[] = [
      [[], false],
      [[["REJECT", bob]], false],
      [[["ACCEPT", bob]], false],
      [
        [
          ["ACCEPT", bob],
          ["COMPLETE", alice],
        ],
        true,
      ],
      [
        [
          ["ACCEPT", bob],
          ["DISPUTE", alice],
        ],
        true,
      ],
    ]
    for (const [steps, isThere] of kinds) expect(receiptOf(dealAfter(steps)) !== undefined).toBe(isThere)
  })

  it("turns round by its line", () => {
    for (let length = 2; length <= all.length; length++) {
      const receipt = receiptAfter(all.slice(0, length))
      const line = formatReceipt(receipt)
      expect(line).not.toMatch(/[\n\r]/)
      expect(parseReceipt(line)).toEqual(receipt)
      expect(checkReceipt(parseReceipt(line)).status).toBe("valid")
    }
  })
})

describe("a receipt with one byte changed", () => {
  const line = Buffer.from(
    formatReceipt(receiptAfter(all, { task: 'say "hi" \\ \u0001\u001f', amount: "10.50" })),
  )

  // A few thousand bytes, four changes each; most fail before a signature is looked at.
  it.each([0x01, 0x02, 0x20, 0x80])("is never valid: each byte xor %i", (mask) => {
    let judged = 0
    for (let at = 0; at < line.length; at++) {
      const changed = Buffer.from(line)
      changed.writeUInt8(line.readUInt8(at) ^ mask, at)
      expect(isValid(changed), `byte ${at}: ${changed.subarray(at - 10, at + 10).toString()}`).toBe(false)
      judged++
    }
    expect(judged).toBe(line.length)
    expect(isValid(line)).toBe(true)
  })

  it("is never valid, whatever byte it is", () => {
    fc.assert(
      fc.property(fc.nat(line.length - 1), fc.integer({ min: 1, max: 255 }), (at, mask) => {
        const changed = Buffer.from(line)
        changed.writeUInt8(line.readUInt8(at) ^ mask, at)
        expect(isValid(changed)).toBe(false)
      }),
      { numRuns: 2_000 },
    )
  })

  it("is never valid with a byte taken out, or said twice", () => {
    for (let at = 0; at < line.length; at++) {
      expect(isValid(Buffer.concat([line.subarray(0, at), line.subarray(at + 1)]))).toBe(false)
      const twice = Buffer.concat([line.subarray(0, at + 1), line.subarray(at)])
      expect(isValid(twice), `${at}`).toBe(false)
    }
  })
})

/** As a reader of files does: bytes that are no UTF-8 are no receipt. */
function isValid(bytes: Buffer): boolean {
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes)
    return checkReceipt(parseReceipt(text)).status === "valid"
  } catch (error) {
    if (error instanceof ChatError || error instanceof JsonError || error instanceof TypeError) return false
    throw error
  }
}

describe("checkReceipt", () => {
  it("finds a statement swapped in from another deal, wherever", () => {
    const one = receiptAfter(all)
    const others = [{ id: "prop_0002" }, { task: "another" }, { aud: "relay-2" }, { ts: startTs + 1 }]
    for (const changes of others) {
      const other = receiptAfter(all, changes)
      const swapped: Receipt[] = [
        { ...one, proposal: other.proposal },
        { ...one, accept: other.accept },
        ...one.complete.map((_, at) => ({
          ...one,
          complete: one.complete.with(at, other.complete[at] as never),
        })),
        ...[0, 1].map((at) => ({
          ...one,
          dispute: (one.dispute ?? []).with(at, other.dispute?.[at] as never),
        })),
      ]
      for (const receipt of swapped) expect(checkReceipt(receipt).status).toBe("invalid")
    }
  })

  it("finds a statement that is not as it was signed, though all others fit it", () => {
    const [accept] = [receiptAfter(all).accept]
    const forged = { ...receiptAfter(all), accept: { ...accept, payment_code: "PM8Tcarol" } }
    expect(checkReceipt(forged)).toMatchObject({ status: "invalid" })
  })

  const receipt = receiptAfter(all.slice(0, 2))
  const last = receipt.complete[0]?.ts ?? 0

  it("says what it did not look at", () => {
    const bare = checkReceipt(receipt)
    const unknownKey = expect.stringMatching(/^revocation: .*key of @/)
    expect(bare).toMatchObject({ unchecked: [expect.stringMatching(/^time: /), unknownKey, unknownKey] })
    const told = checkReceipt(receipt, [signRevocation(bob, last + 1)])
    expect(told).toMatchObject({ status: "valid", unchecked: { length: 2 } })
    const both = checkReceipt(receipt, [signRevocation(alice, last + 1), signRevocation(bob, last + 1)])
    expect(both).toMatchObject({ unchecked: [expect.stringMatching(/^time: /)] })
    const elsewhere = checkReceipt(receipt, [signRevocation(carol, 0)])
    expect(elsewhere).toMatchObject({ unchecked: { length: 3 } })
  })

  it.each([
    ["revoked after its last word", signRevocation(bob, last + 1), "valid"],
    ["revoked at its last word", signRevocation(bob, last), "invalid"],
    ["revoked between its words", signRevocation(bob, last - 500), "invalid"],
    ["revoked before all", signRevocation(bob, 0), "invalid"],
    ["the proposer's, and revoked between the two statements", signRevocation(alice, startTs + 1), "valid"],
    ["the proposer's, and revoked before", signRevocation(alice, startTs), "invalid"],
    ["replaced after its last word", signRotation(bob, carol, last + 1), "valid"],
    ["replaced before", signRotation(bob, carol, last - 1), "invalid"],
    ["the one that replaced another", signRotation(carol, bob, last - 1), "valid"],
  ])("applies that a key was %s", (_what, end, status) => {
    verifyKeyStatement(end)
    expect(checkReceipt(receipt, [end]).status).toBe(status)
    expect(checkReceipt(receipt, [signRevocation(carol, 0), end]).status).toBe(status)
  })

  it("tells when a key ended, however strange the time", () => {
    expect(checkReceipt(receipt, [signRevocation(bob, 0)])).toMatchObject({
      problem: "ACCEPT: its key was revoked at 1970-01-01T00:00:00.000Z, before it was signed",
    })
  })
})

describe("verifyKeyStatement", () => {
  it("believes only who holds the key", () => {
    const rotation = signRotation(alice, bob, startTs)
    const revocation = signRevocation(alice, startTs)
    for (const statement of [rotation, revocation]) expect(() => verifyKeyStatement(statement)).not.toThrow()
    for (const forged of [
      { ...rotation, to: carolDid },
      { ...revocation, from: bobDid },
    ]) {
      expect(() => verifyKeyStatement(forged)).toThrow(
        expect.objectContaining({ code: "VERIFICATION_FAILED" }),
      )
    }
  })
})

describe("ReceiptSet", () => {
  const first = [2, 3, 4, 5].map((length) => receiptAfter(all.slice(0, length)))
  const second = [2, 3].map((length) => receiptAfter(all.slice(0, length), { id: "prop_0002" }))
  const forked = receiptAfter([...all.slice(0, 4), ["DISPUTE", bob, { reason: "another word" }]])
  const pool = [...first, ...second, forked]

  it("keeps of each deal the receipt that tells most", () => {
    const set = new ReceiptSet()
    expect(pool.slice(0, 4).map((receipt) => set.add(receipt))).toEqual([true, true, true, true])
    expect(first.map((receipt) => set.add(receipt))).toEqual([false, false, false, false])
    expect([...set.values()]).toEqual([first[3]])
    expect(second.map((receipt) => set.add(receipt))).toEqual([true, true])
    expect(set.size).toBe(2)
  })

  it("holds the same whatever the order, and however often", () => {
    const linesOf = (receipts: readonly Receipt[]) => {
      const set = new ReceiptSet()
      for (const receipt of receipts) set.add(receipt)
      return [...set.values()].map(formatReceipt).sort()
    }
    const expected = linesOf(pool)
    fc.assert(
      fc.property(fc.shuffledSubarray([...pool, ...pool], { minLength: pool.length * 2 }), (receipts) => {
        expect(linesOf(receipts)).toEqual(expected)
      }),
    )
  })
})
