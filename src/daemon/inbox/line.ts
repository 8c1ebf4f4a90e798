import { formatJsonLine } from "../../base/visible-text.js"
import { isVerb, type Verb } from "../../protocol/verbs.js"

/** A line for the inbox, before it has its `seq`. */
export type InboxLine = Readonly<Record<string, unknown>> & { readonly type: string }

/** What stands between the `seq` of a line and its end; {@link formatNumbered} puts it together. */
export function formatBody(line: InboxLine): string {
  if (Object.hasOwn(line, "seq")) throw new Error(`inbox: ${line.type} brings a seq of its own`)
  return formatJsonLine(line).slice(1)
}

const pageBytes = 4096
/** Longer lines get no room made for them: spaces cost a reader's context too. */
const roomyBytes = 1024

/**
 * Whole lines, the first of them numbered `firstSeq`.
 *
 * A growing file grows page by page, so a reader that comes in between sees it end at the end of a
 * page. Lines therefore do not cross one: the line before gets spaces at its end, which mean nothing
 * in JSON. The last line makes room for one of twice its size, since nobody knows what comes next.
 * Only a line over 1 KiB, or suddenly over that, can be seen in half, for a microsecond.
 * @param offset - where in the file the first line will stand
 */
export function formatNumbered(firstSeq: number, bodies: readonly string[], offset: number): string {
  const lines = bodies.map((body, index) => `{"seq":${firstSeq + index},${body}`)
  const sizes = lines.map((line) => Buffer.byteLength(line) + 1)
  let end = offset
  let text = ""
  for (const [index, line] of lines.entries()) {
    const size = sizes[index] ?? 0
    end += size
    const spaces = roomBefore(end, sizes[index + 1] ?? Math.min(size * 2, roomyBytes))
    end += spaces
    text += `${line}${" ".repeat(spaces)}\n`
  }
  return text
}

/** Bytes to leave free at `offset`, so that the next `bytes` do not cross the end of a page. */
function roomBefore(offset: number, bytes: number): number {
  const room = pageBytes - (offset % pageBytes)
  return room < bytes && bytes <= roomyBytes ? room : 0
}

/**
 * The `seq` of a line that the inbox wrote, without parsing the rest of it.
 * @param line - bytes without the newline, or the beginning of them
 */
export function readSeq(line: Buffer): number | undefined {
  const match = /^\{"seq":(\d{1,16}),/.exec(line.toString("latin1", 0, 32))
  const seq = Number(match?.[1])
  return Number.isSafeInteger(seq) ? seq : undefined
}

/** Whether bytes look like one whole line of the inbox. A cheap look, not a parse. */
export function looksWhole(line: Buffer): boolean {
  let end = line.length - 1
  while (line[end] === space) end--
  return line[end] === closeBrace && readSeq(line) !== undefined
}

const space = 0x20
const closeBrace = 0x7d
const msgIdKey = Buffer.from('"msg_id":"')
/** Types whose lines are known by a `msg_id` that no text or object of others stands before. */
const typesWithId = new Set(["MSG", "REJECTED", "NOTICE", "GUARD"])

/** What a line is known by when it comes twice, from its bytes; undefined for a line that never does. */
export function readLineId(line: Buffer): string | undefined {
  const type = /^\{"seq":\d+,"type":"([A-Z_]+)"/.exec(line.toString("latin1", 0, 64))?.[1] ?? ""
  if (type === "TASK") return readTaskId(line)
  if (isVerb(type)) return readStepId(line, type)
  return typesWithId.has(type) ? readMsgId(line) : undefined
}

/** What a line that hands out a task is known by: the same task may come again, as another attempt. */
export function taskLineId(task: string, attempt: number): string {
  return `task ${task} ${attempt}`
}

/**
 * What a step of a deal is known by: each party can take each only once. Ids that its author chose play no part, so
 * that none can be made to look like another.
 */
export function stepLineId(type: Verb, proposal: string, from: string): string {
  return `${type} ${proposal} ${from}`
}

function readStepId(line: Buffer, type: Verb): string | undefined {
  const { id, proposal_id: proposal = id, from } = parseLine(line)
  return typeof proposal === "string" && typeof from === "string"
    ? stepLineId(type, proposal, from)
    : undefined
}

function readTaskId(line: Buffer): string | undefined {
  const { task, attempt } = parseLine(line)
  return typeof task === "string" && typeof attempt === "number" ? taskLineId(task, attempt) : undefined
}

/** The first `msg_id` of a line, without parsing it: inside a text these quotes would be escaped. */
function readMsgId(line: Buffer): string | undefined {
  const key = line.indexOf(msgIdKey)
  if (key < 0) return undefined
  const start = key + msgIdKey.length
  const end = line.indexOf('"', start)
  return end < 0 ? undefined : line.toString("utf8", start, end)
}

/** The id of a line that is for this agent alone: a direct message, a step of a deal, a task; undefined for any other. */
export function readDirectId(line: Buffer): string | undefined {
  if (!line.includes('"to":"@') && !line.includes('"type":"TASK"')) return undefined
  const { type, to, self, msg_id: msgId, task } = parseLine(line)
  if (type === "TASK") return typeof task === "string" ? task : undefined
  const isMail = type === "MSG" || (typeof type === "string" && isVerb(type))
  const isDirect = isMail && self !== true && typeof to === "string" && to.startsWith("@")
  return isDirect && typeof msgId === "string" ? msgId : undefined
}

function parseLine(line: Buffer): Readonly<Record<string, unknown>> {
  try {
    return JSON.parse(line.toString()) as Record<string, unknown>
  } catch {
    return {}
  }
}
