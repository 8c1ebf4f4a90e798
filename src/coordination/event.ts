import type { AgentId } from "../protocol/names.js"
import { anyObject, object, optional, text } from "../protocol/schema.js"

/** The kind of message part that makes a message an event. */
export const eventPartKind = "agentchat.coordination.event"

/** The agent in whose name a relay sends what comes over HTTP. No session gets this id. */
export const httpAgent = "@2http222" as AgentId

const payload = anyObject()

/** An event to append; `author` is who it claims to be. */
export const eventInput = object({
  kind: text(64, 1),
  author: optional(text(128)),
  payload,
})

/** The facts of a new channel. */
export const channelInput = object({ title: optional(text(200)), created_by: optional(text(128)) })

/** A part of a message that carries an event. */
export const eventPart = object({
  kind: text(64),
  event: text(64, 1),
  author: optional(text(128)),
  payload,
})

/** An event of a channel, as readers get it. */
export interface EventRow {
  /** Rises in each channel. */
  readonly id: number
  readonly channel_id: string
  readonly kind: string
  /** "" if nobody is named. */
  readonly author: string
  readonly payload: Readonly<Record<string, unknown>>
  /** ISO 8601 in UTC, such as `2026-12-01T00:00:00.000+00:00`. */
  readonly created_at: string
  /** False if `author` is only a claim: nobody proved the key of that agent. */
  readonly proven: boolean
  /** True if the channel was closed before. */
  readonly after_close?: true
}

/** A channel, as readers get it. */
export interface ChannelRow {
  readonly id: string
  readonly title: string
  readonly created_by: string
  readonly created_at: string
  readonly closed_at: string | null
  readonly url: string
}

/** Formats a time. @param ms - milliseconds since the Unix epoch */
export function formatTime(ms: number): string {
  return new Date(ms).toISOString().replace("Z", "+00:00")
}

/** Returns the newest event of a kind. @param events - the newest first */
export function newestOf(events: readonly EventRow[], kind: string): EventRow | undefined {
  return events.find((event) => event.kind === kind)
}
