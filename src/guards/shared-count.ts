import type { GuardLimits } from "./guard-limits.js"
import { isNumber, isPlain, isTexts } from "./plain.js"

/** What agents used up together, and each of them; it drains with time. */
export interface SharedCount {
  readonly ts: number
  readonly used: number
  readonly own: readonly (readonly [agent: string, used: number])[]
  /** The messages counted last. */
  readonly ids: readonly string[]
}

/** How fast it drains: units in a millisecond. */
export interface Drain {
  readonly used: number
  readonly own: number
}

/** Agents told apart in one count. */
const ownKept = 64

/** A count as it stands at `ts`. */
export function drained(count: SharedCount | undefined, ts: number, drain: Drain): SharedCount {
  if (count === undefined) return { ts, used: 0, own: [], ids: [] }
  const gone = Math.max(0, ts - count.ts)
  const own = count.own
    .map(([agent, used]) => [agent, used - gone * drain.own] as const)
    .filter(([, used]) => used > 0)
  return { ...count, ts: Math.max(ts, count.ts), used: Math.max(0, count.used - gone * drain.used), own }
}

/** What `agent` used of it. */
export function ownOf(count: SharedCount, agent: string): number {
  return count.own.find(([id]) => id === agent)?.[1] ?? 0
}

/** The count with something more, of `agent`, for the message `id`. */
export function counted(count: SharedCount, agent: string, cost: number, id: string): SharedCount {
  const others = count.own.filter(([name]) => name !== agent).slice(1 - ownKept)
  return {
    ...count,
    used: count.used + cost,
    own: [...others, [agent, ownOf(count, agent) + cost]],
    ids: [...count.ids, id].slice(-10),
  }
}

/** Who has used nothing yet is let in, among however many. */
const leastHeavy = 2

/**
 * Whether `agent` took its share, or more, of what is nearly used up: who speaks now and then in a room in which others
 * go round in circles is none of those.
 */
export function isHeavy(
  count: SharedCount,
  agent: string,
  { cost, limit }: { readonly cost: number; readonly limit: number },
  { conversationShare, conversationBeside }: GuardLimits,
): boolean {
  const own = ownOf(count, agent)
  const speakers = count.own.length + (own === 0 ? 1 : 0)
  const most = count.own.reduce((max, [, used]) => Math.max(max, used), 0)
  return own + cost >= Math.max((conversationShare * limit) / speakers, leastHeavy, conversationBeside * most)
}

/**
 * The count after `agents` have worked: what they used is theirs again, and of what others used with them as much as their
 * share of the talk was; half of it frees all.
 */
export function refilled(count: SharedCount, agents: readonly string[]): SharedCount {
  const theirs = count.own.reduce((sum, [agent, used]) => sum + (agents.includes(agent) ? used : 0), 0)
  if (theirs === 0) return count
  const all = count.own.reduce((sum, [, used]) => sum + used, 0)
  const left = Math.max(0, 1 - (2 * theirs) / all)
  const own = count.own
    .filter(([agent]) => !agents.includes(agent))
    .map(([agent, used]) => [agent, used * left] as const)
    .filter(([, used]) => used > 0)
  return { ...count, own, used: Math.max(0, count.used - theirs) * left }
}

/** Whether a value is what was kept of a count. */
export function isSharedCount(value: unknown): value is SharedCount {
  return (
    isPlain(value) &&
    isNumber(value["ts"]) &&
    isNumber(value["used"]) &&
    Array.isArray(value["own"]) &&
    value["own"].every(isOwn) &&
    isTexts(value["ids"])
  )
}

function isOwn(value: unknown): boolean {
  if (!Array.isArray(value) || value.length !== 2) return false
  const [agent, used] = value as unknown[]
  return typeof agent === "string" && isNumber(used)
}
