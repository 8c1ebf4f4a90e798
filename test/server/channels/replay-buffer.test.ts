import fc from "fast-check"
import { describe, expect, it } from "vitest"
import type { AgentId } from "../../../src/protocol/names.js"
import type { ReplayedMessage } from "../../../src/server/channels/replay-buffer.js"
import { ReplayBuffer } from "../../../src/server/channels/replay-buffer.js"
import { ByteBudget } from "../../../src/server/sessions/byte-budget.js"

const author = "@a" as AgentId
const kibibyte = 1024
const ample = { retainedMessages: 10_000, retainedBytes: 4 * kibibyte * kibibyte }

function fill(log: ReplayBuffer, count: number, bytes = 100, first = 1) {
  for (let seq = first; seq < first + count; seq++) log.append(seq, `${seq}`.padEnd(bytes), author, seq)
}

const seqs = (messages: Iterable<ReplayedMessage>) => Array.from(messages, ({ text }) => Number(text))

describe("ReplayBuffer", () => {
  it("returns the newest messages, and those after a number", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 300 }), fc.integer({ min: 0, max: 350 }), (count, asked) => {
        const log = new ReplayBuffer(ample, new ByteBudget(ample.retainedBytes))
        fill(log, count)
        const all = Array.from({ length: count }, (_, i) => i + 1)
        expect(seqs(log.last(asked))).toEqual(all.slice(Math.max(0, count - asked)))
        expect(seqs(log.after(asked))).toEqual(all.slice(asked))
      }),
    )
  })

  it("returns any text unchanged", () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: "binary", maxLength: 300 }), { maxLength: 60 }), (texts) => {
        const wellFormed = texts.map((text) => text.toWellFormed())
        const log = new ReplayBuffer(ample, new ByteBudget(ample.retainedBytes))
        for (const [i, text] of wellFormed.entries()) log.append(i + 1, text, author, i)
        expect([...log.after(0)]).toEqual(wellFormed.map((text, ts) => ({ author, ts, text })))
      }),
    )
  })

  it("keeps about retainedMessages, the newest", () => {
    const log = new ReplayBuffer({ ...ample, retainedMessages: 1000 }, new ByteBudget(ample.retainedBytes))
    fill(log, 10_000)
    const kept = seqs(log.after(0))
    expect(kept.at(-1)).toBe(10_000)
    expect(kept.length).toBeGreaterThan(500)
    expect(kept.length).toBeLessThan(3000)
  })

  it("keeps at most retainedBytes, except for the newest message", () => {
    const budget = new ByteBudget(ample.retainedBytes)
    const log = new ReplayBuffer({ ...ample, retainedBytes: 64 * kibibyte }, budget)
    fill(log, 5000)
    expect(seqs(log.after(0)).length).toBeLessThan(700)
    log.append(5001, "5001".padEnd(200 * kibibyte), author, 0)
    expect(seqs(log.after(0))).toEqual([5001])
    log.append(5002, "5002", author, 0)
    expect(seqs(log.last(1))).toEqual([5002])
  })

  it("drops its own messages when all buffers together are at their bound", () => {
    const budget = new ByteBudget(300 * kibibyte)
    const [quiet, loud] = [new ReplayBuffer(ample, budget), new ReplayBuffer(ample, budget)]
    fill(quiet, 100)
    fill(loud, 20_000)
    expect(seqs(quiet.last(1000))).toHaveLength(100)
    expect(seqs(loud.after(0)).length).toBeLessThan(3000)
    loud.clear()
    expect(budget.fits(250 * kibibyte)).toBe(true)
    expect(seqs(loud.last(5))).toEqual([])
  })
})
