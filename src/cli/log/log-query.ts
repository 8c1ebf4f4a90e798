/** Searches the messages of a relay, and the lines of this agent's own inbox. */
import { existsSync } from "node:fs"
import type { DaemonPaths } from "../../daemon/files/paths.js"
import { followInbox, readInbox } from "../../daemon/inbox/reader.js"
import { ChatError } from "../../protocol/errors.js"
import {
  type IndexedFields,
  indexedFieldsOf,
  messageTest,
  threadAround,
} from "../../protocol/message-filter.js"
import { type Kind, messageKinds } from "../../protocol/message-kinds.js"
import type { AgentRef, Channel } from "../../protocol/names.js"
import type { ServerMessage } from "../../protocol/server-messages.js"
import { isVerb } from "../../protocol/verbs.js"
import type { Context } from "../context.js"
import { chooseInstance } from "../daemon/daemon-choice.js"
import { type RequestOptions, relayRequest } from "../relay/relay-request.js"

/** Kinds of lines that only an inbox has. */
const lineKinds = ["task", "deal", "invite", "guard"] as const
/** The values of `--kind`. */
export const searchedKinds = [...messageKinds, ...lineKinds] as const

/** A search. Times are milliseconds since the Unix epoch. */
export interface LogQuery {
  readonly from: AgentRef | undefined
  readonly channel: Channel | undefined
  readonly thread: string | undefined
  readonly since: number | undefined
  readonly until: number | undefined
  readonly text: string | undefined
  readonly kind: (typeof searchedKinds)[number] | undefined
}

/** A message of the relay, or a line of the inbox. */
export type LogMessage = Readonly<Record<string, unknown>>

/** Messages that were found, oldest first. */
export interface LogResult {
  readonly messages: readonly LogMessage[]
  /** True if there are more than were asked for. */
  readonly hasMore: boolean
  /** True if the relay did not search all of its messages. */
  readonly isPartial: boolean
  /** The position after which everything in the relay is new; undefined if it was not asked. */
  readonly end: number | undefined
  /** Number of the newest line of the inbox; undefined if it was not read. */
  readonly seq: number | undefined
}

/** Most messages of an export. */
const maxExported = 200_000
const pageLimit = 200

/** Where to search. */
export interface LogSource {
  readonly context: Context
  readonly choice: RequestOptions
  /** True to search only the inbox. */
  readonly isLocal: boolean
}

/** Finds the newest messages. @throws {ChatError} the error of the relay; NOT_FOUND without a relay and an inbox */
export async function findNewest(source: LogSource, query: LogQuery, limit: number): Promise<LogResult> {
  const relay = await newestOfRelay(source, query, limit)
  return mergeResults(relay, linesOf(source, query, limit, relay === undefined), limit)
}

/** Finds all messages, at most {@link maxExported}. @throws {ChatError} as {@link findNewest}; LIMIT_REACHED */
export async function findAll(source: LogSource, query: LogQuery): Promise<LogResult> {
  const relay = await allOfRelay(source, query)
  const result = mergeResults(
    relay,
    linesOf(source, query, maxExported + 1, relay === undefined),
    maxExported,
  )
  if (!result.hasMore) return result
  throw new ChatError("LIMIT_REACHED", `export: there are more than ${maxExported} messages`, {
    hint: "export a part of them, such as with --in '#channel' or --since 7d",
  })
}

async function newestOfRelay(
  source: LogSource,
  query: LogQuery,
  limit: number,
): Promise<LogResult | undefined> {
  const first = await askRelay(source, query, { limit: Math.min(limit, pageLimit) })
  if (first === undefined) return undefined
  let [messages, page]: [readonly LogMessage[], Answer] = [first.list, first]
  while (messages.length < limit && page.more === true) {
    const next = await askRelay(source, query, {
      limit: Math.min(limit - messages.length, pageLimit),
      before: page.next,
    })
    if (next === undefined) break
    page = next
    messages = [...page.list, ...messages]
  }
  return resultOf(messages, first, page.more === true)
}

async function allOfRelay(source: LogSource, query: LogQuery): Promise<LogResult | undefined> {
  let page = await askRelay(source, query, { limit: pageLimit, after: 0 })
  if (page === undefined) return undefined
  const messages = [...page.list]
  while (page.more === true && messages.length <= maxExported) {
    const next: Answer | undefined = await askRelay(source, query, { limit: pageLimit, after: page.next })
    if (next === undefined) break
    page = next
    messages.push(...page.list)
  }
  return resultOf(messages, page, page.more === true)
}

function resultOf(messages: readonly LogMessage[], { end, partial }: Answer, hasMore: boolean): LogResult {
  return { messages, hasMore, isPartial: partial === true, end, seq: undefined }
}

type Answer = ServerMessage<"MESSAGES">
interface Page {
  readonly limit: number
  readonly before?: number
  readonly after?: number
}

/** Asks the relay; undefined if only the inbox can have what is looked for, or if the relay is away. */
export async function askRelay(
  { context, choice, isLocal }: LogSource,
  { from, channel, thread, since, until, text, kind }: LogQuery,
  page: Page,
): Promise<Answer | undefined> {
  const isOfRelay = kind === undefined || (messageKinds as readonly string[]).includes(kind)
  if (isLocal || !isOfRelay) return undefined
  const query = { from, channel, thread, since, until, text, kind: kind as Kind | undefined }
  const fields = Object.fromEntries(Object.entries(query).filter(([, value]) => value !== undefined))
  try {
    const { answer } = await relayRequest(context, choice, { type: "LIST_MESSAGES", ...fields, ...page })
    return answer as unknown as Answer
  } catch (error) {
    const isAway = error instanceof ChatError && ["UNREACHABLE", "NOT_FOUND"].includes(error.code)
    if (!isAway || inboxOf(context, choice) === undefined) throw error
    context.io.note(`${error.message}; searched only the inbox`)
    return undefined
  }
}

/** Returns the inbox of this directory's daemon; undefined if it has none, or if the command speaks as somebody else. */
export function inboxOf(context: Context, { url, options }: RequestOptions): DaemonPaths | undefined {
  if (url !== undefined || options.identity !== undefined || options.nick !== undefined) return undefined
  const paths = chooseInstance(context, options.name)
  return existsSync(paths.inbox) || existsSync(paths.segments) ? paths : undefined
}

interface Lines {
  readonly messages: readonly LogMessage[]
  readonly hasMore: boolean
  readonly seq: number
}

/** Finds lines of the inbox. @param isNeeded - to throw NOT_FOUND if there is none */
function linesOf(
  { context, choice }: LogSource,
  query: LogQuery,
  limit: number,
  isNeeded: boolean,
): Lines | undefined {
  const paths = inboxOf(context, choice)
  if (paths === undefined) {
    if (!isNeeded) return undefined
    throw new ChatError("NOT_FOUND", "this directory has no inbox to search", {
      hint: "start a daemon: agentchat daemon --background; or name a relay: agentchat log --server URL",
    })
  }
  return query.thread === undefined ? newestLines(paths, query, limit) : linesOfThread(paths, query, limit)
}

function newestLines(paths: DaemonPaths, query: LogQuery, limit: number): Lines {
  const isWanted = lineTest(query)
  const found: LogMessage[] = []
  let [hasMore, seq] = [false, 0]
  for (const entry of readInbox(paths, { sinceSeq: 0 })) {
    seq = entry.seq
    if (!isWanted(entry.fields)) continue
    found.push(entry.fields)
    hasMore ||= found.length > limit
    if (found.length > 2 * limit) found.splice(0, found.length - limit)
  }
  return { messages: found.slice(-limit), hasMore, seq }
}

/** Finds a conversation, which is known only when all lines are read. */
function linesOfThread(paths: DaemonPaths, query: LogQuery, limit: number): Lines {
  const isWanted = lineTest(query)
  const replies = new Map<string, string | undefined>()
  const found: { readonly line: LogMessage; readonly id: string }[] = []
  let seq = 0
  for (const entry of readInbox(paths, { sinceSeq: 0 })) {
    seq = entry.seq
    const fields = lineFieldsOf(entry.fields)
    if (fields === undefined) continue
    replies.set(fields.id, fields.replyTo)
    if (isWanted(entry.fields)) found.push({ line: entry.fields, id: fields.id })
  }
  const thread = threadAround(query.thread ?? "", replies)
  const within = found.filter(({ id }) => thread.has(id)).map(({ line }) => line)
  return { messages: within.slice(-limit), hasMore: within.length > limit, seq }
}

/** Yields lines as they are written to the inbox. @param seq - the last line before them */
export async function* followLines(
  { context }: LogSource,
  paths: DaemonPaths,
  query: LogQuery,
  { seq, signal }: { readonly seq: number; readonly signal: AbortSignal },
): AsyncGenerator<LogMessage> {
  const isWanted = lineTest(query)
  for await (const { fields } of followInbox(paths, seq, { clock: context.clock, signal })) {
    if (isWanted(fields)) yield fields
  }
}

/** Returns a test of lines of an inbox, without the thread. */
function lineTest({ from, channel, since, until, text, kind }: LogQuery): (line: LogMessage) => boolean {
  const senders = from === undefined ? undefined : [from.toLowerCase()]
  const isWanted = messageTest({ from: senders, since, until, text, kind })
  return (line) => {
    const fields = lineFieldsOf(line)
    if (fields === undefined) return false
    if (channel !== undefined && line["to"] !== channel && line["channel"] !== channel) return false
    return isWanted(fields, Number(line["ts"] ?? 0))
  }
}

const kindsOfTypes: Readonly<Record<string, string>> = {
  ...{ TASK: "task", TASK_LOST: "task", INVITE: "invite", GUARD: "guard" },
}

/** Returns the fields by which a line of an inbox is found; undefined for what nobody searches. */
function lineFieldsOf(line: LogMessage): IndexedFields | undefined {
  const message = indexedFieldsOf(line)
  if (message !== undefined) return message
  const { type, from, by, name, msg_id: msgId, task, id, proposal_id: proposal, ...others } = line
  const kind = isVerb(String(type)) ? "deal" : kindsOfTypes[String(type)]
  if (kind === undefined) return undefined
  const texts = [others["content"], others["reason"], others["proof"], kind === "deal" ? task : undefined]
  return {
    ...{ kind, from: textOf(from ?? by), name: textOf(name) },
    id: textOf(msgId ?? (kind === "task" ? task : id)),
    replyTo: typeof proposal === "string" ? proposal : undefined,
    text: texts.map(textOf).join("\n"),
  }
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : ""
}

/** Joins what the relay and the inbox have, each message once. A line of the inbox has a number to refer to. */
function mergeResults(relay: LogResult | undefined, lines: Lines | undefined, limit: number): LogResult {
  const own = lines?.messages ?? []
  const ids = new Set(own.map((line) => line["msg_id"]))
  const others = (relay?.messages ?? []).filter((message) => !ids.has(message["msg_id"]))
  const byTime = (a: LogMessage, b: LogMessage) => Number(a["ts"] ?? 0) - Number(b["ts"] ?? 0)
  // The sequence number of a channel must not be taken for that of a line.
  const all = [...others.map((message) => ({ ...message, seq: undefined })), ...own].sort(byTime)
  return {
    messages: all.slice(-limit),
    hasMore: all.length > limit || relay?.hasMore === true || lines?.hasMore === true,
    isPartial: relay?.isPartial === true,
    end: relay?.end,
    seq: lines?.seq,
  }
}
