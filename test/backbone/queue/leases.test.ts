import { expect, test } from "vitest"
import { QueueLeases } from "../../../src/backbone/queue/leases.js"
import { FakeClock } from "../../kit/fake-clock.js"

function leasesOf(clock: FakeClock) {
  const ended: string[] = []
  return { leases: new QueueLeases(clock, (key) => void ended.push(key)), ended }
}

test("a lease ends once, and by what was said of it last", () => {
  const clock = new FakeClock()
  const { leases, ended } = leasesOf(clock)
  for (const key of ["a", "b", "c"]) leases.begin(key, 1_000)
  clock.advance(500)
  leases.begin("b", 1_000)
  leases.drop("c")
  clock.advance(500)
  expect(ended).toEqual(["a"])
  clock.advance(10_000)
  expect(ended).toEqual(["a", "b"])
})

test("none ends or begins once they are closed", () => {
  const clock = new FakeClock()
  const { leases, ended } = leasesOf(clock)
  leases.begin("a", 1_000)
  leases.close()
  leases.begin("b", 1_000)
  clock.advance(10_000)
  expect(ended).toEqual([])
  expect(clock.pending).toEqual([])
})
