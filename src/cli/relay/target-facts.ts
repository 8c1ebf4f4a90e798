/** What the sender of a direct message learns about the agent it goes to: whether it reads, and can be woken. */
import { isPlain } from "../../base/plain.js"
import { formatForTerminal } from "../../base/visible-text.js"
import type { RosterEntry, TargetFacts } from "../../protocol/server-messages.js"
import { isCurrent } from "../../protocol/wake.js"
import { formatAge } from "../output/time.js"

/** An agent that has read nothing for this many milliseconds, while something waits for it, is not reading. */
const quietMs = 300_000

/** The facts as a document has them. Times are milliseconds since the Unix epoch. */
export interface TargetDocument {
  readonly online: boolean
  readonly status: string
  readonly attention: string
  /** True if it was proven within the last hours that the agent can be woken, and it lets messages wake it. */
  readonly wakeable: boolean
  /** How it was woken, how long that took, and when; absent unless proven. */
  readonly method?: string
  readonly latency_ms?: number
  readonly proven_ts?: number
  /** Last sign of life of its daemon. */
  readonly seen_ts?: number
  /** When a reader last took something from its inbox; absent if none ever has. */
  readonly read_ts?: number
  /** Messages for it that nobody has read, with this one; absent if another relay knows. */
  readonly unread?: number
}

/** Returns the facts of an answer; undefined if it has none, as that of a relay of an earlier version. */
export function targetOf(facts: unknown, now: number): TargetDocument | undefined {
  if (!isPlain(facts) || typeof facts["status"] !== "string") return undefined
  // A lease that its agent did not sign was removed when the answer arrived.
  const {
    status,
    attention = "open",
    wakeable,
    seen_ts,
    read_ts,
    unread,
  } = facts as Partial<RosterEntry> & TargetFacts
  const isProven = wakeable !== undefined && isCurrent(wakeable, now)
  const { method, latency_ms, proven_ts } = wakeable ?? {}
  const proof = isProven && method !== undefined ? { method, latency_ms, proven_ts } : {}
  return {
    online: status !== "offline",
    status,
    attention,
    wakeable: isProven && attention !== "dnd" && status !== "offline",
    ...(proof as Pick<TargetDocument, "method" | "latency_ms" | "proven_ts">),
    ...(seen_ts !== undefined && { seen_ts }),
    ...(read_ts !== undefined && { read_ts }),
    ...(unread !== undefined && { unread }),
  }
}

/** Says that an agent is not reading; undefined if it is, as far as is known. */
export function describeSilence(to: string, target: TargetDocument, now: number): string | undefined {
  const why = whyNotReading(target, now)
  if (why === undefined) return undefined
  const { unread } = target
  const count = unread === undefined ? "" : `, ${unread} unread`
  return formatForTerminal(`${to}: ${why}${count}; waits in its mailbox`)
}

function whyNotReading(target: TargetDocument, now: number): string | undefined {
  const { online, attention, wakeable, seen_ts, read_ts, unread = 0 } = target
  if (!online) return `offline${since(seen_ts, now)}`
  if (attention === "dnd") return "does not want to be disturbed"
  // What has just been sent is one of them.
  const hasEarlier = unread > 1
  if (read_ts === undefined) return hasEarlier ? "has read nothing yet" : undefined
  const isQuiet = now - read_ts >= quietMs
  return isQuiet && (hasEarlier || !wakeable) ? `not reading${since(read_ts, now)}` : undefined
}

function since(ts: number | undefined, now: number): string {
  const age = formatAge(ts, now)
  return age.endsWith(" ago") ? ` for ${age.slice(0, -" ago".length)}` : ""
}

/** Says how an agent is woken, or why it is not known to be. */
export function describeWakeable(to: string, target: TargetDocument, now: number): string {
  const { online, attention, wakeable, method = "", latency_ms, proven_ts } = target
  if (wakeable) return `${to}: woken by ${method} in ${latency_ms ?? 0} ms, ${formatAge(proven_ts, now)}`
  if (!online) return `${to}: offline`
  if (attention === "dnd") return `${to}: does not want to be disturbed`
  return `${to}: not proven to wake; it reads at its next turn`
}
