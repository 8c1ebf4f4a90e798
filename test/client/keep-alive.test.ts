import { describe, expect, it } from "vitest"
import { KeepAlive } from "../../src/client/keep-alive.js"
import { FakeClock } from "../kit/fake-clock.js"

function start() {
  const clock = new FakeClock()
  const calls: string[] = []
  const keepAlive = new KeepAlive(clock, { ping: () => calls.push("ping"), dead: () => calls.push("dead") })
  keepAlive.start()
  return { clock, calls, keepAlive }
}

describe("KeepAlive", () => {
  it("pings every 20 s and gives up after 10 more", () => {
    const { clock, calls } = start()
    clock.advance(19_999)
    expect(calls).toEqual([])
    clock.advance(1)
    expect(calls).toEqual(["ping"])
    clock.advance(9_999)
    expect(calls).toEqual(["ping"])
    clock.advance(1)
    expect(calls).toEqual(["ping", "dead"])
    expect(clock.pending).toEqual([])
  })

  it("continues as long as anything arrives after each ping", () => {
    const { clock, calls, keepAlive } = start()
    clock.advance(20_000)
    for (let i = 0; i < 10; i++) {
      keepAlive.received()
      clock.advance(20_000)
    }
    expect(calls).toEqual(Array.from({ length: 11 }, () => "ping"))
  })

  it("does not take what arrived before the ping for an answer", () => {
    const { clock, calls, keepAlive } = start()
    clock.advance(19_999)
    keepAlive.received()
    clock.advance(10_001)
    expect(calls).toEqual(["ping", "dead"])
  })

  it("wakes a process with many sessions once for all of them", () => {
    const clock = new FakeClock()
    for (let i = 0; i < 20; i++) {
      new KeepAlive(clock, { ping: () => {}, dead: () => {} }).start()
      clock.advance(7)
    }
    expect(new Set(clock.pending)).toEqual(new Set([20_000 - 140]))
  })

  it("stops, and starts again", () => {
    const { clock, calls, keepAlive } = start()
    clock.advance(15_000)
    keepAlive.stop()
    expect(clock.pending).toEqual([])
    clock.advance(5_001)
    keepAlive.start()
    clock.advance(19_998)
    expect(calls).toEqual([])
    clock.advance(1)
    expect(calls).toEqual(["ping"])
  })
})
