import type { ChannelSettings } from "../../protocol/server-messages.js"

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

/** @returns undefined for a row of another version */
export function parseChannelRecord(text: string): ChannelRecord | undefined {
  const row = JSON.parse(text) as {
    v: number
    invite_only: boolean
    durable: boolean
    settings: ChannelSettings
    by?: string
    invited: readonly string[]
  }
  if (row.v !== 1) return undefined
  const { invite_only, durable, settings, by, invited } = row
  return { isInviteOnly: invite_only, isDurable: durable, settings, ...(by !== undefined && { by }), invited }
}

type SettingsChange = { readonly [K in keyof ChannelSettings]: ChannelSettings[K] | undefined }

/** Applies a change: absent fields stay as they are, empty ones are removed. */
export function mergeSettings(old: ChannelSettings, change: SettingsChange): ChannelSettings {
  const present = Object.fromEntries(Object.entries(change).filter(([, value]) => value !== undefined))
  const merged = Object.entries({ ...old, ...present })
  return Object.fromEntries(merged.filter(([, value]) => value !== ""))
}
