import { describe, expect, it } from "vitest"
import { ClientAddress } from "../../../src/server/sessions/client-address.js"
import { FakeClock } from "../../kit/fake-clock.js"
import { TestRelay } from "../../kit/relay.js"

const proxies = ["10.0.0.0/8", "127.0.0.1", "2001:db8::/32"]

function clientOf(remoteAddress: string | undefined, forwarded?: string): string | undefined {
  const headers = forwarded === undefined ? {} : { "x-forwarded-for": forwarded }
  return new ClientAddress(proxies).of({ socket: { remoteAddress }, headers })
}

describe("the address of a client", () => {
  it.each([
    ["198.51.100.7", "192.0.2.1", "198.51.100.7"],
    [undefined, "192.0.2.1", undefined],
    ["127.0.0.1", undefined, "127.0.0.1"],
    ["127.0.0.1", "192.0.2.1", "192.0.2.1"],
    ["::ffff:127.0.0.1", "192.0.2.1", "192.0.2.1"],
    ["2001:db8::5", "[2001:470::1]:443", "2001:470::1"],
    ["10.1.2.3", "192.0.2.1:55001", "192.0.2.1"],
    ["10.1.2.3", "::ffff:192.0.2.1", "192.0.2.1"],
    ["10.1.2.3", "203.0.113.9, 192.0.2.1", "192.0.2.1"],
    ["10.1.2.3", "192.0.2.1, 10.9.9.9, 127.0.0.1", "192.0.2.1"],
    ["10.1.2.3", "127.0.0.1, 192.0.2.1", "192.0.2.1"],
    ["10.1.2.3", "10.0.0.5, 10.0.0.6", "10.0.0.5"],
    ["10.1.2.3", "192.0.2.1, unknown", "10.1.2.3"],
    ["10.1.2.3", "192.0.2.1, unknown, 10.0.0.6", "10.0.0.6"],
    ["10.1.2.3", "192.0.2.1,", "10.1.2.3"],
    ["10.1.2.3", "'; drop table--", "10.1.2.3"],
    ["10.1.2.3", "0x7f.1, 999.1.1.1", "10.1.2.3"],
    ["10.1.2.3", ",".repeat(16_000), "10.1.2.3"],
  ])("of a connection from %s with X-Forwarded-For %s is %s", (peer, forwarded, expected) => {
    expect(clientOf(peer, forwarded)).toBe(expected)
  })

  it.each(["", "proxy.example", "10.0.0.0/33", "10.0.0.0/", "::1/129", "10.0.0.0/8/8", "10.0.0"])(
    "cannot come from a proxy named %j",
    (name) => {
      expect(() => new ClientAddress([name])).toThrow(expect.objectContaining({ code: "USAGE" }))
    },
  )
})

describe("a relay behind a trusted proxy", () => {
  const limits = { addressSessions: 1 }
  const from = (address: string) => [`X-Forwarded-For: ${address}`]

  it("limits the connections of each client, and names the client in its log", async () => {
    const relay = await TestRelay.start({ limits, trustedProxies: ["127.0.0.1"] })
    const first = await relay.connect(from("192.0.2.1"))
    await expect(relay.connect(from("192.0.2.1"))).rejects.toThrow("429")
    await expect(relay.connect(from("127.0.0.1, 192.0.2.1"))).rejects.toThrow("429")
    await relay.connect(from("192.0.2.2"))
    first.say({ type: "IDENTIFY", name: "ann" })
    await first.next("WELCOME")
    expect(relay.log.some((line) => line.endsWith("ann from 192.0.2.1"))).toBe(true)
    first.socket.destroy()
    await expect.poll(() => relay.relay.health()).toMatchObject({ sessions: 1 })
    await relay.connect(from("192.0.2.1"))
  })

  it("counts frames before IDENTIFY per client", async () => {
    const clock = new FakeClock()
    const strangers = { strangerFrameBurst: 1, strangerFramesPerSecond: 1 }
    const relay = await TestRelay.start({ clock, limits: strangers, trustedProxies: ["127.0.0.1"] })
    const greet = async (address: string) => {
      const wire = await relay.connect(from(address))
      wire.say({ type: "IDENTIFY", name: "ann" })
      return wire
    }
    await (await greet("192.0.2.1")).next("WELCOME")
    expect(await (await greet("192.0.2.1")).next("ERROR")).toMatchObject({ code: "RATE_LIMITED" })
    await (await greet("192.0.2.2")).next("WELCOME")
  })

  it("ignores the header of other peers", async () => {
    const relay = await TestRelay.start({ limits, trustedProxies: ["192.0.2.0/24"] })
    const wire = await relay.connect(from("203.0.113.1"))
    wire.say({ type: "IDENTIFY", name: "ann" })
    await wire.next("WELCOME")
    expect(relay.log.some((line) => line.endsWith("ann from 127.0.0.1"))).toBe(true)
  })
})
