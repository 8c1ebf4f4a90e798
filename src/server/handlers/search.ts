import type { LogEntry } from "../../backbone/backbone.js"
import {
  type MessagePage,
  type MessageQuery,
  type SearchedLog,
  searchEntries,
} from "../../backbone/message-search.js"
import type { ClientHandlers, ClientMessage } from "../../protocol/client-messages.js"
import { ChatError } from "../../protocol/errors.js"
import type { AgentRef } from "../../protocol/names.js"
import type { Channel } from "../channels/channel.js"
import { channelFamily } from "../channels/history.js"
import { resolveAgent } from "../delivery/agent-lookup.js"
import { mailKey } from "../delivery/mailbox.js"
import { mailFamily } from "../delivery/mailboxes.js"
import { parseStored } from "../delivery/message-json.js"
import type { RelaySettings, Services } from "../services.js"
import type { Agent } from "../sessions/agent.js"
import type { Session } from "../sessions/session.js"

/** Requests that a search costs. */
const searchCost = 5
const defaultMessages = 50
/** Bytes of messages after which an answer ends. */
const answerBytes = 128 * 1024
/** Logs, and entries of all of them, that are read where no index knows what they contain. */
const readLogs = 100
const readEntries = 10_000

/** A log that its reader may search, and how to read its newest entries, oldest first. */
interface ReadableLog extends SearchedLog {
  readonly last: (count: number) => Promise<LogEntry[]> | LogEntry[]
}

type SearchServices = Pick<
  Services,
  "backbone" | "channels" | "mailboxes" | "moderation" | "guards" | "roster"
>

/** Handles LIST_MESSAGES. What an agent may not read, or could not read as a newcomer to the channel, is not found. */
export function searchHandlers(
  services: SearchServices,
  { clock }: RelaySettings,
): Pick<ClientHandlers<Session>, "LIST_MESSAGES"> {
  const { backbone, roster } = services

  /** Searches an index, or reads entries. */
  async function find(logs: readonly ReadableLog[], query: Omit<MessageQuery, "logs">): Promise<MessagePage> {
    const places = logs.map(({ family, key, sinceMs }) => ({ family, key, sinceMs }))
    if (backbone.search !== undefined) return backbone.search({ ...query, logs: places })
    const read = logs.slice(0, readLogs)
    const share = Math.ceil(readEntries / Math.max(1, read.length))
    let isPartial = read.length < logs.length
    const entries = await Promise.all(
      read.map(async ({ family, sinceMs, last }) => {
        const newest = await last(share)
        isPartial ||= newest.length >= share
        return newest.filter(({ ts }) => ts >= sinceMs).map((entry) => ({ ...entry, family }))
      }),
    )
    return { ...searchEntries(entries.flat(), { ...query, logs: places }), isPartial }
  }

  return {
    async LIST_MESSAGES(session, message) {
      const { agent, requestRate } = session
      const { id, kind, text, since, until, thread, before, after, limit = defaultMessages } = message
      if (before !== undefined && after !== undefined)
        throw new ChatError("INVALID_MSG", "LIST_MESSAGES: before and after are mutually exclusive")
      requestRate.charge(clock.monotonic(), searchCost - 1)
      const from = message.from && sendersNamed(message.from, roster)
      const page = await find(await readableLogs(agent, message, services), {
        filter: { from, kind, text, since, until },
        ...{ thread, before, after, limit, maxBytes: answerBytes },
      })
      const list = page.entries.flatMap((entry) => {
        const stored = parseStored(entry)
        if (stored === undefined) return []
        return entry.family === channelFamily ? { ...stored, seq: entry.seq } : stored
      })
      const marks = { ...(page.hasMore && { more: true }), ...(page.isPartial && { partial: true }) }
      session.send({ type: "MESSAGES", list, next: page.next, end: page.end, ...marks }, id)
    },
  }
}

/** Returns what the author of a message may be called: the id of the agent now and before, and its name. */
function sendersNamed(ref: AgentRef, roster: Services["roster"]): string[] {
  const names = [ref.toLowerCase()]
  try {
    const id = resolveAgent(ref, roster, "from")
    names.push(id, ...(roster.recordOf(id)?.formerly ?? []))
  } catch (error) {
    // Its messages are there even if the agent is forgotten.
    if (!(error instanceof ChatError)) throw error
  }
  return [...new Set(names)]
}

/** Returns the logs that an agent may search. @throws {ChatError} CHANNEL_NOT_FOUND for a channel it may not read */
async function readableLogs(
  agent: Agent,
  { channel }: ClientMessage<"LIST_MESSAGES">,
  { channels, mailboxes, moderation, guards }: SearchServices,
): Promise<ReadableLog[]> {
  const { id } = agent
  const wanted = channel === undefined ? channels.visibleTo(id) : [await channels.findLatest(channel, id)]
  const isOperator = guards.isOperator(id)
  const logs = wanted.flatMap((each): ReadableLog[] => {
    const sinceMs = isOperator ? -Infinity : channels.replayStart(each)
    if (sinceMs === Infinity || moderation.isKept(each.name, agent)) return []
    const key = each.name.slice(1)
    return [{ family: channelFamily, key, sinceMs, last: (count) => newestOf(each, key, count) }]
  })
  if (channel !== undefined) return logs
  const last = (count: number) => mailboxes.newest(id, count)
  return [{ family: mailFamily, key: mailKey(id), sinceMs: -Infinity, last }, ...logs]
}

function newestOf(channel: Channel, key: string, count: number): Promise<LogEntry[]> | LogEntry[] {
  if (channel.history !== undefined) return channel.history.last(count)
  const newest = [...channel.replay(undefined, count)]
  return newest.map(({ ts, text }, index) => ({
    ...{ key, ts, value: text },
    seq: channel.seq - newest.length + 1 + index,
  }))
}
