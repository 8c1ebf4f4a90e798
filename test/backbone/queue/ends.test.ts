import { expect, test } from "vitest"
import { QueueEnds } from "../../../src/backbone/queue/ends.js"
import { FakeClock } from "../../kit/fake-clock.js"

const hourMs = 3_600_000

/** Ends that are forgotten when they are told to be old. */
function forgetful(clock: FakeClock) {
  const old: string[] = []
  const ends: QueueEnds = new QueueEnds(clock, (key) => {
    old.push(key)
    ends.forget(key)
  })
  return { ends, old }
}

test("an end is old after an hour, and nothing is looked at when none is left", () => {
  const clock = new FakeClock()
  const { ends, old } = forgetful(clock)
  ends.remember("a", clock.now())
  clock.advance(hourMs / 2)
  ends.remember("b", clock.now())
  clock.advance(hourMs / 2)
  expect(old).toEqual([])
  clock.advance(hourMs / 2)
  expect(old).toEqual(["a"])
  clock.advance(hourMs)
  expect(old).toEqual(["a", "b"])
  expect(clock.pending).toEqual([])
})

test("an end that could not be forgotten is told again", () => {
  const clock = new FakeClock()
  const old: string[] = []
  const ends = new QueueEnds(clock, (key) => void old.push(key))
  ends.remember("a", clock.now() - hourMs - 1)
  clock.advance(hourMs / 10)
  clock.advance(hourMs / 10)
  expect(old).toEqual(["a", "a"])
  ends.close()
  expect(clock.pending).toEqual([])
})

test("of too many the oldest are old at once, in whichever order they were heard of", () => {
  const clock = new FakeClock()
  const { ends, old } = forgetful(clock)
  for (let i = 0; i < 10_000; i++) ends.remember(`k${i}`, clock.now())
  for (const key of ["older", "oldest"]) ends.remember(key, clock.now() - key.length)
  clock.advance(hourMs / 10)
  expect(old).toEqual(["oldest", "older"])
})
