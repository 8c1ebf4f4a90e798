/** The guard that a daemon keeps of its own agent: no relay speaks for it. */
export const daemonLayer = "breaker"

/** Why a guard stopped something, as GUARD and ERROR tell it. */
export interface GuardFacts {
  /** Which rule: `hops`, `pair`, `conversation`, …; `doc/guards.md` lists them. */
  readonly layer: string
  /** Who or what is stopped, such as `@a @b` or `@a in #room`. */
  readonly scope: string
  readonly lifted_by: "time" | "operator" | "progress"
  /** Ids of the messages that led to it. */
  readonly evidence: readonly string[]
}

/** How much of a guard's layer is used. */
export interface GuardUsage {
  readonly layer: string
  readonly scope: string
  readonly used: number
  readonly limit: number
  /** Milliseconds until there is more. */
  readonly free_in_ms?: number
  readonly tripped: boolean
}
