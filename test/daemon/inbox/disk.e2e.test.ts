import { mkdirSync, rmSync } from "node:fs"
import { setTimeout as sleep, setImmediate as turn } from "node:timers/promises"
import { describe, expect, it } from "vitest"
import { until } from "../../kit/condition.js"
import { isRoot, SmallDisk } from "../../kit/file-system.js"
import { InboxHarness, range } from "../../kit/inbox-harness.js"
import { Tail } from "../../kit/tail.js"

// A full or read-only disk loses nothing, is reported, and needs no restart (doc/files.md).
describe.runIf(isRoot())("an inbox on a full or read-only disk", () => {
  const content = "x".repeat(500)
  // Lines of up to 1 KiB do not cross a page, so a full disk does not cut them.
  const longContent = "x".repeat(3_000)

  it("completes a line that a full disk cut off, once there is room", async () => {
    const disk = new SmallDisk(512 * 1_024)
    const harness = new InboxHarness(disk.path)
    const inbox = harness.open()
    harness.send(inbox, 10, longContent)
    await until("they are confirmed", () => harness.durable.length === 10)
    const tail = await Tail.follow(harness.paths.inbox)
    disk.fill()
    for (let i = 0; i < 30; i++) {
      harness.send(inbox, 3, longContent)
      await turn()
    }
    expect(harness.problems).toHaveLength(1)
    expect(harness.problems[0]).toMatchObject({
      code: "FILE_FAILED",
      message: "inbox.jsonl: no space left on the disk (ENOSPC)",
    })
    expect(inbox.heldBytes).toBeGreaterThan(0)
    expect(harness.text.endsWith("\n")).toBe(false)
    inbox.sweep()
    expect(harness.problems).toHaveLength(1)
    disk.free()
    inbox.sweep()
    await until("all are confirmed", () => harness.durable.length === 100)
    expect(harness.problems).toEqual([expect.anything(), undefined])
    expect(harness.messages).toEqual(range(1, 100))
    expect(harness.lines.map(({ seq }) => seq)).toEqual(range(1, 100))
    await tail.reaches(100)
    expect(tail.lines.flatMap(({ n }) => n ?? [])).toEqual(range(1, 100))
  })

  it("loses and repeats no line, whenever the disk fills up", async () => {
    const disk = new SmallDisk(1_024 * 1_024)
    const harness = new InboxHarness(disk.path)
    const inbox = harness.open({ lines: 50, graceMs: 20, busyMs: 50, retryRotationMs: 20 })
    let sent = 0
    for (let round = 0; round < 10; round++) {
      for (let i = 0; i < 20; i++) {
        if (i === round * 2) disk.fill()
        harness.send(inbox, 4, content)
        sent += 4
        await turn()
      }
      await sleep(30)
      const confirmed = harness.durable.length
      expect(confirmed).toBeLessThanOrEqual(harness.messages.length)
      disk.free()
      await until("all are confirmed", () => {
        inbox.sweep()
        return harness.durable.length === sent
      })
    }
    // Between sealing and emptying, the lines are in the segment and in the file.
    await until("no rotation is in progress", () => harness.lines.length === inbox.lastSeq)
    expect(harness.messages).toEqual(range(1, sent))
    expect(harness.lines.map(({ seq }) => seq)).toEqual(range(1, inbox.lastSeq))
    expect(harness.segments.length).toBeGreaterThan(2)
    await until("the last rotation, and with it all problems, are over", () => {
      inbox.sweep()
      return harness.problems.at(-1) === undefined
    })
  })

  it("repairs after a restart the line that a full disk cut off", async () => {
    const disk = new SmallDisk(512 * 1_024)
    const harness = new InboxHarness(disk.path)
    const first = harness.open()
    harness.send(first, 10, longContent)
    await turn()
    disk.fill()
    harness.send(first, 100, longContent)
    await turn()
    expect(harness.text.endsWith("\n")).toBe(false)
    await first.close()
    const kept = harness.text.split("\n").length - 1
    expect(harness.durable.length).toBeLessThanOrEqual(kept)
    disk.free()
    const second = harness.open({ graceMs: 20 })
    harness.send(second, 1)
    await until("the new line", () => second.lastSeq === kept + 2)
    expect(harness.lines.map(({ seq }) => seq)).toEqual(range(1, kept + 2))
    expect(harness.messages).toEqual([...range(1, kept), 111])
  })

  it("frees the space of a deleted file on a full disk", async () => {
    const disk = new SmallDisk(256 * 1_024)
    const harness = new InboxHarness(disk.path)
    const inbox = harness.open()
    harness.send(inbox, 200, content)
    await until("they are confirmed", () => harness.durable.length === 200)
    disk.fill()
    harness.send(inbox, 200, content)
    await turn()
    expect(harness.problems).toHaveLength(1)
    rmSync(harness.paths.inbox)
    await until("the rest is confirmed", () => {
      inbox.sweep()
      return harness.durable.length === 400
    })
    expect(harness.messages.at(-1)).toBe(400)
    expect(harness.log.join()).toContain("could not be saved")
    expect(harness.problems.at(-1)).toBeUndefined()
  })

  it("starts on a read-only disk, reports it, and writes once it can", async () => {
    const disk = new SmallDisk(256 * 1_024)
    const harness = new InboxHarness(disk.path)
    mkdirSync(harness.paths.dir, { recursive: true })
    disk.setReadOnly(true)
    const inbox = harness.open()
    harness.send(inbox, 3)
    await turn()
    expect(harness.problems).toHaveLength(1)
    expect(harness.problems[0]?.message).toBe("inbox.jsonl: the file system is read-only (EROFS)")
    disk.setReadOnly(false)
    inbox.sweep()
    await until("they are confirmed", () => harness.durable.length === 3)
    expect(harness.messages).toEqual([1, 2, 3])
    expect(harness.problems.at(-1)).toBeUndefined()
  })
})
