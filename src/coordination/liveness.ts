import { holderOf } from "./concepts.js"
import { type EventRow, newestOf } from "./event.js"

/** Seconds within which an agent that holds work posts a `status`. */
export const cadenceS = 60
/** An agent is presumed dead when it is silent for longer than this. */
const deadMs = 5 * cadenceS * 1_000

/** Facts about the life of an agent of a channel. */
export interface Presence {
  /** When it posted its newest `status`; null for one that holds work and never did. */
  readonly last_status_at: string | null
  readonly age_s: number
  readonly phase: string | null
  readonly presumed_dead: boolean
}

/**
 * Returns the presence of every agent that posted a `status`, and of the holder. The age of a holder that posted none
 * counts from the `state` that named it; agents without work are never presumed dead.
 * @param events - the newest first
 * @param nowMs - milliseconds since the Unix epoch
 */
export function presenceOf(events: readonly EventRow[], nowMs: number): Record<string, Presence> {
  const busy = busyAgents(newestOf(events, "state")?.payload ?? {})
  const found = new Map<string, Presence>()
  for (const { kind, author, payload, created_at } of events) {
    if (kind !== "status" || author === "" || found.has(author)) continue
    const { phase } = payload
    const { age_s, isSilent } = silence(created_at, nowMs)
    found.set(author, {
      last_status_at: created_at,
      age_s,
      phase: typeof phase === "string" ? phase : null,
      presumed_dead: busy.has(author) && isSilent,
    })
  }
  const { holder, since } = handoffOf(events)
  if (holder !== undefined && !found.has(holder)) {
    const { age_s, isSilent } = silence(since, nowMs)
    found.set(holder, { last_status_at: null, age_s, phase: null, presumed_dead: isSilent })
  }
  return Object.fromEntries(found)
}

function silence(since: string, nowMs: number) {
  const ageMs = nowMs - Date.parse(since)
  return { age_s: Math.max(0, ageMs) / 1_000, isSilent: ageMs > deadMs }
}

/** Reports whether the holder of the newest `state` is presumed dead, so that others may take over. */
export function isHolderDead(events: readonly EventRow[], nowMs: number): boolean {
  const state = newestOf(events, "state")
  const holder = state && holderOf(state.payload)
  return holder !== undefined && presenceOf(events, nowMs)[holder]?.presumed_dead === true
}

/** Returns the holder and the owners of concepts in progress. */
function busyAgents(payload: Readonly<Record<string, unknown>>): Set<string> {
  const busy = new Set<string>()
  const holder = holderOf(payload)
  if (holder !== undefined) busy.add(holder)
  const { concepts } = payload
  if (!Array.isArray(concepts)) return busy
  for (const each of concepts as ({ owner?: unknown; status?: unknown } | null)[]) {
    if (each?.status === "in_progress" && typeof each.owner === "string") busy.add(each.owner)
  }
  return busy
}

/** Returns the holder, and when the newest row of states that all name it began. */
function handoffOf(events: readonly EventRow[]): {
  readonly holder?: string | undefined
  readonly since: string
} {
  const [newest, ...older] = events.filter(({ kind }) => kind === "state")
  const holder = newest && holderOf(newest.payload)
  let since = newest?.created_at ?? ""
  for (const { payload, created_at } of older) {
    if (holderOf(payload) !== holder) break
    since = created_at
  }
  return { holder, since }
}
