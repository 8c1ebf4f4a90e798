/** What a person sees of a message. Every text of others is neutralised; one message is one line. */
import { formatForTerminal } from "../../base/visible-text.js"
import type { Paint } from "./colors.js"

type Members = Readonly<Record<string, unknown>>
type Describe = (members: Members, paint: Paint) => string

const describers: Readonly<Record<string, Describe>> = {
  MSG: (message, paint) => `${headOf(message, paint)}: ${plain(message["content"])}${besides(message)}`,
  AGENT_JOINED: (event, paint) => comeAndGo(event, paint, "joined"),
  AGENT_LEFT: (event, paint) => comeAndGo(event, paint, "left"),
  INVITE: (invite, paint) =>
    `${who(invite["name"], invite["from"], paint)} invites you to ${place(invite["channel"], paint)}`,
  PRESENCE_CHANGED: (event, paint) => {
    const activity = event["activity"] === undefined ? "" : `: ${plain(event["activity"])}`
    return `${who(event["name"], event["agent"], paint)} is ${plain(event["status"])}${activity}`
  },
  JOINED: (line, paint) => {
    const settings = (line["settings"] ?? {}) as Members
    return `you are in ${place(line["channel"], paint)}${textsOf(settings)}`
  },
  CHANNEL_CHANGED: (event, paint) => {
    const settings = (event["settings"] ?? {}) as Members
    return `${place(event["channel"], paint)} tells newcomers${textsOf(settings)}`
  },
  TASK: (task, paint) => {
    const { role, name, from, content, attempt } = task
    const again = typeof attempt === "number" && attempt > 1 ? ` (try ${attempt})` : ""
    return `${paint.bold("task")} ${plain(task["task"])} for +${plain(role)}${again}, of ${who(name, from, paint)}: ${plain(content)}`
  },
  TASK_LOST: (line, paint) =>
    paint.warning(`task ${plain(line["task"])} is not yours any more: ${plain(line["reason"])}`),
  PENDING: (answer) => `${plain(answer["count"])} waiting for ${plain(answer["target"])}`,
  REJECTED: (line, paint) => {
    const hint = line["hint"] === undefined ? "" : ` (${plain(line["hint"])})`
    return paint.warning(`rejected ${plain(line["id"])}: ${plain(line["reason"])}${hint}`)
  },
  NOTICE: (line, paint) => paint.warning(`notice: ${plain(line["message"])}`),
  CHANNELS: (answer) => `channels: ${namesIn(answer["list"])}`,
  AGENTS: (answer) => `agents: ${namesIn(answer["list"])}`,
  INBOX_ROTATED: (line, paint) => paint.dim(`earlier lines are in ${plain(line["segment"])}`),
}

/**
 * One line for a message of a relay, or a line of an inbox, of whatever type.
 * @param members - what was received; nothing about it is trusted
 */
export function formatMessage(members: Members, paint: Paint): string {
  const { type, seq, ts } = members
  const describe = typeof type === "string" && Object.hasOwn(describers, type) ? describers[type] : undefined
  const text = describe?.(members, paint) ?? formatForTerminal(JSON.stringify(members))
  const number = typeof seq === "number" ? `${seq} ` : ""
  return `${paint.dim(`${number}${formatTime(ts)}`)} ${text}`
}

/** Data beside the text is for programs; a person learns that it is there. */
function besides({ parts }: Members): string {
  return Array.isArray(parts) && parts.length > 0 ? ` (+${parts.length} in parts)` : ""
}

/** What a channel says of itself, as far as anything is said. */
function textsOf({ description, instructions, replay, window }: Members): string {
  const texts = [description, instructions].filter((text) => typeof text === "string" && text !== "")
  if (typeof replay === "boolean") texts.push(`replay ${replay ? "on" : "off"}`)
  if (typeof window === "string" && window !== "") texts.push(`window ${window}`)
  return texts.length === 0 ? "" : `: ${texts.map(plain).join("; ")}`
}

/** `#general bob @id`, what stands before the text of a message. */
function headOf(message: Members, paint: Paint): string {
  const { to, name, from, replay, self } = message
  const marks = `${replay === true ? paint.dim("(earlier) ") : ""}${self === true ? paint.dim("(own) ") : ""}`
  // A direct message that is not one's own can only be to oneself.
  const isToMe = typeof to === "string" && to.startsWith("@") && self !== true
  return `${marks}${isToMe ? paint.place("to you:") : place(to, paint)} ${who(name, from, paint)}`
}

/** Local time of day; `ts` is milliseconds since the Unix epoch. */
export function formatTime(ts: unknown): string {
  const date = new Date(typeof ts === "number" ? ts : Number.NaN)
  if (Number.isNaN(date.getTime())) return "--:--:--"
  return [date.getHours(), date.getMinutes(), date.getSeconds()]
    .map((part) => String(part).padStart(2, "0"))
    .join(":")
}

function comeAndGo(event: Members, paint: Paint, verb: string): string {
  const others = Array.isArray(event["agents"]) ? event["agents"].length - 1 : 0
  const more = others > 0 ? ` and ${others} more` : ""
  return `${who(event["name"], event["agent"], paint)}${more} ${verb} ${place(event["channel"], paint)}`
}

/** A name is what somebody calls itself; the id beside it is proven. */
function who(name: unknown, id: unknown, paint: Paint): string {
  return typeof name === "string" && name !== ""
    ? `${paint.bold(plain(name))} ${paint.dim(plain(id))}`
    : paint.bold(plain(id))
}

function place(channel: unknown, paint: Paint): string {
  return paint.place(plain(channel))
}

function namesIn(list: unknown): string {
  const entries: readonly unknown[] = Array.isArray(list) ? list : []
  return entries.map((entry) => plain((entry as { name?: unknown } | null)?.name ?? entry)).join(" ")
}

function plain(value: unknown): string {
  if (value === undefined) return "?"
  return formatForTerminal(typeof value === "string" ? value : JSON.stringify(value))
}
