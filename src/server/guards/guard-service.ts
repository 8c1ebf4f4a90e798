import type { Backbone } from "../../backbone/backbone.js"
import type { Clock } from "../../base/clock.js"
import { Guard } from "../../guards/guard.js"
import type { GuardMessage, Traced, Trip, Usage, Warning } from "../../guards/guard-message.js"
import type { GuardLimits } from "../../guards/limits.js"
import type { DealStep } from "../../guards/rules/deals.js"
import { isUnder } from "../../guards/scopes.js"
import { ChatError } from "../../protocol/errors.js"
import type { GuardFacts, GuardUsage } from "../../protocol/guard-facts.js"
import { isQuiet, type Kind } from "../../protocol/message-kinds.js"
import type { ServerMessage } from "../../protocol/server-messages.js"
import type { Operators } from "../operators.js"
import { GuardStore } from "./guard-store.js"
import { SteadyTime } from "./steady-time.js"
import { StopNotices, type Told } from "./stop-notices.js"

/** Milliseconds after which the same warning is told again. */
const warnAgainMs = 600_000

/** What a desk needs of its house. */
interface GuardPorts {
  /** Tells an agent that is online, or everybody in a channel. */
  tell(to: string, news: ServerMessage<"GUARD">): void
  readonly log: (line: string) => void
}

/** What a desk goes by. */
interface GuardDeskOptions {
  readonly guards: GuardLimits
  readonly operators: Operators
  readonly clock: Clock
}

/** A message as it is put to the guards. */
export type GuardInput = Omit<GuardMessage, "ts">

/** What a message carries as the guards worked it out. */
export interface Origin {
  readonly hops: number
  readonly kind: Kind | undefined
}

/** Why a message is refused, as the wire has it. */
type Refusal = NonNullable<ServerMessage<"FORECAST">["refused"]>

/** What would become of a message. */
interface Outlook extends Origin {
  readonly refused: Refusal | undefined
}

/** The guards of a relay: what they stop is neither kept nor sent, and everybody concerned hears of it once. */
export class GuardService {
  readonly #guard: Guard
  readonly #store: GuardStore
  readonly #parts: Guard["parts"]
  readonly #time: SteadyTime
  readonly #options: GuardDeskOptions
  readonly #ports: GuardPorts
  readonly #told = new StopNotices()

  private constructor(store: GuardStore, options: GuardDeskOptions, ports: GuardPorts) {
    const { guards, clock } = options
    this.#store = store
    const guard = Guard.load(guards, store.state)
    const isCredible = SteadyTime.isCredible(clock, guard.lastTs)
    this.#guard = isCredible ? guard : new Guard(guards)
    this.#parts = this.#guard.parts
    this.#time = new SteadyTime(clock, this.#guard.lastTs)
    this.#options = options
    this.#ports = ports
  }

  /** Goes on where the last relay of the same store ended. @throws {ChatError} UNAVAILABLE */
  static async open(backbone: Backbone, options: GuardDeskOptions, ports: GuardPorts): Promise<GuardService> {
    const opened: { desk?: GuardService } = {}
    const store = await GuardStore.open(backbone, {
      clock: options.clock,
      log: ports.log,
      onReset: (scope) => {
        const { desk } = opened
        if (desk !== undefined) desk.#lift(scope)
      },
    })
    const desk = new GuardService(store, options, ports)
    opened.desk = desk
    return desk
  }

  /** What was counted is kept. */
  async close(): Promise<void> {
    await this.#store.close()
  }

  /** Whether an agent is an operator of this relay. */
  isOperator(id: string): boolean {
    return this.#options.operators.has(id)
  }

  /**
   * Asks for a message, before anything of it is kept or sent, and counts it. One that was counted already, whose
   * author did not hear what became of it, passes as it did then.
   * @throws {ChatError} GUARDED
   */
  admit(saying: GuardInput): Origin {
    if (this.isOperator(saying.from)) return this.#spoke(saying)
    const known = this.#guard.find(saying.id, saying.room)
    if (known !== undefined) return originOf(saying, known)
    const traced = this.#trace(saying)
    const trip = this.#guard.check(traced)
    if (trip !== undefined) throw this.#refuse(traced, trip)
    this.#note(traced)
    return originOf(saying, traced)
  }

  /** What {@link admit} would do; does nothing. */
  forecast(saying: GuardInput): Outlook {
    if (this.isOperator(saying.from)) return { hops: 0, kind: saying.kind, refused: undefined }
    const traced = this.#trace(saying)
    const trip = this.#guard.check(traced)
    return { ...originOf(saying, traced), refused: trip && refusalOf(trip) }
  }

  /** Whether a message wakes whom it is put to. */
  wakes({ kind, hops }: Origin): boolean {
    return !isQuiet(kind) && hops < this.#options.guards.hops / 2
  }

  /** Counts what another relay of the same store let pass. */
  overhear(saying: GuardInput): void {
    if (this.#guard.find(saying.id, saying.room) !== undefined) return
    if (this.isOperator(saying.from)) this.#spoke(saying)
    else this.#note(this.#trace(saying))
  }

  /** Asks for a proposal, before anything of it is kept or sent. @throws {ChatError} GUARDED */
  admitProposal(proposal: Pick<DealStep, "from" | "to">): void {
    if (this.isOperator(proposal.from)) return
    const ts = this.#time.now()
    const trip = this.#guard.deals?.checkProposal(proposal, ts)
    if (trip === undefined) return
    this.#guard.deals?.refuseProposal(proposal, ts)
    throw this.#refused(trip, ts)
  }

  /** Counts a step of a deal that another relay of the same store took. */
  overhearStep(step: DealStep): void {
    if (this.#guard.deals?.knows(step) !== false) return
    this.noteStep(step)
    if (step.verb === "COMPLETE") this.refill([step.from, step.to])
  }

  /** A step of a deal was taken. */
  noteStep(step: DealStep): void {
    if (step.verb === "PROPOSAL" && this.isOperator(step.from)) return
    const ts = this.#time.now()
    const warning = this.#guard.deals?.noteStep(step, ts)
    if (warning !== undefined) this.#warn(warning, { id: step.id, ts })
    this.#touch()
  }

  /** These agents have worked: what idle talk used up is theirs again. */
  refill(agents: readonly string[]): void {
    const ts = this.#time.now()
    const due = this.#guard.refill(agents, ts)
    const isTheirs = ({ scope, facts, isTrip }: Told) =>
      isTrip &&
      facts.lifted_by === "progress" &&
      due.length > 0 &&
      (!scope.includes("@") || due.some((agent) => isUnder(scope, agent)))
    for (const told of this.#told.forget(isTheirs, ts)) {
      if (!this.#isStopped(told, due, ts)) this.#tellLifted(told, "work was finished")
    }
    this.#touch()
  }

  /** What was counted of an agent. */
  usage(agent: string): GuardUsage[] {
    return this.#guard.usage(agent, this.#time.now()).map(formatUsage)
  }

  /**
   * Lifts what was stopped, here and at every relay of the same store.
   * @param by - who does it, an operator
   * @param resetId - names this act among all
   * @throws {ChatError} UNAVAILABLE
   */
  async reset(by: string, resetId: string, scope: string | undefined): Promise<void> {
    this.#ports.log(`guard: ${scope ?? "everything"} lifted by ${by}`)
    this.#lift(scope)
    await this.#store.tellReset(resetId, scope)
  }

  #trace({ id, from, room, to, recipients, kind, answers, text, bytes }: GuardInput): Traced {
    // Member by member: to spread them costs as much as all the rest.
    const ts = this.#time.now()
    return this.#guard.trace({ id, ts, from, room, to, recipients, kind, answers, text, bytes })
  }

  #spoke({ room, kind }: GuardInput): Origin {
    this.#guard.spoke(room, this.#time.now())
    this.#touch()
    return { hops: 0, kind }
  }

  #note(traced: Traced): void {
    for (const warning of this.#guard.note(traced)) this.#warn(warning, traced)
    this.#touch()
  }

  #refuse(traced: Traced, trip: Trip): ChatError {
    this.#guard.refuse(traced, trip)
    return this.#refused(trip, traced.ts)
  }

  /** Tells of a stop, if that is news. */
  #refused(trip: Trip, ts: number): ChatError {
    this.#touch()
    const { reason, retryAfterMs } = trip
    const guard = factsOf(trip)
    const untilTs = retryAfterMs === undefined ? Infinity : ts + retryAfterMs
    const told = this.#told.take({ scope: trip.scope, facts: guard, reason, isTrip: true, untilTs }, ts)
    if (told) {
      this.#ports.log(`guard: ${trip.layer}: ${trip.scope} stopped: ${reason}`)
      this.#tell(trip.scope, {
        ...{ type: "GUARD", state: "tripped", ...refusalOf(trip) },
        ts: this.#options.clock.now(),
      })
    }
    const details = { hint: hintOf(trip), guard, ...(retryAfterMs !== undefined && { retryAfterMs }) }
    return new ChatError("GUARDED", reason, details)
  }

  #warn({ layer, scope, reason }: Warning, { id, ts }: Pick<Traced, "id" | "ts">): void {
    const facts: GuardFacts = { layer, scope, lifted_by: "time", evidence: [id] }
    if (!this.#told.take({ scope, facts, reason, isTrip: false, untilTs: ts + warnAgainMs }, ts)) return
    this.#tell(scope, { type: "GUARD", state: "warned", ...facts, reason, ts: this.#options.clock.now() })
  }

  #lift(scope: string | undefined): void {
    this.#guard.reset(scope)
    this.#touch()
    const lifted = this.#told.forget((told) => isUnder(told.scope, scope), this.#time.now())
    for (const told of lifted) this.#tellLifted(told, "an operator has lifted it")
  }

  /** Whether one of these agents is still stopped there. */
  #isStopped({ scope, facts }: Told, agents: readonly string[], ts: number): boolean {
    const usages = agents.flatMap((agent) => this.#guard.usage(agent, ts))
    return usages.some((usage) => usage.isTripped && usage.layer === facts.layer && usage.scope === scope)
  }

  #tellLifted({ scope, facts }: Told, reason: string): void {
    this.#tell(scope, { type: "GUARD", state: "lifted", ...facts, reason, ts: this.#options.clock.now() })
  }

  /** A scope names the agents it stops, then where or towards whom; or else the channel. */
  #tell(scope: string, news: ServerMessage<"GUARD">): void {
    const words = (scope.split(/ (?:in|to) /, 1)[0] ?? "").split(" ")
    const agents = words.filter((word) => word.startsWith("@"))
    const rooms = words.filter((word) => word.startsWith("#"))
    for (const to of agents.length > 0 ? agents : rooms) this.#ports.tell(to, news)
  }

  #touch(): void {
    this.#store.touch(this.#parts)
  }
}

/** An answer is never the beginning of a chain, also where the message it answers is not remembered. */
function originOf({ answers }: GuardInput, { hops, kind }: Origin): Origin {
  return { hops: answers === undefined ? hops : Math.max(1, hops), kind }
}

function factsOf({ layer, scope, liftedBy, evidence }: Trip): GuardFacts {
  return { layer, scope, lifted_by: liftedBy, evidence }
}

function refusalOf(trip: Trip): Refusal {
  const { reason, retryAfterMs } = trip
  return { ...factsOf(trip), reason, ...(retryAfterMs !== undefined && { retry_after_ms: retryAfterMs }) }
}

function formatUsage({ layer, scope, used, limit, freeInMs, isTripped }: Usage): GuardUsage {
  const free = freeInMs === undefined ? {} : { free_in_ms: freeInMs }
  return { layer, scope, used, limit, ...free, tripped: isTripped }
}

function hintOf({ liftedBy, retryAfterMs, scope }: Trip): string {
  const wait = retryAfterMs === undefined ? "" : ` for ${Math.ceil(retryAfterMs / 1_000)} s`
  if (liftedBy === "operator") {
    return `stop, do not answer; an operator of the relay lifts it: agentchat guard --reset '${scope}'`
  }
  if (liftedBy === "progress") {
    return `do not send it again${wait}; finish work (a task done, a proposal completed) or let an operator speak`
  }
  return `do not send it again${wait}; go on with your work, and say only what is new`
}
