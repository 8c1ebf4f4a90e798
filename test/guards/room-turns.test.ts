import { describe, expect, it } from "vitest"
import { GuardRoom } from "./guard-room.js"

const opening = ["@a", "@b", "@a", "@b", "@b", "@b"]

/** Says it, and gives whether it counted as coming back. */
function returnsOf(room: GuardRoom, at: number, from: string, kind?: "status"): number {
  const traced = room.guard.trace(room.said({ at, from, kind }))
  room.guard.note(traced)
  return traced.returns
}

describe("who comes back to speak", () => {
  it("has as many returns in a row as others said before", () => {
    const room = new GuardRoom()
    const first = opening.map((from, n) => returnsOf(room, n * 1_000, from))
    expect(first).toEqual([0, 0, 0, 1, 0, 0])
    const answers = [8, 9, 10, 11, 12].map((s) => returnsOf(room, s * 1_000, "@a"))
    expect(answers).toEqual([1, 1, 1, 0, 0])
  })

  it("has one return when it took its time, however much it says then", () => {
    const room = new GuardRoom()
    for (const [n, from] of opening.entries()) returnsOf(room, n * 1_000, from)
    expect([90, 91, 92].map((s) => returnsOf(room, s * 1_000, "@a"))).toEqual([1, 0, 0])
  })

  it("is no feed, however long its bursts are, if it only ever answers", () => {
    const room = new GuardRoom()
    const isFeed = [0, 1, 2, 3, 4, 5].flatMap((turn) =>
      [0, 1, 2].map((n) => {
        const from = turn % 2 === 0 ? "@a" : "@b"
        const traced = room.guard.trace(room.said({ at: turn * 30_000 + n * 3_000, from }))
        room.guard.note(traced)
        return traced.isFeed
      }),
    )
    expect(isFeed).not.toContain(true)
  })

  it("is a feed if it breaks the silence after itself as well, also after a restart", () => {
    const room = new GuardRoom()
    for (let s = 0; s < 300; s += 12) returnsOf(room, s * 1_000, "@ci")
    returnsOf(room, 301_000, "@a")
    for (let s = 312; s < 600; s += 12) returnsOf(room, s * 1_000, "@ci")
    room.restart()
    returnsOf(room, 601_000, "@a")
    expect(room.guard.trace(room.said({ at: 602_000, from: "@ci" }))).toMatchObject({
      returns: 0,
      isFeed: true,
    })
  })

  it("does so with statuses only if two say them faster than anybody reads", () => {
    const heartbeats = new GuardRoom()
    const slow = Array.from({ length: 40 }, (_, n) =>
      returnsOf(heartbeats, n * 15_000, n % 2 === 0 ? "@a" : "@b", "status"),
    )
    expect(slow).not.toContain(1)
    const loop = new GuardRoom()
    const fast = Array.from({ length: 40 }, (_, n) =>
      returnsOf(loop, n * 3_000, n % 2 === 0 ? "@a" : "@b", "status"),
    )
    expect(fast.slice(4)).not.toContain(0)
  })
})
