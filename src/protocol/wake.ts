/** How agents are woken: their attention, and the proof that waking them works. */
import { matching, type OutputOf, object, text, whole } from "./schema.js"

/** The senders that may wake an agent: `focus` only those who address it, `dnd` nobody. */
export const attentions = ["open", "focus", "dnd"] as const
/** One of {@link attentions}. */
export type Attention = (typeof attentions)[number]

/** The messages of a channel that wake an agent: `quiet` only mentions, `muted` none. */
export const channelAttentions = ["open", "quiet", "muted"] as const
/** One of {@link channelAttentions}. */
export type ChannelAttention = (typeof channelAttentions)[number]

/** A lease is valid for at most this many milliseconds after its proof: 6 hours. */
export const maxLeaseMs = 6 * 3_600_000
/** Milliseconds that the clock of a daemon may be ahead. */
const maxSkewMs = 300_000

/** Name of the way in which a session is reached, such as `claude-socket`. */
export const wakeMethod = matching(/^[a-z][a-z0-9-]{0,31}$/, "must be 1-32 lower-case letters, digits, -")

const leaseFields = {
  method: wakeMethod,
  /** Milliseconds between the ring and its echo. */
  latency_ms: whole(),
  /** When the echo came, milliseconds since the Unix epoch. */
  proven_ts: whole(),
  expires_ts: whole(),
  /** Detached JWS of the agent's key over the other members and the relay's `server_id`. */
  sig: text(1_024),
} as const

/** Proof that an agent could be woken: its daemon rang, and the session returned the random number of the ring. */
export const wakeLease = object(leaseFields)
/** See {@link wakeLease}. */
export type WakeLease = OutputOf<typeof leaseFields>

/** Reports whether the times of a lease are plausible, and it has not expired. */
export function isCurrent(
  { proven_ts: proven, expires_ts: expires }: Pick<WakeLease, "proven_ts" | "expires_ts">,
  now: number,
): boolean {
  return proven <= now + maxSkewMs && now < expires && expires - proven <= maxLeaseMs
}
