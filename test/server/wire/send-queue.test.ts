import { describe, expect, it } from "vitest"
import { FrameBatch } from "../../../src/server/wire/frame-buffer.js"
import { SendQueue } from "../../../src/server/wire/send-queue.js"
import { WriteScheduler } from "../../../src/server/wire/write-scheduler.js"
import { FakeSocket } from "../../kit/fake-socket.js"

function session(writes: WriteScheduler, maxBytes = 1_000_000) {
  const socket = new FakeSocket()
  const owner = {
    isWritable: true,
    overflows: 0,
    onOverflow: () => {
      owner.overflows++
    },
  }
  const outgoing = new SendQueue(socket.socket, owner, writes, maxBytes)
  return { socket, owner, outgoing }
}

/** Queues messages that go to several sessions. */
function runOf(writes: WriteScheduler, ...texts: readonly [string, ...string[]]): FrameBatch {
  const [first, ...others] = texts
  const run = new FrameBatch(writes.append(first))
  for (const text of others) run.extend(writes.append(text))
  return run
}

const flushed = () => new Promise((resolve) => setImmediate(resolve))

describe("Outgoing", () => {
  it("writes once per turn, in order", async () => {
    const writes = new WriteScheduler()
    const { socket, outgoing } = session(writes)
    outgoing.send("1")
    outgoing.push(runOf(writes, "2", "3"))
    outgoing.send("4")
    outgoing.send("5")
    expect(socket.written).toHaveLength(0)
    await flushed()
    expect(socket.written).toHaveLength(1)
    expect(socket.texts).toEqual(["1", "2", "3", "4", "5"])
    outgoing.send("6")
    await flushed()
    expect(socket.texts.at(-1)).toBe("6")
  })

  it("writes the same buffer to all sessions that queued the same batches", async () => {
    const writes = new WriteScheduler()
    const [a, b, c] = [session(writes), session(writes), session(writes)]
    const [first, second] = [runOf(writes, "1"), runOf(writes, "2")]
    for (const { outgoing } of [a, b, c]) outgoing.push(first)
    for (const { outgoing } of [a, b]) outgoing.push(second)
    await flushed()
    expect(a.socket.written[0]).toBe(b.socket.written[0])
    expect(a.socket.texts).toEqual(["1", "2"])
    expect(c.socket.written[0]).toBe(first.frames)
  })

  it("seals a batch when something is queued after it", () => {
    const writes = new WriteScheduler()
    const { outgoing } = session(writes)
    const run = runOf(writes, "1")
    outgoing.push(run)
    expect(run.extend(writes.append("2"))).toBe(true)
    outgoing.push(runOf(writes, "3"))
    expect(run.extend(writes.append("4"))).toBe(false)
  })

  it("keeps what a slow reader does not take, and continues in order when it drains", async () => {
    const { socket, outgoing } = session(new WriteScheduler())
    outgoing.send("1")
    await flushed()
    socket.stall()
    for (const text of ["2", "3"]) {
      outgoing.send(text)
      await flushed()
    }
    expect(socket.texts).toEqual(["1"])
    expect(outgoing.waitingBytes).toBeGreaterThan(0)
    socket.drain()
    expect(socket.texts).toEqual(["1", "2", "3"])
    expect(outgoing.waitingBytes).toBe(0)
    outgoing.send("4")
    await flushed()
    expect(socket.texts).toEqual(["1", "2", "3", "4"])
  })

  it("writes a long backlog in portions, because what a socket has cannot be dropped", async () => {
    const { socket, outgoing } = session(new WriteScheduler(), 16_000_000)
    socket.stall()
    const texts = Array.from({ length: 40 }, (_, i) => `${i}`.padEnd(100_000, "."))
    for (const text of texts) {
      outgoing.send(text)
      await flushed()
    }
    let drains = 0
    for (; socket.texts.length < texts.length; drains++) socket.drain()
    expect(drains).toBeGreaterThan(2)
    expect(socket.texts).toEqual(texts)
  })

  it("drops everything and calls onOverflow once if the reader is too far behind", async () => {
    const writes = new WriteScheduler()
    const { socket, owner, outgoing } = session(writes, 10_000)
    socket.stall()
    for (let i = 0; i < 20; i++) {
      outgoing.push(runOf(writes, "x".repeat(1000)))
      await flushed()
    }
    expect(owner.overflows).toBe(1)
    expect(socket.written).toHaveLength(0)
    socket.drain()
    outgoing.send("late")
    await flushed()
    expect(socket.written).toHaveLength(0)
  })

  it("overflows within a turn if too many answers are queued", () => {
    const { owner, outgoing } = session(new WriteScheduler(), 10_000)
    for (let i = 0; i < 1000; i++) outgoing.send("x".repeat(1000))
    expect(owner.overflows).toBe(1)
  })

  it("does not keep a large buffer in memory for a few bytes", async () => {
    const { socket, outgoing } = session(new WriteScheduler())
    socket.stall()
    outgoing.send("small")
    await flushed()
    socket.drain()
    expect(socket.written[0]?.buffer.byteLength).toBe(socket.written[0]?.length)
  })

  it("writes everything when it ends, and nothing after that", async () => {
    const { socket, outgoing } = session(new WriteScheduler())
    socket.stall()
    outgoing.send("1")
    await flushed()
    outgoing.send("2")
    outgoing.end()
    outgoing.send("3")
    await flushed()
    socket.drain()
    expect(socket.texts).toEqual(["1", "2"])
  })

  it("writes nothing once the connection is closing", async () => {
    const { socket, owner, outgoing } = session(new WriteScheduler())
    outgoing.send("1")
    owner.isWritable = false
    await flushed()
    outgoing.end()
    expect(socket.written).toHaveLength(0)
  })
})
