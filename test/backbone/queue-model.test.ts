import fc from "fast-check"
import { expect, test } from "vitest"
import type { Table } from "../../src/backbone/backbone.js"
import type { Queue } from "../../src/backbone/queue/queue.js"
import { FakeClock } from "../kit/fake-clock.js"
import { claimOldest, leaseMs, openQueue, openTable, settle } from "./queue-kit.js"

/** The claim of a worker. */
interface Claim {
  readonly worker: string
  untilMs: number
}

/** The expected state of the queue. */
class Model {
  readonly waiting = new Set<string>()
  readonly claims = new Map<string, Claim>()
  readonly done = new Set<string>()

  expire(nowMs: number): string[] {
    const expired = [...this.claims].filter(([, { untilMs }]) => untilMs <= nowMs).map(([id]) => id)
    for (const id of expired) this.release(id)
    return expired
  }

  release(id: string): void {
    this.claims.delete(id)
    this.waiting.add(id)
  }
}

type Act =
  | { readonly kind: "push"; readonly id: number }
  | {
      readonly kind: "claim" | "done" | "giveBack" | "extend"
      readonly queue: number
      readonly worker: number
    }
  | { readonly kind: "remove"; readonly id: number }
  | { readonly kind: "pass"; readonly ms: number }

const workKinds = ["claim", "claim", "claim", "done", "giveBack", "extend"] as const

const acts: fc.Arbitrary<Act> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("push" as const), id: fc.nat(7) }) },
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constantFrom(...workKinds), queue: fc.nat(1), worker: fc.nat(3) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("remove" as const), id: fc.nat(7) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("pass" as const),
      ms: fc.constantFrom(1, leaseMs / 2, leaseMs),
    }),
  },
)

/** Two queues on one table, and the model. */
class Room {
  readonly model = new Model()
  readonly clock = new FakeClock()
  readonly released: string[] = []
  #queues: readonly Queue[] = []
  #pushes = 0

  async open(): Promise<void> {
    const table = await openTable(this.clock)
    const onReleased = (task: { id: string }, worker: string): void =>
      void this.released.push(`${task.id} ${worker}`)
    this.#queues = [await openQueue(table, this.clock, { onReleased }), await openQueue(table, this.clock)]
  }

  act(act: Act): Promise<void> {
    switch (act.kind) {
      case "push":
        return this.#push(`task-${act.id}`)
      case "remove":
        return this.#remove(`task-${act.id}`)
      case "pass":
        return this.#pass(act.ms)
      default:
        return this.#work(act.kind, act.queue, `worker-${act.worker}`)
    }
  }

  /** Checks both queues against the model. */
  check(): void {
    for (const queue of this.#queues) {
      expect(
        queue
          .waiting("coder")
          .map(({ id }) => id)
          .sort(),
      ).toEqual([...this.model.waiting].sort())
      const claimed = queue.claimed("coder").map(({ id, worker }) => `${id} ${worker}`)
      expect(claimed.sort()).toEqual(
        [...this.model.claims].map(([id, { worker }]) => `${id} ${worker}`).sort(),
      )
      for (const id of this.model.done) expect(queue.find(id)).toBeUndefined()
    }
  }

  close(): void {
    for (const queue of this.#queues) queue.close()
  }

  #queue(index: number): Queue {
    const queue = this.#queues[index]
    if (queue === undefined) throw new Error("no such queue")
    return queue
  }

  async #push(id: string): Promise<void> {
    const { waiting, claims, done } = this.model
    const isNew = !waiting.has(id) && !claims.has(id) && !done.has(id)
    expect(await this.#queue(this.#pushes++ % 2).push("coder", id, id)).toEqual({ isDuplicate: !isNew })
    if (isNew) waiting.add(id)
  }

  async #remove(id: string): Promise<void> {
    const exists = this.model.waiting.delete(id)
    expect((await this.#queue(0).remove(id))?.id).toBe(exists ? id : undefined)
    if (exists) this.model.done.add(id)
  }

  async #pass(ms: number): Promise<void> {
    this.released.length = 0
    const held = new Map([...this.model.claims].map(([id, { worker }]) => [id, worker]))
    this.clock.advance(ms)
    await settle()
    const expired = this.model.expire(this.clock.now())
    expect(this.released.sort()).toEqual(expired.map((id) => `${id} ${held.get(id) ?? ""}`).sort())
  }

  async #work(kind: "claim" | "done" | "giveBack" | "extend", index: number, worker: string): Promise<void> {
    const queue = this.#queue(index)
    const { claims, waiting, done } = this.model
    const untilMs = this.clock.now() + leaseMs
    if (kind === "claim") {
      const oldest = queue.waiting("coder")[0]?.id
      const task = await claimOldest(queue, "coder", worker)
      expect(task?.id).toBe(oldest)
      expect(task === undefined).toBe(waiting.size === 0)
      if (task === undefined) return
      expect(waiting.delete(task.id)).toBe(true)
      claims.set(task.id, { worker, untilMs })
      return
    }
    for (const [id, claim] of [...claims]) {
      const isOwn = claim.worker === worker
      const result = await queue[kind](id, worker)
      expect(result !== undefined && result !== false).toBe(isOwn)
      if (!isOwn) continue
      if (kind === "extend") claim.untilMs = untilMs
      else if (kind === "giveBack") this.model.release(id)
      else if (claims.delete(id)) done.add(id)
    }
  }
}

test("no task is lost, held by two workers or available after its end, and an ended lease returns it once", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(acts, { maxLength: 80, size: "max" }), async (list) => {
      const room = new Room()
      await room.open()
      try {
        for (const act of list) {
          await room.act(act)
          room.check()
        }
      } finally {
        room.close()
      }
    }),
    { numRuns: 150 },
  )
})

/** Delays every call and change of a table, each by a different time. */
function distant(table: Table, scheduler: fc.Scheduler): Table {
  const pause = (): Promise<void> => scheduler.schedule(Promise.resolve())
  const far = async <T>(act: () => Promise<T>): Promise<T> => {
    await pause()
    const result = await act()
    await pause()
    return result
  }
  return {
    get: (key) => far(() => table.get(key)),
    put: (key, value, expected) => far(() => table.put(key, value, expected)),
    delete: (key, expected) => far(() => table.delete(key, expected)),
    rows: () => far(() => table.rows()),
    watch: (listener) => {
      let reports = Promise.resolve()
      let isOpening = true
      const watching = table.watch((change) => {
        if (isOpening) listener(change)
        else reports = reports.then(pause).then(() => listener(change))
      })
      isOpening = false
      return watching
    },
  }
}

test("workers of two relays that see changes late never hold or end a task together", async () => {
  await fc.assert(
    fc.asyncProperty(fc.scheduler(), async (scheduler) => {
      const clock = new FakeClock()
      const table = await openTable(clock)
      const ids = ["a", "b", "c"]
      const first = await openQueue(table, clock)
      for (const id of ids) await first.push("coder", id, "x")
      first.close()
      const far = (): Promise<Queue> => openQueue(distant(table, scheduler), clock)
      const queues = [await far(), await far()]
      const all = <T>(act: (queue: Queue, worker: string) => Promise<T>): Promise<T[]> =>
        scheduler.waitFor(
          Promise.all([0, 1, 2, 3].flatMap((i) => queues.map((queue, q) => act(queue, `worker-${q}-${i}`)))),
        )

      const claims = await all(async (queue, worker) => ({
        task: await claimOldest(queue, "coder", worker),
        worker,
      }))
      const held = claims.filter(({ task }) => task !== undefined)
      expect(held.map(({ task }) => task?.id).sort()).toEqual(ids)

      // The lease ends in both queues while the worker sends DONE and others wait for the task.
      const ended: (string | undefined)[] = []
      const finished = Promise.all(
        held.map(async ({ task, worker }) => ended.push((await queues[0]?.done(task?.id ?? "", worker))?.id)),
      )
      clock.advance(leaseMs)
      const again = await all(async (queue, worker) => {
        for (let tries = 0; tries < 10; tries++) {
          const task = await claimOldest(queue, "coder", `${worker} again`)
          if (task !== undefined) return task
          await scheduler.schedule(Promise.resolve())
        }
        return undefined
      })
      await scheduler.waitFor(finished)
      await scheduler.waitIdle()
      const done = ended.filter((id) => id !== undefined)
      const rows = (await table.rows()).map(
        ({ value }) => JSON.parse(value) as { id: string; worker?: string; endedTs?: number },
      )
      expect(
        rows
          .filter(({ endedTs }) => endedTs !== undefined)
          .map(({ id }) => id)
          .sort(),
      ).toEqual(done.sort())
      const taken = again.flatMap((task) => (task === undefined ? [] : [`${task.id} ${task.worker ?? ""}`]))
      const standing = rows.flatMap(({ id, worker }) => (worker === undefined ? [] : [`${id} ${worker}`]))
      expect(taken.sort()).toEqual(standing.sort())
      for (const queue of queues) queue.close()
    }),
    { numRuns: 100 },
  )
})
