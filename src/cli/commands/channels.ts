import { closestNames } from "../../base/closest-names.js"
import { formatForTerminal } from "../../base/visible-text.js"
import { ChatError } from "../../protocol/errors.js"
import { maxReason } from "../../protocol/moderation.js"
import type { Channel } from "../../protocol/names.js"
import type { ChannelEntry, ChannelSettings } from "../../protocol/server-messages.js"
import { defineCommand, optional, value } from "../command.js"
import type { Context } from "../context.js"
import { reportSuccess } from "../exit-status.js"
import {
  describeReplay,
  describeWindow,
  effectiveReplay,
  replayOptions,
  settingsOf,
  textOptions,
} from "../input/channel-settings.js"
import { channel, closeChoice, textUpTo } from "../input/values.js"
import { printTable } from "../output/table.js"
import { type RequestOptions, relayRequest, requestOptions } from "../relay/relay-request.js"

const verbs = ["list", "show", "set", "default", "remove", "close", "reopen"] as const

export const channels = defineCommand({
  args: {
    verb: optional(`${verbs.join(", ")} (default list)`, closeChoice(verbs), verbs),
    channel: optional("channel to show or set", channel),
  },
  options: {
    ...requestOptions,
    ...textOptions,
    ...replayOptions,
    reason: value("TEXT", "with close and reopen: why", textUpTo(maxReason)),
  },
  takesUrl: true,
  examples: [
    "agentchat channels",
    "agentchat channels show '#review'",
    "agentchat channels set '#review' --window 24h --replay on",
    "agentchat channels close '#general' --reason 'release day' --identity operator.json",
    "agentchat channels ws://127.0.0.1:6667 --json",
  ],
  notes: [
    "list omits invite-only channels that you are not invited to. set changes the given settings only.",
    "default shows or changes the settings of channels that have none of their own.",
    "Only for operators: close lets only them write to a channel, reopen everybody; remove ends a channel.",
    "Only the maker of a channel or an operator of the relay changes it, and only an operator the defaults.",
  ],
  async run(context, input) {
    const { verb = "list", channel: name } = input.args
    const settings = settingsOf(input.options)
    const isSetting = Object.keys(settings).length > 0
    refuseMisplaced(verb, name, settings)
    if ((verb === "close" || verb === "reopen") && name !== undefined) {
      const { moderate } = await import("../relay/moderate.js")
      return moderate(context, input, { action: verb, channel: name, reason: input.options.reason })
    }
    if (verb === "remove" && name !== undefined) return remove(context, input, name)
    if (verb === "show" && name !== undefined) return show(context, input, name)
    if (isSetting || verb === "set") return set(context, input, name ?? "*", settings)
    return list(context, input, verb)
  },
})

function refuseMisplaced(
  verb: (typeof verbs)[number],
  name: Channel | undefined,
  settings: Partial<ChannelSettings>,
): void {
  const names = Object.keys(settings)
  const needsChannel = verb !== "list" && verb !== "default"
  if (needsChannel !== (name !== undefined)) {
    const problem = needsChannel ? "is missing" : "is not allowed"
    throw new ChatError("USAGE", `channels ${verb}: CHANNEL ${problem}`)
  }
  if (verb !== "set" && verb !== "default" && names.length > 0) {
    throw new ChatError("USAGE", `--${String(names[0])}: only with channels set or default`)
  }
  if (verb === "default" && (names.includes("description") || names.includes("instructions"))) {
    throw new ChatError("USAGE", "channels default: only --replay and --window are allowed")
  }
  if (verb === "set" && names.length === 0) {
    throw new ChatError("USAGE", "channels set: no setting given", {
      hint: "--description, --instructions, --replay or --window",
    })
  }
}

interface Directory {
  readonly entries: readonly ChannelEntry[]
  readonly defaults: ChannelSettings
}

async function readDirectory(context: Context, choice: RequestOptions): Promise<Directory> {
  const { answer } = await relayRequest(context, choice, { type: "LIST_CHANNELS" })
  return {
    entries: answer["list"] as readonly ChannelEntry[],
    defaults: answer["defaults"] ?? {},
  }
}

async function list(context: Context, choice: RequestOptions, verb: string): Promise<number> {
  const { io, config } = context
  const { entries, defaults } = await readDirectory(context, choice)
  const { replay, window } = effectiveReplay(defaults)
  if (verb === "default") {
    const text = `replay ${replay ? "on" : "off"}, window ${formatForTerminal(window ?? "none")}`
    return reportSuccess(context, { channel: "*", replay, window }, text)
  }
  const shown = entries.map((entry) => ({ ...entry, ...effectiveReplay(entry.settings, defaults) }))
  if (config.json) {
    return reportSuccess(context, { list: shown.map(documentOf), defaults: { replay, window } }, [])
  }
  const rows = shown.map((entry) => [
    formatForTerminal(entry.name),
    String(entry.agents),
    kindOf(entry),
    describeReplay(entry),
    describeWindow(entry),
    formatForTerminal(entry.settings?.description ?? ""),
  ])
  printTable(io, ["CHANNEL", "AGENTS", "KIND", "REPLAY", "WINDOW", { text: "DESCRIPTION" }], rows)
  return 0
}

async function show(context: Context, choice: RequestOptions, name: Channel): Promise<number> {
  const { entries, defaults } = await readDirectory(context, choice)
  const entry = entries.find((one) => one.name === name)
  if (entry === undefined) {
    const candidates = closestNames(
      name,
      entries.map((one) => one.name),
    )
    throw new ChatError("CHANNEL_NOT_FOUND", `${name} does not exist, or is not visible to you`, {
      candidates,
    })
  }
  const shown = { ...entry, ...effectiveReplay(entry.settings, defaults) }
  const { description = "–", instructions = "" } = entry.settings ?? {}
  return reportSuccess(context, documentOf(shown), [
    `${formatForTerminal(name)}: ${formatForTerminal(description)}`,
    `${entry.agents} in it, ${kindOf(entry)}, replay ${describeReplay(shown)}, window ${describeWindow(shown)}`,
    ...instructions.split(/\r?\n/).flatMap((line) => (line === "" ? [] : formatForTerminal(line))),
  ])
}

async function remove(context: Context, choice: RequestOptions, channel: Channel): Promise<number> {
  const { via } = await relayRequest(context, choice, { type: "REMOVE_CHANNEL", channel })
  return reportSuccess(context, { channel, via }, `removed ${formatForTerminal(channel)}`)
}

async function set(
  context: Context,
  choice: RequestOptions,
  name: Channel | "*",
  settings: Partial<ChannelSettings>,
): Promise<number> {
  const { via } = await relayRequest(context, choice, { type: "SET_CHANNEL", channel: name, ...settings })
  const target = name === "*" ? "all channels without their own" : name
  const text = `set ${Object.keys(settings).join(" and ")} of ${target}`
  return reportSuccess(context, { channel: name, set: settings, via }, text)
}

function documentOf({
  settings,
  durable = false,
  ...entry
}: ChannelEntry & ReturnType<typeof effectiveReplay>) {
  return { ...entry, durable, description: settings?.description, instructions: settings?.instructions }
}

function kindOf({ invite_only, durable }: ChannelEntry): string {
  const kinds = [...(invite_only ? ["invite-only"] : []), ...(durable === true ? ["durable"] : [])]
  return kinds.length === 0 ? "open" : kinds.join(" ")
}
