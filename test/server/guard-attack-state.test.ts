import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { systemClock } from "../../src/base/clock.js"
import { Guard } from "../../src/guards/guard.js"
import { defaultGuardLimits } from "../../src/guards/limits.js"
import { generateKeyPair } from "../../src/identity/signer.js"
import { GuardRoom } from "../guards/guard-room.js"
import { LastingEngine } from "../kit/engine.js"
import { FakeClock } from "../kit/fake-clock.js"
import { type TestAgent, TestRelay } from "../kit/relay.js"

const hourMs = 3_600_000
const longestPauseMs = defaultGuardLimits.stopMaxMs

/** A clock whose time of day somebody sets. */
class SetClock extends FakeClock {
  setByMs = 0

  override now(): number {
    return super.now() + this.setByMs
  }
}

/** Text that is like no other. */
function textOf(turn: number): string {
  const words = Array.from({ length: 12 }, (_, index) => `word${(turn * 7919 + index * 104_729) % 99_991}`)
  return `${turn}: ${words.join(" ")}`
}

/** Two write to each other until one of them is stopped. */
async function loop(house: TestRelay, ann: TestAgent, bob: TestAgent) {
  for (let turn = 0; turn < 60; turn++) {
    house.clock.advance(2_000)
    const [by, other] = turn % 2 === 0 ? [ann, bob] : [bob, ann]
    const refusal = await by.wire.ask({ type: "MSG", to: other.id, content: textOf(turn) })
    if (refusal.type === "ERROR") return { refusal, by, other }
  }
  throw new Error("nobody stopped them")
}

describe("a clock that is set", () => {
  it.each([-48 * hourMs, -10_000 * hourMs, -1])("by %i ms, makes no stop longer", async (setByMs) => {
    const clock = new SetClock()
    const house = await TestRelay.start({ guards: {}, clock })
    const ann = await house.enterAs(generateKeyPair(), "ann")
    const bob = await house.enterAs(generateKeyPair(), "bob")
    const { refusal, by, other } = await loop(house, ann, bob)
    clock.setByMs = setByMs
    const again = { type: "MSG", to: other.id, content: textOf(900) }
    const still = await by.wire.ask(again)
    if (still.type !== "ERROR" || refusal.retry_after_ms === undefined) throw new Error("not stopped")
    expect(still.retry_after_ms).toBeLessThanOrEqual(refusal.retry_after_ms)
    expect(still.retry_after_ms).toBeGreaterThan(0)
    clock.advance(refusal.retry_after_ms)
    expect(await by.wire.ask(again)).toMatchObject({ type: "ACK" })
  })

  it.each([
    [-5 * hourMs, "GUARDED"],
    [-48 * hourMs, undefined],
  ])("by %i ms while no relay runs, does so neither", async (setByMs, code) => {
    const engine = await LastingEngine.make()
    const clock = new SetClock()
    const keys = [generateKeyPair(), generateKeyPair()] as const
    const house = await TestRelay.start({ guards: {}, backbone: engine.lend(), clock })
    const ann = await house.enterAs(keys[0], "ann")
    const { refusal, by, other } = await loop(house, ann, await house.enterAs(keys[1], "bob"))
    await house.stop()
    clock.setByMs = setByMs
    const again = await TestRelay.start({ guards: {}, backbone: engine.lend(), clock })
    const back = await again.enterAs(by.id === ann.id ? keys[0] : keys[1], "back")
    const message = { type: "MSG", id: "after", to: other.id, content: textOf(900) }
    const answer = await back.wire.answerTo(message)
    if (answer.type !== "ERROR") expect(code).toBeUndefined()
    else {
      expect(answer).toMatchObject({ code })
      expect(answer.retry_after_ms).toBeLessThanOrEqual(refusal.retry_after_ms ?? 0)
    }
  })
})

const junk = [
  ...[null, true, "", "x", "@a @b", [], {}, [[]], [null], -1, 0, 0.5, 1e308, -1e308, 2 ** 53, 9e15],
  ...["\u{1f600}".repeat(50), { from: 1 }, [["@a", 1e308]], 1_900_000_000_000, "__proto__"],
]

/** Returns the state of a guard after a loop in one channel. */
function stateOfLoop(start = 1_800_000_000_000): unknown {
  const room = new GuardRoom()
  for (let turn = 0; turn < 80; turn++) {
    const [from, other] = turn % 2 === 0 ? ["@a", "@b"] : ["@b", "@a"]
    const to = turn % 3 === 0 ? [] : [other]
    room.say({ at: start + turn * 2_000, from, to, channel: turn % 5 === 0 ? "#x" : "@a @b" })
    room.say({ at: start + 500 + turn * 2_000, from: `@c${turn}`, text: "does anybody know?" })
  }
  return JSON.parse(room.guard.save())
}

/** Every place of a value, as the members that lead to it. */
function placesOf(value: unknown, path: readonly string[] = []): (readonly string[])[] {
  if (typeof value !== "object" || value === null) return [path]
  const members = Object.entries(value).flatMap(([key, member]) => placesOf(member, [...path, key]))
  return [path, ...members]
}

/** The same with something else in one place. */
function changed(value: unknown, [key, ...rest]: readonly string[], to: unknown): unknown {
  if (key === undefined) return to
  const copy = Array.isArray(value) ? [...(value as unknown[])] : { ...(value as object) }
  Object.assign(copy, { [key]: changed((value as Record<string, unknown>)[key], rest, to) })
  return copy
}

describe("a state that somebody changed", () => {
  const state = stateOfLoop()
  const places = placesOf(state).filter((place) => place.length > 0)

  it("ends nothing, stops nobody for longer than any pause, and is written as before", () => {
    const change = fc.tuple(fc.constantFrom(...places), fc.constantFrom(...junk))
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 4 }), (changes) => {
        const bad = changes.reduce((before, [place, to]) => {
          try {
            return changed(before, place, to)
          } catch {
            return before
          }
        }, structuredClone(state))
        const isChanged = JSON.stringify(bad) !== JSON.stringify(state)
        const room = new GuardRoom()
        // A guard goes on with the objects it loads, so that each run needs its own.
        room.guard = Guard.load(defaultGuardLimits, bad)
        expect(room.guard.save() === new Guard(defaultGuardLimits).save()).toBe(isChanged)
        for (let turn = 0; turn < 8; turn++) {
          const at = 1_800_000_200_000 + turn * 1_000
          const [from, other] = turn % 2 === 0 ? ["@a", "@b"] : ["@b", "@a"]
          for (const draft of [{ to: [other] }, { channel: "#room" }, { channel: "#x", answers: "m3" }]) {
            const trip = room.say({ at, from, ...draft })
            if (trip?.retryAfterMs === undefined) continue
            expect(trip.retryAfterMs).toBeGreaterThan(0)
            expect(trip.retryAfterMs).toBeLessThanOrEqual(longestPauseMs)
          }
          for (const usage of room.guard.usage(from, at)) expect(usage.used).not.toBeNaN()
        }
        expect(room.guard.save().length).toBeLessThan(1024 * 1024)
        room.guard.refill(["@a"], 1_800_000_300_000)
        room.guard.operatorSpoke("#room")
        room.guard.reset("@b")
        room.guard.reset(undefined)
        expect(room.say({ at: 1_800_000_400_000, from: "@new", channel: "#elsewhere" })).toBeUndefined()
      }),
      { numRuns: 150 },
    )
  })

  it("is not believed when its times are years ahead", async () => {
    const engine = await LastingEngine.make()
    const table = await engine.lend().table("guard")
    const later = systemClock.now() + 10_000 * hourMs
    await table.put("state", JSON.stringify(stateOfLoop(later)))
    const house = await TestRelay.start({ guards: {}, backbone: engine.lend() })
    const ann = await house.enterAs(generateKeyPair(), "ann")
    const bob = await house.enterAs(generateKeyPair(), "bob")
    const { refusal, by, other } = await loop(house, ann, bob)
    house.clock.advance(refusal.retry_after_ms ?? 0)
    expect(await by.wire.ask({ type: "MSG", to: other.id, content: textOf(900) })).toMatchObject({
      type: "ACK",
    })
  })
})
