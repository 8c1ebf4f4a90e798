import fc from "fast-check"
import { expect, it } from "vitest"
import type { Table } from "../../src/backbone/backbone.js"
import { ChatError } from "../../src/protocol/errors.js"
import type { TaskService } from "../../src/server/tasks/task-service.js"
import { TaskRelays, TestWorker } from "../kit/task-relays.js"

const leaseMs = 60_000
const ann = new TestWorker(1)
const away = () => new ChatError("UNAVAILABLE", "away")

/** The fate of a call of the store: it succeeds, it does not arrive, or its answer is lost. */
const fates = fc.array(fc.constantFrom("well", "well", "well", "before", "after"), {
  minLength: 1,
  maxLength: 60,
})
const mail = fc.constantFrom(undefined, undefined, away(), new ChatError("MAILBOX_FULL", "full"))
interface Step {
  readonly who: number
  readonly act: "done" | "fail" | "extend" | "move" | "mail" | "wait"
  /** The task belongs to another worker. */
  readonly isForeign: boolean
  readonly mail: ChatError | undefined
  readonly ms: number
  /** Continue before the step has finished. */
  readonly isHurried: boolean
}

const step: fc.Arbitrary<Step> = fc.record({
  who: fc.nat(2),
  act: fc.constantFrom<Step["act"][]>("done", "done", "fail", "extend", "move", "mail", "wait"),
  isForeign: fc.integer({ min: 0, max: 4 }).map((n) => n === 0),
  mail,
  ms: fc.constantFrom(1, 1_000, 20_000, 61_000),
  isHurried: fc.boolean(),
})

/** Wraps a table in a connection that loses some calls and answers. */
function faulty(table: Table, nextFate: () => string): Table {
  const lossy = async <T>(act: () => Promise<T>): Promise<T> => {
    const fate = nextFate()
    if (fate === "before") throw away()
    const value = await act()
    if (fate === "after") throw away()
    return value
  }
  return {
    get: (key) => lossy(() => table.get(key)),
    put: (key, value, expected) => lossy(() => table.put(key, value, expected)),
    delete: (key, expected) => lossy(() => table.delete(key, expected)),
    rows: () => table.rows(),
    watch: (listener) => table.watch(listener),
  }
}

async function ended(promise: Promise<unknown>): Promise<boolean> {
  try {
    await promise
    return true
  } catch (error) {
    if (!(error instanceof ChatError)) throw error
    return false
  }
}

/** The agents of a run, and the DONE that were accepted. */
class Run {
  readonly relays: TaskRelays
  readonly #workers = [2, 3, 4].map((digit) => new TestWorker(digit, "reviewer"))
  readonly #homes = new Map<TestWorker, TaskService>()
  readonly #asked: string[] = []
  readonly #taken: [task: string, worker: string][] = []
  readonly #begun: Promise<unknown>[] = []

  constructor(relays: TaskRelays) {
    this.relays = relays
    for (const worker of this.#workers) this.#enter(worker, relays.first)
  }

  async ask(): Promise<void> {
    await ended(this.relays.ask(ann, "reviewer").then((id) => this.#asked.push(id)))
  }

  async take({ who, act, isForeign, mail, ms, isHurried }: Step): Promise<void> {
    const worker = this.#workers[who] ?? ann
    const task = (isForeign ? undefined : worker.taskIds.at(-1)) ?? this.#asked[0] ?? "0.m0"
    if (act === "wait") this.relays.clock.advance(ms)
    else if (act === "mail") this.relays.answerFault = mail
    else if (act === "move") this.#move(worker)
    else this.#begun.push(this.#work(act, worker, task))
    if (!isHurried) await this.relays.settle()
  }

  /** Ends all faults, and lets every lease end. */
  async finish(): Promise<void> {
    this.relays.answerFault = undefined
    for (let n = 0; n < 5; n++) await this.relays.advance(1_000)
    await Promise.all(this.#begun)
    for (let n = 0; n < 3; n++) await this.relays.advance(leaseMs)
    for (const [task, worker] of this.#taken) {
      expect(this.relays.answers.get(task)?.from).toBe(worker)
      for (const service of this.relays.all) expect(service.pending("reviewer").ids).not.toContain(task)
    }
    for (const service of this.relays.all) service.close()
  }

  async #work(act: "done" | "fail" | "extend", worker: TestWorker, task: string): Promise<void> {
    const { agent, id } = worker
    const home = this.#homes.get(worker) ?? this.relays.first
    if (act === "fail") await ended(home.fail(agent, task, "too hard"))
    else if (act === "extend") await ended(home.extend(agent, task))
    else if (await ended(home.done(agent, task, "fine"))) this.#taken.push([task, id])
  }

  #move(worker: TestWorker): void {
    const home = this.#homes.get(worker)
    home?.leave(worker.agent)
    this.#enter(worker, this.relays.all.find((service) => service !== home) ?? this.relays.first)
  }

  #enter(worker: TestWorker, service: TaskService): void {
    this.#homes.set(worker, service)
    service.enter(worker.agent)
  }
}

it("an accepted DONE is the answer, whatever the store and the mailbox refuse before and after", async () => {
  await fc.assert(
    fc.asyncProperty(fates, fc.array(step, { maxLength: 40 }), async (fate, steps) => {
      let calls = 0
      let isWell = false
      const nextFate = () => (isWell ? "well" : (fate[calls++ % fate.length] ?? "well"))
      const table = (shared: Table) => faulty(shared, nextFate)
      const run = new Run(await TaskRelays.open({ count: 2, isSlow: true, table }))
      for (let n = 0; n < 3; n++) await run.ask()
      for (const step of steps) await run.take(step)
      isWell = true
      await run.finish()
    }),
    { numRuns: 60 },
  )
})
