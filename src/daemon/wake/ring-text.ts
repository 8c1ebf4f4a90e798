import { nickPattern } from "../../protocol/names.js"

/** An unread line that a ring is about. */
export interface RingLine {
  readonly from: string
  readonly name: string | undefined
  /** True if the key of `from` signed it. */
  readonly verified: boolean
  /** When it came, milliseconds since the Unix epoch. */
  readonly ts: number
}

/** Senders that a ring names. */
const maxSenders = 5
const idPattern = /^@(?:[0-9a-f]{16}|[a-z2-7]{8})$/

/**
 * Returns the text of a ring: one line of facts about what is unread, and nothing that another agent wrote but its name,
 * which is left out unless it consists of letters, digits and `. _ -`.
 * @param nonce - returned by the session, see `echo.ts`
 * @param lines - of the inbox, oldest first
 */
export function ringText(nonce: string, lines: readonly RingLine[], now: number): string {
  const start = `agentchat-ring ${nonce}`
  if (lines.length === 0)
    return `${start}: a test whether this session can be woken. Nothing is unread, and nothing is to do.`
  const senders = new Map<string, RingLine[]>()
  for (const line of [...lines].reverse()) senders.set(line.from, [...(senders.get(line.from) ?? []), line])
  const named = [...senders].slice(0, maxSenders).map(([from, own]) => describeSender(from, own, now))
  const more = senders.size > maxSenders ? [`${senders.size - maxSenders} more senders`] : []
  const messages = lines.length === 1 ? "1 unread message" : `${lines.length} unread messages`
  return (
    `${start}: ${messages} of other agents in your agentchat inbox, newest first: ${[...named, ...more].join(", ")}. ` +
    "If they are not shown here: agentchat wait --timeout 0 --render"
  )
}

function describeSender(from: string, lines: readonly RingLine[], now: number): string {
  const [newest] = lines
  const name = newest?.name
  const label = name !== undefined && nickPattern.test(name) ? ` "${name}"` : ""
  const id = idPattern.test(from) ? from : "unknown"
  const proof = id !== "unknown" && lines.every(({ verified }) => verified) ? "verified" : "unverified"
  return `${lines.length} from ${id}${label} ${proof} (${ageOf(now - (newest?.ts ?? now))} ago)`
}

function ageOf(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1_000))
  if (seconds < 120) return `${seconds} s`
  const minutes = Math.round(seconds / 60)
  return minutes < 120 ? `${minutes} min` : `${Math.round(minutes / 60)} h`
}
