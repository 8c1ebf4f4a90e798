import { omitUndefined } from "../../base/plain.js"
import { formatForTerminal } from "../../base/visible-text.js"
import { claimedPaths } from "../../protocol/claims.js"
import { ChatError } from "../../protocol/errors.js"
import type { RosterEntry } from "../../protocol/server-messages.js"
import { isCurrent } from "../../protocol/wake.js"
import { defineCommand, flag, optional, value } from "../command.js"
import type { Context } from "../context.js"
import { reportSuccess } from "../exit-status.js"
import { agentRef, channel } from "../input/values.js"
import { a2aCard, describeCard, entryWithCard } from "../output/card-text.js"
import { printTable } from "../output/table.js"
import { formatAge } from "../output/time.js"
import { relayRequest, requestOptions } from "../relay/relay-request.js"

const headings = [
  "AGENT",
  "NAME",
  "STATUS",
  "ROLE",
  { optional: "SINCE" },
  { optional: "DAEMON" },
  { optional: "READ" },
  { optional: "ANSWERED" },
  { optional: "WAKE" },
  { text: "ACTIVITY" },
]

export const agents = defineCommand({
  args: { channel: optional("members of this channel (default: all agents the relay knows)", channel) },
  options: {
    ...requestOptions,
    card: value("@AGENT", "show the card of one agent: description, tags, skills", agentRef),
    all: flag("also agents that have been away for more than 7 days"),
    cards: flag("with --json: add the fields of each agent's card"),
  },
  takesUrl: true,
  examples: [
    "agentchat agents",
    "agentchat agents '#general'",
    "agentchat agents --card @bob",
    "agentchat agents ws://127.0.0.1:6667 '#general' --json --cards",
  ],
  notes: [
    "DAEMON: last sign of life of its daemon. READ: last time it read its inbox. ANSWERED: last time it",
    "sent something. `working (stale)`: none of these happened within the last two minutes. WAKE: how it was woken last,",
    "proven by the key of the agent. `(dnd)`, `(focus)`: nothing wakes it, or only what is addressed to it.",
  ],
  async run(context, input) {
    const { channel: wanted } = input.args
    const { card, cards, all } = input.options
    if (card !== undefined && wanted !== undefined) {
      throw new ChatError("USAGE", "--card and CHANNEL are mutually exclusive")
    }
    const withCards = cards || card !== undefined
    const frame = {
      type: "LIST_AGENTS" as const,
      ...omitUndefined({
        channel: wanted,
        agent: card,
        cards: withCards || undefined,
        all: all || undefined,
      }),
    }
    const { answer, self } = await relayRequest(context, input, frame)
    const roster = answer["roster"] as readonly RosterEntry[]
    if (card !== undefined) return showCard(context, card, roster)
    const others = roster.filter(({ id }) => id !== self)
    const ids = (answer["list"] as readonly string[]).filter((id) => id !== self)
    if (!context.config.json) return showRoster(context, others, ids)
    const document = { channel: wanted, list: ids, roster: cards ? others.map(entryWithCard) : others }
    return reportSuccess(context, document, [])
  },
})

function showCard(context: Context, wanted: string, [entry]: readonly RosterEntry[]): number {
  if (entry === undefined) throw new ChatError("AGENT_NOT_FOUND", `${wanted} is not known to the relay`)
  return reportSuccess(context, { card: a2aCard(entry) }, describeCard(entry))
}

/** @param ids - of all agents; `entries` has only the first of them */
function showRoster({ io, clock }: Context, entries: readonly RosterEntry[], ids: readonly string[]): number {
  const nowMs = clock.now()
  const isOffline = ({ status }: RosterEntry) => status === "offline"
  const sorted = [...entries.filter((entry) => !isOffline(entry)), ...entries.filter(isOffline)]
  const hasClaims = sorted.some(({ claims = [] }) => claims.length > 0)
  printTable(
    io,
    hasClaims ? [...headings, { text: "CLAIMS" }] : headings,
    sorted.map((entry) => [
      ...rowOf(entry, nowMs),
      ...(hasClaims ? [formatForTerminal(shownClaims(entry))] : []),
    ]),
  )
  if (ids.length > entries.length) io.note(`and ${ids.length - entries.length} more; --json lists their ids`)
  return 0
}

function rowOf(entry: RosterEntry, nowMs: number): string[] {
  const { id, name, status, role = "", activity = "", stale } = entry
  const ages = [entry.since, entry.seen_ts, entry.read_ts, entry.answered_ts].map((ts) =>
    formatAge(ts, nowMs).replace(" ago", ""),
  )
  const { attention, wakeable } = entry
  const notes = [...(stale === true ? ["stale"] : []), ...(attention === undefined ? [] : [attention])]
  const state = notes.length > 0 ? `${status} (${notes.join(", ")})` : status
  const isProven = wakeable !== undefined && isCurrent(wakeable, nowMs)
  const woken = isProven
    ? `${wakeable.method} ${formatAge(wakeable.proven_ts, nowMs).replace(" ago", "")}`
    : ""
  return [id, name, state, role, ...ages, woken, activity].map(formatForTerminal)
}

/** Returns the first path that an agent has claimed, and how many more there are. */
function shownClaims({ claims = [] }: RosterEntry): string {
  const [first, ...others] = claims.flatMap(claimedPaths)
  return first === undefined ? "" : others.length === 0 ? first : `${first} +${others.length}`
}
