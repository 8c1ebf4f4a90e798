import { describe, expect, it } from "vitest"
import { defaultLimits } from "../../src/protocol/limits.js"
import type { SentAck } from "../../src/server/sessions/ack-table.js"
import { DeliveredIds } from "../../src/server/sessions/delivered-ids.js"
import { IdBudget } from "../../src/server/sessions/id-budget.js"
import { SentIds } from "../../src/server/sessions/sent-ids.js"
import { reachableBytes } from "../kit/memory.js"

const mebibyte = 1024 * 1024
const ack: SentAck = {
  ts: 1,
  seq: undefined,
  recipients: 1,
  isMember: true,
  hops: 0,
  to: "@0123456789abcdef",
}

function fill(ids: SentIds, sender: number, count: number): void {
  for (let n = 0; n < count; n++) ids.remember(`${sender}.${"x".repeat(50)}${n}`, n, { ...ack })
}

describe("the ids a relay remembers", () => {
  it("take under 0.4 MiB for one sender", () => {
    const before = reachableBytes()
    const senders = Array.from({ length: 20 }, () => new SentIds(defaultLimits.rememberedIds))
    for (const [sender, ids] of senders.entries()) fill(ids, sender, 2 * defaultLimits.rememberedIds)
    const after = reachableBytes()
    const bytes = after.heap + after.buffers - before.heap - before.buffers
    expect(bytes / senders.length).toBeLessThan(0.4 * mebibyte)
    expect(senders[0]?.find(`0.${"x".repeat(50)}4095`, 4095)).toEqual(ack)
  })

  it("are bounded for all, and those of senders that are idle go first", () => {
    const budget = new IdBudget(4 * mebibyte)
    const before = reachableBytes()
    const senders = Array.from({ length: 200 }, () => new SentIds(defaultLimits.rememberedIds, budget))
    const delivered = Array.from({ length: 200 }, () => new DeliveredIds(budget))
    for (const [sender, ids] of senders.entries()) {
      fill(ids, sender, defaultLimits.rememberedIds)
      for (let n = 0; n < 300; n++) delivered[sender]?.add(`${sender}.${n}`)
    }
    const after = reachableBytes()
    expect(after.heap + after.buffers - before.heap - before.buffers).toBeLessThan(8 * mebibyte)
    expect(senders[0]?.find(`0.${"x".repeat(50)}0`, 0)).toBeUndefined()
    expect(senders[199]?.find(`199.${"x".repeat(50)}0`, 0)).toEqual(ack)
    expect(delivered[199]?.mark("199.0", "retrieved")).toBe(true)
  })
})
