import { mkdirSync, rmSync, truncateSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { setImmediate as turn } from "node:timers/promises"
import { describe, expect, it } from "vitest"
import { type InboxRange, readInbox } from "../../../src/daemon/inbox/reader.js"
import { formatSegmentName } from "../../../src/daemon/inbox/segments.js"
import { until } from "../../kit/condition.js"
import { InboxHarness, range } from "../../kit/inbox-harness.js"

const quick = { lines: 10, graceMs: 30, busyMs: 60 }

function seqs(harness: InboxHarness, wanted: InboxRange): number[] {
  return [...readInbox(harness.paths, wanted)].map(({ seq }) => seq)
}

/** An inbox of two segments, 1-12 and 13-24 with its first line, and a file of 25-30. */
async function threeParts(): Promise<InboxHarness> {
  const harness = new InboxHarness()
  const inbox = harness.open(quick)
  harness.send(inbox, 12)
  await until("a rotation", () => inbox.lines === 1)
  harness.send(inbox, 11)
  await until("a second one", () => harness.segments.length === 2 && inbox.lines === 1)
  harness.send(inbox, 5)
  await inbox.close()
  return harness
}

describe("readInbox", () => {
  it("yields nothing if there is no inbox", () => {
    expect(seqs(new InboxHarness(), { last: 10 })).toEqual([])
    expect(seqs(new InboxHarness(), { sinceSeq: 0 })).toEqual([])
  })

  it("yields the lines after any other, across segments", async () => {
    const harness = await threeParts()
    for (let since = 0; since <= 32; since++) {
      expect(seqs(harness, { sinceSeq: since })).toEqual(range(since + 1, 30))
    }
  })

  it("yields the last lines, across segments", async () => {
    const harness = await threeParts()
    for (const last of [0, 1, 5, 6, 7, 17, 18, 19, 29, 30, 31, 1_000]) {
      expect(seqs(harness, { last })).toEqual(range(Math.max(1, 31 - last), 30))
    }
  })

  it("yields each line as text and as fields", () => {
    const harness = new InboxHarness()
    mkdirSync(harness.paths.dir, { recursive: true })
    writeFileSync(harness.paths.inbox, '{"seq":1,"type":"MSG","content":"\\u001b[2J \u00e9"}   \n')
    expect([...readInbox(harness.paths, { last: 1 })]).toEqual([
      {
        seq: 1,
        text: '{"seq":1,"type":"MSG","content":"\\u001b[2J \u00e9"}',
        fields: { seq: 1, type: "MSG", content: "\u001b[2J \u00e9" },
      },
    ])
  })

  it("leaves a partial line for the next read", async () => {
    const harness = await threeParts()
    truncateSync(harness.paths.inbox, harness.text.length - 1)
    expect(seqs(harness, { sinceSeq: 20 })).toEqual(range(21, 29))
    expect(seqs(harness, { last: 2 })).toEqual([28, 29])
  })

  it("reports a damaged line and continues", async () => {
    const harness = await threeParts()
    writeFileSync(harness.paths.inbox, harness.text.replace('{"seq":27,', '{"seq":27}'))
    const damaged: string[] = []
    const seen = [...readInbox(harness.paths, { sinceSeq: 24 }, (text) => damaged.push(text))]
    expect(seen.map(({ seq }) => seq)).toEqual([25, 26, 28, 29, 30])
    expect(damaged).toHaveLength(1)
    expect(damaged[0]).toContain('{"seq":27}')
  })

  it("continues after a segment that retention removed", async () => {
    const harness = await threeParts()
    rmSync(join(harness.paths.segments, formatSegmentName(1, 12)))
    expect(seqs(harness, { sinceSeq: 3 })).toEqual(range(13, 30))
  })

  it("yields each line once to a consumer so slow that the file is rotated meanwhile", async () => {
    const harness = new InboxHarness()
    const inbox = harness.open(quick)
    harness.send(inbox, 8)
    await turn()
    const seen: number[] = []
    for (const { seq } of readInbox(harness.paths, { sinceSeq: 0 })) {
      seen.push(seq)
      if (seq % 3 !== 0 || seq > 60) continue
      const before = harness.segments.length
      harness.send(inbox, 11)
      await until("a rotation", () => harness.segments.length > before && inbox.heldBytes === 0)
      // The file grows again beyond the offset at which the consumer stopped.
      harness.send(inbox, 8, "x".repeat(seq * 10))
      await turn()
    }
    await until("all is written", () => inbox.heldBytes === 0)
    expect(seen).toEqual(range(1, seen.length))
    expect(seen.length).toBeGreaterThan(60)
    expect(harness.segments.length).toBeGreaterThan(10)
  })

  it("does not report a line as damaged that was read in the middle of a rotation", async () => {
    const harness = new InboxHarness()
    const inbox = harness.open(quick)
    // The first block that is read ends inside a line.
    harness.send(inbox, 9, "x".repeat(20_000))
    await turn()
    const damaged: string[] = []
    const reading = readInbox(harness.paths, { sinceSeq: 0 }, (text) => damaged.push(text))
    const first = reading.next()
    const seen = first.done === true ? [] : [first.value.seq]
    harness.send(inbox, 2)
    await until("a rotation", () => inbox.lines === 1)
    harness.send(inbox, 8, "y".repeat(10_000))
    await until("the file is larger again", () => inbox.lines === 9)
    for (const { seq } of reading) seen.push(seq)
    expect(seen).toEqual(range(1, 20))
    expect(damaged).toEqual([])
  })
})
