import { LruMap } from "../base/lru-map.js"
import type { RuleName, Trip } from "./guard-message.js"
import type { GuardLimits } from "./limits.js"
import { deleteWhere, formatEntries, loadEntries } from "./saved.js"
import { isUnder } from "./scopes.js"

/** A scope that a rule has stopped. */
export interface Stop {
  readonly layer: RuleName
  readonly scope: string
  readonly liftedBy: Trip["liftedBy"]
  /** Where the message was sent that began it. */
  readonly channel: string
  /** Count at that time. */
  readonly used: number
  readonly limit: number
  readonly untilMs: number
  readonly pauseMs: number
  /** Authors that have sent their one message since the pause before ended; none in a first pause. */
  readonly passed: readonly string[]
}

/** Milliseconds in which `wakes` and `budget` count; also the first pause of `wakes`. */
export const hourMs = 3_600_000

const stopsKept = 8_192
const savedCharacters = 100_000
/** Authors that may send one message each after a pause: one, and one that answers it. */
const passes = 2

/**
 * The scopes that the rules have stopped. After a pause one message passes and begins the next pause, twice as long,
 * unless the scope was quiet for a while; one message of another author passes too, as its answer. A loop that waits out
 * every pause gets a handful of messages through in a night.
 */
export class Stops {
  readonly #limits: GuardLimits
  /** By rule and scope. */
  readonly #stops = new LruMap<string, Stop>(stopsKept)

  constructor(limits: GuardLimits) {
    this.#limits = limits
  }

  get isEmpty(): boolean {
    return this.#stops.size === 0
  }

  /** Returns the stop of a scope until the scope has been quiet for long enough after its pause. */
  find(layer: RuleName, scope: string, ts: number): Stop | undefined {
    if (this.isEmpty) return undefined
    const stop = this.#stops.peek(keyOf(layer, scope))
    if (stop === undefined) return undefined
    const { untilMs, pauseMs } = stop
    // More than the whole pause is left only if a clock was wrong.
    const isKnown = untilMs - ts <= pauseMs && ts < untilMs + Math.max(pauseMs, this.#limits.stopForgetMs)
    return isKnown ? stop : undefined
  }

  /** Returns the length of the next pause after a stop, or of the first one. */
  nextMs(last: Stop | undefined, firstMs = this.#limits.stopMs): number {
    return last === undefined
      ? firstMs
      : Math.min(2 * last.pauseMs, Math.max(firstMs, this.#limits.stopMaxMs))
  }

  /** Begins a pause. @returns the stop; undefined if the scope is stopped already */
  begin(
    stop: Omit<Stop, "untilMs" | "pauseMs" | "passed">,
    ts: number,
    firstMs: number | undefined,
    passed: readonly string[] = [],
  ): Stop | undefined {
    const { layer, scope } = stop
    const last = this.find(layer, scope, ts)
    if (leftMs(last, ts) > 0) return undefined
    const pauseMs = this.nextMs(last, firstMs)
    const begun = { ...stop, untilMs: ts + pauseMs, pauseMs, passed }
    this.#stops.set(keyOf(layer, scope), begun)
    return begun
  }

  /** A message of an author passed in a scope that was or is stopped. */
  pass(stop: Stop, author: string, ts: number, firstMs: number | undefined): void {
    if (this.begin(stop, ts, firstMs, [author]) !== undefined || stop.passed.includes(author)) return
    this.#stops.set(keyOf(stop.layer, stop.scope), { ...stop, passed: [...stop.passed, author] })
  }

  /**
   * Forgets the stops of a rule under a scope, and those that began in it if it is a channel.
   * @returns what was forgotten
   */
  lift(layer: RuleName, scope: string | undefined): Stop[] {
    const lifted: Stop[] = []
    for (const [key, stop] of this.#stops) {
      if (stop.layer !== layer || !isStoppedUnder(stop, scope)) continue
      this.#stops.delete(key)
      lifted.push(stop)
    }
    return lifted
  }

  /** Forgets the stop of one scope. */
  delete(layer: RuleName, scope: string): void {
    this.#stops.delete(keyOf(layer, scope))
  }

  /** Returns the stops in force. */
  list(ts: number): Stop[] {
    return [...this.#stops].map(([, stop]) => stop).filter((stop) => leftMs(stop, ts) > 0)
  }

  save(): string {
    return formatEntries(this.#stops, savedCharacters)
  }

  load(state: unknown): void {
    const longestMs = Math.max(this.#limits.stopMaxMs, this.#limits.mentionWindowMs, hourMs)
    loadEntries(this.#stops, state)
    // An operator may have made the longest pause shorter.
    deleteWhere(this.#stops, (_, { pauseMs }) => pauseMs > longestMs)
  }
}

/** Reports whether a reset of `scope` lifts a stop. */
export function isStoppedUnder(stop: Stop, scope: string | undefined): boolean {
  return stop.channel === scope || isUnder(stop.scope, scope)
}

/** Returns the milliseconds for which a scope is still stopped; 0 if it is not. */
export function leftMs(stop: Stop | undefined, ts: number): number {
  if (stop === undefined) return 0
  const left = stop.untilMs - ts
  return left > stop.pauseMs ? 0 : Math.max(0, left)
}

/** Reports whether one message of an author passes: the first after a pause, or the answer to that one. */
export function mayPass(stop: Stop, author: string, ts: number): boolean {
  if (leftMs(stop, ts) === 0) return true
  const { passed, liftedBy } = stop
  // Where only time lifts a stop its scope has one author, which nobody answers.
  return liftedBy !== "time" && passed.length > 0 && passed.length < passes && !passed.includes(author)
}

function keyOf(layer: RuleName, scope: string): string {
  return `${layer} ${scope}`
}
