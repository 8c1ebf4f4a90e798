import { describe, expect, it } from "vitest"
import type { SentAck } from "../../../src/server/sessions/ack-table.js"
import { SentIds } from "../../../src/server/sessions/sent-ids.js"

const receiptOf = (seq: number): SentAck => ({ ts: 1, seq, recipients: 1, isMember: true, hops: 0 })

describe("SentIds", () => {
  it("returns the same ack as the first time", () => {
    const ids = new SentIds(1_000)
    const acks: SentAck[] = [
      { ts: 1_800_000_000_000, seq: 2 ** 52, recipients: 10_000, isMember: false, hops: 99 },
      { ts: 1, seq: undefined, recipients: 0, isMember: true, hops: 0, to: "@0123456789abcdef" },
      { ts: 1, seq: 0, recipients: 1, isMember: true, hops: 1, isRepeated: true },
    ]
    for (const [kind, ack] of acks.entries()) {
      for (let i = 0; i < 200; i++) ids.remember(`a.${kind}.${i}`, 2 ** 52 - i, ack)
    }
    for (const [kind, ack] of acks.entries()) {
      for (let i = 0; i < 200; i++) expect(ids.find(`a.${kind}.${i}`, 2 ** 52 - i)).toEqual(ack)
    }
  })

  it("remembers at least `count` ids and at most twice as many", () => {
    const ids = new SentIds(100)
    for (let i = 0; i < 1000; i++) ids.remember(`${i}`, 7, receiptOf(i))
    for (let i = 900; i < 1000; i++) expect(ids.find(`${i}`, 7)).toMatchObject({ seq: i })
    expect(ids.find("799", 7)).toBeUndefined()
  })

  it("tells ids with the same hash apart", () => {
    // Enough ids for about ten pairs with the same 31-bit hash.
    const count = 200_000
    const ids = new SentIds(count)
    for (let i = 0; i < count; i += 2) ids.remember(`@id.${i}`, 7, receiptOf(i))
    let wrong = 0
    for (let i = 0; i < count; i++) {
      const ack = ids.find(`@id.${i}`, 7)
      const seq = ack instanceof Promise ? undefined : ack?.seq
      if (seq !== (i % 2 === 0 ? i : undefined)) wrong++
    }
    expect(wrong).toBe(0)
  })

  it("refuses the id of another message, also while that is being stored", async () => {
    const ids = new SentIds(10)
    ids.remember("a.x", 1, receiptOf(1))
    expect(ids.find("a.x", 1)).toMatchObject({ seq: 1 })
    expect(() => ids.find("a.x", 2)).toThrow('id: "x" is the id of another message')
    const stored = ids.settle("a.y", 1, Promise.resolve(receiptOf(2)))
    const other = ids.find("a.y", 2)
    await expect(other).rejects.toMatchObject({ code: "ID_USED" })
    await expect(stored).resolves.toMatchObject({ seq: 2 })
  })

  it("frees the id of a message that could not be stored", async () => {
    const ids = new SentIds(10)
    const failed = ids.settle("a.y", 1, Promise.reject(new Error("full")))
    await expect(ids.find("a.y", 2)).rejects.toThrow("full")
    await expect(failed).rejects.toThrow("full")
    expect(ids.find("a.y", 2)).toBeUndefined()
  })

  it("forgets everything on clear", () => {
    const ids = new SentIds(10)
    for (let i = 0; i < 15; i++) ids.remember(`${i}`, 7, receiptOf(i))
    ids.clear()
    expect(ids.find("14", 7)).toBeUndefined()
    expect(ids.find("1", 7)).toBeUndefined()
  })
})
