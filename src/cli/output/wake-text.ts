import { formatForTerminal } from "../../base/visible-text.js"
import type { WakeStatus } from "../../daemon/wake/wake-status.js"
import { formatAge } from "./time.js"

/** Describes how the agent of a daemon is woken, in lines. */
export function describeWake(status: WakeStatus, now: number): string[] {
  const { proven, doors, waits, ring, failed, channels } = status
  const reachable = doors.length > 0 ? doors.join(", ") : waits ? "agentchat wait" : undefined
  const proof =
    proven === null
      ? `not proven to wake; ${reachable === undefined ? "it reads at its next turn" : `can be rung by ${reachable}`}`
      : `woken by ${proven.method} in ${proven.latency_ms} ms, ${formatAge(proven.proven_ts, now)}`
  const lines = [proof]
  if (ring !== null) lines.push(`rung by ${ring.method} ${formatAge(ring.since, now)}, no echo yet`)
  if (failed !== null) lines.push(`${failed.method} failed ${formatAge(failed.ts, now)}: ${failed.reason}`)
  for (const [channel, attention] of Object.entries(channels)) lines.push(`${channel} is ${attention}`)
  return lines.map(formatForTerminal)
}
