import { describe, expect, it } from "vitest"
import { type RuleName, ruleNames, type Trip } from "../../src/guards/guard-message.js"
import { type Draft, GuardRoom } from "./guard-room.js"

const hour = 3_600_000

/** Two agents that answer each other directly, `gapMs` apart; gives how many messages were taken before the first refusal. */
function pingPong(
  room: GuardRoom,
  gapMs: number,
  draft: Partial<Draft> = {},
  most = 500,
): [number, Trip | undefined] {
  for (let n = 0; n < most; n++) {
    const [from, to] = n % 2 === 0 ? ["@a", "@b"] : ["@b", "@a"]
    const trip = room.say({ at: n * gapMs, from, to: [to], ...draft })
    if (trip !== undefined) return [n, trip]
  }
  return [most, undefined]
}

/** Agents that speak in turn in a room, to nobody; gives how many messages were taken. */
function inTurn(
  room: GuardRoom,
  ids: readonly string[],
  gapMs: number,
  most = 500,
): [number, Trip | undefined] {
  for (let n = 0; n < most; n++) {
    const trip = room.say({ at: n * gapMs, from: ids[n % ids.length] ?? "" })
    if (trip !== undefined) return [n, trip]
  }
  return [most, undefined]
}

describe("conversation", () => {
  it("takes 30 returns and refuses the next", () => {
    const room = new GuardRoom(["conversation"], { conversationRegainMs: 1e12 })
    // The first three are no returns: nobody had come back before.
    expect(inTurn(room, ["@a", "@b"], 1_000)[0]).toBe(33)
  })

  it("never stops somebody who only drops in", () => {
    const room = new GuardRoom(["conversation"])
    const [taken, trip] = inTurn(room, ["@a", "@b"], 5_000)
    expect(trip?.scope).toMatch(/#room$/)
    for (let n = 0; n < 12; n++)
      expect(room.say({ at: taken * 5_000 + n * 60_000, from: "@bystander" })).toBeUndefined()
  })

  it("does not stop who goes on talking alone where others are stopped, and takes that for no answer", () => {
    const room = new GuardRoom(["conversation"])
    const stopped = new Set<string>()
    for (let n = 0; n < 60; n++) {
      const from = n % 2 === 0 ? "@a" : "@b"
      if (n === 15) expect(room.say({ at: n * 60, from: "@c" })).toBeUndefined()
      if (room.say({ at: n * 60 + 1, from }) !== undefined) stopped.add(from)
    }
    expect([...stopped].sort()).toEqual(["@a", "@b"])
    for (let n = 0; n < 600; n++) {
      expect(room.say({ at: 4_000 + n * 1_000, from: "@c" })).toBeUndefined()
      expect(room.say({ at: 4_500 + n * 1_000, from: "@a" })).toBeDefined()
    }
  })

  it.each([
    ["work", (room: GuardRoom) => room.guard.refill(["@a", "@b"], 200_000)],
    ["half of them working", (room: GuardRoom) => room.guard.refill(["@a"], 200_000)],
    ["an operator's word", (room: GuardRoom) => room.guard.operatorSpoke("#room")],
    ["an operator's reset", (room: GuardRoom) => room.guard.reset("#room")],
  ])("begins anew by %s", (_, lift) => {
    const room = new GuardRoom(["conversation"])
    const [taken] = inTurn(room, ["@a", "@b"], 5_000)
    lift(room)
    for (let n = 0; n < 20; n++)
      expect(room.say({ at: 200_000 + n * 1_000, from: n % 2 ? "@b" : "@a" })).toBeUndefined()
    expect(taken).toBeLessThan(40)
  })

  it("lets go by time, once, and the next pause is longer", () => {
    const room = new GuardRoom(["conversation"])
    const [taken, trip] = inTurn(room, ["@a", "@b"], 1_000)
    const from = taken % 2 === 0 ? "@a" : "@b"
    const free = taken * 1_000 + (trip?.retryAfterMs ?? 0)
    expect(room.say({ at: free, from })).toBeUndefined()
    expect(room.say({ at: free + 1_000, from })?.retryAfterMs).toBe(2 * room.limits.stopMs - 1_000)
  })

  it("lets one answer pass after a pause, so that who speaks first does not block the other", () => {
    const room = new GuardRoom(["conversation"], { conversationOwn: 1_000 })
    const stop = { layer: "conversation", scope: "#room" }
    const [, trip] = inTurn(room, ["@a", "@b"], 1_000)
    expect(trip).toMatchObject(stop)
    const free = 60_000 + room.limits.stopMs
    expect(room.say({ at: free, from: "@a" })).toBeUndefined()
    expect(room.say({ at: free + 1_000, from: "@b" })).toBeUndefined()
    for (const from of ["@a", "@b"]) expect(room.say({ at: free + 2_000, from })).toMatchObject(stop)
  })

  it.each([undefined, "#room", "@b in #room"])("begins anew where an operator resets %s", (scope) => {
    const room = new GuardRoom(["conversation"], { conversationTurns: 1_000 })
    const [taken, trip] = inTurn(room, ["@a", "@b"], 1_000)
    expect(trip?.scope).toBe("@b in #room")
    room.guard.reset(scope)
    for (let n = 0; n < 10; n++) {
      const at = taken * 1_000 + n * 1_000
      expect(room.say({ at, from: "@b" })).toBeUndefined()
      expect(room.say({ at: at + 500, from: "@c" })).toBeUndefined()
    }
  })

  it("says what was counted when it began for as long as a stop lasts", () => {
    const room = new GuardRoom(["conversation"], { conversationOwn: 1_000 })
    const [taken, trip] = inTurn(room, ["@a", "@b"], 1_000)
    expect(trip?.reason).toContain("came back to speak here 30 times")
    for (const leftMs of [600_000, 1]) {
      const at = taken * 1_000 + room.limits.stopMs - leftMs
      const from = taken % 2 === 0 ? "@a" : "@b"
      expect(room.say({ at, from })?.reason).toBe(trip?.reason)
    }
  })

  it("takes a feed for what it is, whoever talks between its lines", () => {
    const room = new GuardRoom(["conversation", "slow"])
    for (let n = 0; n < 1_000; n++) {
      expect(room.say({ at: n * 12_000, from: "@ci" })).toBeUndefined()
      if (n % 25 === 0) expect(room.say({ at: n * 12_000 + 1, from: `@${(n / 25) % 4}` })).toBeUndefined()
    }
  })

  it("does not stop four who speak now and then where two use up the channel", () => {
    const room = new GuardRoom()
    let accepted = 0
    for (let turn = 0; turn < 800; turn++) {
      const at = 1_800_000_000_000 + turn * 3_000
      const isHonest = turn % 100 < 4
      const trip = room.say({ at, from: isHonest ? `@h${turn % 100}` : `@s${turn % 2}` })
      if (isHonest && trip === undefined) accepted++
    }
    expect(accepted).toBeGreaterThan(26)
  })

  it("stops a circle of direct messages", () => {
    const room = new GuardRoom(["conversation"])
    const ring = ["@a", "@b", "@c"]
    let n = 0
    while (
      n < 200 &&
      room.say({ at: n * 90_000, from: ring[n % 3] ?? "", to: [ring[(n + 1) % 3] ?? ""] }) === undefined
    )
      n++
    expect(n).toBeLessThan(45)
  })
})

describe("slow", () => {
  it("takes 48 turns of two agents in a day and refuses the next", () => {
    const room = new GuardRoom(["slow"])
    const [taken, trip] = pingPong(room, 20 * 60_000)
    expect(taken).toBe(49)
    expect(trip).toMatchObject({ layer: "slow", scope: "@a @b" })
    expect(room.say({ at: 51 * 20 * 60_000 + 48 * hour, from: "@b", to: ["@a"] })).toBeUndefined()
  })

  it.each(["#room", "@a @b", "@a"])("is lifted where an operator resets %s, if it began there", (scope) => {
    const room = new GuardRoom(["slow"])
    const [taken, trip] = pingPong(room, 20 * 60_000, { channel: "#room" })
    expect(trip).toMatchObject({ layer: "slow", scope: "@a @b" })
    room.guard.reset("#other")
    expect(room.guard.stops(taken * 20 * 60_000)).toMatchObject([{ scope: "@a @b", used: 48, limit: 48 }])
    room.guard.reset(scope)
    expect(room.guard.stops(taken * 20 * 60_000)).toEqual([])
    for (let n = 0; n < 40; n++) {
      const [from, to] = n % 2 === 0 ? ["@a", "@b"] : ["@b", "@a"]
      expect(room.say({ at: (taken + n) * 20 * 60_000, from, to: [to], channel: "#room" })).toBeUndefined()
    }
  })

  it("counts from nothing once work was done", () => {
    const room = new GuardRoom(["slow"])
    pingPong(room, 20 * 60_000, {}, 50)
    room.guard.refill(["@b"], 50 * 20 * 60_000)
    expect(room.say({ at: 51 * 20 * 60_000, from: "@a", to: ["@b"] })).toBeUndefined()
  })
})

describe("same", () => {
  const text = "The nightly report is ready and can be found in the usual place."
  const near = (n: number) => `${"a long report about the parser ".repeat(20)} ${n}`

  it.each([
    ["the same", () => text],
    ["the same but for a number", near],
  ])("drops the second of %s and stops its author in that room at the third", (_, textOf) => {
    const room = new GuardRoom(["same"])
    expect(room.say({ at: 0, from: "@a", text: textOf(0) })).toBeUndefined()
    expect(room.say({ at: 1_000, from: "@a", text: textOf(1) })).toMatchObject({
      scope: "@a in #room",
      evidence: ["m1"],
      retryAfterMs: 599_000,
    })
    expect(room.say({ at: 2_000, from: "@a" })).toBeUndefined()
    const trip = room.say({ at: 3_000, from: "@a", text: textOf(2) })
    expect(trip).toMatchObject({ layer: "same", liftedBy: "time", retryAfterMs: room.limits.stopMs })
    expect(room.say({ at: 4_000, from: "@a" })?.layer).toBe("same")
    expect(room.say({ at: 4_000, from: "@a", channel: "#other" })).toBeUndefined()
    expect(room.say({ at: 4_000, from: "@b", text: textOf(0) })).toBeUndefined()
    expect(room.say({ at: 3_000 + room.limits.stopMs, from: "@a" })).toBeUndefined()
  })

  it("accepts a status that differs in a number, not one that is the same", () => {
    const room = new GuardRoom(["same"])
    for (let n = 0; n < 5; n++)
      expect(room.say({ at: n, from: "@a", kind: "status", text: near(n) })).toBeUndefined()
    expect(room.say({ at: 9, from: "@a", kind: "status", text: near(0) })?.layer).toBe("same")
  })

  it("accepts a short text three times", () => {
    const room = new GuardRoom(["same"])
    for (let n = 0; n < 3; n++) expect(room.say({ at: n, from: "@a", text: "still failing" })).toBeUndefined()
    expect(room.say({ at: 3, from: "@a", text: "Still failing." })?.layer).toBe("same")
  })
})

describe("mentions", () => {
  it("refuses the fourth of one who does not answer, until it does", () => {
    const room = new GuardRoom(["mentions"])
    const call = (at: number) => room.say({ at, from: "@a", to: ["@silent"], channel: "#room" })
    for (let n = 0; n < 3; n++) expect(call(n * 1_000)).toBeUndefined()
    expect(call(3_000)).toMatchObject({
      layer: "mentions",
      scope: "@a to @silent in #room",
      retryAfterMs: 300_000,
    })
    expect(room.say({ at: 3_500, from: "@a", to: ["@other"], channel: "#room" })).toBeUndefined()
    room.say({ at: 4_000, from: "@silent" })
    expect(call(5_000)).toBeUndefined()
  })

  it.each<[string, number, (room: GuardRoom) => void]>([
    ["the pause is over", 303_001, () => {}],
    ...[undefined, "#room", "@a", "@silent", "@a to @silent in #room"].map(
      (scope): [string, number, (room: GuardRoom) => void] => [
        `an operator resets ${String(scope)}`,
        4_000,
        (room) => {
          room.guard.reset(scope)
        },
      ],
    ),
  ])("counts three anew when %s", (_, at, lift) => {
    const room = new GuardRoom(["mentions"])
    const call = (ts: number) => room.say({ at: ts, from: "@a", to: ["@silent"], channel: "#room" })
    for (let n = 0; n < 3; n++) expect(call(n * 1_000)).toBeUndefined()
    expect(call(3_000)).toBeDefined()
    lift(room)
    for (let n = 0; n < 3; n++) expect(call(at + n)).toBeUndefined()
    expect(call(at + 3)).toMatchObject({ layer: "mentions" })
  })
})

describe("wakes", () => {
  it("counts whom a sender wakes, and stops at 200 in an hour", () => {
    const room = new GuardRoom(["wakes"])
    for (let n = 0; n < 200; n++) expect(room.say({ at: 0, from: "@a", to: [`@w${n}`] })).toBeUndefined()
    expect(room.say({ at: 0, from: "@a", to: ["@w200"] })).toMatchObject({ layer: "wakes", scope: "@a" })
    expect(room.say({ at: 0, from: "@b", to: ["@w1"] })).toBeUndefined()
  })

  it("says how many were woken when it began, also when their hour is over", () => {
    const room = new GuardRoom(["wakes"], { stopMs: 7_200_000 })
    for (let n = 0; n < 200; n++) room.say({ at: 0, from: "@a", to: [`@w${n}`] })
    expect(room.say({ at: 1, from: "@a", to: ["@x"] })?.reason).toContain("you woke others 200 times")
    expect(room.say({ at: hour + 1, from: "@a", to: ["@x"] })?.reason).toContain("you woke others 200 times")
    expect(room.guard.usage("@a", hour + 1)).toMatchObject([{ used: 200, limit: 200, isTripped: true }])
  })

  it("counts anew after the pause, and pauses twice as long when it goes on", () => {
    const room = new GuardRoom(["wakes"])
    const wake = (at: number) => room.say({ at, from: "@a", to: [`@w${at}`] })
    for (let n = 0; n < 200; n++) expect(wake(n)).toBeUndefined()
    expect(wake(200)).toMatchObject({ retryAfterMs: hour })
    for (let n = 0; n < 200; n++) expect(wake(200 + hour + n)).toBeUndefined()
    expect(wake(400 + hour)).toMatchObject({ retryAfterMs: 2 * hour })
  })

  it("takes a long series to one that is awake for one", () => {
    const room = new GuardRoom(["wakes"])
    for (let n = 0; n < 400; n++) expect(room.say({ at: n * 1_500, from: "@a", to: ["@b"] })).toBeUndefined()
  })
})

describe("budget", () => {
  it("stops the author that fills a channel, not one that says something in between", () => {
    const room = new GuardRoom(["budget"], { tokensPerHour: 100_000 })
    const paste = (at: number) => room.say({ at, from: "@a", bytes: 200_000 })
    expect(room.say({ at: 0, from: "@b" })).toBeUndefined()
    expect(paste(1)).toBeUndefined()
    expect(room.warnings).toEqual([])
    expect(room.say({ at: 2, from: "@a", bytes: 120_000 })).toBeUndefined()
    expect(room.warnings).toEqual([expect.objectContaining({ layer: "budget", scope: "#room" })])
    expect(paste(3)).toMatchObject({ layer: "budget", scope: "#room", liftedBy: "operator" })
    expect(room.say({ at: 4, from: "@b" })).toBeUndefined()
    room.guard.reset("#room")
    expect(paste(5)).toBeUndefined()
  })

  it("lets one reader of a channel read 2,000,000 tokens in an hour", () => {
    const room = new GuardRoom(["budget"])
    const page = 40_000
    let pages = 0
    while (room.say({ at: 0, from: "@a", bytes: page }) === undefined) pages++
    expect((pages * page) / 4).toBe(2_000_000)
  })
})

it("saves every rule under its name, in the order in which they are asked", () => {
  const { state } = JSON.parse(new GuardRoom().guard.save()) as {
    state: { rules: Record<RuleName, unknown> }
  }
  expect(Object.keys(state.rules)).toEqual([...ruleNames])
})
