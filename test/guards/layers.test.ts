import { describe, expect, it } from "vitest"
import type { RuleName, Trip } from "../../src/guards/guard-message.js"
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

describe("kind", () => {
  it.each(["ack", "auto"] as const)(
    "refuses an automatic answer to an %s, with or without in_reply_to",
    (kind) => {
      for (const answers of ["first", undefined]) {
        const room = new GuardRoom(["kind"])
        expect(room.say({ at: 0, id: "first", from: "@a", to: ["@b"], kind })).toBeUndefined()
        expect(room.say({ at: 1, from: "@b", to: ["@a"], kind: "auto", answers })).toMatchObject({
          layer: "kind",
          evidence: ["first"],
        })
        expect(room.say({ at: 2, from: "@b", to: ["@a"], kind: "ack", answers })?.layer).toBe("kind")
        expect(room.say({ at: 3, from: "@b", to: ["@a"], kind: "request", answers })).toBeUndefined()
      }
    },
  )

  it("passes empty courtesy on as an ack, but not where something was asked", () => {
    const { guard, ...room } = new GuardRoom()
    expect(room).toBeDefined()
    const base = { ts: 0, from: "@b", room: "@a @b", to: ["@a"], recipients: 1, bytes: 50 }
    const traced = guard.trace({ ...base, id: "x", text: "Thank you very much!" })
    expect(traced).toMatchObject({ kind: "ack", isCourtesy: true })
    const asks = guard.trace({ ...base, id: "q", from: "@a", to: ["@b"], text: "Shall I deploy?" })
    guard.note(asks)
    expect(guard.trace({ ...base, id: "y", answers: "q", text: "OK" })).toMatchObject({
      kind: undefined,
      isCourtesy: false,
    })
  })
})

describe("hops", () => {
  it("refuses the message after the 16th of a thread, not one before", () => {
    const room = new GuardRoom(["hops"])
    const [taken, trip] = pingPong(room, 1_000)
    expect(taken).toBe(16)
    expect(trip).toMatchObject({ layer: "hops", scope: "@a @b", liftedBy: "progress", retryAfterMs: 60_000 })
    expect(trip?.evidence).toEqual(["m7", "m8", "m9", "m10", "m11", "m12", "m13", "m14", "m15", "m16"])
    expect(room.warnings).toEqual([expect.objectContaining({ layer: "hops", scope: "@a @b" })])
  })

  it("counts the same where in_reply_to is left out, or names the beginning again", () => {
    const room = new GuardRoom(["hops"])
    room.say({ at: 0, id: "root", from: "@b", to: ["@a"] })
    expect(pingPong(room, 1_000, { answers: "root" })[0]).toBe(15)
  })

  it("begins anew by work, by an operator's word and by an operator's reset", () => {
    for (const lift of [
      (room: GuardRoom) => room.guard.refill(["@a"], 20_000),
      (room: GuardRoom) => room.guard.reset("@a @b"),
      (room: GuardRoom) => room.guard.reset(undefined),
    ]) {
      const room = new GuardRoom(["hops"])
      pingPong(room, 1_000)
      lift(room)
      expect(room.say({ at: 21_000, from: "@a", to: ["@b"] })).toBeUndefined()
    }
    const room = new GuardRoom(["hops"])
    for (let n = 0; n < 15; n++) room.say({ at: n, from: n % 2 ? "@b" : "@a", to: [n % 2 ? "@a" : "@b"] })
    room.guard.spoke("@a @b", 15)
    expect(pingPong(room, 1_000)[0]).toBeGreaterThan(10)
  })
})

describe("pair", () => {
  it("takes 20 turns in a minute and refuses the next, in whatever rooms they are", () => {
    const room = new GuardRoom(["pair"])
    let n = 0
    const say = () => {
      const [from, to] = n % 2 === 0 ? ["@a", "@b"] : ["@b", "@a"]
      return room.say({ at: n++ * 2_000, from, to: [to], ...(n % 3 === 0 && { room: "#room" }) })
    }
    for (let i = 0; i < 21; i++) expect(say()).toBeUndefined()
    expect(say()).toMatchObject({ layer: "pair", scope: "@a @b", retryAfterMs: 60_000, liftedBy: "time" })
  })

  it("takes them all if they are slower", () => {
    expect(pingPong(new GuardRoom(["pair"]), 3_200)[1]).toBeUndefined()
  })

  it("lets one pass after the pause, then pauses twice as long, and forgets after an hour", () => {
    const room = new GuardRoom(["pair"])
    const [taken, trip] = pingPong(room, 1_000)
    expect(taken).toBe(21)
    const stoppedAt = taken * 1_000
    const free = stoppedAt + (trip?.retryAfterMs ?? 0)
    expect(room.say({ at: free - 1, from: "@b", to: ["@a"] })).toMatchObject({ retryAfterMs: 1 })
    expect(room.say({ at: free, from: "@b", to: ["@a"] })).toBeUndefined()
    expect(room.say({ at: free + 1, from: "@a", to: ["@b"] })).toMatchObject({ retryAfterMs: 119_999 })
    expect(room.say({ at: free + 3 * hour, from: "@a", to: ["@b"] })).toBeUndefined()
    expect(room.say({ at: free + 3 * hour + 1, from: "@b", to: ["@a"] })).toBeUndefined()
  })

  it("does not hinder either of them with somebody else", () => {
    const room = new GuardRoom(["pair"])
    pingPong(room, 1_000)
    expect(room.say({ at: 22_000, from: "@a", to: ["@c"] })).toBeUndefined()
    expect(room.say({ at: 22_000, from: "@c", to: ["@a"] })).toBeUndefined()
  })
})

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
    ["an operator's word", (room: GuardRoom) => room.guard.spoke("#room", 200_000)],
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

  it("takes a feed for what it is, whoever talks between its lines", () => {
    const room = new GuardRoom(["conversation", "slow"])
    for (let n = 0; n < 1_000; n++) {
      expect(room.say({ at: n * 12_000, from: "@ci" })).toBeUndefined()
      if (n % 25 === 0) expect(room.say({ at: n * 12_000 + 1, from: `@${(n / 25) % 4}` })).toBeUndefined()
    }
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
  it("takes 50 turns of two agents in a day and refuses the next", () => {
    const room = new GuardRoom(["slow"])
    const [taken, trip] = pingPong(room, 20 * 60_000)
    expect(taken).toBe(51)
    expect(trip).toMatchObject({ layer: "slow", scope: "@a @b" })
    expect(room.say({ at: 51 * 20 * 60_000 + 48 * hour, from: "@b", to: ["@a"] })).toBeUndefined()
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
  const near = (n: number) => `${Array.from({ length: 120 }, (_, i) => `word${i}`).join(" ")} ${n}`

  it.each([
    ["the same", () => text],
    ["nearly the same", near],
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
    expect(room.say({ at: 4_000, from: "@a", room: "#other" })).toBeUndefined()
    expect(room.say({ at: 4_000, from: "@b", text: textOf(0) })).toBeUndefined()
    expect(room.say({ at: 3_000 + room.limits.stopMs, from: "@a" })).toBeUndefined()
  })

  it("takes a status that is nearly the same, not one that is the same", () => {
    const room = new GuardRoom(["same"])
    for (let n = 0; n < 5; n++)
      expect(room.say({ at: n, from: "@a", kind: "status", text: near(n) })).toBeUndefined()
    expect(room.say({ at: 9, from: "@a", kind: "status", text: near(0) })?.layer).toBe("same")
  })

  it("lets a short word stand three times", () => {
    const room = new GuardRoom(["same"])
    for (let n = 0; n < 3; n++) expect(room.say({ at: n, from: "@a", text: "still failing" })).toBeUndefined()
    expect(room.say({ at: 3, from: "@a", text: "Still failing." })?.layer).toBe("same")
  })
})

describe("floor", () => {
  const question = { at: 0, id: "q", from: "@asker", text: "Does anybody know why the build fails?" }

  it("is the first answer's for 45 s", () => {
    const room = new GuardRoom(["floor"])
    room.say(question)
    expect(room.say({ at: 1_000, from: "@a", answers: "q" })).toBeUndefined()
    expect(room.say({ at: 2_000, from: "@b", answers: "q" })).toMatchObject({
      layer: "floor",
      retryAfterMs: 44_000,
    })
    expect(room.say({ at: 2_000, from: "@c" })?.layer).toBe("floor")
    expect(room.say({ at: 3_000, from: "@a", answers: "q" })).toBeUndefined()
    expect(room.say({ at: 46_000, from: "@b", answers: "q" })).toBeUndefined()
  })

  it("is neither taken nor needed by a status, and is free once the asker goes on", () => {
    const room = new GuardRoom(["floor"])
    room.say(question)
    for (const from of ["@s", "@t"])
      expect(room.say({ at: 1, from, answers: "q", kind: "status" })).toBeUndefined()
    expect(room.say({ at: 1_000, from: "@a", answers: "q" })).toBeUndefined()
    expect(room.say({ at: 1_500, from: "@s", answers: "q", kind: "status" })).toBeUndefined()
    room.say({ at: 2_000, from: "@asker" })
    expect(room.say({ at: 3_000, from: "@b", answers: "q" })).toBeUndefined()
  })

  it("is nobody's where all are asked, or one by name", () => {
    const room = new GuardRoom(["floor"])
    room.say({ ...question, text: "What are you working on today?" })
    room.say({ ...question, at: 1, id: "r", to: ["@a"], room: "#room" })
    for (const from of ["@a", "@b", "@c"]) expect(room.say({ at: 2, from, answers: "q" })).toBeUndefined()
  })
})

describe("mentions", () => {
  it("refuses the fourth of one who does not answer, until it does", () => {
    const room = new GuardRoom(["mentions"])
    const call = (at: number) => room.say({ at, from: "@a", to: ["@silent"], room: "#room" })
    for (let n = 0; n < 3; n++) expect(call(n * 1_000)).toBeUndefined()
    expect(call(3_000)).toMatchObject({
      layer: "mentions",
      scope: "@a to @silent in #room",
      retryAfterMs: 300_000,
    })
    expect(room.say({ at: 3_500, from: "@a", to: ["@other"], room: "#room" })).toBeUndefined()
    room.say({ at: 4_000, from: "@silent" })
    expect(call(5_000)).toBeUndefined()
  })
})

describe("wakes", () => {
  it("counts whom a sender wakes, and stops at 200 in an hour", () => {
    const room = new GuardRoom(["wakes"])
    for (let n = 0; n < 200; n++) expect(room.say({ at: 0, from: "@a", to: [`@w${n}`] })).toBeUndefined()
    expect(room.say({ at: 0, from: "@a", to: ["@w200"] })).toMatchObject({ layer: "wakes", scope: "@a" })
    expect(room.say({ at: 0, from: "@b", to: ["@w1"] })).toBeUndefined()
  })

  it("takes a long series to one that is awake for one", () => {
    const room = new GuardRoom(["wakes"])
    for (let n = 0; n < 400; n++) expect(room.say({ at: n * 1_500, from: "@a", to: ["@b"] })).toBeUndefined()
  })
})

describe("budget", () => {
  it("stops who fills a room, not who says something in between", () => {
    const room = new GuardRoom(["budget"])
    const paste = (at: number) => room.say({ at, from: "@a", bytes: 200_000, recipients: 5 })
    expect(room.say({ at: 0, from: "@b" })).toBeUndefined()
    expect(paste(1)).toBeUndefined()
    expect(room.warnings).toEqual([])
    expect(room.say({ at: 2, from: "@a", bytes: 120_000, recipients: 5 })).toBeUndefined()
    expect(room.warnings).toEqual([expect.objectContaining({ layer: "budget", scope: "#room" })])
    expect(paste(3)).toMatchObject({ layer: "budget", scope: "#room", liftedBy: "operator" })
    expect(room.say({ at: 4, from: "@b" })).toBeUndefined()
    room.guard.reset("#room")
    expect(paste(5)).toBeUndefined()
  })
})

it("names every layer in the order in which it is asked", () => {
  const room = new GuardRoom()
  const names: RuleName[] = [
    "kind",
    "hops",
    "pair",
    "conversation",
    "slow",
    "same",
    "floor",
    "mentions",
    "wakes",
    "budget",
    "deals",
  ]
  expect(Object.keys(room.guard.save().layers)).toEqual(names)
})
