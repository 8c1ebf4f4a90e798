import { expect, it } from "vitest"
import type { AgentId } from "../../../src/protocol/names.js"
import { PendingRequests } from "../../../src/server/tasks/task-answers.js"

const [ann, bob] = ["@0000000000000001" as AgentId, "@0000000000000002" as AgentId]

it("runs two concurrent requests of a worker about a task once, with the same outcome", async () => {
  const pending = new PendingRequests()
  let acts = 0
  let fail: (error: Error) => void = () => {}
  const act = () => {
    acts++
    return new Promise<void>((_, reject) => {
      fail = reject
    })
  }
  const both = [pending.once("a", ann, act), pending.once("a", ann, act)]
  expect(pending.find("a", ann)).toBeDefined()
  fail(new Error("away"))
  for (const one of both) await expect(one).rejects.toThrow("away")
  expect(acts).toBe(1)
  expect(pending.find("a", ann)).toBeUndefined()
  const again = pending.once("a", ann, async () => {
    await Promise.resolve()
    acts++
  })
  await again
  expect(acts).toBe(2)
})

it("runs requests of two workers about one task independently", async () => {
  const pending = new PendingRequests()
  const ends: (() => void)[] = []
  const act = () => new Promise<void>((resolve) => void ends.push(resolve))
  const first = pending.once("a", ann, act)
  const second = pending.once("a", bob, act)
  expect([pending.find("a", ann), pending.find("a", bob)]).toEqual([undefined, expect.anything()])
  ends[0]?.()
  await first
  expect(pending.find("a", bob)).toBeDefined()
  ends[1]?.()
  await second
  expect(pending.find("a", bob)).toBeUndefined()
})
