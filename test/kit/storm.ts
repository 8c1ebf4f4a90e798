import { setTimeout as sleep } from "node:timers/promises"
import { agentchat } from "./command-server.js"
import { until } from "./condition.js"
import type { Loss } from "./nats-witness.js"
import { type Ending, StormAgent } from "./storm-agent.js"
import { patienceMs, type Resident, StormPlace } from "./storm-place.js"
import {
  durableChannel,
  type Fault,
  openChannel,
  planStorm,
  relayCount,
  roleOf,
  type StormPlan,
  type StormSize,
} from "./storm-plan.js"
import { judgeStorm, type Verdict } from "./storm-verdict.js"

/** Most lines of one agent that have no outcome. */
const windowLines = 8
const stepMs = 20
/** Without any outcome for this long, faults are ended early: no agent may be able to continue. */
const stallMs = 4_000

/** The report of a storm. */
export interface StormReport {
  readonly verdict: Verdict
  readonly accepted: number
  readonly rejected: number
  readonly delivered: number
  readonly answered: number
  readonly endings: readonly Ending["type"][]
  readonly faults: readonly string[]
  readonly seconds: number
}

/** Runs a storm and compares the files. @param log - receives a line for each fault and its end */
export async function runStorm(size: StormSize, log: (line: string) => void): Promise<StormReport> {
  const plan = planStorm(size)
  const place = await StormPlace.open(plan.processes)
  try {
    const report = await new Storm(plan, place, log).run()
    if (isBad(report)) log(`all files are kept in ${await place.keep()}`)
    return report
  } catch (error) {
    log(`all files are kept in ${await place.keep()}`)
    throw error
  } finally {
    await place.dispose()
  }
}

function isBad({ verdict }: StormReport): boolean {
  return verdict.missing.length + verdict.wrong.length + verdict.excused.length > 0
}

class Storm {
  readonly #plan: StormPlan
  readonly #place: StormPlace
  readonly #log: (line: string) => void
  readonly #ids = new Map<string, string>()
  readonly #agents: readonly StormAgent[]
  /** By workspace. */
  readonly #residents: readonly Resident[][]
  readonly #active = new Set<Fault>()
  /** Faults that have not ended completely. */
  readonly #busy = new Set<Fault>()
  readonly #history: string[] = []
  readonly #fixing: Promise<void>[] = []
  #failure: Error | undefined

  constructor(plan: StormPlan, place: StormPlace, log: (line: string) => void) {
    this.#plan = plan
    this.#place = place
    this.#log = log
    this.#agents = plan.scripts.map((script, index) => {
      const workspace = place.workspaces[index % plan.processes]
      if (workspace === undefined) throw new Error("a storm needs a process")
      return new StormAgent(
        index,
        { workspace, relay: Math.floor(index / plan.processes) % relayCount, roles: plan.roles },
        script,
        this.#ids,
      )
    })
    this.#residents = place.workspaces.map((workspace) =>
      this.#agents.filter((agent) => agent.workspace === workspace),
    )
  }

  async run(): Promise<StormReport> {
    await this.#startAgents()
    const startMs = performance.now()
    await this.#runFaults()
    await Promise.all(this.#fixing)
    await this.#finish()
    const seconds = (performance.now() - startMs) / 1_000
    const losses = await this.#place.findLosses()
    for (const { stream, seq, subject, id } of losses)
      this.#note(`NATS lost ${stream} ${seq}: ${subject} ${id}`)
    return this.#report(seconds, losses)
  }

  /** Starts all agents and has them join both channels. */
  async #startAgents(): Promise<void> {
    await Promise.all(
      this.#place.workspaces.map((workspace, index) =>
        this.#place.settle(workspace, this.#residents[index] ?? []),
      ),
    )
    for (const { workspace, name } of this.#agents) {
      const id = await until(`the id of ${name}`, () => workspace.status(name)?.["agent_id"], patienceMs)
      this.#ids.set(name, String(id))
    }
    const [first] = this.#agents
    first?.append({ id: "durable", type: "CREATE_CHANNEL", channel: durableChannel, durable: true })
    first?.append({ id: "open", type: "CREATE_CHANNEL", channel: openChannel })
    await this.#allIn(this.#agents.slice(0, 1))
    for (const agent of this.#agents.slice(1)) {
      for (const channel of [durableChannel, openChannel]) agent.append({ type: "JOIN", channel })
    }
    await this.#allIn(this.#agents)
  }

  async #allIn(agents: readonly StormAgent[]): Promise<void> {
    for (const { workspace, name } of agents) {
      const isIn = () => {
        const channels = (workspace.status(name)?.["channels"] ?? []) as string[]
        return channels.includes(durableChannel) && channels.includes(openChannel)
      }
      await until(`${name} is in the channels`, isIn, patienceMs)
    }
  }

  /** Has all agents write and work, while faults begin and end. */
  async #runFaults(): Promise<void> {
    const faults = [...this.#plan.faults]
    let settled = 0
    let movedMs = performance.now()
    while (this.#agents.some((agent) => !agent.isThrough) || faults.length > 0 || this.#active.size > 0) {
      for (const agent of this.#agents) agent.step(windowLines)
      const now = this.#agents.reduce((sum, agent) => sum + agent.settled, 0)
      if (now > settled) movedMs = performance.now()
      settled = now
      const isStalled = performance.now() - movedMs > stallMs
      if (performance.now() - movedMs > patienceMs) throw new Error(`nothing moves after ${settled} lines`)
      await this.#breakNext(faults, settled)
      for (const fault of this.#active) if (isStalled || settled >= fault.at + fault.lasts) this.#fix(fault)
      if (this.#failure !== undefined) throw this.#failure
      await sleep(stepMs)
    }
  }

  async #breakNext(faults: Fault[], settled: number): Promise<void> {
    const [next] = faults
    if (next === undefined || settled < next.at || this.#isBusy(next)) return
    faults.shift()
    this.#busy.add(next)
    this.#note(`${next.kind} ${next.target} breaks at ${settled}`)
    await this.#place.break(next)
    this.#active.add(next)
  }

  /** Reports whether a fault has to wait: two of three nodes must not fail at once, and a relay has one fault at a time. */
  #isBusy({ kind, target }: Fault): boolean {
    const place = (of: Fault["kind"]) => (of === "cut" || of === "blink" ? "relay" : of)
    return [...this.#busy].some(
      (other) => place(other.kind) === place(kind) && (kind === "node" || other.target === target),
    )
  }

  #fix(fault: Fault): void {
    this.#active.delete(fault)
    const fixed = this.#place.fix(fault, this.#residents).then(
      () => {
        this.#busy.delete(fault)
        this.#note(`${fault.kind} ${fault.target} is fixed`)
      },
      (error: unknown) => {
        this.#failure ??= error instanceof Error ? error : new Error(String(error))
      },
    )
    this.#fixing.push(fixed)
  }

  /** Waits until every message has arrived and every task is done. */
  async #finish(): Promise<void> {
    const work = async (isOver: () => boolean | Promise<boolean>, what: string, ms = patienceMs) => {
      await until(
        what,
        async () => {
          for (const agent of this.#agents) agent.step(windowLines)
          return await isOver()
        },
        ms,
      )
    }
    const isDecided = () => {
      const { missing, wrong } = this.#judge()
      return wrong.length > 0 || missing.length === 0
    }
    await work(isDecided, "everything arrives", 45_000).catch((error: unknown) => {
      this.#note(String(error))
    })
    for (let role = 0; role < this.#plan.roles; role++)
      await work(() => this.#isIdle(role), "no task is left")
  }

  async #isIdle(role: number): Promise<boolean> {
    const [first] = this.#agents
    if (first === undefined) return true
    const args = ["task", "list", `+${roleOf(role, this.#plan.roles)}`, "--name", first.name, "--json"]
    const { status, stdout } = await agentchat(first.workspace, ...args)
    if (status !== 0) return false
    const { waiting, claimed } = JSON.parse(stdout) as { waiting: number; claimed: number }
    return waiting + claimed === 0
  }

  #judge(): Verdict {
    return judgeStorm(this.#agents.map((agent) => agent.gather()))
  }

  #report(seconds: number, losses: readonly Loss[]): StormReport {
    const evidence = this.#agents.map((agent) => agent.gather())
    const messages = evidence.flatMap(({ inbox }) => inbox.filter(({ type }) => type === "MSG"))
    return {
      verdict: judgeStorm(evidence, losses),
      accepted: this.#plan.scripts.flat().length - evidence.flatMap(({ rejected }) => rejected).length,
      rejected: evidence.flatMap(({ rejected }) => rejected).length,
      delivered: messages.length,
      answered: messages.filter((line) => line["in_reply_to"] !== undefined).length,
      endings: evidence.flatMap(({ endings }) => endings.map(({ type }) => type)),
      faults: this.#history,
      seconds,
    }
  }

  #note(line: string): void {
    this.#history.push(line)
    this.#log(line)
  }
}
