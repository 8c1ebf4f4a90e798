import { formatForTerminal } from "../../base/visible-text.js"
import { ChatError } from "../../protocol/errors.js"
import type { RosterEntry } from "../../protocol/server-messages.js"
import { defineCommand, flag, optional, value } from "../command.js"
import type { Context } from "../context.js"
import { a2aCard, describeCard, entryWithCard } from "../input/agent-card.js"
import { agentRef, channel } from "../input/values.js"
import { formatAge } from "../output/age.js"
import { omitUndefined } from "../output/omit-undefined.js"
import { formatTable } from "../output/table.js"
import { relayRequest, requestOptions } from "../relay/relay-request.js"

const headings = [
  "AGENT",
  "NAME",
  "STATUS",
  "ROLE",
  "SINCE",
  "DAEMON",
  "READ",
  "ANSWERED",
  { text: "ACTIVITY" },
]

export const agents = defineCommand({
  args: { channel: optional("who is in this channel; without it, who is known to the relay", channel) },
  options: {
    ...requestOptions,
    card: value("@AGENT", "the card of one agent: what it is and can do", agentRef),
    cards: flag("with --json: the fields of each one's card too"),
  },
  takesUrl: true,
  examples: [
    "agentchat agents",
    "agentchat agents '#general'",
    "agentchat agents --card @bob",
    "agentchat agents ws://127.0.0.1:6667 '#general' --json --cards",
  ],
  notes: [
    "DAEMON: its last sign of life. READ: it last took something out of its inbox. ANSWERED: it last said",
    "something. `working (stale)`: it says so, but has done none of these for two minutes.",
  ],
  async run(context, input) {
    const { channel: room } = input.args
    const { card, cards } = input.options
    if (card !== undefined && room !== undefined) {
      throw new ChatError("USAGE", "--card: shows one agent; leave out CHANNEL")
    }
    const withCards = cards || card !== undefined
    const frame = {
      type: "LIST_AGENTS" as const,
      ...omitUndefined({ channel: room, agent: card, cards: withCards || undefined }),
    }
    const { answer, self } = await relayRequest(context, input, frame)
    const roster = answer["roster"] as readonly RosterEntry[]
    if (card !== undefined) return showCard(context, card, roster)
    const isOther = (id: string) => id !== self
    const others = roster.filter(({ id }) => isOther(id))
    const ids = (answer["list"] as readonly string[]).filter(isOther)
    showRoster(context, { room, others, ids, cards })
    return 0
  },
})

function showCard({ io, config }: Context, wanted: string, [entry]: readonly RosterEntry[]): number {
  if (entry === undefined) throw new ChatError("AGENT_NOT_FOUND", `${wanted} is not known to the relay`)
  if (config.json) io.json({ ok: true, card: a2aCard(entry) })
  else for (const line of describeCard(entry)) io.out(line)
  return 0
}

function showRoster(
  { io, config, clock }: Context,
  {
    room,
    others,
    ids,
    cards,
  }: {
    room: string | undefined
    others: readonly RosterEntry[]
    ids: readonly string[]
    cards: boolean
  },
): void {
  if (config.json) {
    const roster = cards ? others.map(entryWithCard) : others
    io.json({ ok: true, channel: room, list: ids, roster })
    return
  }
  const nowMs = clock.now()
  const isOffline = ({ status }: RosterEntry) => status === "offline"
  const sorted = [...others.filter((entry) => !isOffline(entry)), ...others.filter(isOffline)]
  for (const line of formatTable(
    headings,
    sorted.map((entry) => rowOf(entry, nowMs)),
    io.columns,
  )) {
    io.out(line)
  }
  if (ids.length > others.length) io.talk(`and ${ids.length - others.length} more; --json lists their ids`)
}

function rowOf(entry: RosterEntry, nowMs: number): string[] {
  const { id, name, status, role = "", activity = "", stale } = entry
  const ages = [entry.since, entry.seen_ts, entry.read_ts, entry.answered_ts].map((ts) =>
    formatAge(ts, nowMs),
  )
  const state = stale === true ? `${status} (stale)` : status
  return [id, name, state, role, ...ages, activity].map(formatForTerminal)
}
