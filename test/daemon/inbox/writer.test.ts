import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { LineQueue, type QueuedLine } from "../../../src/daemon/inbox/writer.js"

const line = (n: number, size = 0): QueuedLine => ({
  body: `"type":"MSG","x":"${"y".repeat(size)}"}`,
  msgId: `x.${n}`,
  mark: n,
})
const receipt = (n: number): QueuedLine => ({ body: undefined, msgId: `x.${n}`, mark: n })
const marks = (entries: readonly QueuedLine[]) => entries.map(({ mark }) => mark)

describe("LineQueue", () => {
  it("numbers lines when they leave the queue, and duplicates not at all", () => {
    const queue = new LineQueue()
    queue.push(line(1))
    queue.push(receipt(1))
    queue.push(line(2))
    const batch = queue.take(5, 0, 1_000)
    expect(marks(batch.entries)).toEqual([1, 1, 2])
    expect(batch.lines).toBe(2)
    expect(batch.bytes.toString()).toBe('{"seq":5,"type":"MSG","x":""}\n{"seq":6,"type":"MSG","x":""}\n')
    expect(queue.isEmpty).toBe(true)
    expect(queue.size).toBe(0)
  })

  it("takes at most the given size, but at least one line", () => {
    const queue = new LineQueue()
    for (let n = 1; n <= 3; n++) queue.push(line(n, 500))
    expect(queue.take(1, 0, 10).lines).toBe(1)
    expect(queue.take(2, 0, 100_000).lines).toBe(2)
  })

  it("takes back exactly the lines that are not whole in the file", () => {
    const entries = fc.array(fc.record({ isLine: fc.boolean(), size: fc.nat(3_000) }), {
      minLength: 1,
      maxLength: 20,
    })
    fc.assert(
      fc.property(entries, fc.nat(100), (some, percent) => {
        const queue = new LineQueue()
        for (const [n, { isLine, size }] of some.entries()) queue.push(isLine ? line(n, size) : receipt(n))
        const batch = queue.take(1, 0, 1e9)
        batch.written = Math.floor((batch.bytes.length * percent) / 100)
        const { entries: kept, lines } = queue.giveBack(batch)
        const wholeLines = batch.bytes.subarray(0, batch.written).toString().split("\n").length - 1
        expect(lines).toBe(wholeLines)
        expect(kept.filter(({ body }) => body !== undefined)).toHaveLength(wholeLines)
        // Nothing is lost, and the order is kept.
        const rest = queue.isEmpty ? [] : queue.take(1, 0, 1e9).entries
        expect(marks([...kept, ...rest])).toEqual(some.map((_, n) => n))
        expect(queue.size).toBe(0)
      }),
    )
  })
})
