import { mkdirSync, rmSync, writeFileSync } from "node:fs"
import { describe, expect, it } from "vitest"
import { ReaderCursor } from "../../../src/daemon/inbox/reader-cursor.js"
import { DaemonMemory } from "../../../src/daemon/session/daemon-memory.js"
import { ReadReceipts } from "../../../src/daemon/session/read-receipts.js"
import type { ClientFrame } from "../../../src/protocol/client-messages.js"
import type { ServerMessage } from "../../../src/protocol/server-messages.js"
import { FakeClock } from "../../kit/fake-clock.js"
import { welcome } from "../../kit/fake-relay.js"
import { InboxHarness } from "../../kit/inbox-harness.js"

const lineOf = (seq: number) =>
  Buffer.from(JSON.stringify({ seq, type: "MSG", to: "@aaaaaaaaaaaaaaaa", msg_id: `x.${seq}` }))

function setUp(harness = new InboxHarness()) {
  const { paths } = harness
  mkdirSync(paths.dir, { recursive: true })
  const clock = new FakeClock()
  const memory = DaemonMemory.open(paths.memory)
  const bookmarks = { advance: () => {} }
  const receipts = new ReadReceipts({ cursors: paths.cursors, bookmarks, memory, clock })
  const sent: ClientFrame[] = []
  const session = {
    welcome: welcome("bob", "@a") as ServerMessage<"WELCOME">,
    send: (frame: ClientFrame) => void sent.push(frame),
  }
  return {
    harness,
    clock,
    memory,
    receipts,
    session,
    sent,
    retrieved: () =>
      sent.flatMap((frame) => (frame.type === "RECEIVED" && frame.retrieved ? [frame.retrieved] : [])),
    /** The line `seq`, a direct message, is on disk. */
    store: (seq: number) => receipts.confirm({ marks: [{ direct: `x.${seq}` }], seqs: [seq] }),
    read: (seq: number, reader = "hook") => {
      ReaderCursor.open(paths, reader).confirm(seq)
    },
  }
}

describe("a read receipt", () => {
  it("is sent once a named reader's cursor passed the message, and not before", () => {
    const { receipts, store, session, retrieved, read } = setUp()
    receipts.attach(session)
    for (let seq = 1; seq <= 4; seq++) store(seq)
    receipts.checkReaders()
    expect(retrieved()).toEqual([])
    read(2)
    receipts.checkReaders()
    receipts.checkReaders()
    read(4)
    receipts.checkReaders()
    expect(retrieved()).toEqual([
      ["x.1", "x.2"],
      ["x.3", "x.4"],
    ])
  })

  it("is sent for a line that a reader took from between unread ones", () => {
    const { harness, receipts, store, session, retrieved, read } = setUp()
    receipts.attach(session)
    for (let seq = 1; seq <= 3; seq++) store(seq)
    ReaderCursor.open(harness.paths, "hook").take([2])
    receipts.checkReaders()
    receipts.checkReaders()
    expect(retrieved()).toEqual([["x.2"]])
    read(3)
    receipts.checkReaders()
    expect(retrieved()).toEqual([["x.2"], ["x.1", "x.3"]])
  })

  it("is an empty list if only channel messages were passed, so that the relay notes the time", () => {
    const { receipts, session, retrieved, read } = setUp()
    receipts.attach(session)
    read(5)
    receipts.checkReaders()
    receipts.checkReaders()
    expect(retrieved()).toEqual([[]])
  })

  it("names a message for the first reader only, and is sent for every reader", () => {
    const { receipts, store, session, retrieved, read } = setUp()
    receipts.attach(session)
    store(3)
    read(3, "one")
    receipts.checkReaders()
    read(2, "two")
    receipts.checkReaders()
    expect(retrieved()).toEqual([["x.3"], []])
  })

  it("names at most 1,000 messages per frame", () => {
    const { receipts, store, session, retrieved, read } = setUp()
    receipts.attach(session)
    for (let seq = 1; seq <= 2_300; seq++) store(seq)
    read(2_300)
    receipts.checkReaders()
    expect(retrieved().map((ids) => ids.length)).toEqual([1_000, 1_000, 300])
  })

  it("waits for a session, and is repeated on the next one if it is at most ten minutes old", () => {
    const { receipts, store, session, retrieved, read, clock } = setUp()
    store(1)
    read(1)
    receipts.checkReaders()
    expect(retrieved()).toEqual([])
    receipts.attach(session)
    receipts.checkReaders()
    receipts.detach()
    clock.advance(10_000)
    receipts.attach(session)
    // The relay may not know yet that it delivered the message, and sends it again first.
    expect(retrieved()).toEqual([["x.1"]])
    receipts.checkReaders()
    expect(retrieved()).toEqual([["x.1"], ["x.1"]])
    receipts.detach()
    clock.advance(601_000)
    receipts.attach(session)
    receipts.checkReaders()
    expect(retrieved()).toHaveLength(2)
  })

  it("is sent if the reader was faster than the disk", () => {
    const { receipts, store, session, retrieved, read } = setUp()
    receipts.attach(session)
    read(1)
    receipts.checkReaders()
    store(1)
    receipts.checkReaders()
    expect(retrieved()).toEqual([[], ["x.1"]])
  })

  it("is sent after a restart for what a reader took meanwhile, and not repeated for the rest", () => {
    const first = setUp()
    first.receipts.attach(first.session)
    first.store(1)
    first.read(1)
    first.receipts.checkReaders()
    first.memory.save()
    first.read(2)
    const second = setUp(first.harness)
    for (let seq = 1; seq <= 3; seq++) second.receipts.recall(lineOf(seq))
    second.receipts.attach(second.session)
    second.receipts.checkReaders()
    expect(second.retrieved()).toEqual([["x.2"]])
  })

  it("costs one stat of the directory while no reader moves", () => {
    const { receipts, session, retrieved, read, harness } = setUp()
    receipts.attach(session)
    read(1)
    receipts.checkReaders()
    receipts.checkReaders()
    // Cursors are read only when the directory changed, and this changes a file in place.
    writeFileSync(`${harness.paths.cursors}/hook.json`, '{"seq":9}')
    receipts.checkReaders()
    expect(retrieved()).toEqual([[]])
    rmSync(harness.paths.cursors, { recursive: true })
    receipts.checkReaders()
    expect(retrieved()).toEqual([[]])
  })

  it("says which messages were put into the context of a model and by what, once, also after a reader had them", () => {
    const { harness, receipts, store, session, sent, read } = setUp()
    receipts.attach(session)
    for (let seq = 1; seq <= 3; seq++) store(seq)
    read(1, "shell")
    receipts.checkReaders()
    const hook = ReaderCursor.open(harness.paths, "claude")
    hook.take([1, 2], "hook")
    receipts.checkReaders()
    hook.take([3], "hook")
    receipts.checkReaders()
    expect(sent.filter((frame) => frame.type === "RECEIVED" && frame.ids === undefined)).toEqual([
      { type: "RECEIVED", retrieved: ["x.1"] },
      { type: "RECEIVED", in_context: ["x.1", "x.2"], method: "hook" },
      { type: "RECEIVED", in_context: ["x.3"], method: "hook" },
    ])
  })

  it("does not take a message for read by a model because the same reader read others", () => {
    const { harness, receipts, store, session, sent } = setUp()
    receipts.attach(session)
    for (let seq = 1; seq <= 3; seq++) store(seq)
    const reader = ReaderCursor.open(harness.paths, "me")
    reader.take([2], "wait")
    reader.confirm(3)
    receipts.checkReaders()
    expect(sent.slice(-2)).toEqual([
      { type: "RECEIVED", retrieved: ["x.1", "x.3"] },
      { type: "RECEIVED", in_context: ["x.2"], method: "wait" },
    ])
  })
})
