import { describe, expect, it } from "vitest"
import { type SentAck, SentIds } from "../../../src/server/sessions/sent-ids.js"

const receiptOf = (seq: number): SentAck => ({ ts: 1, seq, recipients: 1, isMember: true, hops: 0 })

describe("SentIds", () => {
  it("remembers at least `count` ids and at most twice as many", () => {
    const ids = new SentIds(100)
    for (let i = 0; i < 1000; i++) ids.remember(`${i}`, receiptOf(i))
    for (let i = 900; i < 1000; i++) expect(ids.find(`${i}`)?.seq).toBe(i)
    expect(ids.find("799")).toBeUndefined()
  })

  it("tells ids with the same hash apart", () => {
    // Enough ids for about ten pairs with the same 31-bit hash.
    const count = 200_000
    const ids = new SentIds(count)
    for (let i = 0; i < count; i += 2) ids.remember(`@id.${i}`, receiptOf(i))
    let wrong = 0
    for (let i = 0; i < count; i++) {
      if (ids.find(`@id.${i}`)?.seq !== (i % 2 === 0 ? i : undefined)) wrong++
    }
    expect(wrong).toBe(0)
  })

  it("forgets everything on clear", () => {
    const ids = new SentIds(10)
    for (let i = 0; i < 15; i++) ids.remember(`${i}`, receiptOf(i))
    ids.clear()
    expect(ids.find("14")).toBeUndefined()
    expect(ids.find("1")).toBeUndefined()
  })
})
