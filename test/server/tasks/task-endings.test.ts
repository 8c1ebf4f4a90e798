import { expect, it } from "vitest"
import type { AgentId } from "../../../src/protocol/names.js"
import { TaskEndings } from "../../../src/server/tasks/task-endings.js"

const [ann, bob] = ["@0000000000000001" as AgentId, "@0000000000000002" as AgentId]

it("has a worker that says the same twice at once done with it once, and rejects alike", async () => {
  const endings = new TaskEndings()
  let acts = 0
  let fail: (error: Error) => void = () => {}
  const act = () => {
    acts++
    return new Promise<void>((_, reject) => {
      fail = reject
    })
  }
  const both = [endings.once("a", ann, act), endings.once("a", ann, act)]
  expect(endings.has("a", ann)).toBe(true)
  fail(new Error("away"))
  for (const one of both) await expect(one).rejects.toThrow("away")
  expect(acts).toBe(1)
  expect(endings.has("a", ann)).toBe(false)
  const again = endings.once("a", ann, async () => {
    await Promise.resolve()
    acts++
  })
  await again
  expect(acts).toBe(2)
})

it("keeps two workers of one task apart", async () => {
  const endings = new TaskEndings()
  const ends: (() => void)[] = []
  const act = () => new Promise<void>((resolve) => void ends.push(resolve))
  const first = endings.once("a", ann, act)
  const second = endings.once("a", bob, act)
  expect([endings.has("a", ann), endings.has("a", bob)]).toEqual([false, true])
  ends[0]?.()
  await first
  expect(endings.has("a", bob)).toBe(true)
  ends[1]?.()
  await second
  expect(endings.has("a", bob)).toBe(false)
})
