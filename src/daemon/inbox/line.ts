import { formatJsonLine } from "../../base/visible-text.js"
import { isQuiet } from "../../protocol/message-kinds.js"
import { isVerb, type Verb } from "../../protocol/verbs.js"

/** A line for the inbox, before it has its `seq`. */
export type InboxLine = Readonly<Record<string, unknown>> & { readonly type: string }

/** A line with the id that duplicates of it are recognized by. */
export interface IdentifiedLine {
  readonly line: InboxLine
  readonly msgId?: string
}

/** Formats a line without its `seq` and its newline; {@link formatNumbered} completes it. */
export function formatBody(line: InboxLine): string {
  if (Object.hasOwn(line, "seq")) throw new Error(`inbox: ${line.type} has a seq already`)
  return formatJsonLine(line).slice(1)
}

const pageBytes = 4096
/** Longer lines may cross a page: the padding would cost readers more context than it is worth. */
const maxPaddedBytes = 1024

/**
 * Formats whole lines, the first of them numbered `firstSeq`.
 *
 * The kernel makes an append visible page by page, so a reader may see the file end at the end of a page. Lines
 * therefore do not cross pages: the line before gets spaces at its end, which mean nothing in JSON. The last line leaves
 * room for a line of twice its size, because the next one is not known yet. Only a line over 1 KiB, or more than twice
 * as long as the one before, can be seen cut off, for a microsecond.
 * @param offset - where in the file the first line begins, in bytes
 */
export function formatNumbered(firstSeq: number, bodies: readonly string[], offset: number): string {
  const lines = bodies.map((body, index) => `{"seq":${firstSeq + index},${body}`)
  const sizes = lines.map((line) => Buffer.byteLength(line) + 1)
  let end = offset
  let text = ""
  for (const [index, line] of lines.entries()) {
    const size = sizes[index] ?? 0
    end += size
    const spaces = paddingBefore(end, sizes[index + 1] ?? Math.min(size * 2, maxPaddedBytes))
    end += spaces
    text += `${line}${" ".repeat(spaces)}\n`
  }
  return text
}

/** Returns how many bytes to leave free at `offset` so that the next `bytes` do not cross a page. */
function paddingBefore(offset: number, bytes: number): number {
  const room = pageBytes - (offset % pageBytes)
  return room < bytes && bytes <= maxPaddedBytes ? room : 0
}

/**
 * Reads the `seq` of an inbox line without parsing the rest.
 * @param line - bytes without the newline, or the first 32 of them
 */
export function readSeq(line: Buffer): number | undefined {
  const match = /^\{"seq":(\d{1,16}),/.exec(line.toString("latin1", 0, 32))
  const seq = Number(match?.[1])
  return Number.isSafeInteger(seq) ? seq : undefined
}

/** Reports whether bytes look like one whole inbox line. Checks both ends without parsing. */
export function looksWhole(line: Buffer): boolean {
  let end = line.length - 1
  while (line[end] === space) end--
  return line[end] === closeBrace && readSeq(line) !== undefined
}

const space = 0x20
const closeBrace = 0x7d
const msgIdKey = Buffer.from('"msg_id":"')
/** Types whose lines have a `msg_id` before any object that another agent chose. */
const typesWithId = new Set(["MSG", "REJECTED", "NOTICE", "GUARD", "INVITE", "TASK_EXPIRED"])

/** Reads the id that duplicates of a line are recognized by; undefined for a line that has none. */
export function readLineId(line: Buffer): string | undefined {
  const type = /^\{"seq":\d+,"type":"([A-Z_]+)"/.exec(line.toString("latin1", 0, 64))?.[1] ?? ""
  if (type === "TASK") {
    const { task, attempt } = parseLine(line)
    return typeof task === "string" && typeof attempt === "number" ? taskLineId(task, attempt) : undefined
  }
  if (isVerb(type)) {
    const { id, proposal_id: proposal = id, from } = parseLine(line)
    const isStatement = typeof proposal === "string" && typeof from === "string"
    return isStatement ? stepLineId(type, proposal, from) : undefined
  }
  return typesWithId.has(type) ? readMsgId(line) : undefined
}

const messageStart = /^(?:\{"seq":\d+,)?"type":"MSG",/

/**
 * Returns the text by which a duplicate of a line is recognized: its id, and for a message what it says and to whom. A
 * sender may use an id again for another message after the relay has forgotten it.
 * @param line - with or without its `seq`
 */
export function dedupKey(id: string, line: string): string {
  if (!messageStart.test(line)) return id
  // In this order, see messageToLine. Inside a text the quotes would be escaped.
  const to = line.indexOf(',"to":')
  if (to < 0) return id
  const ts = line.indexOf(',"ts":', to)
  const parts = line.indexOf(',"parts":', ts)
  return [id, line.slice(to, ts), parts < 0 ? "" : line.slice(parts).trimEnd()].join("\n")
}

/** Returns the id of a TASK line: the same task may come again as another attempt. */
export function taskLineId(task: string, attempt: number): string {
  return `task ${task} ${attempt}`
}

/**
 * Returns the id of a statement in a deal: each party can make each kind of statement once. Ids chosen by the author are
 * left out, so that nobody can make one statement look like another.
 */
export function stepLineId(type: Verb, proposal: string, from: string): string {
  return `${type} ${proposal} ${from}`
}

/** Reads the first `msg_id` without parsing the line: inside a string its quotes would be escaped. */
function readMsgId(line: Buffer): string | undefined {
  const key = line.indexOf(msgIdKey)
  if (key < 0) return undefined
  const start = key + msgIdKey.length
  const end = line.indexOf('"', start)
  return end < 0 ? undefined : line.toString("utf8", start, end)
}

/** Reads the id of a direct message, a statement in a deal or a task; undefined for any other line. */
export function readDirectId(line: Buffer): string | undefined {
  if (!line.includes('"to":"@') && !line.includes('"type":"TASK"')) return undefined
  const { type, to, self, msg_id: msgId, task } = parseLine(line)
  if (type === "TASK") return typeof task === "string" ? task : undefined
  const isMessage = type === "MSG" || (typeof type === "string" && isVerb(type))
  const isDirect = isMessage && self !== true && typeof to === "string" && to.startsWith("@")
  return isDirect && typeof msgId === "string" ? msgId : undefined
}

function parseLine(line: Buffer): Readonly<Record<string, unknown>> {
  try {
    return JSON.parse(line.toString()) as Record<string, unknown>
  } catch {
    return {}
  }
}

const notNews = new Set(["AGENT_JOINED", "AGENT_LEFT", "INBOX_ROTATED"])
/** Types that are about the agent, whatever their fields say. */
const forAgent = new Set(["TASK", "TASK_LOST", "TASK_EXPIRED", "INVITE", "REJECTED"])

/** Reports whether a line is news: no join or leave, and no message of a kind that wakes nobody. */
export function isNews({ type, kind }: Readonly<Record<string, unknown>>): boolean {
  if (typeof type === "string" && notNews.has(type)) return false
  return type !== "MSG" || !isQuiet(typeof kind === "string" ? kind : undefined)
}

/**
 * Reports whether a line is news meant for its agent: a direct message, a mention, a task, an invitation or a step of a
 * deal. The replay of earlier messages and the agent's own lines are not.
 * @param self - the agent's id
 */
export function isAddressed(
  line: Readonly<Record<string, unknown>>,
  self: string | null | undefined,
): boolean {
  const { type, to, mentions, replay, self: isOwn } = line
  if (replay === true || isOwn === true || typeof type !== "string" || !isNews(line)) return false
  if (type !== "MSG") return forAgent.has(type) || isVerb(type)
  return String(to).startsWith("@") || (Array.isArray(mentions) && mentions.includes(self))
}
