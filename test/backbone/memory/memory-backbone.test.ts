import { expect, test } from "vitest"
import { openMemoryBackbone } from "../../../src/backbone/memory/memory-backbone.js"
import { FakeClock } from "../../kit/fake-clock.js"
import { describeBackbone } from "../conformance.js"

describeBackbone("memory", async () => {
  const clock = new FakeClock()
  const backbone = await openMemoryBackbone({ clock })
  return { backbone, pass: (ms) => clock.advance(ms), cleanup: () => backbone.close() }
})

const keeping = { maxEntries: 10, whenFull: "drop-oldest" } as const

test("every engine has an id of its own", async () => {
  const clock = new FakeClock()
  const [one, two] = [await openMemoryBackbone({ clock }), await openMemoryBackbone({ clock })]
  expect(one.id).not.toBe(two.id)
  expect([one.kind, one.isShared]).toEqual(["memory", false])
})

test("subscribers are called during the append", async () => {
  const logs = await (await openMemoryBackbone({ clock: new FakeClock() })).logs("channel", keeping)
  const received: string[] = []
  await logs.subscribe(({ value }) => void received.push(value))
  const appended = logs.append("a", "id", "1")
  expect(received).toEqual(["1"])
  await appended
})

test("an id is remembered for an hour", async () => {
  const clock = new FakeClock()
  const logs = await (await openMemoryBackbone({ clock })).logs("channel", keeping)
  await logs.append("a", "id", "1")
  clock.advance(3_600_000)
  await logs.append("a", "other", "2")
  expect((await logs.append("a", "id", "1")).isDuplicate).toBe(true)
  clock.advance(1)
  await logs.append("a", "another", "3")
  expect((await logs.append("a", "id", "1")).isDuplicate).toBe(false)
})
