import { appendFileSync, renameSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs"
import { setImmediate as turn } from "node:timers/promises"
import { describe, expect, it } from "vitest"
import { inboxSteps, nextInboxState } from "../../../src/daemon/inbox/inbox.js"
import { until } from "../../kit/condition.js"
import { InboxRoom, parseLines, range } from "../../kit/inbox-room.js"

/** Limits with a fast rotation, and limits without one. */
const quick = { lines: 10, graceMs: 50, busyMs: 300 }

describe("Inbox", () => {
  it("writes a numbered line at the end of the current turn of the event loop", async () => {
    const room = new InboxRoom()
    const inbox = room.open()
    expect(inbox.append({ type: "MSG", content: "hi" })).toBe(true)
    await Promise.resolve()
    expect(room.text).toBe('{"seq":1,"type":"MSG","content":"hi"}\n')
    expect(inbox.lastSeq).toBe(1)
    expect(inbox.lines).toBe(1)
  })

  it("creates its files for their owner only", async () => {
    const room = new InboxRoom()
    const inbox = room.open(quick)
    room.send(inbox, 10)
    await until("the rotation", () => room.segments.length === 1)
    expect(statSync(room.paths.inbox).mode & 0o777).toBe(0o600)
    expect(statSync(room.paths.segments).mode & 0o777).toBe(0o700)
    expect(statSync(room.paths.dir).mode & 0o777).toBe(0o700)
  })

  it("reports each line as durable once it is on disk, in order", async () => {
    const room = new InboxRoom()
    const inbox = room.open()
    for (let i = 0; i < 50; i++) {
      room.send(inbox, 7)
      await turn()
    }
    expect(room.durable.length).toBeLessThanOrEqual(350)
    await until("all are confirmed", () => room.durable.length === 350)
    expect(room.durable).toEqual(range(1, 350).map((n) => `x.${n}`))
    expect(room.marks).toEqual(range(1, 350))
  })

  it("drops a duplicate and reports it as durable all the same", async () => {
    const room = new InboxRoom()
    const inbox = room.open()
    room.send(inbox, 1)
    expect(inbox.append({ type: "MSG" }, { msgId: "x.1", mark: "again" })).toBe(false)
    await until("both are confirmed", () => room.marks.length === 2)
    expect(inbox.append({ type: "MSG" }, { msgId: "x.1", mark: "late" })).toBe(false)
    await until("the third too", () => room.marks.length === 3)
    expect(room.marks).toEqual([1, "again", "late"])
    expect(inbox.has("x.1")).toBe(true)
    expect(room.lines).toHaveLength(1)
  })

  it("does not report a duplicate before its first copy is on disk", async () => {
    const room = new InboxRoom()
    const inbox = room.open({ ...quick, graceMs: 400, hardLines: 10 })
    room.send(inbox, 10)
    await until("they are confirmed", () => room.durable.length === 10)
    // The file is at its hard limit: this line waits in memory for the rotation.
    room.send(inbox, 1)
    inbox.append({ type: "MSG" }, { msgId: "x.11", mark: "again" })
    await turn()
    expect(inbox.heldBytes).toBeGreaterThan(0)
    expect(room.marks).toEqual(range(1, 10))
    await until("the line and its double are confirmed", () => room.marks.length === 12)
    expect(room.marks.slice(10)).toEqual([11, "again"])
    expect(room.messages).toEqual(range(1, 11))
  })

  it("continues where it stopped, and recognizes its messages", async () => {
    const room = new InboxRoom()
    const first = room.open(quick)
    room.send(first, 25)
    await until("the rotation", () => first.lines === 1)
    room.send(first, 5)
    await first.close()
    const second = room.open(quick)
    expect(second.lastSeq).toBe(31)
    expect(range(1, 30).every((n) => second.has(`x.${n}`))).toBe(true)
    room.send(second, 1)
    await second.close()
    expect(room.lines.map(({ seq }) => seq)).toEqual(range(1, 32))
    expect(room.messages).toEqual(range(1, 31))
  })

  it("writes everything at close and nothing afterwards", async () => {
    const room = new InboxRoom()
    const inbox = room.open()
    room.send(inbox, 3)
    const closing = inbox.close()
    expect(inbox.append({ type: "MSG" })).toBe(false)
    await closing
    await inbox.close()
    expect(room.messages).toEqual([1, 2, 3])
    expect(room.durable).toHaveLength(3)
  })

  it("writes held lines at close", async () => {
    const room = new InboxRoom()
    const inbox = room.open({ ...quick, graceMs: 300, hardLines: 10 })
    room.send(inbox, 10)
    await turn()
    room.send(inbox, 5)
    await turn()
    expect(inbox.heldBytes).toBeGreaterThan(0)
    await inbox.close()
    expect(room.messages).toEqual(range(1, 15))
    expect(room.durable).toHaveLength(15)
  })
})

describe("rotation", () => {
  it("seals the lines and begins the file with one that names the segment", async () => {
    const room = new InboxRoom()
    const inbox = room.open(quick)
    room.send(inbox, 12)
    await until("the rotation", () => inbox.lines === 1)
    expect(room.segments).toEqual(["0000000001-0000000012.jsonl"])
    expect(parseLines(room.text)).toMatchObject([
      { seq: 13, type: "INBOX_ROTATED", segment: "inbox/0000000001-0000000012.jsonl" },
    ])
    expect(room.messages).toEqual(range(1, 12))
  })

  it("waits for a pause in the writing", async () => {
    const room = new InboxRoom()
    const inbox = room.open({ ...quick, graceMs: 200, busyMs: 60_000 })
    for (let i = 0; i < 10; i++) {
      room.send(inbox, 10)
      await turn()
    }
    expect(room.segments).toEqual([])
    await until("the rotation", () => inbox.lines === 1)
    expect(room.segments).toEqual(["0000000001-0000000100.jsonl"])
  })

  it("holds a stream that never pauses, and reports pressure", async () => {
    const room = new InboxRoom()
    const inbox = room.open({ ...quick, graceMs: 100, busyMs: 100, heldBytes: 2_000 })
    let sent = 0
    await until("the second rotation", async () => {
      room.send(inbox, 5)
      sent += 5
      await turn()
      return room.segments.length === 2
    })
    await until("all are confirmed", () => room.durable.length === sent)
    expect(room.messages).toEqual(range(1, sent))
    expect(room.pressure.length).toBeGreaterThanOrEqual(2)
    expect(room.pressure.length % 2).toBe(0)
    expect(room.pressure.slice(0, 2)).toEqual([true, false])
  })

  it("rotates a full file after a start", async () => {
    const room = new InboxRoom()
    const first = room.open()
    room.send(first, 20)
    await first.close()
    const second = room.open(quick)
    await until("the rotation", () => second.lines === 1)
    expect(room.segments).toHaveLength(1)
  })

  it("keeps appending while the segment cannot be written, and seals it later", async () => {
    const room = new InboxRoom()
    const inbox = room.open({ ...quick, retryRotationMs: 100 })
    writeFileSync(room.paths.segments, "not a directory")
    room.send(inbox, 10)
    await until("the problem", () => room.problems.length > 0)
    expect(room.problems[0]).toMatchObject({ code: "FILE_FAILED" })
    room.send(inbox, 5)
    await until("they are confirmed", () => room.durable.length === 15)
    rmSync(room.paths.segments)
    await until("the rotation", () => inbox.lines === 1)
    expect(room.problems.at(-1)).toBeUndefined()
    expect(room.messages).toEqual(range(1, 15))
  })

  it("holds lines at the hard limit while the segment cannot be written", async () => {
    const room = new InboxRoom()
    const inbox = room.open({ ...quick, hardLines: 12 })
    writeFileSync(room.paths.segments, "not a directory")
    room.send(inbox, 12)
    await until("the problem", () => room.problems.length > 0)
    room.send(inbox, 5)
    await turn()
    expect(inbox.heldBytes).toBeGreaterThan(0)
    rmSync(room.paths.segments)
    inbox.sweep()
    await until("all are confirmed", () => room.durable.length === 17)
    expect(room.messages).toEqual(range(1, 17))
    expect(room.problems.at(-1)).toBeUndefined()
  })
})

describe("an inbox file changed by another program", () => {
  it("is recreated when it was deleted, and its lines are kept in a segment", async () => {
    const room = new InboxRoom()
    const inbox = room.open()
    room.send(inbox, 3)
    await until("they are confirmed", () => room.durable.length === 3)
    rmSync(room.paths.inbox)
    room.send(inbox, 2)
    await until("the new ones too", () => room.durable.length === 5)
    expect(room.lines.map(({ seq }) => seq)).toEqual(range(1, 6))
    expect(room.messages).toEqual(range(1, 5))
    expect(room.segments).toHaveLength(1)
  })

  it("is recreated by the next sweep, even without a new line", async () => {
    const room = new InboxRoom()
    const inbox = room.open()
    room.send(inbox, 3)
    await turn()
    rmSync(room.paths.inbox)
    inbox.sweep()
    await until("the new file", () => room.text !== "")
    expect(room.messages).toEqual([1, 2, 3])
  })

  it("is recreated together with its directory", async () => {
    const room = new InboxRoom()
    const inbox = room.open()
    room.send(inbox, 3)
    await until("they are confirmed", () => room.durable.length === 3)
    rmSync(room.paths.dir, { recursive: true })
    room.send(inbox, 2)
    await until("the new ones too", () => room.durable.length === 5)
    expect(room.messages).toEqual(range(1, 5))
  })

  it("is sealed when another file replaced it", async () => {
    const room = new InboxRoom()
    const inbox = room.open(quick)
    room.send(inbox, 3)
    await turn()
    // Some editors write a copy and rename it.
    writeFileSync(`${room.paths.inbox}.copy`, room.text)
    renameSync(`${room.paths.inbox}.copy`, room.paths.inbox)
    room.send(inbox, 2)
    await until("the new ones are confirmed", () => room.durable.length === 5)
    expect(room.lines.map(({ seq }) => seq)).toEqual(range(1, inbox.lastSeq))
    expect(room.messages).toEqual(range(1, 5))
  })

  it("continues its numbers after it was emptied, and reports that", async () => {
    const room = new InboxRoom()
    const inbox = room.open()
    room.send(inbox, 3)
    await turn()
    truncateSync(room.paths.inbox)
    room.send(inbox, 1)
    await until("the line", () => room.durable.length === 4)
    expect(room.lines).toMatchObject([
      { seq: 4, type: "NOTICE" },
      { seq: 5, n: 4 },
    ])
  })

  it("keeps and counts a whole line that was appended", async () => {
    const room = new InboxRoom()
    const inbox = room.open()
    room.send(inbox, 2)
    await turn()
    appendFileSync(room.paths.inbox, '{"type":"MSG","content":"mine"}\n')
    room.send(inbox, 1)
    await turn()
    expect(room.lines.map(({ seq }) => seq)).toEqual([1, 2, undefined, 3])
    expect(inbox.lines).toBe(4)
  })

  it("does not append its lines to a partial one", async () => {
    const room = new InboxRoom()
    const inbox = room.open(quick)
    room.send(inbox, 2)
    await turn()
    appendFileSync(room.paths.inbox, '{"type":"MSG","cont')
    room.send(inbox, 1)
    await until("the line", () => room.durable.length === 3)
    expect(room.lines.map(({ seq }) => seq)).toEqual(range(1, 4))
    expect(room.messages).toEqual([1, 2, 3])
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
