import { closestNames } from "../../base/closest-names.js"
import { formatForTerminal } from "../../base/visible-text.js"
import { ChatError } from "../../protocol/errors.js"
import { maxReason } from "../../protocol/moderation.js"
import type { AgentRef, Channel, RoleRef } from "../../protocol/names.js"
import type { ChannelEntry, ChannelSettings } from "../../protocol/server-messages.js"
import { defineCommand, list as listOf, optional, type Parse, value } from "../command.js"
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
import { channel, closeChoice, textUpTo, worker } from "../input/values.js"
import { printTable } from "../output/table.js"
import { type RequestOptions, relayRequest, requestOptions } from "../relay/relay-request.js"

const verbs = ["list", "show", "set", "default", "remove", "close", "reopen"] as const

/** Parses `--write`. */
const writer: Parse<AgentRef | RoleRef | "all"> = (text, label) =>
  text === "all" ? text : worker(text, label)

export const channels = defineCommand({
  args: {
    verb: optional(`${verbs.join(", ")} (default list)`, closeChoice(verbs), verbs),
    channel: optional("channel to show or set", channel),
  },
  options: {
    ...requestOptions,
    ...textOptions,
    ...replayOptions,
    write: listOf("WHO", "with set: @agents and +roles that may write, or all; for operators", writer),
    reason: value("TEXT", "with close, reopen and set --write: why", textUpTo(maxReason)),
  },
  takesUrl: true,
  examples: [
    "agentchat channels",
    "agentchat channels set '#review' --window 24h --replay on",
    "agentchat channels set '#release' --write +lead --write @bob --reason 'release day'",
    "agentchat channels close '#general' --reason 'release day' --identity operator.json",
  ],
  notes: [
    "list omits channels that you may not see. set changes the given settings only.",
    "default is for channels that have none of their own.",
    "Only for operators: close (only they write, until reopen), set --write (who else writes), remove, default.",
    "Only the maker of a channel or an operator of the relay changes its settings.",
  ],
  async run(context, input) {
    const { verb = "list", channel: name } = input.args
    const settings = settingsOf(input.options)
    const names = Object.keys(settings)
    const action = actionOf(verb, input.options.write, names)
    refuseMisplaced(verb, name, action === undefined ? names : undefined)
    if (action !== undefined && name !== undefined) {
      const { moderate } = await import("../relay/moderate.js")
      return moderate(context, input, { ...action, channel: name, reason: input.options.reason })
    }
    if (verb === "remove" && name !== undefined) return remove(context, input, name)
    if (verb === "show" && name !== undefined) return show(context, input, name)
    if (names.length > 0) return set(context, input, name ?? "*", settings)
    return list(context, input, verb)
  },
})

/** Returns what an operator does with `close`, `reopen` and `set --write`; undefined for other commands. */
function actionOf(
  verb: (typeof verbs)[number],
  write: readonly (AgentRef | RoleRef | "all")[] | undefined,
  settings: readonly string[],
) {
  if (write === undefined) return verb === "close" || verb === "reopen" ? { action: verb } : undefined
  if (verb !== "set" || settings.length > 0) {
    throw new ChatError("USAGE", "--write: only with channels set, and alone: it is signed for the audit log")
  }
  const writers = write.filter((who): who is AgentRef | RoleRef => who !== "all")
  if (writers.length === write.length) return { action: "restrict", writers } as const
  if (write.length === 1) return { action: "unrestrict" } as const
  throw new ChatError("USAGE", "--write all: not with others")
}

/** @param settings - names of the given ones; undefined if the command is about something else */
function refuseMisplaced(
  verb: (typeof verbs)[number],
  name: Channel | undefined,
  settings: readonly string[] | undefined,
): void {
  const needsChannel = !["list", "default"].includes(verb)
  if (needsChannel !== (name !== undefined)) {
    const problem = needsChannel ? "is missing" : "is not allowed"
    throw new ChatError("USAGE", `channels ${verb}: CHANNEL ${problem}`)
  }
  if (settings === undefined) return
  const [first] = settings
  if (first !== undefined && verb !== "set" && verb !== "default") {
    throw new ChatError("USAGE", `--${first}: only with channels set or default`)
  }
  if (verb === "default" && (settings.includes("description") || settings.includes("instructions"))) {
    throw new ChatError("USAGE", "channels default: only --replay and --window are allowed")
  }
  if (verb === "set" && first === undefined) {
    throw new ChatError("USAGE", "channels set: no setting given", {
      hint: "--description, --instructions, --replay, --window or --write",
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
    ...(entry.writers === undefined ? [] : [writersOf(entry.writers)]),
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

function writersOf(writers: readonly string[]): string {
  if (writers.length === 0) return "closed: only operators write"
  return `only ${writers.map(formatForTerminal).join(", ")} and operators write`
}

function kindOf({ invite_only, durable, writers }: ChannelEntry): string {
  const kinds = [
    ...(invite_only ? ["invite-only"] : []),
    ...(durable === true ? ["durable"] : []),
    ...(writers === undefined ? [] : [writers.length === 0 ? "closed" : "restricted"]),
  ]
  return kinds.length === 0 ? "open" : kinds.join(" ")
}
