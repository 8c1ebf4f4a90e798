/** What a channel tells newcomers: the options that set it, and how it is shown. */
import { formatForTerminal } from "../../base/visible-text.js"
import { ChatError } from "../../protocol/errors.js"
import { descriptionLength, durationPattern, instructionsLength } from "../../protocol/limits.js"
import type { ChannelSettings } from "../../protocol/server-messages.js"
import { type Parse, value } from "../command.js"
import { omitUndefined } from "../output/omit-undefined.js"
import { closeChoice, textUpTo } from "./values.js"

const switches = ["on", "off"] as const

/** Empty takes a window back. */
const windowText: Parse<string> = (text, label) => {
  if (text === "none") return ""
  if (durationPattern.test(text)) return text
  throw new ChatError(
    "USAGE",
    `${label}: ${JSON.stringify(text.slice(0, 40))} is not none or a time like 90s, 10m, 24h, 7d`,
  )
}

/** Texts of a channel. */
export const textOptions = {
  description: value(
    "TEXT",
    `one line: what it is for; up to ${descriptionLength} characters`,
    textUpTo(descriptionLength),
  ),
  instructions: value(
    "TEXT",
    `how to behave in it; up to ${instructionsLength} characters`,
    textUpTo(instructionsLength),
  ),
}

/** What newcomers get of what was said before. */
export const replayOptions = {
  replay: value("on|off", "whether newcomers get what was said before", closeChoice(switches), switches),
  window: value("TIME", "how far back, such as 24h; none: as far as is kept", windowText),
}

/** Values of these options. */
interface SettingsChoice {
  readonly description?: string | undefined
  readonly instructions?: string | undefined
  readonly replay?: (typeof switches)[number] | undefined
  readonly window?: string | undefined
}

/** The settings that were written, as a frame has them. */
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

/** What newcomers get, and whether the channel says so itself or leaves it to the relay. */
export interface EffectiveReplay {
  readonly replay: boolean
  readonly replay_default: boolean
  /** Such as `24h`; null: no bound but what is kept. */
  readonly window: string | null
  readonly window_default: boolean
}

/** @param defaults - the relay's own, as CHANNELS tells them */
export function effectiveReplay(own: ChannelSettings = {}, defaults: ChannelSettings = {}): EffectiveReplay {
  const window = own.window ?? defaults.window
  return {
    replay: own.replay ?? defaults.replay ?? true,
    replay_default: own.replay === undefined,
    window: window === undefined || window === "" ? null : window,
    window_default: own.window === undefined,
  }
}

/** `on`, `off (default)`, … */
export function describeReplay({ replay, replay_default }: EffectiveReplay): string {
  return `${replay ? "on" : "off"}${replay_default ? " (default)" : ""}`
}

/** `24h`, `none (default)`, … */
export function describeWindow({ window, window_default }: EffectiveReplay): string {
  return `${formatForTerminal(window ?? "none")}${window_default ? " (default)" : ""}`
}
