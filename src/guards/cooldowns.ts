import { isNumber, isPlain } from "../base/plain.js"
import { SavedMap } from "./saved-map.js"
import { isUnder } from "./scopes.js"

/** How long stops last, in milliseconds. */
export interface Pauses {
  readonly firstMs: number
  readonly maxMs: number
  readonly forgetMs: number
}

interface Stop {
  readonly untilMs: number
  readonly pauseMs: number
}

/**
 * What is stopped, and until when. After a pause one try passes and begins the next pause, twice as long, unless all was
 * quiet for a while: a loop that waits its time out gets a handful of messages through in a night.
 */
export class Cooldowns {
  readonly #pauses: Pauses
  readonly #stops = new SavedMap<Stop>(4_096, 30_000)

  constructor(pauses: Pauses) {
    this.#pauses = pauses
  }

  /** Nothing is stopped, nor was not long ago. */
  get isEmpty(): boolean {
    return this.#stops.size === 0
  }

  /** Another number after each change. */
  get version(): number {
    return this.#stops.version
  }

  /** Milliseconds for which `scope` is still stopped; 0: it is not. */
  leftMs(scope: string, ts: number): number {
    const stop = this.#stops.get(scope)
    const leftMs = stop === undefined ? 0 : Math.max(0, stop.untilMs - ts)
    // No pause is longer than it was when it began: the time is none.
    return leftMs > (stop?.pauseMs ?? 0) ? 0 : leftMs
  }

  /** Whether `scope` is or was stopped, and has not been quiet long enough since. */
  isRemembered(scope: string, ts: number): boolean {
    const stop = this.#stops.get(scope)
    return (
      stop !== undefined &&
      stop.untilMs - ts <= stop.pauseMs &&
      ts < stop.untilMs + Math.max(stop.pauseMs, this.#pauses.forgetMs)
    )
  }

  /** How long `scope` would be stopped. */
  nextMs(scope: string, ts: number): number {
    const last = this.isRemembered(scope, ts) ? this.#stops.get(scope)?.pauseMs : undefined
    return last === undefined ? this.#pauses.firstMs : Math.min(2 * last, this.#pauses.maxMs)
  }

  /** Stops `scope`, if it is not stopped. */
  stop(scope: string, ts: number): void {
    if (this.leftMs(scope, ts) > 0) return
    const pauseMs = this.nextMs(scope, ts)
    this.#stops.set(scope, { untilMs: ts + pauseMs, pauseMs })
  }

  /** Lets `scope` go, and nothing else. */
  lift(scope: string): void {
    this.#stops.delete(scope)
  }

  /** Lets go what falls under `scope`. */
  reset(scope: string | undefined): void {
    for (const [key] of this.#stops.entries()) if (isUnder(key, scope)) this.#stops.delete(key)
  }

  /** What is stopped under `scope`. */
  list(scope: string, ts: number): { readonly scope: string; readonly leftMs: number }[] {
    return this.#stops
      .entries()
      .map(([key]) => ({ scope: key, leftMs: this.leftMs(key, ts) }))
      .filter((stop) => stop.leftMs > 0 && isUnder(stop.scope, scope))
  }

  save(): unknown {
    return this.#stops.save()
  }

  load(state: unknown): void {
    const { maxMs, firstMs } = this.#pauses
    const isOurs = (value: unknown): value is Stop =>
      isStop(value) && value.pauseMs <= Math.max(maxMs, firstMs)
    this.#stops.load(state, isOurs)
  }
}

function isStop(value: unknown): value is Stop {
  return isPlain(value) && isNumber(value["untilMs"]) && isNumber(value["pauseMs"])
}
