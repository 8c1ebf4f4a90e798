import { boolean, list, literal, object, optional, parseAs, string } from "../../protocol/schema.js"
import { type ChannelSettings, channelSettings } from "../../protocol/server-messages.js"

/** A channel as it is stored, without its messages. */
export interface ChannelRecord {
  readonly isInviteOnly: boolean
  readonly isDurable: boolean
  readonly settings: ChannelSettings
  /** Id of the agent that changed the settings last. */
  readonly by?: string
  /** Ids of the agents that may join an invite-only channel. */
  readonly invited: readonly string[]
}

/** Formats a record as a row of the table of channels. */
export function formatChannelRecord(record: ChannelRecord): string {
  const { isInviteOnly, isDurable, settings, by, invited } = record
  return JSON.stringify({ v: 1, invite_only: isInviteOnly, durable: isDurable, settings, by, invited })
}

const row = object({
  v: literal(1),
  invite_only: boolean,
  durable: boolean,
  settings: channelSettings,
  by: optional(string),
  invited: list(string),
})

/** @returns undefined for a row that is malformed or of another version */
export function parseChannelRecord(text: string): ChannelRecord | undefined {
  const read = parseAs(row, text)
  if (read === undefined) return undefined
  const { invite_only, durable, settings, by, invited } = read
  return { isInviteOnly: invite_only, isDurable: durable, settings, ...(by !== undefined && { by }), invited }
}

type SettingsChange = { readonly [K in keyof ChannelSettings]: ChannelSettings[K] | undefined }

/** Applies a change: absent fields stay as they are, empty ones are removed. */
export function mergeSettings(old: ChannelSettings, change: SettingsChange): ChannelSettings {
  const present = Object.fromEntries(Object.entries(change).filter(([, value]) => value !== undefined))
  const merged = Object.entries({ ...old, ...present })
  return Object.fromEntries(merged.filter(([, value]) => value !== ""))
}
