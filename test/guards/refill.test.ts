import { describe, expect, it } from "vitest"
import { GuardRoom } from "./guard-room.js"

const hourMs = 3_600_000

/** Two answer each other every 10 s, and finish something after every `between` messages. */
function talk(
  room: GuardRoom,
  { hours, between, partner }: { hours: number; between: number; partner?: string },
) {
  let taken = 0
  const startMs = 1_800_000_000_000
  for (let turn = 0; turn * 10_000 < hours * hourMs; turn++) {
    const at = startMs + turn * 10_000
    const [from, other] = turn % 2 === 0 ? ["@a", "@b"] : ["@b", "@a"]
    if (room.say({ at, from, to: [other] }) === undefined) taken++
    if (turn % between === between - 1) room.guard.refill([from, partner ?? other], at)
  }
  return taken
}

describe("work that is done again and again", () => {
  it("gives back what talk used up six times at once, then every ten minutes", () => {
    const room = new GuardRoom()
    // 30 returns for each of the refills, one every ten minutes.
    expect(talk(room, { hours: 24, between: 6 })).toBeLessThan(24 * 190)
    const again = new GuardRoom()
    expect(talk(again, { hours: 24, between: 6, partner: "@c" })).toBeLessThan(24 * 240)
  })

  it("is as good as ever for who does not talk meanwhile", () => {
    const room = new GuardRoom()
    for (let n = 0; n < 500; n++) {
      const at = 1_800_000_000_000 + n * 30_000
      expect(room.say({ at, from: "@a", channel: "+build" })).toBeUndefined()
      room.guard.refill(["@a", "@b"], at)
    }
    const at = 1_800_000_000_000 + 500 * 30_000
    for (let turn = 0; turn < 12; turn++) {
      const [from, other] = turn % 2 === 0 ? ["@a", "@b"] : ["@b", "@a"]
      expect(room.say({ at: at + turn * 10_000, from, to: [other] })).toBeUndefined()
    }
  })

  it("is counted over a restart, and begins anew when an operator lifts what was stopped", () => {
    const room = new GuardRoom()
    const at = 1_800_000_000_000
    for (let n = 0; n < 6; n++) expect(room.guard.refill(["@a", "@b"], at)).toEqual(["@a", "@b"])
    expect(room.guard.refill(["@a", "@b"], at)).toEqual([])
    room.restart()
    expect(room.guard.refill(["@a", "@c"], at)).toEqual(["@c"])
    expect(room.guard.refill(["@a"], at + 600_000)).toEqual(["@a"])
    expect(room.guard.refill(["@a"], at + 600_000)).toEqual([])
    room.guard.reset("@a")
    expect(room.guard.refill(["@a", "@b"], at)).toEqual(["@a"])
  })
})
