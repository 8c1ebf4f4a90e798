/** Facts for the sender of a direct message about its recipient: whether it reads, and can be woken. */
import { isPlain, omitUndefined } from "../../base/plain.js"
import { formatForTerminal } from "../../base/visible-text.js"
import type { TargetFacts } from "../../protocol/server-messages.js"
import { isCurrent, type WakeLease } from "../../protocol/wake.js"
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

type Facts = Partial<TargetFacts> & Pick<TargetFacts, "status">

/** Returns the facts of an answer; undefined if it has none, as that of a relay of an earlier version. */
export function targetOf(facts: unknown, now: number): TargetDocument | undefined {
  if (!isPlain(facts) || typeof facts["status"] !== "string") return undefined
  // A lease that its agent did not sign was removed when the answer arrived.
  const { status, attention = "open", wakeable, seen_ts, read_ts, unread } = facts as Facts
  const proof = provenBy(wakeable, now)
  const isOnline = status !== "offline"
  return {
    online: isOnline,
    status,
    attention,
    wakeable: proof !== undefined && attention !== "dnd" && isOnline,
    ...proof,
    ...omitUndefined({ seen_ts, read_ts, unread }),
  }
}

function provenBy(
  lease: WakeLease | undefined,
  now: number,
): Pick<WakeLease, "method" | "latency_ms" | "proven_ts"> | undefined {
  if (lease === undefined || !isCurrent(lease, now)) return undefined
  const { method, latency_ms, proven_ts } = lease
  return { method, latency_ms, proven_ts }
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
  // The message that was just sent is one of them.
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
