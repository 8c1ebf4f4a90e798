import type { ChannelAttention } from "../../protocol/wake.js"
import type { ProvenWake } from "./wake-lease-keeper.js"

/** The part of status.json about waking. Times are milliseconds since the Unix epoch. */
export interface WakeStatus {
  /** The last proof that the session could be woken; null if there is none, or it is over. */
  readonly proven: ProvenWake | null
  /** How the session can be reached, the strongest way first; none if it reads with its next hook only. */
  readonly doors: readonly string[]
  /** True if an `agentchat wait` runs, which ends when something arrives. */
  readonly waits: boolean
  /** The ring that has no echo yet. */
  readonly ring: { readonly method: string; readonly since: number } | null
  /** Why the last ring failed; null if it did not. */
  readonly failed: { readonly method: string; readonly reason: string; readonly ts: number } | null
  /** Channels that are not open to wake the agent. */
  readonly channels: Readonly<Record<string, ChannelAttention>>
}
