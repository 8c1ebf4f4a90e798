import type { DaemonStatus, OutboxStatus, OutboxWait } from "../../daemon/status.js"
import { formatTime } from "./time.js"

/** Returns why lines of the outbox wait. Older daemons do not write it. */
export function waitsOf({ outbox }: DaemonStatus): readonly OutboxWait[] {
  return (outbox as Partial<OutboxStatus>).waits ?? []
}

/** Describes in one line why lines of the outbox wait. */
export function describeWait({ reason, message, since, until }: OutboxWait, nowMs: number): string {
  const begun = since === undefined ? "" : ` since ${formatTime(since, nowMs)}`
  const hint = reason === "unfinished line" ? "; end it with a newline" : ""
  const next = until === undefined ? "" : `; next in ${Math.max(1, Math.ceil((until - nowMs) / 1_000))} s`
  return `${reason}: ${message}${begun}${next}${hint}`
}
