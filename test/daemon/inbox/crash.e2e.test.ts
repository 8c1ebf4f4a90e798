import { spawn } from "node:child_process"
import { once } from "node:events"
import { copyFileSync, mkdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { readInbox } from "../../../src/daemon/inbox/reader.js"
import { formatSegmentName } from "../../../src/daemon/inbox/segments.js"
import { compiled } from "../../kit/compiled.js"
import { until } from "../../kit/condition.js"
import { InboxHarness, parseLines, range } from "../../kit/inbox-harness.js"
import { isLong } from "../../kit/long.js"
import { temporaryDirectory } from "../../kit/temporary.js"

describe("an inbox whose process is killed", () => {
  const program = compiled("test/kit/inbox-child.ts")
  const limits = { lines: 30, graceMs: 15, busyMs: 40, hardLines: 120, segments: 10_000 }

  /** Kills the program after `count` durable lines. @returns the numbers it reported as durable */
  async function runAndKill(root: string, first: number, count: number): Promise<number[]> {
    const child = spawn(process.execPath, [program, root, String(first), JSON.stringify(limits)], {
      stdio: ["ignore", "pipe", "inherit"],
    })
    let text = ""
    child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk
    })
    const isReached = () => text.split("\n").length > count || child.exitCode !== null
    await until(`${count} durable lines`, isReached)
    child.kill("SIGKILL")
    await once(child, "close")
    // The last number may be cut off.
    return text.slice(0, text.lastIndexOf("\n")).split("\n").map(Number)
  }

  const kills = isLong ? 25 : 8

  it(`loses, repeats and cuts off no line over ${kills} kills`, async () => {
    const root = temporaryDirectory()
    const harness = new InboxHarness(root)
    let last = 0
    let lastSeq = 0
    let lastMessage = 0
    for (let round = 0; round < kills; round++) {
      // The relay sends unconfirmed messages again, and some confirmed ones.
      const durable = await runAndKill(root, Math.max(1, last - 20), 1 + ((round * 89) % 300))
      last = Math.max(last, ...durable)
      const added = [...readInbox(harness.paths, { sinceSeq: lastSeq })]
      expect(added.map(({ seq }) => seq)).toEqual(range(lastSeq + 1, lastSeq + added.length))
      const messages = added.flatMap(({ fields }) => fields["n"] ?? [])
      expect(messages).toEqual(range(lastMessage + 1, lastMessage + messages.length))
      lastSeq += added.length
      lastMessage += messages.length
      expect(lastMessage).toBeGreaterThanOrEqual(last)
    }
    const inbox = harness.open(limits)
    await until("the repair", () => inbox.lines > 0 && harness.text.endsWith("\n"))
    await inbox.close()
    expect(harness.lines.map(({ seq }) => seq)).toEqual(range(1, inbox.lastSeq))
    expect(harness.messages).toEqual(range(1, lastMessage))
    expect(harness.segments.length).toBeGreaterThan(isLong ? 10 : 3)
  })
})

describe("an inbox after a crash", () => {
  const limits = { lines: 10, graceMs: 50 }

  /** Returns a closed inbox of nine lines. */
  async function nineLines(): Promise<InboxHarness> {
    const harness = new InboxHarness()
    const inbox = harness.open(limits)
    harness.send(inbox, 9)
    await inbox.close()
    return harness
  }

  it("finishes a rotation that sealed the lines and did not empty the file", async () => {
    const harness = await nineLines()
    mkdirSync(harness.paths.segments)
    copyFileSync(harness.paths.inbox, join(harness.paths.segments, formatSegmentName(1, 9)))
    const inbox = harness.open(limits)
    harness.send(inbox, 1)
    await until("the new line", () => inbox.lastSeq === 11)
    expect(harness.lines.map(({ seq }) => seq)).toEqual(range(1, 11))
    expect(harness.messages).toEqual(range(1, 10))
    expect(parseLines(harness.text).map(({ type }) => type)).toEqual(["INBOX_ROTATED", "MSG"])
  })

  it("finishes a rotation that emptied the file and did not announce it", async () => {
    const harness = await nineLines()
    mkdirSync(harness.paths.segments)
    copyFileSync(harness.paths.inbox, join(harness.paths.segments, formatSegmentName(1, 9)))
    truncateSync(harness.paths.inbox)
    const inbox = harness.open(limits)
    await until("the first line", () => inbox.lines === 1)
    expect(harness.lines.at(-1)).toMatchObject({
      seq: 10,
      type: "INBOX_ROTATED",
      segment: `inbox/${formatSegmentName(1, 9)}`,
    })
  })

  it("announces a rotation once, however often it is opened", async () => {
    const harness = await nineLines()
    const first = harness.open({ ...limits, lines: 5 })
    await until("the rotation", () => first.lines === 1)
    await first.close()
    for (let i = 0; i < 3; i++) await harness.open(limits).close()
    expect(harness.lines.filter(({ type }) => type === "INBOX_ROTATED")).toHaveLength(1)
  })

  it("seals the whole lines before a partial one and drops that", async () => {
    const harness = await nineLines()
    truncateSync(harness.paths.inbox, harness.text.length - 5)
    const inbox = harness.open(limits)
    harness.send(inbox, 1)
    await until("the new line", () => inbox.lastSeq === 10)
    expect(harness.segments).toEqual([formatSegmentName(1, 8)])
    expect(harness.lines.map(({ seq }) => seq)).toEqual(range(1, 10))
    expect(harness.messages).toEqual([...range(1, 8), 10])
    expect(harness.log.join()).toContain("cut off")
  })

  it("accepts a message again whose line was cut off", async () => {
    const harness = await nineLines()
    truncateSync(harness.paths.inbox, harness.text.length - 5)
    const inbox = harness.open(limits)
    expect(inbox.append({ type: "MSG", n: 8, msg_id: "x.8" }, { msgId: "x.8" })).toBe(false)
    expect(inbox.append({ type: "MSG", n: 9, msg_id: "x.9" }, { msgId: "x.9" })).toBe(true)
    await until("the new line", () => inbox.lastSeq === 10)
    expect(harness.messages).toEqual(range(1, 9))
  })

  it("drops a partial line that is alone in the file", async () => {
    const harness = new InboxHarness()
    mkdirSync(harness.paths.dir, { recursive: true })
    writeFileSync(harness.paths.inbox, '{"seq":1,"type":"MSG","con')
    const inbox = harness.open(limits)
    harness.send(inbox, 2)
    await until("the new lines", () => inbox.lastSeq === 2)
    expect(harness.messages).toEqual([1, 2])
    expect(harness.segments).toEqual([])
  })

  it("keeps a damaged line where it is, reports it and continues", async () => {
    const harness = await nineLines()
    const lines = harness.text.split("\n")
    lines[4] = '{"seq":5,"type":"MSG","n":5,"con\u0000\u0000\u0000'
    writeFileSync(harness.paths.inbox, lines.join("\n"))
    const damaged: string[] = []
    const inbox = harness.open({ lines: 20, graceMs: 50 })
    harness.send(inbox, 1)
    await until("the new line", () => inbox.lastSeq === 10)
    const seen = [...readInbox(harness.paths, { sinceSeq: 0 }, (text) => damaged.push(text))]
    expect(seen.map(({ seq }) => seq)).toEqual([1, 2, 3, 4, 6, 7, 8, 9, 10])
    expect(damaged).toEqual([lines[4]])
    expect(harness.log.join()).toContain("the first is line 5")
    expect(readFileSync(harness.paths.inbox, "utf8")).toContain(lines[4])
  })

  it("does not reuse the seq of a damaged last line", async () => {
    const harness = await nineLines()
    writeFileSync(harness.paths.inbox, harness.text.replace('{"seq":9,', '{"s\u0000\u0000":9,'))
    const inbox = harness.open(limits)
    harness.send(inbox, 1)
    await until("the new line", () => harness.text.includes('"n":10'))
    expect(inbox.lastSeq).toBeGreaterThanOrEqual(10)
    expect(harness.text).toContain('{"seq":10,')
  })
})
