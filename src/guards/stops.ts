import { LruMap } from "../base/lru-map.js"
import { isNumber, isPlain } from "../base/plain.js"
import type { GuardLimits } from "./limits.js"
import { deleteWhere, formatEntries, readEntries } from "./saved.js"
import { isUnder } from "./scopes.js"

interface Stop {
  readonly untilMs: number
  readonly pauseMs: number
}

const stopsKept = 4_096
const savedCharacters = 20_000

/**
 * The scopes a rule has stopped. After a pause one message passes and begins the next pause, twice as long, unless the
 * scope was quiet for a while: a loop that waits out every pause gets a handful of messages through in a night.
 */
export class Stops {
  readonly #firstMs: number
  readonly #maxMs: number
  readonly #forgetMs: number
  readonly #stops = new LruMap<string, Stop>(stopsKept)

  constructor({ stopMs, stopMaxMs, stopForgetMs }: GuardLimits, firstMs = stopMs) {
    this.#firstMs = firstMs
    this.#maxMs = Math.max(firstMs, stopMaxMs)
    this.#forgetMs = stopForgetMs
  }

  get isEmpty(): boolean {
    return this.#stops.size === 0
  }

  /** Reports whether a scope was stopped and is not forgotten. */
  has(scope: string): boolean {
    return this.#stops.has(scope)
  }

  /** Returns the milliseconds for which a scope is still stopped; 0 if it is not. */
  leftMs(scope: string, ts: number): number {
    const stop = this.#stops.peek(scope)
    const leftMs = stop === undefined ? 0 : Math.max(0, stop.untilMs - ts)
    // More than the whole pause can only come from a wrong clock.
    return leftMs > (stop?.pauseMs ?? 0) ? 0 : leftMs
  }

  /** Reports whether a scope is stopped, or was and has not been quiet long enough since. */
  isRemembered(scope: string, ts: number): boolean {
    const stop = this.#stops.peek(scope)
    return (
      stop !== undefined &&
      stop.untilMs - ts <= stop.pauseMs &&
      ts < stop.untilMs + Math.max(stop.pauseMs, this.#forgetMs)
    )
  }

  /** Returns the length of the next pause. */
  nextMs(scope: string, ts: number): number {
    const last = this.isRemembered(scope, ts) ? this.#stops.peek(scope)?.pauseMs : undefined
    return last === undefined ? this.#firstMs : Math.min(2 * last, this.#maxMs)
  }

  /** Begins a pause, unless the scope is stopped already. */
  stop(scope: string, ts: number): void {
    if (this.leftMs(scope, ts) > 0) return
    const pauseMs = this.nextMs(scope, ts)
    this.#stops.set(scope, { untilMs: ts + pauseMs, pauseMs })
  }

  /** Forgets one scope. */
  lift(scope: string): void {
    this.#stops.delete(scope)
  }

  /** Forgets all scopes under `scope`. */
  reset(scope: string | undefined): void {
    deleteWhere(this.#stops, (key) => isUnder(key, scope))
  }

  /** Lists what is stopped under `scope`. */
  list(scope: string, ts: number): { readonly scope: string; readonly leftMs: number }[] {
    return [...this.#stops]
      .map(([key]) => ({ scope: key, leftMs: this.leftMs(key, ts) }))
      .filter((stop) => stop.leftMs > 0 && isUnder(stop.scope, scope))
  }

  save(): string {
    return formatEntries(this.#stops, savedCharacters)
  }

  load(state: unknown): void {
    readEntries(this.#stops, state, (value) =>
      isStop(value) && value.pauseMs <= this.#maxMs ? value : undefined,
    )
  }
}

function isStop(value: unknown): value is Stop {
  return isPlain(value) && isNumber(value["untilMs"]) && isNumber(value["pauseMs"])
}
