import { expect, test } from "vitest"
import { EndedTasks, TaskTimers } from "../../../src/backbone/queue/expiry.js"
import { FakeClock } from "../../kit/fake-clock.js"

const hourMs = 3_600_000

function leaseTimers(clock: FakeClock) {
  const ended: string[] = []
  return { leases: new TaskTimers(clock, (key) => void ended.push(key)), ended }
}

/** Ended tasks that are forgotten as soon as they expire. */
function forgettingTasks(clock: FakeClock) {
  const expired: string[] = []
  const ended: EndedTasks = new EndedTasks(clock, (key) => {
    expired.push(key)
    ended.forget(key)
  })
  return { ended, expired }
}

test("a lease ends once, at the time that was set last", () => {
  const clock = new FakeClock()
  const { leases, ended } = leaseTimers(clock)
  for (const key of ["a", "b", "c"]) leases.start(key, 1_000)
  clock.advance(500)
  leases.start("b", 1_000)
  leases.cancel("c")
  clock.advance(500)
  expect(ended).toEqual(["a"])
  clock.advance(10_000)
  expect(ended).toEqual(["a", "b"])
})

test("no lease ends or starts after close", () => {
  const clock = new FakeClock()
  const { leases, ended } = leaseTimers(clock)
  leases.start("a", 1_000)
  leases.close()
  leases.start("b", 1_000)
  clock.advance(10_000)
  expect(ended).toEqual([])
  expect(clock.pending).toEqual([])
})

test("an ended task expires after an hour, and the timer stops when none is left", () => {
  const clock = new FakeClock()
  const { ended, expired } = forgettingTasks(clock)
  ended.remember("a", clock.now())
  clock.advance(hourMs / 2)
  ended.remember("b", clock.now())
  clock.advance(hourMs / 2)
  expect(expired).toEqual([])
  clock.advance(hourMs / 2)
  expect(expired).toEqual(["a"])
  clock.advance(hourMs)
  expect(expired).toEqual(["a", "b"])
  expect(clock.pending).toEqual([])
})

test("an expired task is reported at every sweep until it is forgotten", () => {
  const clock = new FakeClock()
  const expired: string[] = []
  const ended = new EndedTasks(clock, (key) => void expired.push(key))
  ended.remember("a", clock.now() - hourMs - 1)
  clock.advance(hourMs / 10)
  clock.advance(hourMs / 10)
  expect(expired).toEqual(["a", "a"])
  ended.close()
  expect(clock.pending).toEqual([])
})

test("of more than 10,000 ended tasks the oldest expire at once, in whichever order they were added", () => {
  const clock = new FakeClock()
  const { ended, expired } = forgettingTasks(clock)
  for (let i = 0; i < 10_000; i++) ended.remember(`k${i}`, clock.now())
  for (const key of ["older", "oldest"]) ended.remember(key, clock.now() - key.length)
  clock.advance(hourMs / 10)
  expect(expired).toEqual(["oldest", "older"])
})
