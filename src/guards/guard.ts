import { isPlain } from "../base/plain.js"
import {
  type GuardMessage,
  type Parent,
  type Rule,
  type RuleName,
  ruleNames,
  type Traced,
  type Trip,
  type Usage,
  type Warning,
} from "./guard-message.js"
import type { GuardLimits } from "./limits.js"
import { isPleasantry } from "./pleasantries.js"
import { RoomTurns } from "./room-turns.js"
import { DealsRule } from "./rules/deals.js"
import { makeRules } from "./rules/make-rules.js"
import { formatSaved } from "./saved-map.js"
import { ThreadTracker } from "./thread-tracker.js"
import { WorkCredits } from "./work-credits.js"

/** What {@link Guard.save} gives: plain JSON, at most 1 MiB of it. */
export interface GuardState {
  readonly v: 1
  readonly lineage: unknown
  readonly rooms: unknown
  readonly layers: Readonly<Record<string, unknown>>
}

/** What is called automatic already stays what it is, and "OK" is an answer where something was asked. */
function canBeCourtesy({ kind }: GuardMessage, parent: Parent | undefined): boolean {
  return (kind === undefined || kind === "inform" || kind === "request") && parent?.asks !== true
}

/** Of the parts that are layers. */
const layerPrefix = "layer."

/** Steps in which a part is saved at most, however much is counted in between. */
const stepsMost = 64

/** Entries of {@link Guard.usage} at most. */
const usageLength = 50

/**
 * The guards of a relay: whether a message may be taken. For each message: {@link trace}, {@link check}, then either
 * {@link note} or {@link refuse}. A forecast is the first two alone, they change nothing. Messages of operators, presence,
 * receipts and the steps of a deal are not brought here; proposals are, to {@link deals}.
 */
export class Guard {
  readonly #limits: GuardLimits
  readonly #lineage: ThreadTracker
  readonly #rooms: RoomTurns
  readonly #refills: WorkCredits
  readonly #layers: readonly Rule[]
  /** Proposals, which wake as messages do; absent where that layer is left out. */
  readonly deals: DealsRule | undefined

  /** @param only - these layers; all of them when absent */
  constructor(limits: GuardLimits, only?: readonly RuleName[]) {
    this.#limits = limits
    this.#lineage = new ThreadTracker(limits)
    this.#rooms = new RoomTurns(limits)
    this.#refills = new WorkCredits(limits)
    this.#layers = makeRules(limits).filter(({ name }) => only?.includes(name) ?? true)
    this.deals = this.#layers.find((layer) => layer instanceof DealsRule)
  }

  /** Takes over a state that {@link save} gave; anything else is as good as none. */
  static load(limits: GuardLimits, state: unknown, only?: readonly RuleName[]): Guard {
    const guard = new Guard(limits, only)
    if (!isPlain(state) || state["v"] !== 1) return guard
    guard.#lineage.load(state["lineage"])
    guard.#rooms.load(state["rooms"])
    const layers = isPlain(state["layers"]) ? state["layers"] : {}
    if (isPlain(state["rooms"])) guard.#refills.load(state["rooms"]["refills"])
    for (const layer of guard.#layers) layer.load(layers[layer.name])
    return guard
  }

  /** When the last message was taken or refused, or a step of a deal was counted; 0: none was. */
  get lastTs(): number {
    return Math.max(this.#lineage.lastTs, this.deals?.lastTs ?? 0)
  }

  /** What a message was passed on with, if it was taken in that room and is remembered: it may come there again. */
  find(id: string, room: string): Pick<Traced, "hops" | "kind"> | undefined {
    return this.#lineage.find(id, room)
  }

  /** Works out where a message comes from. `kind` of the result is what it is passed on with. */
  trace(said: GuardMessage): Traced {
    const origin = this.#lineage.trace(said)
    const isEmpty = canBeCourtesy(said, origin.parent) && isPleasantry(said.text, this.#limits.emptyWords)
    // Member by member: to spread them costs as much as all the rest.
    const traced = {
      id: said.id,
      ts: said.ts,
      from: said.from,
      room: said.room,
      to: said.to,
      recipients: said.recipients,
      kind: isEmpty ? ("ack" as const) : said.kind,
      answers: said.answers,
      text: said.text,
      bytes: said.bytes,
      parent: origin.parent,
      hops: origin.hops,
      chain: origin.chain,
      via: origin.via,
      trail: origin.trail,
      turnsWith: origin.turnsWith,
      isCourtesy: isEmpty,
      returns: 0,
      isFeed: false,
      goesOn: false,
    }
    const { returns, isFeed, goesOn } = this.#rooms.trace(traced)
    traced.returns = returns
    traced.isFeed = isFeed
    traced.goesOn = goesOn
    return traced
  }

  /** Why it is to be refused; undefined: it may be taken. */
  check(traced: Traced): Trip | undefined {
    for (const layer of this.#layers) {
      const trip = layer.check(traced)
      if (trip !== undefined) return trip
    }
    return undefined
  }

  /** It was taken. Gives what its author, and whom else the scope names, should know; each once. */
  note(traced: Traced): Warning[] {
    this.#lineage.note(traced)
    this.#rooms.note(traced)
    const warnings: Warning[] = []
    for (const layer of this.#layers) {
      const warning = layer.note(traced)
      if (warning !== undefined) warnings.push(warning)
    }
    return warnings
  }

  /** It was refused, and the author is told so. */
  refuse(traced: Traced, trip: Trip): void {
    this.#lineage.refuse(traced)
    this.#layers.find(({ name }) => name === trip.layer)?.refuse?.(traced, trip)
  }

  /**
   * A task is DONE, a deal COMPLETE: these agents have worked, and may talk on.
   * @returns those of them who had that not too often before
   */
  refill(agents: readonly string[], ts: number): readonly string[] {
    const due = this.#refills.take(agents, ts)
    if (due.length === 0) return due
    this.#lineage.refill(due)
    for (const layer of this.#layers) layer.refill?.(due, ts)
    return due
  }

  /** An operator spoke in `room` (see {@link GuardMessage.room}): the conversation begins anew. */
  spoke(room: string, ts: number): void {
    this.#lineage.spoke(room)
    this.#rooms.spoke(room)
    for (const layer of this.#layers) layer.spoke?.(room, ts)
  }

  /**
   * An operator lifts what was stopped.
   * @param scope - of a trip, or any agent or room: all that names it; undefined: everything
   */
  reset(scope: string | undefined): void {
    this.#lineage.reset(scope)
    this.#rooms.reset(scope)
    this.#refills.reset(scope)
    for (const layer of this.#layers) layer.reset(scope)
  }

  /** What the layers have counted of an agent: what is stopped first, then what is used most; at most 50. */
  usage(agent: string, ts: number): Usage[] {
    return this.#layers
      .flatMap((layer) => layer.usage(agent, ts))
      .sort((a, b) => Number(b.isTripped) - Number(a.isTripped) || b.used / b.limit - a.used / a.limit)
      .slice(0, usageLength)
  }

  /**
   * What {@link save} gives in parts, each with what makes it, as JSON: that takes a few milliseconds, and what is
   * counted between two of them is in one and not in the other. One that takes longer gives undefined, and goes on when
   * it is called again. {@link joinParts} puts them together.
   */
  get parts(): ReadonlyMap<string, () => string | undefined> {
    const parts = new Map<string, () => string | undefined>([
      ["lineage", inSteps(this.#lineage)],
      ["rooms", inSteps({ prepare: () => this.#rooms.prepare(), save: () => this.#saveRooms() })],
    ])
    for (const layer of this.#layers) parts.set(layerPrefix + layer.name, inSteps(layer))
    return parts
  }

  /** The state of which these are the parts, parsed; those of which nothing is known are left out. */
  static joinParts(parts: ReadonlyMap<string, unknown>): GuardState {
    const layers = ruleNames.map((name) => [name, parts.get(layerPrefix + name)] as const)
    return {
      v: 1,
      lineage: parts.get("lineage"),
      rooms: parts.get("rooms"),
      layers: Object.fromEntries(layers),
    }
  }

  /** The state as plain JSON of at most 1 MiB; what was said longest ago is left out first. */
  save(): GuardState {
    return {
      v: 1,
      lineage: this.#lineage.save(),
      rooms: this.#saveRooms(),
      layers: Object.fromEntries(this.#layers.map((layer) => [layer.name, layer.save()])),
    }
  }

  #saveRooms(): unknown {
    return { ...(this.#rooms.save() as object), refills: this.#refills.save() }
  }
}

/** Makes the JSON of a part, a millisecond's work at each call; undefined: it is not done yet. */
function inSteps(part: Pick<Rule, "prepare" | "save">): () => string | undefined {
  let steps = 0
  return () => {
    steps++
    if (steps < stepsMost && part.prepare?.() === false) return undefined
    steps = 0
    return formatSaved(part.save())
  }
}
