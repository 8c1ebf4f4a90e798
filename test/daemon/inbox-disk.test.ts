import { mkdirSync, rmSync } from "node:fs"
import { setTimeout as sleep, setImmediate as turn } from "node:timers/promises"
import { describe, expect, it } from "vitest"
import { until } from "../kit/condition.js"
import { isRoot, SmallDisk } from "../kit/file-system.js"
import { InboxRoom, range } from "../kit/inbox-room.js"
import { Tail } from "../kit/tail.js"

// A full or read-only disk loses nothing, is reported, and needs no restart (doc/files.md).
describe.runIf(isRoot())("an inbox on a full or read-only disk", () => {
  const content = "x".repeat(500)
  // Lines of up to 1 KiB do not cross a page, so a full disk does not cut them.
  const longContent = "x".repeat(3_000)

  it("completes a line that a full disk cut off, once there is room", async () => {
    const disk = new SmallDisk(512 * 1_024)
    const room = new InboxRoom(disk.path)
    const inbox = room.open()
    room.send(inbox, 10, longContent)
    await until("they are confirmed", () => room.durable.length === 10)
    const tail = await Tail.follow(room.paths.inbox)
    disk.fill()
    for (let i = 0; i < 30; i++) {
      room.send(inbox, 3, longContent)
      await turn()
    }
    expect(room.problems).toHaveLength(1)
    expect(room.problems[0]).toMatchObject({
      code: "FILE_FAILED",
      message: "inbox.jsonl: no space left on the disk (ENOSPC)",
    })
    expect(inbox.heldBytes).toBeGreaterThan(0)
    expect(room.text.endsWith("\n")).toBe(false)
    inbox.sweep()
    expect(room.problems).toHaveLength(1)
    disk.free()
    inbox.sweep()
    await until("all are confirmed", () => room.durable.length === 100)
    expect(room.problems).toEqual([expect.anything(), undefined])
    expect(room.messages).toEqual(range(1, 100))
    expect(room.lines.map(({ seq }) => seq)).toEqual(range(1, 100))
    await tail.reaches(100)
    expect(tail.lines.flatMap(({ n }) => n ?? [])).toEqual(range(1, 100))
  })

  it("loses and repeats no line, whenever the disk fills up", async () => {
    const disk = new SmallDisk(1_024 * 1_024)
    const room = new InboxRoom(disk.path)
    const inbox = room.open({ lines: 50, graceMs: 20, busyMs: 50, retryRotationMs: 20 })
    let sent = 0
    for (let round = 0; round < 10; round++) {
      for (let i = 0; i < 20; i++) {
        if (i === round * 2) disk.fill()
        room.send(inbox, 4, content)
        sent += 4
        await turn()
      }
      await sleep(30)
      const confirmed = room.durable.length
      expect(confirmed).toBeLessThanOrEqual(room.messages.length)
      disk.free()
      await until("all are confirmed", () => {
        inbox.sweep()
        return room.durable.length === sent
      })
    }
    // Between sealing and emptying, the lines are in the segment and in the file.
    await until("no rotation is in progress", () => room.lines.length === inbox.lastSeq)
    expect(room.messages).toEqual(range(1, sent))
    expect(room.lines.map(({ seq }) => seq)).toEqual(range(1, inbox.lastSeq))
    expect(room.segments.length).toBeGreaterThan(2)
    await until("the last rotation, and with it all problems, are over", () => {
      inbox.sweep()
      return room.problems.at(-1) === undefined
    })
  })

  it("repairs after a restart the line that a full disk cut off", async () => {
    const disk = new SmallDisk(512 * 1_024)
    const room = new InboxRoom(disk.path)
    const first = room.open()
    room.send(first, 10, longContent)
    await turn()
    disk.fill()
    room.send(first, 100, longContent)
    await turn()
    expect(room.text.endsWith("\n")).toBe(false)
    await first.close()
    const kept = room.text.split("\n").length - 1
    expect(room.durable.length).toBeLessThanOrEqual(kept)
    disk.free()
    const second = room.open({ graceMs: 20 })
    room.send(second, 1)
    await until("the new line", () => second.lastSeq === kept + 2)
    expect(room.lines.map(({ seq }) => seq)).toEqual(range(1, kept + 2))
    expect(room.messages).toEqual([...range(1, kept), 111])
  })

  it("frees the space of a deleted file on a full disk", async () => {
    const disk = new SmallDisk(256 * 1_024)
    const room = new InboxRoom(disk.path)
    const inbox = room.open()
    room.send(inbox, 200, content)
    await until("they are confirmed", () => room.durable.length === 200)
    disk.fill()
    room.send(inbox, 200, content)
    await turn()
    expect(room.problems).toHaveLength(1)
    rmSync(room.paths.inbox)
    await until("the rest is confirmed", () => {
      inbox.sweep()
      return room.durable.length === 400
    })
    expect(room.messages.at(-1)).toBe(400)
    expect(room.log.join()).toContain("could not be saved")
    expect(room.problems.at(-1)).toBeUndefined()
  })

  it("starts on a read-only disk, reports it, and writes once it can", async () => {
    const disk = new SmallDisk(256 * 1_024)
    const room = new InboxRoom(disk.path)
    mkdirSync(room.paths.dir, { recursive: true })
    disk.setReadOnly(true)
    const inbox = room.open()
    room.send(inbox, 3)
    await turn()
    expect(room.problems).toHaveLength(1)
    expect(room.problems[0]?.message).toBe("inbox.jsonl: the file system is read-only (EROFS)")
    disk.setReadOnly(false)
    inbox.sweep()
    await until("they are confirmed", () => room.durable.length === 3)
    expect(room.messages).toEqual([1, 2, 3])
    expect(room.problems.at(-1)).toBeUndefined()
  })
})
