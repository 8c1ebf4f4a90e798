import { mkdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { recallSealed, recoverInbox } from "../../../src/daemon/inbox/recovery.js"
import { formatSegmentName } from "../../../src/daemon/inbox/segments.js"
import { until } from "../../kit/condition.js"
import { InboxHarness, range } from "../../kit/inbox-harness.js"

/** A harness whose files are written by hand: segments as `[first, last]`, and the text of inbox.jsonl. */
function harnessOf(segments: readonly (readonly [number, number])[], text?: string): InboxHarness {
  const harness = new InboxHarness()
  mkdirSync(harness.paths.segments, { recursive: true })
  for (const [first, last] of segments) {
    writeFileSync(join(harness.paths.segments, formatSegmentName(first, last)), linesOf(first, last))
  }
  if (text !== undefined) writeFileSync(harness.paths.inbox, text)
  return harness
}

function linesOf(first: number, last: number): string {
  return range(first, last)
    .map((seq) => `{"seq":${seq},"type":"MSG","n":${seq},"msg_id":"x.${seq}"}\n`)
    .join("")
}

describe("recoverInbox", () => {
  it("starts at 1 without files", () => {
    expect(recoverInbox(new InboxHarness().paths)).toMatchObject({ lines: 0, firstSeq: 1, lastSeq: 0 })
  })

  it("continues after the lines of the file", () => {
    const { paths } = harnessOf([[1, 4]], linesOf(5, 9))
    expect(recoverInbox(paths)).toMatchObject({ lines: 5, firstSeq: 5, lastSeq: 9, isSealed: false })
  })

  it("continues after the segments if the file is missing or empty", () => {
    const segments = [
      [1, 4],
      [5, 9],
    ] as const
    expect(recoverInbox(harnessOf(segments).paths)).toMatchObject({ lines: 0, firstSeq: 10, lastSeq: 9 })
    expect(recoverInbox(harnessOf(segments, "").paths)).toMatchObject({ lines: 0, firstSeq: 10, lastSeq: 9 })
  })

  it("continues after the furthest reader if the files were deleted", () => {
    const { paths } = harnessOf([[1, 4]])
    mkdirSync(paths.cursors)
    writeFileSync(join(paths.cursors, "a.json"), '{"v":1,"seq":70}')
    writeFileSync(join(paths.cursors, "b.json"), '{"v":1,"seq":12}')
    writeFileSync(join(paths.cursors, "c.json"), "nonsense")
    expect(recoverInbox(paths)).toMatchObject({ lastSeq: 70 })
  })

  it("detects that the lines of the file are in a segment already", () => {
    expect(recoverInbox(harnessOf([[1, 9]], linesOf(1, 9)).paths)).toMatchObject({
      isSealed: true,
      lastSeq: 9,
    })
    expect(recoverInbox(harnessOf([[1, 9]], linesOf(5, 7)).paths)).toMatchObject({
      isSealed: true,
      lastSeq: 9,
    })
  })

  it("counts a damaged line as the seq it must have had", () => {
    const damaged = harnessOf(
      [[1, 3]],
      `\0\0\0\n${linesOf(5, 6)}garbage\n${linesOf(8, 8)}{"seq":9,"type":"MS\n`,
    )
    expect(recoverInbox(damaged.paths)).toMatchObject({
      lines: 6,
      firstSeq: 4,
      lastSeq: 9,
      damaged: [1, 4, 6],
    })
  })

  it("ignores the seq of a line that another program wrote", () => {
    const foreign = harnessOf([], `${linesOf(1, 3)}{"seq":8000000000000000,"type":"MSG"}\n`)
    expect(recoverInbox(foreign.paths)).toMatchObject({ lastSeq: 4, damaged: [4] })
  })

  it("refuses an inbox that is not a regular file", () => {
    const harness = new InboxHarness()
    mkdirSync(harness.paths.inbox, { recursive: true })
    expect(() => recoverInbox(harness.paths)).toThrow("EISDIR")
    expect(() => harness.open()).toThrow(expect.objectContaining({ code: "FILE_FAILED" }))
  })
})

describe("recallSealed", () => {
  it("recalls the ids of the newest segments, oldest first", () => {
    const { paths } = harnessOf([
      [1, 4],
      [5, 8],
      [9, 12],
    ])
    const ids: string[] = []
    recallSealed(paths, 5, (id) => ids.push(id))
    expect(ids).toEqual(range(5, 12).map((seq) => `x.${seq}`))
  })
})

describe("an inbox cut off at any byte", () => {
  it("keeps every whole line, continues the numbers, and accepts the lost messages again", {
    timeout: 60_000,
  }, async () => {
    const whole = new InboxHarness()
    const inbox = whole.open()
    whole.send(inbox, 4, "a, \u00e9, \u4e2d, \u{1f600}")
    whole.send(inbox, 4, "x".repeat(900))
    await inbox.close()
    const bytes = readFileSync(whole.paths.inbox)
    await fc.assert(
      fc.asyncProperty(fc.nat(bytes.length), async (length) => {
        const harness = harnessOf([])
        writeFileSync(harness.paths.inbox, bytes)
        truncateSync(harness.paths.inbox, length)
        const kept = bytes.subarray(0, length).toString().split("\n").length - 1
        const again = harness.open({ graceMs: 1 })
        // All eight are delivered again.
        harness.send(again, 8)
        await until("all are confirmed", () => harness.durable.length === 8)
        await again.close()
        expect(harness.messages).toEqual(range(1, 8))
        expect(harness.lines.map(({ seq }) => seq)).toEqual(range(1, again.lastSeq))
        expect(harness.segments.length).toBe(kept > 0 && bytes[length - 1] !== 0x0a ? 1 : 0)
      }),
      { numRuns: 60, examples: [[0], [1], [bytes.length], [bytes.length - 1]] },
    )
  })
})
