import { connect, type Socket } from "node:net"
import { describe, expect, it, onTestFinished } from "vitest"
import { type ClientType, clientMessages } from "../../src/protocol/client-messages.js"
import { defaultLimits } from "../../src/protocol/limits.js"
import { IpLimiter } from "../../src/server/sessions/ip-limiter.js"
import { until } from "../kit/condition.js"
import { FakeClock } from "../kit/fake-clock.js"
import { reachableBytes } from "../kit/memory.js"
import { TestRelay } from "../kit/relay.js"
import { Wire } from "../kit/wire.js"

const textOpcode = 1
const mebibyte = 1024 * 1024

/** The beginning of a text frame of `bytes`, of which `arrived` arrive. */
function beginning(bytes: number, arrived: number): Buffer {
  const header = Buffer.alloc(14)
  header[0] = 0x80 | textOpcode
  header[1] = 0x80 | 127
  header.writeBigUInt64BE(BigInt(bytes), 2)
  return Buffer.concat([header, Buffer.alloc(arrived, "x")])
}

describe("somebody who does not say who it is", () => {
  it("is heard a few times, then cut", async () => {
    const house = await TestRelay.start({ limits: { strangerFrames: 5 } })
    const wire = await house.connect()
    for (let i = 0; i < 5; i++) {
      expect(await wire.ask({ type: "LIST_AGENTS" })).toMatchObject({ code: "AUTH_REQUIRED" })
    }
    wire.say({ type: "LIST_AGENTS" }, { type: "LIST_AGENTS" })
    expect((await wire.next("ERROR")).code).toBe("LIMIT_REACHED")
    expect(await wire.ended()).toMatchObject({ code: 1008 })
  })

  it("is counted together with all who come from the same place", async () => {
    const house = await TestRelay.start({ limits: { strangerFrameBurst: 4, strangerFramesPerSecond: 1 } })
    for (let i = 0; i < 4; i++) await house.enter(`a${i}`)
    const wire = await house.connect()
    wire.say({ type: "IDENTIFY", name: "late", id: "i" })
    expect(await wire.next("ERROR")).toMatchObject({
      code: "RATE_LIMITED",
      retry_after_ms: 1_000,
    })
    house.clock.advance(1_000)
    wire.say({ type: "IDENTIFY", name: "late", id: "i" })
    expect(await wire.next("WELCOME")).toMatchObject({ name: "late" })
  })

  it("may not leave much of a message with the relay", async () => {
    const house = await TestRelay.start()
    const wire = await house.connect()
    wire.socket.write(beginning(512 * 1024, 300 * 1024))
    await wire.ended()
  })

  it("may send a whole card at once, cut as the network likes", async () => {
    const house = await TestRelay.start()
    const wire = await house.connect()
    const card = { meta: { text: "x".repeat(4_000) }, description: "y".repeat(500) }
    wire.say({ type: "IDENTIFY", name: "ann", card })
    expect(await wire.next("WELCOME")).toMatchObject({ name: "ann" })
  })
})

describe("an error", () => {
  it("never echoes what it was sent at length", async () => {
    const house = await TestRelay.start()
    const { wire } = await house.enter("ann")
    const long = "A".repeat(50_000)
    const frames = [
      { type: long },
      { type: "MSG", to: long, content: "x" },
      { type: "MSG", to: `#${long}`, content: "x" },
      { type: "MSG", to: `@${long}`, content: "x" },
      { type: "MSG", to: "#general", content: "x", kind: long },
      { type: "MSG", to: "#general", content: "x", [long]: { [long]: 1 }, in_reply_to: long },
      { type: "MSG", to: "#general", content: "x", mentions: [`@${long}`] },
      { type: "JOIN", channel: long },
      { type: "CLAIM", task: long },
      { type: "RESET_GUARD", scope: long },
      { type: "RESET_GUARD", scope: `@${long.slice(0, 150)}` },
      `{"${long}":1,"${long}":2}`,
      `{"type":"MSG","to":"#general","content":"x","a":${"[".repeat(20)}`,
      long,
    ]
    for (const frame of frames) {
      wire.say(frame)
      const error = await wire.next("ERROR")
      expect(JSON.stringify(error).length).toBeLessThan(1_000)
    }
  })
})

describe("every message there is", () => {
  const long = "A".repeat(200_000)
  const values = [
    long,
    [long],
    { [long]: long },
    `@${long}`,
    `#${long}`,
    `\u0000\u001b[2J${"\u202e".repeat(20_000)}`,
  ]
  /** What makes a frame whole, so that the one field at fault is looked at. */
  const rest = {
    to: "#general",
    content: "x",
    channel: "#general",
    task: "0123456789abcdef.1",
    status: "idle",
  }

  it.each(Object.keys(clientMessages) as ClientType[])(
    "%s, is answered shortly, whatever is in its fields",
    async (type) => {
      const house = await TestRelay.start({ limits: { strangerFrames: 1_000, strangerBytes: 1024 * 1024 } })
      const { wire } = await house.enter("ann", "#general")
      const stranger = await house.connect()
      for (const field of [...Object.keys(clientMessages[type].fields), long.slice(0, 100_000)]) {
        for (const value of values) {
          for (const asked of [wire, stranger]) {
            if (type === "IDENTIFY" && asked === stranger && field === long.slice(0, 100_000)) continue
            const frame = { type, ...rest, [field]: value }
            if (JSON.stringify(frame).length > 256 * 1024) continue
            asked.say(frame)
            for (const answer of await asked.settle()) {
              expect(JSON.stringify(answer).length).toBeLessThan(4 * 1024)
            }
          }
        }
      }
    },
  )
})

describe("many hostile connections", () => {
  it("that begin messages and never end them cost a bounded amount, and keep nobody else out", async () => {
    const intakeTotalBytes = 8 * mebibyte
    const connections = 500
    const house = await TestRelay.start({ limits: { intakeTotalBytes } })
    const start = beginning(200 * 1024, 48 * 1024)
    const before = reachableBytes()
    const sockets = await Promise.all(Array.from({ length: connections }, () => hostile(house, start)))
    const cut = () => sockets.filter(({ isEnded }) => isEnded).length
    await until(
      "those for whom there is no room to be cut",
      () => cut() >= connections - intakeTotalBytes / (48 * 1024),
    )
    expect(reachableBytes().buffers - before.buffers).toBeLessThan(4 * intakeTotalBytes)
    const ann = await house.enter("ann", "#general")
    expect(await ann.wire.ask({ type: "MSG", to: "#general", content: "all is well" })).toMatchObject({
      type: "ACK",
    })
    for (const { socket } of sockets) socket.destroy()
    await until("what they left to be free again", () => house.relay.health())
  })

  it("that do not read cost a bounded amount together", async () => {
    const queueTotalBytes = 4 * mebibyte
    const house = await TestRelay.start({ limits: { queueTotalBytes } })
    const deaf: Wire[] = []
    for (let i = 0; i < 20; i++) {
      const { wire } = await house.enter(`deaf${i}`, "#general")
      wire.socket.pause()
      deaf.push(wire)
    }
    const ann = await house.enter("ann", "#general")
    const before = reachableBytes()
    for (let i = 0; i < 100; i++) {
      await ann.wire.ask({ type: "MSG", to: "#general", content: "z".repeat(100_000) })
    }
    expect(reachableBytes().buffers - before.buffers).toBeLessThan(64 * mebibyte)
    for (const wire of deaf) wire.socket.resume()
    await until("the first to be cut", () => deaf.some(({ isEnded }) => isEnded))
  })
})

/** A connection that leaves the beginning of a message with the relay. */
async function hostile(house: TestRelay, start: Buffer): Promise<Wire> {
  const wire = await house.connect()
  wire.socket.write(start)
  return wire
}

describe("a connection that says nothing", () => {
  it("is cut", async () => {
    const house = await TestRelay.start({ limits: { handshakeMs: 200 } })
    const socket: Socket = connect(house.relay.port, "127.0.0.1")
    onTestFinished(() => void socket.destroy())
    let isEnded = false
    socket.on("close", () => {
      isEnded = true
    })
    socket.on("error", () => {})
    socket.resume()
    await until("its end", () => isEnded)
  })
})

describe("the gate", () => {
  const gateOf = (limits = {}) => {
    const log: string[] = []
    const clock = new FakeClock()
    return {
      gate: new IpLimiter({ ...defaultLimits, ...limits }, clock, (line) => log.push(line)),
      clock,
      log,
    }
  }

  it("counts the connections of each address, and not those of this machine", () => {
    const { gate, log } = gateOf({ addressSessions: 2 })
    for (let i = 0; i < 3; i++)
      for (const address of ["192.0.2.1", "127.0.0.1", "::1", "::ffff:127.0.0.9"]) gate.connected(address)
    gate.connected("192.0.2.2")
    expect(gate.hasTooManyConnections("192.0.2.1")).toBe(true)
    expect(gate.hasTooManyConnections("::ffff:192.0.2.1")).toBe(true)
    for (const address of ["192.0.2.2", "127.0.0.1", "::1", "198.51.100.1", undefined]) {
      expect(gate.hasTooManyConnections(address)).toBe(false)
    }
    expect(log).toEqual(["flood: 192.0.2.1: 3 connections, more than one address may have"])
    gate.disconnected("192.0.2.1")
    expect(gate.hasTooManyConnections("192.0.2.1")).toBe(false)
  })

  it("takes a network of IPv6 for one place", () => {
    const { gate } = gateOf({ addressSessions: 1 })
    gate.connected("2001:db8:1:2::1")
    gate.connected("2001:db8:1:2:a:b:c:d")
    expect(gate.hasTooManyConnections("2001:db8:1:2::9")).toBe(true)
    expect(gate.hasTooManyConnections("2001:db8:1:3::9")).toBe(false)
  })

  it("forgets addresses in the long run, and logs each seldom", () => {
    const { gate, clock, log } = gateOf({ strangerFrameBurst: 1, strangerFramesPerSecond: 1 })
    gate.connected("192.0.2.1")
    expect(gate.takeFrame("192.0.2.1")).toEqual({ ok: true })
    for (let i = 0; i < 100; i++) expect(gate.takeFrame("192.0.2.1").ok).toBe(false)
    expect(log).toHaveLength(1)
    gate.disconnected("192.0.2.1")
    gate.connected("192.0.2.1")
    expect(gate.takeFrame("192.0.2.1").ok).toBe(false)
    gate.disconnected("192.0.2.1")
    clock.advance(60_000)
    expect(gate.takeFrame("192.0.2.1").ok).toBe(true)
    const before = reachableBytes().heap
    for (let i = 0; i < 200_000; i++) {
      const address = `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`
      gate.connected(address)
      gate.disconnected(address)
    }
    expect(reachableBytes().heap - before).toBeLessThan(4 * mebibyte)
  })
})
