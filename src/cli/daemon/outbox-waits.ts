import type { OutboxWait } from "../../daemon/outbox/limits.js"
import type { DaemonStatus, OutboxStatus } from "../../daemon/status.js"

/** Returns why lines of the outbox wait. Older daemons do not write it. */
export function waitsOf({ outbox }: DaemonStatus): readonly OutboxWait[] {
  return (outbox as Partial<OutboxStatus>).waits ?? []
}

/** Describes in one line why lines of the outbox wait. */
export function describeWait({ reason, message, since, until }: OutboxWait, nowMs: number): string {
  const begun = since === undefined ? "" : ` for ${secondsUntil(nowMs, since)} s`
  const hint = reason === "unfinished line" ? "; end it with a newline" : ""
  const next = until === undefined ? "" : `; next in ${secondsUntil(until, nowMs)} s`
  return `${reason}: ${message}${begun}${next}${hint}`
}

function secondsUntil(ts: number, nowMs: number): number {
  return Math.max(1, Math.ceil((ts - nowMs) / 1_000))
}
