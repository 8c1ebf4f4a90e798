import fc from "fast-check"
import { expect, it } from "vitest"
import { ChatError } from "../../src/protocol/errors.js"
import type { TaskService } from "../../src/server/tasks/task-service.js"
import { TaskRelays, TestWorker } from "../kit/task-relays.js"

const leaseMs = 60_000
const roles = ["reviewer", "tester"]

type Step =
  | { do: "ask"; who: number; role: string }
  | { do: "come" | "leave"; who: number; service: number }
  | { do: "done" | "fail" | "extend" | "claim"; who: number }
  | { do: "say"; who: number; status: string; role: string }
  | { do: "wait"; ms: number }

const who = fc.nat(3)
const move = fc.constantFrom("come" as const, "leave" as const)
const work = fc.constantFrom("done" as const, "fail" as const, "extend" as const, "claim" as const)
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ do: fc.constant("ask" as const), who, role: fc.constantFrom(...roles) }),
  fc.record({ do: move, who, service: fc.nat(1) }),
  fc.record({ do: work, who }),
  fc.record({
    do: fc.constant("say" as const),
    who,
    status: fc.constantFrom("idle", "working", "waiting", "away"),
    role: fc.constantFrom(...roles),
  }),
  fc.record({ do: fc.constant("wait" as const), ms: fc.constantFrom(1, 20_000, 59_000, 61_000) }),
)

/** `isHurried`: continue before the step has finished. */
const hurried = fc.record({ step, isHurried: fc.boolean() })

/** The worker that certainly has a task, and until when. */
interface Hold {
  readonly worker: TestWorker
  readonly attempt: number
  readonly sinceTs: number
  readonly untilTs: number
}

/** The agents of a run, and what their messages prove. */
class Run {
  readonly workers = [1, 2, 3, 4].map((digit) => new TestWorker(digit, roles[digit % 2]))
  readonly asked: string[] = []
  readonly relays: TaskRelays
  readonly #homes = new Map<TestWorker, TaskService>()
  readonly #holds = new Map<string, Hold>()
  /** When a worker last ended a task or gave it back, by task and worker. */
  readonly #freed = new Map<string, number>()
  readonly #givenTo = new Map<string, string>()
  readonly #begun: Promise<void>[] = []
  readonly #read = new Map<TestWorker, number>()

  constructor(relays: TaskRelays) {
    this.relays = relays
  }

  async take(step: Step, isHurried = false): Promise<void> {
    const over = this.#act(step).catch((error: unknown) => {
      if (!(error instanceof ChatError)) throw error
    })
    this.#begun.push(over)
    if (isHurried) return
    await this.relays.settle()
    await Promise.all(this.#begun)
    this.#begun.length = 0
    this.check()
  }

  async #act(step: Step): Promise<void> {
    if (step.do === "wait") {
      this.relays.clock.advance(step.ms)
      return
    }
    const worker = this.workers[step.who]
    if (worker === undefined) return
    if (step.do === "ask") {
      this.asked.push(await this.relays.ask(worker, step.role))
    } else if (step.do === "say") {
      worker.status = step.status
      worker.role = step.role
      this.#homes.get(worker)?.update(worker.agent)
    } else if (step.do === "come" || step.do === "leave") {
      this.#homes.get(worker)?.leave(worker.agent)
      this.#homes.delete(worker)
      if (step.do === "come") this.#enter(worker, this.relays.all[step.service] ?? this.relays.first)
    } else {
      await this.#work(step.do, worker)
    }
  }

  #enter(worker: TestWorker, service: TaskService): void {
    this.#homes.set(worker, service)
    service.enter(worker.agent)
  }

  async #work(what: "done" | "fail" | "extend" | "claim", worker: TestWorker): Promise<void> {
    const home = this.#homes.get(worker)
    const told = worker.tasks.at(-1)
    const task = told?.task ?? this.asked[0]
    if (home === undefined || task === undefined) return
    if (what === "claim") {
      worker.send(await home.claim(worker.agent, this.asked[0] ?? task))
    } else if (what === "extend") {
      await home.extend(worker.agent, task)
      const sinceTs = this.relays.clock.now()
      this.#holds.set(task, { worker, attempt: told?.attempt ?? 0, sinceTs, untilTs: sinceTs + leaseMs })
    } else {
      await (what === "done"
        ? home.done(worker.agent, task, "done")
        : home.fail(worker.agent, task, undefined))
      this.#holds.delete(task)
      this.#freed.set(`${task} ${worker.id}`, this.relays.clock.now())
    }
  }

  /** Reads the messages that are new. */
  check(): void {
    for (const worker of this.workers) {
      for (const told of worker.inbox.slice(this.#read.get(worker) ?? 0)) {
        if (told.type !== "TASK") continue
        const { task, attempt } = told
        expect(task.startsWith(worker.id.slice(1)), "nobody works for itself").toBe(false)
        const claim = `${task} ${attempt}`
        expect(this.#givenTo.get(claim) ?? worker.id, "one claim, one worker").toBe(worker.id)
        // Sent again, perhaps while it is being given back.
        if (this.#givenTo.has(claim)) continue
        this.#givenTo.set(claim, worker.id)
        const before = this.#holds.get(task)
        if (before !== undefined && !this.#isFreed(task, before)) {
          expect(before.untilTs, "the lease before it is over").toBeLessThanOrEqual(told.ts)
        }
        this.#holds.set(task, { worker, attempt, sinceTs: told.ts, untilTs: told.ts + told.lease_ms })
      }
      this.#read.set(worker, worker.inbox.length)
    }
  }

  /** Reports whether the worker gave the task up after it was sent, or at the same time, when either may be read first. */
  #isFreed(task: string, { worker, sinceTs }: Hold): boolean {
    return (this.#freed.get(`${task} ${worker.id}`) ?? 0) >= sinceTs
  }

  /** Has all agents connect and do the remaining tasks, one role at a time. */
  async finish(): Promise<void> {
    for (let round = 0; round < 4 * this.asked.length + 4; round++) {
      for (const [who, worker] of this.workers.entries()) {
        await this.take({ do: "say", who, status: "idle", role: roles[round % 2] ?? "" })
        if (this.#homes.get(worker) === undefined) await this.take({ do: "come", who, service: who % 2 })
      }
      for (const worker of this.workers) {
        for (const id of new Set(worker.taskIds)) {
          await this.#homes
            .get(worker)
            ?.done(worker.agent, id, "done")
            .catch(() => undefined)
        }
        await this.relays.settle()
        this.check()
      }
      if (round % 4 === 3) await this.take({ do: "wait", ms: leaseMs })
    }
  }

  /** Returns the ids of tasks that were answered or reported as failed. */
  get ends(): string[] {
    const answered = [...this.relays.answers.values()].map(({ in_reply_to }) => in_reply_to)
    const failed = this.relays.deliveries
      .filter(({ delivery }) => delivery.state === "failed")
      .map(({ delivery }) => delivery.msg_id)
    return [...answered, ...failed].sort()
  }
}

it("every task ends exactly once, and never has two workers or its asker as worker, whatever happens", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(hurried, { minLength: 5, maxLength: 80 }), async (steps) => {
      const run = new Run(await TaskRelays.open({ count: 2, isSlow: true }))
      for (const { step: next, isHurried } of steps) await run.take(next, isHurried)
      await run.finish()
      expect(run.ends).toEqual([...run.asked].sort())
    }),
    { numRuns: 100 },
  )
}, 120_000)
