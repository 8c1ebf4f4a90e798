import fc from "fast-check"
import { describe, expect, it } from "vitest"
import type { AgentId } from "../../src/protocol/names.js"
import { type Worker, Workers } from "../../src/server/tasks/workers.js"

const asker = "@asker" as AgentId

function worker(name: string, status = "idle", role = "reviewer"): Worker {
  return { id: `@${name}` as AgentId, status, role }
}

function roomOf(...members: readonly Worker[]): { workers: Workers; held: Set<AgentId> } {
  const held = new Set<AgentId>()
  const workers = new Workers((id) => held.has(id))
  for (const member of members) workers.update(member)
  return { workers, held }
}

describe("the next worker of a role", () => {
  it("is idle or waiting", () => {
    const { workers } = roomOf(worker("a", "working"), worker("b", "away"), worker("c", "offline"))
    expect(workers.pick("reviewer", { asker })).toBeUndefined()
    workers.update(worker("d", "waiting"))
    expect(workers.pick("reviewer", { asker })?.id).toBe("@d")
  })

  it("has that role, ignoring case", () => {
    const { workers } = roomOf(worker("a", "idle", "Tester"), { ...worker("b"), role: undefined })
    expect(workers.pick("reviewer", { asker })).toBeUndefined()
    expect(workers.pick("tester", { asker })?.id).toBe("@a")
    workers.update(worker("a", "idle", "REVIEWER"))
    expect(workers.pick("tester", { asker })).toBeUndefined()
    expect(workers.pick("reviewer", { asker })?.id).toBe("@a")
  })

  it("is the one that has been idle longest", () => {
    const { workers } = roomOf(worker("a", "working"), worker("b"), worker("c"))
    workers.update(worker("a"))
    expect(workers.pick("reviewer", { asker })?.id).toBe("@b")
    workers.noteRelease("@b" as AgentId)
    expect(workers.pick("reviewer", { asker })?.id).toBe("@c")
    workers.update(worker("c"))
    expect(workers.pick("reviewer", { asker })?.id).toBe("@c")
  })

  it("has no task and is not being assigned one", () => {
    const { workers, held } = roomOf(worker("a"))
    held.add("@a" as AgentId)
    expect(workers.pick("reviewer", { asker })).toBeUndefined()
    held.clear()
    const free = workers.reserve("@a" as AgentId)
    expect(workers.pick("reviewer", { asker })).toBeUndefined()
    free()
    expect(workers.pick("reviewer", { asker })?.id).toBe("@a")
  })

  it("is never the asker", () => {
    const { workers } = roomOf(worker("a"))
    expect(workers.pick("reviewer", { asker: "@a" as AgentId })).toBeUndefined()
    expect(workers.countFree("reviewer", "@a" as AgentId)).toBe(0)
  })

  it("is the last holder only when no other worker can be expected", () => {
    const last = "@a" as AgentId
    const { workers } = roomOf(worker("a"), worker("b", "working"))
    expect(workers.pick("reviewer", { asker, last })).toBeUndefined()
    workers.update(worker("b", "away"))
    expect(workers.pick("reviewer", { asker, last })?.id).toBe("@a")
    workers.update(worker("b"))
    expect(workers.pick("reviewer", { asker, last })?.id).toBe("@b")
  })

  it("is not one that left, unless it has reconnected", () => {
    const old = worker("a")
    const { workers } = roomOf(old)
    workers.update(worker("a"))
    expect(workers.remove(old)).toBeUndefined()
    expect(workers.pick("reviewer", { asker })?.id).toBe("@a")
  })

  it("exists whenever a worker may take the task, and is always one of those", () => {
    const names = ["a", "b", "c", "d"]
    const member = fc.record({
      name: fc.constantFrom(...names),
      status: fc.constantFrom("idle", "waiting", "working", "away", "offline"),
      role: fc.constantFrom("reviewer", "Reviewer", "tester", undefined),
    })
    const anybody = fc.constantFrom(...names, "nobody").map((name) => `@${name}` as AgentId)
    const busy = fc.uniqueArray(fc.constantFrom(...names))
    fc.assert(
      fc.property(fc.array(member), busy, anybody, anybody, (members, busyNames, asking, last) => {
        const { workers, held } = roomOf(
          ...members.map(({ name, ...rest }) => ({ ...worker(name), ...rest })),
        )
        for (const name of busyNames) held.add(`@${name}` as AgentId)
        const now = new Map(members.map((each) => [`@${each.name}` as AgentId, each]))
        const ofRole = [...now].filter(
          ([id, { role }]) => role?.toLowerCase() === "reviewer" && id !== asking,
        )
        const isFree = (id: AgentId, status: string) => ["idle", "waiting"].includes(status) && !held.has(id)
        const free = ofRole.filter(([id, { status }]) => isFree(id, status)).map(([id]) => id)
        const expected = ofRole.some(
          ([id, { status }]) => id !== last && !["away", "offline"].includes(status),
        )
          ? free.filter((id) => id !== last)
          : free
        const picked = workers.pick("reviewer", { asker: asking, last })?.id
        if (expected.length === 0) expect(picked).toBeUndefined()
        else expect(expected).toContain(picked)
      }),
    )
  })
})
