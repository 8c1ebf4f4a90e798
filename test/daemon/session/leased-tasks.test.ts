import { join } from "node:path"
import { describe, expect, it } from "vitest"
import type { InboxLine } from "../../../src/daemon/inbox/line.js"
import { DaemonMemory } from "../../../src/daemon/session/daemon-memory.js"
import { LeasedTasks } from "../../../src/daemon/session/leased-tasks.js"
import type { ClientFrame } from "../../../src/protocol/client-messages.js"
import { ChatError, type ErrorCode } from "../../../src/protocol/errors.js"
import { FakeClock } from "../../kit/fake-clock.js"
import { temporaryDirectory } from "../../kit/temporary.js"

type Request = Parameters<LeasedTasks["attach"]>[0]

function tasksOf(path = join(temporaryDirectory(), "memory.json")) {
  const clock = new FakeClock()
  const memory = DaemonMemory.open(path)
  const extended: string[] = []
  const lost: unknown[] = []
  const state = { isWorking: true, refusal: undefined as ErrorCode | undefined }
  const inbox = {
    append: ({ type, task }: InboxLine) => {
      expect(type).toBe("TASK_LOST")
      return lost.push(task) > 0
    },
  }
  const tasks = new LeasedTasks({ memory, clock, presence: state, inbox, log: () => {} })
  const session = {
    request: (frame: ClientFrame) => {
      if (frame.type === "EXTEND") extended.push(frame.task)
      const { refusal } = state
      return refusal === undefined ? Promise.resolve() : Promise.reject(new ChatError(refusal, "no"))
    },
  } as unknown as Request
  return { path, clock, memory, extended, lost, state, tasks, session }
}

const settled = () => new Promise((resolve) => setImmediate(resolve))

describe("a leased task", () => {
  it("is renewed after each third of its lease, but only while the agent's presence is working", () => {
    const { clock, extended, state, tasks, session } = tasksOf()
    tasks.attach(session)
    tasks.hold({ task: "a.1", lease_ms: 60_000 })
    clock.advance(19_999)
    expect(extended).toEqual([])
    clock.advance(1)
    clock.advance(40_000)
    expect(extended).toEqual(["a.1", "a.1", "a.1"])
    state.isWorking = false
    tasks.onPresence()
    expect(clock.pending).toEqual([])
    clock.advance(60_000)
    expect(extended).toHaveLength(3)
    state.isWorking = true
    tasks.onPresence()
    clock.advance(0)
    expect(extended).toHaveLength(4)
  })

  it("shares one timer with other tasks and is renewed at its own time", () => {
    const { clock, extended, tasks, session } = tasksOf()
    tasks.attach(session)
    tasks.hold({ task: "a.1", lease_ms: 6_000 })
    clock.advance(1_000)
    tasks.hold({ task: "a.2", lease_ms: 6_000 })
    expect(clock.pending).toHaveLength(1)
    clock.advance(2_000)
    expect(extended).toEqual(["a.1", "a.2"])
  })

  it("is renewed by its full lease after the relay repeats it with little time left", () => {
    const { clock, extended, tasks, session } = tasksOf()
    tasks.attach(session)
    tasks.hold({ task: "a.1", lease_ms: 60_000 })
    tasks.hold({ task: "a.1", lease_ms: 0 })
    clock.advance(19_999)
    expect(extended).toEqual(["a.1"])
    clock.advance(1)
    expect(extended).toEqual(["a.1", "a.1"])
    tasks.hold({ task: "a.2", lease_ms: 0 })
    clock.advance(900)
    expect(extended.filter((task) => task === "a.2")).toHaveLength(4)
  })

  it("is no longer renewed once it ended, and its end is reported once", () => {
    const { clock, extended, tasks, session } = tasksOf()
    tasks.attach(session)
    tasks.hold({ task: "a.1", lease_ms: 6_000 })
    expect([tasks.end("a.1"), tasks.end("a.1")]).toEqual([true, false])
    clock.advance(60_000)
    expect([extended, clock.pending]).toEqual([[], []])
    tasks.hold({ task: "a.1", lease_ms: 6_000 })
    expect([tasks.ids, tasks.end("a.1")]).toEqual([["a.1"], true])
  })

  it.each(["LEASE_LOST", "TASK_NOT_FOUND"] as const)("is lost if a renewal fails with %s", async (code) => {
    const { clock, lost, state, tasks, session } = tasksOf()
    state.refusal = code
    tasks.attach(session)
    tasks.hold({ task: "a.1", lease_ms: 6_000 })
    clock.advance(2_000)
    await settled()
    expect([lost, tasks.ids, tasks.end("a.1")]).toEqual([["a.1"], [], false])
  })

  it("is kept and renewed soon after the relay could not reach its store", async () => {
    const { clock, lost, extended, state, tasks, session } = tasksOf()
    state.refusal = "UNAVAILABLE"
    tasks.attach(session)
    tasks.hold({ task: "a.1", lease_ms: 60_000 })
    clock.advance(20_000)
    await settled()
    clock.advance(2_000)
    expect([extended.length, lost]).toEqual([2, []])
  })

  it("survives a restart of the daemon and is renewed as soon as it is online", () => {
    const first = tasksOf()
    first.tasks.attach(first.session)
    first.tasks.hold({ task: "a.1", lease_ms: 60_000 })
    first.tasks.hold({ task: "a.2", lease_ms: 60_000 })
    first.tasks.end("a.2")
    expect(first.memory.save()).toBeUndefined()
    const second = tasksOf(first.path)
    expect(second.tasks.ids).toEqual(["a.1"])
    second.tasks.attach(second.session)
    second.clock.advance(0)
    expect(second.extended).toEqual(["a.1"])
    second.tasks.detach()
    expect(second.clock.pending).toEqual([])
  })
})
