import { EventEmitter } from "node:events"
import type { Backbone } from "../../backbone/backbone.js"
import type { Clock } from "../../base/clock.js"
import { LruMap } from "../../base/lru-map.js"
import { Guard, usageOf } from "../../guards/guard.js"
import type { GuardMessage, Trip, Usage, Warning } from "../../guards/guard-message.js"
import type { GuardLimits } from "../../guards/limits.js"
import type { DealStep } from "../../guards/rules/deals.js"
import { isUnder, pairOf, stoppedBy, withoutOrigin } from "../../guards/scopes.js"
import { isStoppedUnder, type Stop } from "../../guards/stops.js"
import { ChatError } from "../../protocol/errors.js"
import type { GuardFacts, GuardUsage } from "../../protocol/guard-facts.js"
import type { ServerMessage } from "../../protocol/server-messages.js"
import type { Operators } from "../operators.js"
import type { GuardInput } from "./guard-input.js"
import { GuardStore } from "./guard-store.js"

/** Milliseconds after which a warning is sent again. */
const warnAgainMs = 600_000
/** Warnings remembered, so that each is sent once. */
const warningsKept = 2_048

interface GuardServiceOptions {
  readonly guards: GuardLimits
  readonly operators: Operators
  readonly clock: Clock
  readonly log: (line: string) => void
}

interface GuardServiceEvents {
  /** An agent, or everybody in a channel, is to know of a stop, a warning or the end of a stop. */
  notice: [to: string, notice: ServerMessage<"GUARD">]
}

/** The reason a message is refused, as FORECAST has it. */
type Refusal = NonNullable<ServerMessage<"FORECAST">["refused"]>

/** The guards of a relay: refuses messages, and tells everybody a stop concerns, once. */
export class GuardService extends EventEmitter<GuardServiceEvents> {
  #guard: Guard
  readonly #store: GuardStore
  readonly #time: SteadyTime
  readonly #options: GuardServiceOptions
  /** Times of the warnings, by rule and scope. */
  readonly #warnedAt = new LruMap<string, number>(warningsKept)
  readonly #makeState: () => string
  readonly #listStops: () => readonly Stop[]

  private constructor(store: GuardStore, options: GuardServiceOptions) {
    super()
    const { guards, clock } = options
    const guard = Guard.load(guards, store.state)
    this.#guard = SteadyTime.isCredible(clock, guard.lastTs) ? guard : new Guard(guards)
    this.#time = new SteadyTime(clock, this.#guard.lastTs)
    this.#store = store
    this.#options = options
    this.#makeState = () => this.#guard.save()
    this.#listStops = () => this.#guard.stops(this.#time.now())
  }

  /** Restores the state that the last relay of the same backbone saved. @throws {ChatError} UNAVAILABLE */
  static async open(backbone: Backbone, options: GuardServiceOptions): Promise<GuardService> {
    const store = await GuardStore.open(backbone, options)
    const service = new GuardService(store, options)
    store.on("reset", (scope) => {
      service.#lift(scope)
    })
    return service
  }

  /** Applies changed limits; what was counted and stopped stays. */
  reload(): void {
    this.#guard = Guard.load(this.#options.guards, JSON.parse(this.#guard.save()))
  }

  /** Saves the state. */
  async close(): Promise<void> {
    await this.#store.close()
  }

  isOperator(id: string): boolean {
    return this.#options.operators.has(id)
  }

  /**
   * Asks for a message, before it is stored or sent, and counts it. A message that was accepted before, whose author did
   * not receive the answer, passes again.
   * @returns its `hops`
   * @throws {ChatError} GUARDED
   */
  admit(input: GuardInput): number {
    if (this.isOperator(input.from)) return this.#operatorSpoke(input)
    const known = this.#guard.find(input.id, input.channel)
    if (known !== undefined) return known
    const message = this.#stamp(input)
    const trip = this.#guard.check(message)
    if (trip !== undefined) throw this.#refusal(trip, message)
    this.#note(message)
    return this.#guard.hopsOf(message)
  }

  /** Returns the reason {@link admit} would refuse a message; counts nothing. */
  forecast(input: GuardInput): Refusal | undefined {
    if (this.isOperator(input.from)) return undefined
    const trip = this.#guard.check(this.#stamp(input))
    return trip && refusalOf(trip)
  }

  /** Counts a message that another relay of the same backbone accepted. */
  noteReplicated(input: GuardInput): void {
    if (this.#guard.find(input.id, input.channel) !== undefined) return
    if (this.isOperator(input.from)) this.#operatorSpoke(input)
    else this.#note(this.#stamp(input))
  }

  /** Asks for a proposal, before it is stored or sent. @throws {ChatError} GUARDED */
  admitProposal(proposal: Pick<DealStep, "from" | "to">): void {
    if (this.isOperator(proposal.from)) return
    const ts = this.#time.now()
    const trip = this.#guard.checkProposal(proposal, ts)
    if (trip !== undefined)
      throw this.#refusal(trip, { channel: pairOf(proposal.from, proposal.to), from: proposal.from, ts })
  }

  /** Counts a statement of a deal that this relay accepted. */
  noteStep(step: DealStep): void {
    if (step.verb === "PROPOSAL" && this.isOperator(step.from)) return
    const ts = this.#time.now()
    for (const warning of this.#guard.noteStep(step, ts)) this.#warn(warning, step.id, ts)
    this.#touch()
  }

  /** Counts a statement of a deal that another relay of the same backbone accepted. */
  noteReplicatedStep(step: DealStep): void {
    if (this.#guard.knows(step)) return
    this.noteStep(step)
    if (step.verb === "COMPLETE") this.refill([step.from, step.to])
  }

  /** These agents finished work: what their talk used up is given back. */
  refill(agents: readonly string[]): void {
    const ts = this.#time.now()
    this.#lifting("work was finished", () => this.#guard.refill(agents, ts))
  }

  usage(agent: string): GuardUsage[] {
    return this.#guard.usage(agent, this.#time.now()).map(formatUsage)
  }

  /** Returns everything that is stopped, here and at the other relays of the backbone. @throws {ChatError} UNAVAILABLE */
  async stops(): Promise<GuardUsage[]> {
    const ts = this.#time.now()
    const all = [...(await this.#store.remoteStops()), ...this.#guard.stops(ts)]
    const byScope = new Map(all.map((stop) => [`${stop.layer} ${stop.scope}`, stop]))
    return [...byScope.values()].map((stop) => formatUsage(usageOf(stop, ts)))
  }

  /**
   * Lifts what was stopped under a scope, here and at every relay of the same backbone.
   * @param by - the operator
   * @param resetId - unique among all resets
   * @param scope - undefined: everything
   * @returns the scopes that were stopped
   * @throws {ChatError} UNAVAILABLE
   */
  async reset(by: string, resetId: string, scope: string | undefined): Promise<string[]> {
    this.#options.log(`guard: ${scope ?? "everything"} reset by ${by}`)
    const remote = await this.#store.remoteStops()
    const lifted = [...this.#lift(scope), ...remote.filter((stop) => isStoppedUnder(stop, scope))]
    await this.#store.spreadReset(resetId, scope)
    return [...new Set(lifted.map((stop) => stop.scope))]
  }

  // Field by field: a spread costs as much as the rest of the guards.
  #stamp({ id, from, sharedOrigin, channel, to, kind, answers, text, bytes }: GuardInput): GuardMessage {
    return { id, ts: this.#time.now(), from, sharedOrigin, channel, to, kind, answers, text, bytes }
  }

  #operatorSpoke({ channel }: GuardInput): number {
    this.#lifting("an operator spoke", () => {
      this.#guard.operatorSpoke(channel)
    })
    return 0
  }

  #note(message: GuardMessage): void {
    for (const warning of this.#guard.note(message)) this.#warn(warning, message.id, message.ts)
    this.#touch()
  }

  /** Begins the stops of a refusal, and tells those whom their scopes name. Returns the error of the refusal. */
  #refusal(trip: Trip, message: Pick<GuardMessage, "channel" | "from" | "ts">): ChatError {
    for (const begun of this.#guard.refuse(message, trip)) {
      const { layer, scope, reason, retryAfterMs } = begun
      this.#options.log(
        `guard: ${layer}: ${scope} stopped for ${Math.ceil(retryAfterMs / 1_000)} s: ${reason}`,
      )
      this.#notify("tripped", { ...factsOf(begun), reason, retry_after_ms: retryAfterMs }, message.from)
    }
    this.#touch()
    const { reason, retryAfterMs } = trip
    return new ChatError("GUARDED", reason, { hint: hintOf(trip), guard: factsOf(trip), retryAfterMs })
  }

  #warn({ layer, scope, reason }: Warning, messageId: string, ts: number): void {
    const key = `${layer} ${scope}`
    const warnedAt = this.#warnedAt.peek(key)
    this.#warnedAt.set(key, ts)
    if (warnedAt !== undefined && ts - warnedAt < warnAgainMs) return
    this.#notify("warned", { layer, scope, lifted_by: "time", evidence: [messageId], reason })
  }

  #lift(scope: string | undefined): Stop[] {
    for (const [key] of this.#warnedAt) if (isUnder(key, scope)) this.#warnedAt.delete(key)
    return this.#lifting("an operator has lifted it", () => {
      this.#guard.reset(scope)
    })
  }

  /** Calls a function that may lift stops, and tells those whom they concerned. Returns the stops lifted. */
  #lifting(reason: string, act: () => unknown): Stop[] {
    const ts = this.#time.now()
    const before = this.#guard.stops(ts)
    act()
    this.#touch()
    if (before.length === 0) return []
    const after = new Set(this.#guard.stops(ts))
    const lifted = before.filter((stop) => !after.has(stop))
    for (const { layer, scope, liftedBy } of lifted) {
      this.#options.log(`guard: ${layer}: ${scope} lifted: ${reason}`)
      this.#notify("lifted", { layer, scope, lifted_by: liftedBy, evidence: [], reason })
    }
    return lifted
  }

  /**
   * Sends to the agents a scope stops, or else to a channel.
   * @param author - receives what concerns a channel instead; the others there may go on and need not know
   */
  #notify(
    state: ServerMessage<"GUARD">["state"],
    facts: Omit<ServerMessage<"GUARD">, "type" | "state" | "ts">,
    author?: string,
  ): void {
    const message: ServerMessage<"GUARD"> = { type: "GUARD", state, ...facts, ts: this.#options.clock.now() }
    const names = stoppedBy(facts.scope)
    const agents = names.filter((name) => name.startsWith("@"))
    const channels = names.filter((name) => name.startsWith("#"))
    for (const to of agents.length > 0 ? agents : author === undefined ? channels : [author])
      this.emit("notice", to, message)
  }

  #touch(): void {
    this.#store.touch(this.#makeState, this.#listStops)
  }
}

/** A saved time may be this far ahead of the clock before the state is thrown away. */
const mostAheadMs = 86_400_000

/**
 * Wall-clock time that never goes back. A clock that is set back by a day must not lengthen every stop by a day; from then
 * on this time stays ahead of the clock by as much.
 */
class SteadyTime {
  readonly #clock: Clock
  #aheadMs = 0
  #lastTs: number

  /** @param lastTs - the last time of the process before, in milliseconds since the Unix epoch */
  constructor(clock: Clock, lastTs: number) {
    this.#clock = clock
    this.#lastTs = lastTs
  }

  /** Reports whether a saved time can be true: not if a clock was far wrong, or it is no time at all. */
  static isCredible(clock: Clock, lastTs: number): boolean {
    return lastTs - clock.now() <= mostAheadMs
  }

  now(): number {
    const ts = this.#clock.now() + this.#aheadMs
    if (ts < this.#lastTs) this.#aheadMs += this.#lastTs - ts
    this.#lastTs = Math.max(ts, this.#lastTs)
    return this.#lastTs
  }
}

function factsOf({ layer, scope, liftedBy, evidence }: Trip): GuardFacts {
  return { layer, scope, lifted_by: liftedBy, evidence }
}

function refusalOf(trip: Trip): Refusal {
  return { ...factsOf(trip), reason: trip.reason, retry_after_ms: trip.retryAfterMs }
}

function formatUsage({ layer, scope, used, limit, freeInMs, isTripped }: Usage): GuardUsage {
  return { layer, scope: withoutOrigin(scope), used, limit, free_in_ms: freeInMs, tripped: isTripped }
}

function hintOf({ liftedBy, retryAfterMs, scope }: Trip): string {
  const seconds = Math.ceil(retryAfterMs / 1_000)
  if (liftedBy === "operator")
    return `stop, do not answer; an operator of the relay lifts it: agentchat guard --reset '${scope}'`
  if (liftedBy === "progress")
    return `do not send it again for ${seconds} s; finish work (a task done, a proposal completed) or let an operator speak`
  return `do not send it again for ${seconds} s; go on with your work, and say only what is new`
}
