import { describe, expect, it } from "vitest"
import { ChatError } from "../../../src/protocol/errors.js"
import { TaskRelays, TestWorker } from "../../kit/task-relays.js"

const leaseMs = 60_000

async function refusalOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise
  } catch (error) {
    if (error instanceof ChatError) return error.code
    throw error
  }
  return "none"
}

describe("a task", () => {
  it("a task waits for a worker of the role, and is removed when it is done", async () => {
    const relays = await TaskRelays.open()
    const ann = new TestWorker(1)
    const { id, receipt } = await relays.askFor(ann, "Reviewer", "look")
    await relays.settle()
    expect(receipt.recipients).toBe(0)
    expect(relays.first.pending("reviewer")).toMatchObject({ count: 1, ids: [id], claimed: 0 })
    const bob = new TestWorker(2, "reviewer")
    relays.first.enter(bob.agent)
    await relays.settle()
    expect(bob.tasks).toEqual([
      {
        type: "TASK",
        task: id,
        role: "reviewer",
        from: ann.id,
        name: ann.name,
        content: "look",
        lease_ms: leaseMs,
        attempt: 1,
        ts: relays.clock.now(),
      },
    ])
    expect(relays.statesOf(id)).toEqual(["claimed"])
    expect(relays.first.pending("REVIEWER")).toEqual({ count: 0, ids: [], claimed: 1 })
    await relays.first.done(bob.agent, id, "fine")
    expect([...relays.answers.values()]).toEqual([
      { from: bob.id, to: ann.id, content: "fine", in_reply_to: id, kind: "inform" },
    ])
    expect(relays.first.pending("reviewer")).toEqual({ count: 0, ids: [], claimed: 0 })
  })

  it("each of thirty tasks is received by one of three idle workers on three relays", async () => {
    const relays = await TaskRelays.open({ count: 3 })
    const ann = new TestWorker(0)
    const workers = relays.all.map((service, i) => ({ service, worker: new TestWorker(i + 1, "reviewer") }))
    for (const { service, worker } of workers) service.enter(worker.agent)
    const asked = await Promise.all(Array.from({ length: 30 }, () => relays.ask(ann, "reviewer")))
    for (let round = 0; round < 30; round++) {
      await relays.settle()
      for (const { service, worker } of workers) {
        const current = worker.taskIds.at(-1)
        if (current !== undefined) await service.done(worker.agent, current, "ok")
      }
    }
    const received = workers.flatMap(({ worker }) => worker.taskIds)
    expect([...received].sort()).toEqual([...asked].sort())
    expect(relays.answers.size).toBe(30)
  })

  it("a task goes to one worker when several relays assign it at once", async () => {
    const relays = await TaskRelays.open({ count: 3, isSlow: true })
    const workers = relays.all.map((service, i) => {
      const worker = new TestWorker(i + 1, "reviewer")
      service.enter(worker.agent)
      return worker
    })
    const asked: string[] = []
    for (const service of relays.all) {
      asked.push(await relays.ask(new TestWorker(0), "reviewer", "look", service))
      await relays.settle()
    }
    expect(workers.flatMap(({ taskIds }) => taskIds).sort()).toEqual(asked)
  })

  it("a worker that lost the race for one task gets the next", async () => {
    const relays = await TaskRelays.open({ count: 2, isSlow: true })
    const ann = new TestWorker(0)
    const asked = [await relays.ask(ann, "reviewer"), await relays.ask(ann, "reviewer")]
    await relays.settle()
    const workers = relays.all.map((service, i) => {
      const worker = new TestWorker(i + 1, "reviewer")
      service.enter(worker.agent)
      return worker
    })
    await relays.settle()
    expect(workers.map(({ taskIds }) => taskIds.length)).toEqual([1, 1])
    expect(workers.flatMap(({ taskIds }) => taskIds).sort()).toEqual(asked)
  })

  it("a task waits while the store cannot be reached, and is assigned afterwards", async () => {
    let isAway = false
    const relays = await TaskRelays.open({
      table: (shared) => ({
        get: (key) => shared.get(key),
        delete: (key, expected) => shared.delete(key, expected),
        rows: () => shared.rows(),
        watch: (listener) => shared.watch(listener),
        put: (key, value, expected) =>
          isAway ? Promise.reject(new ChatError("UNAVAILABLE", "away")) : shared.put(key, value, expected),
      }),
    })
    const ann = new TestWorker(1)
    const bob = new TestWorker(2, "reviewer")
    const id = await relays.ask(ann, "reviewer")
    isAway = true
    relays.first.enter(bob.agent)
    await relays.advance(10_000)
    expect(bob.taskIds).toEqual([])
    expect(await refusalOf(relays.ask(ann, "reviewer"))).toBe("UNAVAILABLE")
    isAway = false
    await relays.advance(10_000)
    expect(bob.taskIds).toEqual([id])
    isAway = true
    expect(await refusalOf(relays.first.done(bob.agent, id, "fine"))).toBe("UNAVAILABLE")
    isAway = false
    await relays.first.done(bob.agent, id, "fine")
    expect(relays.answers.size).toBe(1)
    expect(relays.log.length).toBeLessThan(12)
  })

  it("tasks go to the workers that have been idle the longest, in turn", async () => {
    const relays = await TaskRelays.open()
    const ann = new TestWorker(0)
    const workers = [1, 2, 3].map((digit) => new TestWorker(digit, "reviewer"))
    for (const worker of workers) relays.first.enter(worker.agent)
    const order: string[] = []
    for (let i = 0; i < 6; i++) {
      const id = await relays.ask(ann, "reviewer")
      await relays.settle()
      const worker = workers.find(({ taskIds }) => taskIds.includes(id))
      if (worker === undefined) throw new Error("no worker has it")
      order.push(worker.id)
      await relays.first.done(worker.agent, id, "")
    }
    expect(order).toEqual([...workers, ...workers].map(({ id }) => id))
  })

  it("a task is not assigned to its asker, nor to a worker that has a task", async () => {
    const relays = await TaskRelays.open()
    const ann = new TestWorker(1, "reviewer")
    const bob = new TestWorker(2, "reviewer")
    relays.first.enter(ann.agent)
    const [first, second] = [await relays.ask(ann, "reviewer"), await relays.ask(ann, "reviewer")]
    await relays.settle()
    expect(ann.tasks).toEqual([])
    relays.first.enter(bob.agent)
    await relays.settle()
    expect(bob.taskIds).toEqual([first])
    expect(await refusalOf(relays.first.claim(ann.agent, second))).toBe("TASK_NOT_FOUND")
  })

  it("a task exists once, however often its message is sent", async () => {
    const relays = await TaskRelays.open()
    const ann = new TestWorker(1)
    const message = { type: "MSG", to: "+reviewer", content: "once" } as never
    await relays.first.push(ann.agent, message, "0000000000000001.m")
    const again = await relays.first.push(ann.agent, message, "0000000000000001.m")
    expect(again.isRepeated).toBe(true)
    expect(relays.first.pending("reviewer").count).toBe(1)
  })

  it("a task is refused when there are too many tasks, too many characters, or too many waiting for one role", async () => {
    const relays = await TaskRelays.open({ limits: { tasks: 3, roleTasks: 2, taskCharacters: 1_000 } })
    const ann = new TestWorker(1)
    await relays.ask(ann, "a")
    await relays.ask(ann, "a")
    expect(await refusalOf(relays.ask(ann, "A"))).toBe("LIMIT_REACHED")
    expect(await refusalOf(relays.ask(ann, "b", "x".repeat(1_000)))).toBe("LIMIT_REACHED")
    await relays.ask(ann, "b")
    expect(await refusalOf(relays.ask(ann, "c"))).toBe("LIMIT_REACHED")
  })

  it("a task is assigned when a worker becomes idle or takes the role", async () => {
    const relays = await TaskRelays.open()
    const bob = new TestWorker(2, "tester")
    bob.status = "working"
    relays.first.enter(bob.agent)
    const id = await relays.ask(new TestWorker(1), "reviewer")
    bob.role = "reviewer"
    relays.first.update(bob.agent)
    await relays.settle()
    expect(bob.taskIds).toEqual([])
    bob.status = "idle"
    relays.first.update(bob.agent)
    await relays.settle()
    expect(bob.taskIds).toEqual([id])
  })
})

describe("a lease", () => {
  it("a lease that ends gives the task to the next worker, and a task that is done never returns", async () => {
    const relays = await TaskRelays.open({ count: 2 })
    const [here, there] = relays.all
    const [ann, bob, eve] = [new TestWorker(1), new TestWorker(2, "reviewer"), new TestWorker(3, "reviewer")]
    if (here === undefined || there === undefined) throw new Error("two relays")
    here.enter(bob.agent)
    const id = await relays.ask(ann, "reviewer")
    await relays.settle()
    there.enter(eve.agent)
    here.leave(bob.agent)
    await relays.advance(leaseMs - 1)
    expect(eve.taskIds).toEqual([])
    await relays.advance(1)
    expect(eve.tasks).toMatchObject([{ task: id, attempt: 2 }])
    await there.done(eve.agent, id, "fine")
    expect(await refusalOf(here.done(bob.agent, id, "late"))).toBe("TASK_NOT_FOUND")
    here.enter(bob.agent)
    await relays.advance(5 * leaseMs)
    expect(bob.taskIds).toEqual([id])
    expect(eve.taskIds).toEqual([id])
    expect(relays.answers.size).toBe(1)
  })

  it("a lease that is extended for three times its length does not end", async () => {
    const relays = await TaskRelays.open()
    const [bob, eve] = [new TestWorker(2, "reviewer"), new TestWorker(3, "reviewer")]
    relays.first.enter(bob.agent)
    const id = await relays.ask(new TestWorker(1), "reviewer")
    await relays.settle()
    relays.first.enter(eve.agent)
    for (let passedMs = 0; passedMs < 3 * leaseMs; passedMs += leaseMs / 3) {
      await relays.advance(leaseMs / 3)
      await relays.first.extend(bob.agent, id)
    }
    expect(eve.taskIds).toEqual([])
    expect(await refusalOf(relays.first.extend(eve.agent, id))).toBe("LEASE_LOST")
    await relays.first.done(bob.agent, id, "")
    await relays.advance(3 * leaseMs)
    expect(eve.taskIds).toEqual([])
  })

  it("a lease that ends is reported to the worker that had the task", async () => {
    const relays = await TaskRelays.open()
    const bob = new TestWorker(2, "reviewer")
    relays.first.enter(bob.agent)
    const id = await relays.ask(new TestWorker(1), "reviewer")
    await relays.settle()
    bob.status = "away"
    relays.first.update(bob.agent)
    await relays.advance(leaseMs)
    expect(bob.inbox.at(-1)).toMatchObject({ type: "TASK_LOST", task: id })
    expect(await refusalOf(relays.first.extend(bob.agent, id))).toBe("LEASE_LOST")
    expect(await refusalOf(relays.first.done(bob.agent, id, ""))).toBe("LEASE_LOST")
    expect(relays.answers.size).toBe(0)
  })

  it("a lease continues for a worker that reconnects, even on another relay", async () => {
    const relays = await TaskRelays.open({ count: 2 })
    const [here, there] = relays.all
    if (here === undefined || there === undefined) throw new Error("two relays")
    const [bob, eve] = [new TestWorker(2, "reviewer"), new TestWorker(3, "reviewer")]
    here.enter(bob.agent)
    const id = await relays.ask(new TestWorker(1), "reviewer")
    await relays.settle()
    here.leave(bob.agent)
    here.enter(eve.agent)
    await relays.advance(leaseMs / 2)
    there.enter(bob.agent)
    await relays.settle()
    expect(bob.tasks).toMatchObject([
      { task: id, attempt: 1, lease_ms: leaseMs },
      { task: id, attempt: 1, lease_ms: leaseMs / 2 },
    ])
    await there.done(bob.agent, id, "fine")
    expect(relays.answers.size).toBe(1)
    expect(eve.taskIds).toEqual([])
  })
})

describe("FAIL", () => {
  it("FAIL gives the task to another worker, and back to the same one only when there is no other", async () => {
    const relays = await TaskRelays.open()
    const [bob, eve] = [new TestWorker(2, "reviewer"), new TestWorker(3, "reviewer")]
    relays.first.enter(bob.agent)
    relays.first.enter(eve.agent)
    const id = await relays.ask(new TestWorker(1), "reviewer")
    await relays.settle()
    await relays.first.fail(bob.agent, id, "no time")
    await relays.first.fail(bob.agent, id, "no time")
    await relays.settle()
    expect([bob.taskIds, eve.taskIds]).toEqual([[id], [id]])
    relays.first.leave(bob.agent)
    await relays.first.fail(eve.agent, id, "me neither")
    await relays.settle()
    expect(eve.tasks.map(({ attempt }) => attempt)).toEqual([2, 3])
    expect(bob.inbox.map(({ type }) => type)).toEqual(["TASK"])
  })

  it("the fifth FAIL ends the task and is reported to the asker", async () => {
    const relays = await TaskRelays.open({ count: 2 })
    const bob = new TestWorker(2, "reviewer")
    relays.first.enter(bob.agent)
    const id = await relays.ask(new TestWorker(1), "reviewer")
    for (let attempt = 1; attempt <= 5; attempt++) {
      await relays.settle()
      expect(bob.tasks).toHaveLength(attempt)
      await relays.first.fail(bob.agent, id, `no ${attempt}`)
    }
    await relays.settle()
    expect(bob.tasks).toHaveLength(5)
    expect(relays.statesOf(id)).toEqual(["claimed", "claimed", "claimed", "claimed", "claimed", "failed"])
    expect(relays.deliveries.at(-1)?.delivery).toMatchObject({ by: bob.id, reason: "no 5" })
    expect(relays.first.pending("reviewer")).toEqual({ count: 0, ids: [], claimed: 0 })
  })

  it("FAIL of a worker that does not have the task is refused", async () => {
    const relays = await TaskRelays.open()
    const bob = new TestWorker(2, "reviewer")
    const id = await relays.ask(new TestWorker(1), "reviewer")
    expect(await refusalOf(relays.first.fail(bob.agent, id, undefined))).toBe("LEASE_LOST")
    expect(await refusalOf(relays.first.fail(bob.agent, "unknown", undefined))).toBe("TASK_NOT_FOUND")
  })
})

describe("DONE", () => {
  it("a repeated DONE sends one answer, even on another relay", async () => {
    const relays = await TaskRelays.open({ count: 2 })
    const [here, there] = relays.all
    if (here === undefined || there === undefined) throw new Error("two relays")
    const bob = new TestWorker(2, "reviewer")
    here.enter(bob.agent)
    const id = await relays.ask(new TestWorker(1), "reviewer")
    await relays.settle()
    await Promise.all([here.done(bob.agent, id, "fine"), here.done(bob.agent, id, "fine")])
    await here.done(bob.agent, id, "fine")
    await there.done(bob.agent, id, "fine")
    expect(relays.answers.size).toBe(1)
    expect(bob.inbox.map(({ type }) => type)).toEqual(["TASK"])
  })

  it("DONE leaves the task with its worker when the answer cannot be sent", async () => {
    const relays = await TaskRelays.open()
    const bob = new TestWorker(2, "reviewer")
    relays.first.enter(bob.agent)
    const id = await relays.ask(new TestWorker(1), "reviewer")
    await relays.settle()
    relays.answerFault = new ChatError("UNAVAILABLE", "away")
    expect(await refusalOf(relays.first.done(bob.agent, id, "fine"))).toBe("UNAVAILABLE")
    expect(relays.first.pending("reviewer").claimed).toBe(1)
    relays.answerFault = undefined
    await relays.first.done(bob.agent, id, "fine")
    expect(relays.answers.size).toBe(1)
  })
})

describe("CLAIM", () => {
  it("CLAIM gives a worker a task by id, even of another role and in addition to another task", async () => {
    const relays = await TaskRelays.open()
    const ann = new TestWorker(1)
    const bob = new TestWorker(2, "reviewer")
    const [first, second] = [await relays.ask(ann, "reviewer"), await relays.ask(ann, "tester")]
    relays.first.enter(bob.agent)
    await relays.settle()
    expect(bob.taskIds).toEqual([first])
    expect(await relays.first.claim(bob.agent, second)).toMatchObject({ task: second, attempt: 1 })
    expect(await relays.first.claim(bob.agent, second)).toMatchObject({ task: second, attempt: 1 })
    expect(relays.statesOf(second)).toEqual(["claimed"])
    const eve = new TestWorker(3, "reviewer")
    expect(await refusalOf(relays.first.claim(eve.agent, second))).toBe("LEASE_LOST")
    expect(await refusalOf(relays.first.claim(eve.agent, "unknown"))).toBe("TASK_NOT_FOUND")
  })
})
