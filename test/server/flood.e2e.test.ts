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

/** Returns a text frame of `bytes`, cut after `arrived` bytes of payload. */
function beginning(bytes: number, arrived: number): Buffer {
  const header = Buffer.alloc(14)
  header[0] = 0x80 | textOpcode
  header[1] = 0x80 | 127
  header.writeBigUInt64BE(BigInt(bytes), 2)
  return Buffer.concat([header, Buffer.alloc(arrived, "x")])
}

describe("a client before IDENTIFY", () => {
  it("is cut after a few frames", async () => {
    const relay = await TestRelay.start({ limits: { strangerFrames: 5 } })
    const wire = await relay.connect()
    for (let i = 0; i < 5; i++) {
      expect(await wire.ask({ type: "LIST_AGENTS" })).toMatchObject({ code: "AUTH_REQUIRED" })
    }
    wire.say({ type: "LIST_AGENTS" }, { type: "LIST_AGENTS" })
    expect((await wire.next("ERROR")).code).toBe("LIMIT_REACHED")
    expect(await wire.ended()).toMatchObject({ code: 1008 })
  })

  it("shares its rate with all clients of the same address", async () => {
    const relay = await TestRelay.start({ limits: { strangerFrameBurst: 4, strangerFramesPerSecond: 1 } })
    for (let i = 0; i < 4; i++) await relay.enter(`a${i}`)
    const wire = await relay.connect()
    wire.say({ type: "IDENTIFY", name: "late", id: "i" })
    expect(await wire.next("ERROR")).toMatchObject({
      code: "RATE_LIMITED",
      retry_after_ms: 1_000,
    })
    relay.clock.advance(1_000)
    wire.say({ type: "IDENTIFY", name: "late", id: "i" })
    expect(await wire.next("WELCOME")).toMatchObject({ name: "late" })
  })

  it("cannot make the relay hold a large incomplete message", async () => {
    const relay = await TestRelay.start()
    const wire = await relay.connect()
    wire.socket.write(beginning(512 * 1024, 300 * 1024))
    await wire.ended()
  })

  it("may send a large card in any pieces", async () => {
    const relay = await TestRelay.start()
    const wire = await relay.connect()
    const card = { meta: { text: "x".repeat(4_000) }, description: "y".repeat(500) }
    wire.say({ type: "IDENTIFY", name: "ann", card })
    expect(await wire.next("WELCOME")).toMatchObject({ name: "ann" })
  })
})

describe("an error", () => {
  it("does not echo long input", async () => {
    const relay = await TestRelay.start()
    const { wire } = await relay.enter("ann")
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

describe("every client message", () => {
  const long = "A".repeat(200_000)
  const values = [
    long,
    [long],
    { [long]: long },
    `@${long}`,
    `#${long}`,
    `\u0000\u001b[2J${"\u202e".repeat(20_000)}`,
  ]
  /** Valid fields of each message, so that only the field under test is invalid. */
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
      const relay = await TestRelay.start({ limits: { strangerFrames: 1_000, strangerBytes: 1024 * 1024 } })
      const { wire } = await relay.enter("ann", "#general")
      const stranger = await relay.connect()
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

describe("hostile connections", () => {
  it("cost bounded memory with messages they never finish, and do not block others", async () => {
    const intakeTotalBytes = 8 * mebibyte
    const connections = 500
    const relay = await TestRelay.start({ limits: { intakeTotalBytes } })
    const start = beginning(200 * 1024, 48 * 1024)
    const before = reachableBytes()
    const sockets = await Promise.all(Array.from({ length: connections }, () => hostile(relay, start)))
    const cut = () => sockets.filter(({ isEnded }) => isEnded).length
    await until(
      "the connections beyond the budget to be cut",
      () => cut() >= connections - intakeTotalBytes / (48 * 1024),
    )
    expect(reachableBytes().buffers - before.buffers).toBeLessThan(1.25 * intakeTotalBytes)
    const ann = await relay.enter("ann", "#general")
    expect(await ann.wire.ask({ type: "MSG", to: "#general", content: "all is well" })).toMatchObject({
      type: "ACK",
    })
    for (const { socket } of sockets) socket.destroy()
    await until("what they left to be free again", () => relay.relay.health())
  })

  it("cost bounded memory together if they do not read", async () => {
    const queueTotalBytes = 4 * mebibyte
    const relay = await TestRelay.start({ limits: { queueTotalBytes } })
    const deaf: Wire[] = []
    for (let i = 0; i < 20; i++) {
      const { wire } = await relay.enter(`deaf${i}`, "#general")
      wire.socket.pause()
      deaf.push(wire)
    }
    const ann = await relay.enter("ann", "#general")
    const before = reachableBytes()
    for (let i = 0; i < 100; i++) {
      await ann.wire.ask({ type: "MSG", to: "#general", content: "z".repeat(100_000) })
    }
    expect(reachableBytes().buffers - before.buffers).toBeLessThan(2 * queueTotalBytes)
    for (const wire of deaf) wire.socket.resume()
    await until("the first to be cut", () => deaf.some(({ isEnded }) => isEnded))
  })
})

/** Opens a connection and sends the start of a message. */
async function hostile(relay: TestRelay, start: Buffer): Promise<Wire> {
  const wire = await relay.connect()
  wire.socket.write(start)
  return wire
}

describe("a connection that sends nothing", () => {
  it("is cut", async () => {
    const relay = await TestRelay.start({ limits: { handshakeMs: 200 } })
    const socket: Socket = connect(relay.relay.port, "127.0.0.1")
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

describe("IpLimiter", () => {
  const makeLimiter = (limits = {}) => {
    const log: string[] = []
    const clock = new FakeClock()
    return {
      limiter: new IpLimiter({ ...defaultLimits, ...limits }, clock, (line) => log.push(line)),
      clock,
      log,
    }
  }

  it("counts connections per address, except for loopback", () => {
    const { limiter, log } = makeLimiter({ addressSessions: 2 })
    for (let i = 0; i < 3; i++)
      for (const address of ["192.0.2.1", "127.0.0.1", "::1", "::ffff:127.0.0.9"]) limiter.connected(address)
    limiter.connected("192.0.2.2")
    expect(limiter.hasTooManyConnections("192.0.2.1")).toBe(true)
    expect(limiter.hasTooManyConnections("::ffff:192.0.2.1")).toBe(true)
    for (const address of ["192.0.2.2", "127.0.0.1", "::1", "198.51.100.1", undefined]) {
      expect(limiter.hasTooManyConnections(address)).toBe(false)
    }
    expect(log).toEqual(["flood: 192.0.2.1: 3 connections, more than one address may have"])
    limiter.disconnected("192.0.2.1")
    expect(limiter.hasTooManyConnections("192.0.2.1")).toBe(false)
  })

  it("counts an IPv6 /64 as one address", () => {
    const { limiter } = makeLimiter({ addressSessions: 1 })
    limiter.connected("2001:db8:1:2::1")
    limiter.connected("2001:db8:1:2:a:b:c:d")
    expect(limiter.hasTooManyConnections("2001:db8:1:2::9")).toBe(true)
    expect(limiter.hasTooManyConnections("2001:db8:1:3::9")).toBe(false)
  })

  it("forgets old addresses, and logs each at most once a minute", () => {
    const { limiter, clock, log } = makeLimiter({ strangerFrameBurst: 1, strangerFramesPerSecond: 1 })
    limiter.connected("192.0.2.1")
    expect(limiter.takeFrame("192.0.2.1")).toEqual({ ok: true })
    for (let i = 0; i < 100; i++) expect(limiter.takeFrame("192.0.2.1").ok).toBe(false)
    expect(log).toHaveLength(1)
    limiter.disconnected("192.0.2.1")
    limiter.connected("192.0.2.1")
    expect(limiter.takeFrame("192.0.2.1").ok).toBe(false)
    limiter.disconnected("192.0.2.1")
    clock.advance(60_000)
    expect(limiter.takeFrame("192.0.2.1").ok).toBe(true)
    const before = reachableBytes().heap
    for (let i = 0; i < 200_000; i++) {
      const address = `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`
      limiter.connected(address)
      limiter.disconnected(address)
    }
    expect(reachableBytes().heap - before).toBeLessThan(4 * mebibyte)
  })
})
