import { describe, expect, it } from "vitest"
import { until } from "../kit/condition.js"
import { reachableBytes } from "../kit/memory.js"
import { TestRelay } from "../kit/relay.js"
import { splitFrame } from "../kit/wire.js"

const mebibyte = 1024 * 1024
const content = "x".repeat(200_000)

/** Publishes messages of 200 kB, each when the one before was accepted and handled by `onAccepted`. */
async function publish(relay: TestRelay, count: number, onAccepted?: (index: number) => Promise<void>) {
  const { wire } = await relay.enter("publisher")
  for (let i = 0; i < count; i++) {
    expect(await wire.ask({ type: "MSG", to: "#general", content })).toMatchObject({ type: "ACK" })
    await onAccepted?.(i)
  }
}

describe("a slow reader", () => {
  it("costs little memory, delays nobody, and is cut with SLOW_READER", async () => {
    const relay = await TestRelay.start()
    const quick = await relay.enter("quick", "#general")
    const slow = await relay.enter("slow", "#general")
    slow.wire.socket.pause()
    const count = Math.ceil((64 * mebibyte) / content.length)
    let most = 0
    // The quick reader is never behind, so that only the slow one costs memory.
    await publish(relay, count, async (index) => {
      await quick.wire.next("MSG")
      quick.wire.frames.length = 0
      if (index % 80 === 0) most = Math.max(most, reachableBytes().buffers)
    })
    // Memory used during the stall, less what the relay and this test use after the reader was cut.
    expect(most - reachableBytes().buffers).toBeLessThan(32 * mebibyte)
    expect(relay.log.filter((line) => line.startsWith("left:"))).toEqual([expect.stringContaining("slow")])
    expect(await quick.wire.ask({ type: "LIST_AGENTS", channel: "#general" })).toMatchObject({
      list: [quick.id],
    })
    slow.wire.socket.resume()
    expect(await slow.wire.ended()).toEqual({ code: 4002, reason: expect.stringMatching(/^SLOW_READER/) })
  })

  it("is cut if it does not read the close frame", async () => {
    const relay = await TestRelay.start({ limits: { sessionQueueBytes: mebibyte } })
    const slow = await relay.enter("slow", "#general")
    slow.wire.socket.pause()
    await publish(relay, 60)
    expect(relay.relay.health()).toMatchObject({ sessions: 2 })
    relay.clock.advance(5_000)
    await expect.poll(() => relay.relay.health()).toMatchObject({ sessions: 1 })
  })

  it("gets everything in order and then the close frame if it continues in time", async () => {
    const relay = await TestRelay.start({ limits: { sessionQueueBytes: 100 * mebibyte } })
    const slow = await relay.enter("slow", "#general")
    const bytes: Buffer[] = []
    slow.wire.socket.removeAllListeners("data")
    slow.wire.socket.on("data", (chunk: Buffer) => bytes.push(chunk))
    slow.wire.socket.pause()
    const { wire } = await relay.enter("publisher")
    const count = 300
    for (let i = 0; i < count; i++) {
      wire.say({ type: "MSG", to: "#general", content: `${i}`.padEnd(50_000) })
      if (i % 50 === 0) slow.wire.sayRaw(9, Buffer.from(`${i}`))
    }
    await wire.settle()
    await wire.settle()
    const stopped = relay.relay.stop()
    slow.wire.socket.resume()
    await until("the last message", () => Buffer.concat(bytes.slice(-2)).includes('SHUTTING_DOWN"'))
    slow.wire.sayRaw(8, Buffer.from([3, 233]))
    await stopped
    const opcodes: number[] = []
    const texts: { content?: string; code?: string }[] = []
    for (let rest = Buffer.concat(bytes); rest.length > 0; ) {
      const frame = splitFrame(rest)
      if (frame === undefined) throw new Error("a frame is cut short")
      opcodes.push(frame.opcode)
      if (frame.opcode === 1) texts.push(JSON.parse(frame.payload.toString()) as { content?: string })
      rest = rest.subarray(frame.end)
    }
    const contents = texts.flatMap(({ content: text }) => (text === undefined ? [] : [Number(text)]))
    expect(contents).toEqual(Array.from({ length: count }, (_, i) => i))
    expect(texts.at(-1)).toMatchObject({ code: "SHUTTING_DOWN" })
    expect(opcodes.filter((opcode) => opcode === 10)).toHaveLength(6)
    expect(opcodes.at(-1)).toBe(8)
    expect(opcodes.indexOf(8)).toBe(opcodes.length - 1)
  })
})
