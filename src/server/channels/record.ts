import { omitUndefined } from "../../base/plain.js"
import { boolean, list, literal, object, optional, parseAs, string } from "../../protocol/schema.js"
import { type ChannelSettings, channelSettings } from "../../protocol/server-messages.js"

/** A channel as it is stored, without its messages. */
export interface ChannelRecord {
  readonly isInviteOnly: boolean
  readonly isDurable: boolean
  readonly settings: ChannelSettings
  /** Id of the agent that created it; absent for a default channel. */
  readonly maker?: string
  /** Id of the agent that changed the settings last. */
  readonly by?: string
  /** Ids of the agents that may join an invite-only channel. */
  readonly invited: readonly string[]
  /** True while the relays of one store take their members out: an operator removes the channel. */
  readonly isRemoved?: boolean
}

/** Formats a record as a row of the table of channels. */
export function formatChannelRecord(record: ChannelRecord): string {
  const { isInviteOnly, isDurable, settings, maker, by, invited, isRemoved: removed } = record
  const others = { settings, maker, by, invited, removed }
  return JSON.stringify({ v: 1, invite_only: isInviteOnly, durable: isDurable, ...others })
}

const row = object({
  v: literal(1),
  invite_only: boolean,
  durable: boolean,
  settings: channelSettings,
  maker: optional(string),
  by: optional(string),
  invited: list(string),
  removed: optional(boolean),
})

/** @returns undefined for a row that is malformed or of another version */
export function parseChannelRecord(text: string): ChannelRecord | undefined {
  const read = parseAs(row, text)
  if (read === undefined) return undefined
  const { invite_only, durable, settings, by, invited } = read
  // Rows of earlier versions do not name the maker, but it is the first that was invited.
  const { maker = invited[0] } = read
  const others = omitUndefined({ maker, by, isRemoved: read.removed })
  return { isInviteOnly: invite_only, isDurable: durable, settings, invited, ...others }
}

type SettingsChange = { readonly [K in keyof ChannelSettings]: ChannelSettings[K] | undefined }

/** Applies a change: absent fields stay as they are, empty ones are removed. */
export function mergeSettings(old: ChannelSettings, change: SettingsChange): ChannelSettings {
  const present = Object.fromEntries(Object.entries(change).filter(([, value]) => value !== undefined))
  const merged = Object.entries({ ...old, ...present })
  return Object.fromEntries(merged.filter(([, value]) => value !== ""))
}
