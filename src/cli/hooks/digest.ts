/** Puts what an agent has not read into the form in which a hook gives it to the model: few messages, the newest first. */
import { completeHint, type HintOptions } from "../../base/command-hint.js"
import { isNumber } from "../../base/plain.js"
import type { DaemonPaths } from "../../daemon/files/paths.js"
import { isAddressed, isNews } from "../../daemon/inbox/line.js"
import { type InboxEntry, readInbox } from "../../daemon/inbox/reader.js"
import { hasLine, listCursors, ReaderCursor } from "../../daemon/inbox/reader-cursor.js"
import { readStatus } from "../../daemon/status.js"
import { formatAge } from "../output/time.js"

/** The reader whose position a hook moves: that of `agentchat wait`, so that neither shows what the other has shown. */
const reader = "me"
/** Messages and bytes of one digest. Harnesses cut or refuse more than 10,000 characters or 10 KB. */
const maxMessages = 10
const maxBytes = 8_000
/** Newest lines that are looked at. */
const maxLines = 2_000

/** Types that say how a request of the agent went, or that a channel changed: no reason to spend context on. */
const unwanted = new Set(["JOINED", "LEFT", "CHANNEL_CHANGED", "PRESENCE_CHANGED"])

/** Options of {@link readUnread}. */
export interface DigestOptions {
  /** Number of the newest line that was shown or counted before. */
  readonly announced: number
  readonly nowMs: number
  readonly hintOptions: HintOptions
  /** True for the lines that ended an `agentchat wait`, and those that came with them; none if no reader has any. */
  readonly isAfterWait?: boolean
}

/** The lines that an agent has not read. */
export interface Unread {
  /** True if some of it is meant for the agent itself. */
  readonly isAddressed: boolean
  /** Number of the newest line. */
  readonly newest: number
  /** Renders it. @returns the text, and the numbers of the lines that it shows */
  render(): Promise<{ readonly text: string; readonly shown: readonly number[] }>
  /** Records that the agent has been shown these lines. @throws {ChatError} FILE_FAILED */
  confirm(shown: readonly number[]): void
}

/**
 * Reads what is unread and was not announced before; undefined if there is nothing.
 * @throws {ChatError} FILE_FAILED; the system's errors
 */
export function readUnread(paths: DaemonPaths, options: DigestOptions): Unread | undefined {
  const { announced, isAfterWait = false } = options
  const cursor = ReaderCursor.open(paths, reader)
  const isUnread = (seq: number) => isAfterWait || !cursor.has(seq)
  const entries: InboxEntry[] = []
  for (const entry of readInbox(paths, { last: maxLines })) {
    if (entry.seq > announced && isUnread(entry.seq) && isWanted(entry.fields)) entries.push(entry)
  }
  const newest = entries.at(-1)?.seq
  if (newest === undefined || (isAfterWait && !hasTaken(paths, entries))) return undefined
  const { agent_id: self } = readStatus(paths.status) ?? {}
  const own = entries.filter(({ fields }) => isAddressed(fields, self))
  const others = entries.filter((entry) => !own.includes(entry))
  return {
    isAddressed: own.length > 0,
    newest,
    // If there are too many, those for the agent itself come first.
    render: () => render([...own.reverse(), ...others.reverse()], options),
    confirm: (shown) => takeAsHook(paths, shown),
  }
}

/** Reports whether a reader has one of these lines. */
function hasTaken({ cursors }: DaemonPaths, entries: readonly InboxEntry[]): boolean {
  const positions = [...listCursors(cursors).values()]
  return entries.some(({ seq }) => positions.some((position) => hasLine(position, seq)))
}

/** Returns the number of the line up to which everything was read. @throws {ChatError} FILE_FAILED */
export function readUpTo(paths: DaemonPaths): number {
  return ReaderCursor.open(paths, reader).seq
}

/** Records that lines were shown to the model, by their numbers. @throws {ChatError} FILE_FAILED */
export function takeAsHook(paths: DaemonPaths, shown: readonly number[]): void {
  ReaderCursor.open(paths, reader).take(
    [...shown].sort((a, b) => a - b),
    "hook",
  )
}

function isWanted(fields: InboxEntry["fields"]): boolean {
  const { type, replay, self } = fields
  return replay !== true && self !== true && isNews(fields) && !unwanted.has(String(type))
}

/** @param entries - the most important first */
async function render(
  entries: readonly InboxEntry[],
  { nowMs, hintOptions }: DigestOptions,
): Promise<{ text: string; shown: number[] }> {
  const { preface, renderMessage } = await import("../output/render.js")
  const command = (text: string) => completeHint(text, hintOptions)
  const shown = new Map<number, string>()
  let room = maxBytes - Buffer.byteLength(preface)
  for (const { seq, fields } of entries.slice(0, maxMessages)) {
    const block = renderMessage(fields)
    const bytes = Buffer.byteLength(block)
    if (bytes > room) continue
    room -= bytes
    shown.set(seq, block)
  }
  const newestFirst = [...shown.keys()].sort((a, b) => b - a)
  const omitted = entries.length - shown.size
  const times = entries.map(({ fields }) => fields["ts"]).filter(isNumber)
  const age = times.length > 0 ? `, the oldest sent ${formatAge(Math.min(...times), nowMs)}` : ""
  const rest = `${omitted} not shown: ${command(`agentchat inbox --reader ${reader} --render`)}`
  const lines = [
    `agentchat: ${entries.length} unread${age}; newest first${omitted > 0 ? `; ${rest}` : ""}`,
    ...newestFirst.map((seq) => shown.get(seq) ?? ""),
    ...(shown.size > 0 ? [`agentchat: to answer one: ${command("agentchat reply LINE TEXT")}`] : []),
  ]
  return { text: [preface, ...lines].join("\n"), shown: newestFirst }
}
