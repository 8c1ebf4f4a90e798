import {
  appendFileSync,
  existsSync,
  mkdirSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs"
import { setImmediate as turn } from "node:timers/promises"
import { describe, expect, it } from "vitest"
import { inboxSteps, nextInboxState } from "../../../src/daemon/inbox/inbox.js"
import { until } from "../../kit/condition.js"
import { InboxHarness, parseLines, range } from "../../kit/inbox-harness.js"

/** Limits with a fast rotation, and limits without one. */
const quick = { lines: 10, graceMs: 50, busyMs: 300 }

describe("Inbox", () => {
  it("writes a numbered line at the end of the current turn of the event loop", async () => {
    const harness = new InboxHarness()
    const inbox = harness.open()
    expect(inbox.append({ type: "MSG", content: "hi" })).toBe(true)
    await Promise.resolve()
    expect(harness.text).toBe('{"seq":1,"type":"MSG","content":"hi"}\n')
    expect(inbox.lastSeq).toBe(1)
    expect(inbox.lines).toBe(1)
  })

  it("creates its files for their owner only", async () => {
    const harness = new InboxHarness()
    const inbox = harness.open(quick)
    harness.send(inbox, 10)
    await until("the rotation", () => harness.segments.length === 1)
    expect(statSync(harness.paths.inbox).mode & 0o777).toBe(0o600)
    expect(statSync(harness.paths.segments).mode & 0o777).toBe(0o700)
    expect(statSync(harness.paths.dir).mode & 0o777).toBe(0o700)
  })

  it("reports each line as durable once it is on disk, in order", async () => {
    const harness = new InboxHarness()
    const inbox = harness.open()
    for (let i = 0; i < 50; i++) {
      harness.send(inbox, 7)
      await turn()
    }
    expect(harness.durable.length).toBeLessThanOrEqual(350)
    await until("all are confirmed", () => harness.durable.length === 350)
    expect(harness.durable).toEqual(range(1, 350).map((n) => `x.${n}`))
    expect(harness.marks).toEqual(range(1, 350))
  })

  it("drops a duplicate and reports it as durable all the same", async () => {
    const harness = new InboxHarness()
    const inbox = harness.open()
    harness.send(inbox, 1)
    expect(inbox.append({ type: "MSG" }, { msgId: "x.1", mark: "again" })).toBe(false)
    await until("both are confirmed", () => harness.marks.length === 2)
    expect(inbox.append({ type: "MSG" }, { msgId: "x.1", mark: "late" })).toBe(false)
    await until("the third too", () => harness.marks.length === 3)
    expect(harness.marks).toEqual([1, "again", "late"])
    expect(harness.lines).toHaveLength(1)
  })

  it("keeps another message of the same id, also after a restart", async () => {
    const harness = new InboxHarness()
    const line = (content: string, more: object = {}) => ({
      ...{ type: "MSG", from: "@a", name: "a", to: "#general", content, ts: 1, msg_id: "x.1" },
      ...more,
    })
    const texts = ["one", 'two\n,"ts":5,"to":', "é\u2028"]
    let inbox = harness.open()
    for (const text of texts) {
      expect(inbox.append(line(text), { msgId: "x.1" })).toBe(true)
      expect(inbox.append({ ...line(text), ts: 2, name: "b", replay: true }, { msgId: "x.1" })).toBe(false)
    }
    const parts = line("one", { parts: [{ ts: 1, parts: 2 }] })
    expect(inbox.append(parts, { msgId: "x.1" })).toBe(true)
    await inbox.close()
    inbox = harness.open()
    for (const text of texts) expect(inbox.append(line(text), { msgId: "x.1" })).toBe(false)
    expect(inbox.append(parts, { msgId: "x.1" })).toBe(false)
    expect(inbox.append(line("three"), { msgId: "x.1" })).toBe(true)
  })

  it("does not report a duplicate before its first copy is on disk", async () => {
    const harness = new InboxHarness()
    const inbox = harness.open({ ...quick, graceMs: 400, hardLines: 10 })
    harness.send(inbox, 10)
    await until("they are confirmed", () => harness.durable.length === 10)
    // The file is at its hard limit: this line waits in memory for the rotation.
    harness.send(inbox, 1)
    inbox.append({ type: "MSG" }, { msgId: "x.11", mark: "again" })
    await turn()
    expect(inbox.heldBytes).toBeGreaterThan(0)
    expect(harness.marks).toEqual(range(1, 10))
    await until("the line and its double are confirmed", () => harness.marks.length === 12)
    expect(harness.marks.slice(10)).toEqual([11, "again"])
    expect(harness.messages).toEqual(range(1, 11))
  })

  it("continues where it stopped, and recognizes its messages", async () => {
    const harness = new InboxHarness()
    const first = harness.open(quick)
    harness.send(first, 25)
    await until("the rotation", () => first.lines === 1)
    harness.send(first, 5)
    await first.close()
    const second = harness.open(quick)
    expect(second.lastSeq).toBe(31)
    expect(range(1, 30).some((n) => second.append({ type: "MSG" }, { msgId: `x.${n}` }))).toBe(false)
    harness.send(second, 1)
    await second.close()
    expect(harness.lines.map(({ seq }) => seq)).toEqual(range(1, 32))
    expect(harness.messages).toEqual(range(1, 31))
  })

  it("writes everything at close and nothing afterwards", async () => {
    const harness = new InboxHarness()
    const inbox = harness.open()
    harness.send(inbox, 3)
    const closing = inbox.close()
    expect(inbox.append({ type: "MSG" })).toBe(false)
    await closing
    await inbox.close()
    expect(harness.messages).toEqual([1, 2, 3])
    expect(harness.durable).toHaveLength(3)
  })

  it("writes held lines at close", async () => {
    const harness = new InboxHarness()
    const inbox = harness.open({ ...quick, graceMs: 300, hardLines: 10 })
    harness.send(inbox, 10)
    await turn()
    harness.send(inbox, 5)
    await turn()
    expect(inbox.heldBytes).toBeGreaterThan(0)
    await inbox.close()
    expect(harness.messages).toEqual(range(1, 15))
    expect(harness.durable).toHaveLength(15)
  })
})

describe("rotation", () => {
  it("seals the lines and begins the file with one that names the segment", async () => {
    const harness = new InboxHarness()
    const inbox = harness.open(quick)
    harness.send(inbox, 12)
    await until("the rotation", () => inbox.lines === 1)
    expect(harness.segments).toEqual(["0000000001-0000000012.jsonl"])
    expect(parseLines(harness.text)).toMatchObject([
      { seq: 13, type: "INBOX_ROTATED", segment: "inbox/0000000001-0000000012.jsonl" },
    ])
    expect(harness.messages).toEqual(range(1, 12))
  })

  it("waits for a pause in the writing", async () => {
    const harness = new InboxHarness()
    const inbox = harness.open({ ...quick, graceMs: 200, busyMs: 60_000 })
    for (let i = 0; i < 10; i++) {
      harness.send(inbox, 10)
      await turn()
    }
    expect(harness.segments).toEqual([])
    await until("the rotation", () => inbox.lines === 1)
    expect(harness.segments).toEqual(["0000000001-0000000100.jsonl"])
  })

  it("holds a stream that never pauses, and reports pressure", async () => {
    const harness = new InboxHarness()
    const inbox = harness.open({ ...quick, graceMs: 100, busyMs: 100, heldBytes: 2_000 })
    let sent = 0
    await until("the second rotation", async () => {
      harness.send(inbox, 5)
      sent += 5
      await turn()
      return harness.segments.length === 2
    })
    await until("all are confirmed", () => harness.durable.length === sent)
    expect(harness.messages).toEqual(range(1, sent))
    expect(harness.pressure.length).toBeGreaterThanOrEqual(2)
    expect(harness.pressure.length % 2).toBe(0)
    expect(harness.pressure.slice(0, 2)).toEqual([true, false])
  })

  it("rotates a full file after a start", async () => {
    const harness = new InboxHarness()
    const first = harness.open()
    harness.send(first, 20)
    await first.close()
    const second = harness.open(quick)
    await until("the rotation", () => second.lines === 1)
    expect(harness.segments).toHaveLength(1)
  })

  it("keeps appending while the segment cannot be written, and seals it later", async () => {
    const harness = new InboxHarness()
    const inbox = harness.open({ ...quick, retryRotationMs: 100 })
    writeFileSync(harness.paths.segments, "not a directory")
    harness.send(inbox, 10)
    await until("the problem", () => harness.problems.length > 0)
    expect(harness.problems[0]).toMatchObject({ code: "FILE_FAILED" })
    harness.send(inbox, 5)
    await until("they are confirmed", () => harness.durable.length === 15)
    rmSync(harness.paths.segments)
    await until("the rotation", () => inbox.lines === 1)
    expect(harness.problems.at(-1)).toBeUndefined()
    expect(harness.messages).toEqual(range(1, 15))
  })

  it("holds lines at the hard limit while the segment cannot be written", async () => {
    const harness = new InboxHarness()
    const inbox = harness.open({ ...quick, hardLines: 12 })
    writeFileSync(harness.paths.segments, "not a directory")
    harness.send(inbox, 12)
    await until("the problem", () => harness.problems.length > 0)
    harness.send(inbox, 5)
    await turn()
    expect(inbox.heldBytes).toBeGreaterThan(0)
    rmSync(harness.paths.segments)
    inbox.sweep()
    await until("all are confirmed", () => harness.durable.length === 17)
    expect(harness.messages).toEqual(range(1, 17))
    expect(harness.problems.at(-1)).toBeUndefined()
  })
})

describe("an inbox file changed by another program", () => {
  it("is recreated when it was deleted, and its lines are kept in a segment", async () => {
    const harness = new InboxHarness()
    const inbox = harness.open()
    harness.send(inbox, 3)
    await until("they are confirmed", () => harness.durable.length === 3)
    rmSync(harness.paths.inbox)
    harness.send(inbox, 2)
    await until("the new ones too", () => harness.durable.length === 5)
    expect(harness.lines.map(({ seq }) => seq)).toEqual(range(1, 6))
    expect(harness.messages).toEqual(range(1, 5))
    expect(harness.segments).toHaveLength(1)
  })

  it("is recreated by the next sweep, even without a new line", async () => {
    const harness = new InboxHarness()
    const inbox = harness.open()
    harness.send(inbox, 3)
    await turn()
    rmSync(harness.paths.inbox)
    inbox.sweep()
    await until("the new file", () => harness.text !== "")
    expect(harness.messages).toEqual([1, 2, 3])
  })

  it("creates nothing while its directory is gone, and loses no new line", async () => {
    const harness = new InboxHarness()
    const inbox = harness.open()
    harness.send(inbox, 3)
    await until("they are confirmed", () => harness.durable.length === 3)
    rmSync(harness.paths.dir, { recursive: true })
    harness.send(inbox, 2)
    await until("the problem", () => harness.problems.length > 0)
    expect(existsSync(harness.paths.dir)).toBe(false)
    mkdirSync(harness.paths.dir)
    inbox.sweep()
    await until("the new ones too", () => harness.durable.length === 5)
    expect(harness.messages).toEqual([4, 5])
  })

  it("is sealed when another file replaced it", async () => {
    const harness = new InboxHarness()
    const inbox = harness.open(quick)
    harness.send(inbox, 3)
    await turn()
    // Some editors write a copy and rename it.
    writeFileSync(`${harness.paths.inbox}.copy`, harness.text)
    renameSync(`${harness.paths.inbox}.copy`, harness.paths.inbox)
    harness.send(inbox, 2)
    await until("the new ones are confirmed", () => harness.durable.length === 5)
    expect(harness.lines.map(({ seq }) => seq)).toEqual(range(1, inbox.lastSeq))
    expect(harness.messages).toEqual(range(1, 5))
  })

  it("continues its numbers after it was emptied, and reports that", async () => {
    const harness = new InboxHarness()
    const inbox = harness.open()
    harness.send(inbox, 3)
    await turn()
    truncateSync(harness.paths.inbox)
    harness.send(inbox, 1)
    await until("the line", () => harness.durable.length === 4)
    expect(harness.lines).toMatchObject([
      { seq: 4, type: "NOTICE" },
      { seq: 5, n: 4 },
    ])
  })

  it("keeps and counts a whole line that was appended", async () => {
    const harness = new InboxHarness()
    const inbox = harness.open()
    harness.send(inbox, 2)
    await turn()
    appendFileSync(harness.paths.inbox, '{"type":"MSG","content":"mine"}\n')
    harness.send(inbox, 1)
    await turn()
    expect(harness.lines.map(({ seq }) => seq)).toEqual([1, 2, undefined, 3])
    expect(inbox.lines).toBe(4)
  })

  it("does not append its lines to a partial one", async () => {
    const harness = new InboxHarness()
    const inbox = harness.open(quick)
    harness.send(inbox, 2)
    await turn()
    appendFileSync(harness.paths.inbox, '{"type":"MSG","cont')
    harness.send(inbox, 1)
    await until("the line", () => harness.durable.length === 3)
    expect(harness.lines.map(({ seq }) => seq)).toEqual(range(1, 4))
    expect(harness.messages).toEqual([1, 2, 3])
  })
})

describe("nextInboxState", () => {
  it("leads from every state to closed", () => {
    for (const state of Object.keys(inboxSteps) as (keyof typeof inboxSteps)[]) {
      const seen = new Set([state])
      for (const known of seen) for (const next of Object.values(inboxSteps[known])) seen.add(next)
      expect(seen.has("closed")).toBe(true)
    }
  })

  it("throws for a transition that is not listed", () => {
    expect(() => nextInboxState("rotating", "hold")).toThrow("inbox: hold while rotating")
    expect(() => nextInboxState("closed", "retry")).toThrow("inbox: retry while closed")
  })
})
