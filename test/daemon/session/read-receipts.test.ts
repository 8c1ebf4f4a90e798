import { mkdirSync, rmSync, writeFileSync } from "node:fs"
import { describe, expect, it } from "vitest"
import { ReaderCursor } from "../../../src/daemon/inbox/reader-cursor.js"
import { DaemonMemory } from "../../../src/daemon/session/daemon-memory.js"
import { ReadReceipts } from "../../../src/daemon/session/read-receipts.js"
import type { ClientFrame } from "../../../src/protocol/client-messages.js"
import { FakeClock } from "../../kit/fake-clock.js"
import { InboxRoom } from "../../kit/inbox-room.js"

const lineOf = (seq: number) =>
  Buffer.from(JSON.stringify({ seq, type: "MSG", to: "@aaaaaaaaaaaaaaaa", msg_id: `x.${seq}` }))

function mailOf(room = new InboxRoom()) {
  const { paths } = room
  mkdirSync(paths.dir, { recursive: true })
  const clock = new FakeClock()
  const memory = DaemonMemory.open(paths.memory)
  const unread = new ReadReceipts(paths.cursors, memory, () => clock.monotonic())
  const sent: ClientFrame[] = []
  const session = { send: (frame: ClientFrame) => void sent.push(frame) }
  return {
    room,
    clock,
    memory,
    unread,
    session,
    sent,
    told: () => sent.map((frame) => (frame.type === "RECEIVED" ? frame.retrieved : [])),
    read: (seq: number, reader = "hook") => {
      ReaderCursor.open(paths, reader).confirm(seq)
    },
  }
}

describe("what a reader took", () => {
  it("is told once a named reader's cursor passed it, and nothing before", () => {
    const { unread, session, told, read } = mailOf()
    unread.attach(session)
    for (let seq = 1; seq <= 4; seq++) unread.add(seq, `x.${seq}`)
    unread.look()
    expect(told()).toEqual([])
    read(2)
    unread.look()
    unread.look()
    read(4)
    unread.look()
    expect(told()).toEqual([
      ["x.1", "x.2"],
      ["x.3", "x.4"],
    ])
  })

  it("is an empty list when only channel messages were passed, so that the relay notes the time", () => {
    const { unread, session, told, read } = mailOf()
    unread.attach(session)
    read(5)
    unread.look()
    unread.look()
    expect(told()).toEqual([[]])
  })

  it("counts for whichever reader was first, and notes the time of every one", () => {
    const { unread, session, told, read } = mailOf()
    unread.attach(session)
    unread.add(3, "x.3")
    read(3, "one")
    unread.look()
    read(2, "two")
    unread.look()
    expect(told()).toEqual([["x.3"], []])
  })

  it("names at most 1,000 messages in one frame", () => {
    const { unread, session, told, read } = mailOf()
    unread.attach(session)
    for (let seq = 1; seq <= 2_300; seq++) unread.add(seq, `x.${seq}`)
    read(2_300)
    unread.look()
    expect(told().map((ids) => ids?.length)).toEqual([1_000, 1_000, 300])
  })

  it("waits for a session, and is told again to the next one when the last may have been dead", () => {
    const { unread, session, told, read, clock } = mailOf()
    unread.add(1, "x.1")
    read(1)
    unread.look()
    expect(told()).toEqual([])
    unread.attach(session)
    unread.detach()
    clock.advance(10_000)
    unread.attach(session)
    expect(told()).toEqual([["x.1"], ["x.1"]])
    unread.detach()
    clock.advance(31_000)
    unread.attach(session)
    expect(told()).toHaveLength(2)
  })

  it("is told when the reader was faster than the disk", () => {
    const { unread, session, told, read } = mailOf()
    unread.attach(session)
    read(1)
    unread.look()
    unread.add(1, "x.1")
    unread.look()
    expect(told()).toEqual([[], ["x.1"]])
  })

  it("is told after a restart if a reader took it meanwhile, and what was told is not told again", () => {
    const first = mailOf()
    first.unread.attach(first.session)
    first.unread.add(1, "x.1")
    first.read(1)
    first.unread.look()
    first.memory.save()
    first.read(2)
    const second = mailOf(first.room)
    for (let seq = 1; seq <= 3; seq++) second.unread.recall(lineOf(seq))
    second.unread.attach(second.session)
    expect(second.told()).toEqual([["x.2"]])
  })

  it("costs one look at the directory while no reader moves", () => {
    const { unread, session, told, read, room } = mailOf()
    unread.attach(session)
    read(1)
    unread.look()
    unread.look()
    // Read only when the directory changed: what was damaged in place is not even looked at.
    writeFileSync(`${room.paths.cursors}/hook.json`, '{"seq":9}')
    unread.look()
    expect(told()).toEqual([[]])
    rmSync(room.paths.cursors, { recursive: true })
    unread.look()
    expect(told()).toEqual([[]])
  })
})
