/** Settings of a channel: the options that change them, and how they are printed. */

import { parseDuration } from "../../base/duration.js"
import { omitUndefined } from "../../base/plain.js"
import { formatForTerminal } from "../../base/visible-text.js"
import { ChatError } from "../../protocol/errors.js"
import { descriptionLength, instructionsLength } from "../../protocol/limits.js"
import type { ChannelSettings } from "../../protocol/server-messages.js"
import { type Parse, value } from "../command.js"
import { closeChoice, textUpTo } from "./values.js"

const switches = ["on", "off"] as const

/** Parses `--window`. `none` becomes an empty text, which removes the setting. */
const windowText: Parse<string> = (text, label) => {
  if (text === "none") return ""
  if (parseDuration(text) !== undefined) return text
  throw new ChatError(
    "USAGE",
    `${label}: ${JSON.stringify(text.slice(0, 40))} is neither none nor a time like 90s, 10m, 24h, 7d, up to 3650d`,
  )
}

/** Options for the texts of a channel. */
export const textOptions = {
  description: value(
    "TEXT",
    `purpose of the channel, up to ${descriptionLength} characters`,
    textUpTo(descriptionLength),
  ),
  instructions: value(
    "TEXT",
    `rules for members, up to ${instructionsLength} characters`,
    textUpTo(instructionsLength),
  ),
}

/** Options for the messages that a new member receives. */
export const replayOptions = {
  replay: value("on|off", "whether a new member receives earlier messages", closeChoice(switches), switches),
  window: value("TIME", "age limit of these messages, such as 24h; none for no limit", windowText),
}

/** Values of {@link textOptions} and {@link replayOptions}. */
interface SettingsChoice {
  readonly description?: string | undefined
  readonly instructions?: string | undefined
  readonly replay?: (typeof switches)[number] | undefined
  readonly window?: string | undefined
}

/** Returns the settings given on the command line, as fields of a frame. */
export function settingsOf({
  description,
  instructions,
  replay,
  window,
}: SettingsChoice): Partial<ChannelSettings> {
  return omitUndefined({
    description,
    instructions,
    replay: replay === undefined ? undefined : replay === "on",
    window,
  })
}

/** The replay settings in effect, and whether each is the relay's default. */
export interface EffectiveReplay {
  readonly replay: boolean
  readonly replay_default: boolean
  /** Such as `24h`; null for no limit. */
  readonly window: string | null
  readonly window_default: boolean
}

/** @param defaults - the relay's defaults, from CHANNELS */
export function effectiveReplay(own: ChannelSettings = {}, defaults: ChannelSettings = {}): EffectiveReplay {
  const window = own.window ?? defaults.window
  return {
    replay: own.replay ?? defaults.replay ?? true,
    replay_default: own.replay === undefined,
    window: window === undefined || window === "" ? null : window,
    window_default: own.window === undefined,
  }
}

/** Returns `on`, `off (default)` and so on. */
export function describeReplay({ replay, replay_default }: EffectiveReplay): string {
  return `${replay ? "on" : "off"}${replay_default ? " (default)" : ""}`
}

/** Returns `24h`, `none (default)` and so on. */
export function describeWindow({ window, window_default }: EffectiveReplay): string {
  return `${formatForTerminal(window ?? "none")}${window_default ? " (default)" : ""}`
}
