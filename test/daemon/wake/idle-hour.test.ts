import { existsSync, readdirSync } from "node:fs"
import { describe, expect, it } from "vitest"
import type { Timer } from "../../../src/base/clock.js"
import { rootPaths } from "../../../src/daemon/files/paths.js"
import type { DaemonMemory } from "../../../src/daemon/session/daemon-memory.js"
import { Bell } from "../../../src/daemon/wake/bell.js"
import { parseInstanceName } from "../../../src/protocol/names.js"
import { HookRoom } from "../../cli/hooks/hook-room.js"
import { until } from "../../kit/condition.js"
import { FakeClock } from "../../kit/fake-clock.js"
import { temporaryDirectory } from "../../kit/temporary.js"

const hourS = 3_600

/** Counts the timers that are set. */
class CountedClock extends FakeClock {
  timers = 0

  override setTimer(fn: () => void, delayMs: number): Timer {
    this.timers++
    return super.setTimer(fn, delayMs)
  }
}

class CountedRoom extends HookRoom {
  override readonly clock = new CountedClock()
}

describe("an idle hour", () => {
  it("sends no ring, looks for the session once a minute, and sets a timer for each look", async () => {
    const clock = new CountedClock()
    let looks = 0
    const rings: string[] = []
    const log: string[] = []
    const ring = (text: string) => Promise.resolve(void rings.push(text))
    const bell = new Bell({
      paths: rootPaths(temporaryDirectory()).instance(parseInstanceName("a")),
      clock,
      memory: { state: {}, note: () => {} } as unknown as DaemonMemory,
      ...{ identity: undefined, self: () => "@0123456789abcdef", lastSeq: () => 0, onEcho: () => {} },
      findSession: () => {
        looks++
        return Promise.resolve({
          state: "s",
          isBusy: false,
          doors: [{ method: "stub", queues: false, ring }],
        })
      },
      log: (line) => log.push(line),
    })
    for (let second = 0; second < hourS; second++) {
      bell.sweep()
      clock.advance(1_000)
      await new Promise(setImmediate)
    }
    bell.close()
    expect([rings, log]).toEqual([[], []])
    expect(looks).toBeGreaterThan(50)
    expect(looks).toBeLessThanOrEqual(65)
    expect(clock.timers).toBeLessThanOrEqual(65)
  })

  it("of a background hook, a wait and a watch prints nothing, and takes five timers a second at most", async () => {
    const room = new CountedRoom()
    const env = { AGENTCHAT_NAME: "ann" }
    const stop = new AbortController()
    const system = { pid: process.pid, interruption: () => stop.signal }
    await room.daemon("ann")
    const payload = { session_id: "s1", cwd: "/CWD" }
    for (const name of ["SessionStart", "Stop"]) await room.hook("claude", name, payload, { env })
    const options = { clock: room.clock, env, surroundings: system }
    const ends = [
      room.hook("claude", "Stop", payload, { env, system, rewake: true }),
      room.run(["wait", "--timeout", "2h"], options),
      room.run(["watch", "--reader", "monitor"], options),
    ]
    const { waits } = room.paths("ann")
    await until("all to wait", () => existsSync(waits) && readdirSync(waits).length === 2)
    await until("the timers", () => room.clock.pending.filter((ms) => ms <= 1_000).length >= 3)
    const before = room.clock.timers
    // Every second is the same.
    const seconds = 200
    for (let second = 0; second < seconds; second++) {
      room.clock.advance(1_000)
      await new Promise(setImmediate)
    }
    expect(room.clock.timers - before).toBeLessThanOrEqual(5 * seconds)
    stop.abort("SIGTERM")
    room.clock.advance(1_000)
    const outputs = (await Promise.all(ends)).map(({ out }) => out)
    expect(outputs).toEqual(["", "", ""])
  })
})
