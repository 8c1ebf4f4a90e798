import type { ChannelSettings } from "../../protocol/server-messages.js"

/** What is kept of a channel beside what was said in it. */
export interface ChannelRecord {
  readonly isInviteOnly: boolean
  readonly isDurable: boolean
  readonly settings: ChannelSettings
  /** Agent id of who changed the settings last. */
  readonly by?: string
  /** Agent ids that may come in, when it is invite-only. */
  readonly invited: readonly string[]
}

/** As a row of the table of channels. */
export function formatChannelRecord(record: ChannelRecord): string {
  const { isInviteOnly, isDurable, settings, by, invited } = record
  return JSON.stringify({ v: 1, invite_only: isInviteOnly, durable: isDurable, settings, by, invited })
}

/** @returns undefined for a row that another version wrote */
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

/** Fields that are left out stay; empty ones are taken back. */
export function mergeSettings(old: ChannelSettings, change: Changes): ChannelSettings {
  const { description, instructions, replay, window } = { ...old, ...dropAbsent(change) }
  return {
    ...(description !== undefined && description !== "" && { description }),
    ...(instructions !== undefined && instructions !== "" && { instructions }),
    ...(replay !== undefined && { replay }),
    ...(window !== undefined && window !== "" && { window }),
  }
}

type Changes = { readonly [K in keyof ChannelSettings]: ChannelSettings[K] | undefined }

function dropAbsent(change: Changes): ChannelSettings {
  return Object.fromEntries(Object.entries(change).filter(([, value]) => value !== undefined))
}

const unitMs: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** Milliseconds of a length of time such as `24h`. */
export function durationMs(text: string): number {
  return Number(text.slice(0, -1)) * (unitMs[text.slice(-1)] ?? 0)
}
