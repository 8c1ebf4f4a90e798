import { describe, expect, it } from "vitest"
import { defaultGuardLimits } from "../../../src/guards/limits.js"
import { type Draft, GuardRoom } from "../guard-room.js"

const { sameLast, sameWindowMs, stopMs } = defaultGuardLimits
const hello = "hello, the builder has just started"
const nameless = (n: number) => `@builder-${n}`
const keyed = (n: number) => `@${String(n).padStart(16, "0")}`

/** So many agents come in one after another and say the same; gives which are refused. */
function comeIn(
  room: GuardRoom,
  count: number,
  {
    who = nameless,
    everyMs = 30_000,
    ...draft
  }: Partial<Draft> & { who?: (n: number) => string; everyMs?: number } = {},
): number[] {
  const numbers = Array.from({ length: count }, (_, n) => n)
  return numbers.filter(
    (n) => room.say({ at: n * everyMs, text: hello, ...draft, from: who(n) }) !== undefined,
  )
}

describe("agents without a key that say the same, one after another", () => {
  it("are taken for one that starts again and again, and stopped", () => {
    const room = new GuardRoom(["same"])
    expect(comeIn(room, sameLast + 2)).toEqual([sameLast, sameLast + 1])
  })

  it("are so in direct messages to one agent", () => {
    const room = new GuardRoom(["same"])
    expect(comeIn(room, sameLast + 1, { to: ["@host"] })).toEqual([sameLast])
  })

  it("are still stopped when the relay was restarted", () => {
    const room = new GuardRoom(["same"])
    comeIn(room, sameLast)
    room.restart()
    const at = sameLast * 30_000
    expect(room.say({ at, from: "@another", text: hello })).toMatchObject({ layer: "same", liftedBy: "time" })
    expect(room.say({ at: at + stopMs, from: "@one-more", text: hello })).toBeUndefined()
    expect(room.say({ at: at + stopMs + 1, from: "@the-next", text: hello })).toMatchObject({
      retryAfterMs: 2 * stopMs,
    })
  })

  it("go on when an operator lets them", () => {
    const room = new GuardRoom(["same"])
    comeIn(room, sameLast + 1)
    room.guard.reset("#room")
    expect(room.say({ at: sameLast * 30_000, from: "@another", text: hello })).toBeUndefined()
  })

  it("stop nobody who says something else", () => {
    const room = new GuardRoom(["same"])
    comeIn(room, sameLast + 1)
    expect(room.say({ at: sameLast * 30_000, from: "@another", text: `${hello} again` })).toBeUndefined()
  })

  it.each([
    ["have a key", { who: keyed }],
    ["say little", { text: "ready for work" }],
    ["come seldom", { everyMs: sameWindowMs }],
  ])("are no matter when they %s", (_, how) => {
    expect(comeIn(new GuardRoom(["same"]), 3 * sameLast, how)).toEqual([])
  })
})

describe("an author that was stopped for repeating itself", () => {
  it("may say several things when the pause is over", () => {
    const room = new GuardRoom(["same"])
    const say = (at: number, text = hello) => room.say({ at, from: "@a", text })
    expect([say(0), say(1), say(2)].map((trip) => trip?.layer)).toEqual([undefined, "same", "same"])
    expect(say(3, "something that is entirely new here")).toMatchObject({ layer: "same" })
    for (let n = 0; n < 5; n++)
      expect(say(3 + stopMs + n, `number ${n} of the things that are new`)).toBeUndefined()
    expect(say(10 + stopMs)).toBeUndefined()
    expect(say(11 + stopMs)).toMatchObject({ layer: "same", retryAfterMs: 2 * stopMs })
  })
})
