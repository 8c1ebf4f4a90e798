/** Formats messages for people. Text of other agents is escaped; one message takes one line. */
import { formatForTerminal } from "../../base/visible-text.js"
import { formatTime } from "./time.js"

type Members = Readonly<Record<string, unknown>>
type Describe = (members: Members, colors: Colors) => string

const describers: Readonly<Record<string, Describe>> = {
  MSG: (message, colors) => `${headOf(message, colors)}: ${plain(message["content"])}${partsNote(message)}`,
  AGENT_JOINED: (event, colors) => describeMembership(event, colors, "joined"),
  AGENT_LEFT: (event, colors) => describeMembership(event, colors, "left"),
  INVITE: (invite, colors) =>
    `${agent(invite["name"], invite["from"], colors)} invites you to ${channel(invite["channel"], colors)}`,
  PRESENCE_CHANGED: (event, colors) => {
    const activity = event["activity"] === undefined ? "" : `: ${plain(event["activity"])}`
    return `${agent(event["name"], event["agent"], colors)} is ${plain(event["status"])}${activity}`
  },
  JOINED: (line, colors) => {
    const settings = (line["settings"] ?? {}) as Members
    return `you are in ${channel(line["channel"], colors)}${describeSettings(settings)}`
  },
  CHANNEL_CHANGED: (event, colors) => {
    const settings = (event["settings"] ?? {}) as Members
    return `${channel(event["channel"], colors)} has new settings${describeSettings(settings)}`
  },
  TASK: (task, colors) => {
    const { role, name, from, content, attempt } = task
    const again = typeof attempt === "number" && attempt > 1 ? ` (attempt ${attempt})` : ""
    return `${colors.bold("task")} ${plain(task["task"])} for +${plain(role)}${again}, from ${agent(name, from, colors)}: ${plain(content)}`
  },
  TASK_LOST: (line, colors) =>
    colors.warning(`task ${plain(line["task"])} is no longer yours: ${plain(line["reason"])}`),
  PENDING: (answer) => `${plain(answer["count"])} waiting for ${plain(answer["target"])}`,
  REJECTED: (line, colors) => {
    const hint = line["hint"] === undefined ? "" : ` (${plain(line["hint"])})`
    return colors.warning(`rejected ${plain(line["id"])}: ${plain(line["reason"])}${hint}`)
  },
  NOTICE: (line, colors) => colors.warning(`notice: ${plain(line["message"])}`),
  CHANNELS: (answer) => `channels: ${namesIn(answer["list"])}`,
  AGENTS: (answer) => `agents: ${namesIn(answer["list"])}`,
  INBOX_ROTATED: (line, colors) => colors.dim(`earlier lines are in ${plain(line["segment"])}`),
}

/**
 * Formats a message of a relay, or a line of an inbox, of any type as one line.
 * @param members - the fields as received, unvalidated
 */
export function formatMessage(members: Members, colors: Colors): string {
  const { type, seq, ts } = members
  const describe = typeof type === "string" && Object.hasOwn(describers, type) ? describers[type] : undefined
  const text = describe?.(members, colors) ?? formatForTerminal(JSON.stringify(members))
  const number = typeof seq === "number" ? `${seq} ` : ""
  return `${colors.dim(`${number}${formatTime(ts)}`)} ${text}`
}

/** Notes that a message has parts; their data is for programs and is not printed. */
function partsNote({ parts }: Members): string {
  return Array.isArray(parts) && parts.length > 0 ? ` (+${parts.length} in parts)` : ""
}

/** Describes the settings of a channel that are set. */
function describeSettings({ description, instructions, replay, window }: Members): string {
  const texts = [description, instructions].filter((text) => typeof text === "string" && text !== "")
  if (typeof replay === "boolean") texts.push(`replay ${replay ? "on" : "off"}`)
  if (typeof window === "string" && window !== "") texts.push(`window ${window}`)
  return texts.length === 0 ? "" : `: ${texts.map(plain).join("; ")}`
}

/** Returns the target and the sender of a message, such as `#general bob @id`. */
function headOf(message: Members, colors: Colors): string {
  const { to, name, from, replay, self } = message
  const marks = `${replay === true ? colors.dim("(earlier) ") : ""}${self === true ? colors.dim("(own) ") : ""}`
  // A direct message from another agent can only be to the reader.
  const isToMe = typeof to === "string" && to.startsWith("@") && self !== true
  return `${marks}${isToMe ? colors.channel("to you:") : channel(to, colors)} ${agent(name, from, colors)}`
}

function describeMembership(event: Members, colors: Colors, verb: string): string {
  const others = Array.isArray(event["agents"]) ? event["agents"].length - 1 : 0
  const more = others > 0 ? ` and ${others} more` : ""
  return `${agent(event["name"], event["agent"], colors)}${more} ${verb} ${channel(event["channel"], colors)}`
}

/** Returns the name and the id of an agent. An agent chooses its name freely; only the id is verified. */
function agent(name: unknown, id: unknown, colors: Colors): string {
  return typeof name === "string" && name !== ""
    ? `${colors.bold(plain(name))} ${colors.dim(plain(id))}`
    : colors.bold(plain(id))
}

function channel(name: unknown, colors: Colors): string {
  return colors.channel(plain(name))
}

function namesIn(list: unknown): string {
  const entries: readonly unknown[] = Array.isArray(list) ? list : []
  return entries.map((entry) => plain((entry as { name?: unknown } | null)?.name ?? entry)).join(" ")
}

function plain(value: unknown): string {
  if (value === undefined) return "?"
  return formatForTerminal(typeof value === "string" ? value : JSON.stringify(value))
}

/** Text styles. Each returns the text unchanged if color is off. */
export interface Colors {
  dim(text: string): string
  bold(text: string): string
  channel(text: string): string
  warning(text: string): string
}

/** SGR codes that start and end a style (ECMA-48 §8.3.117). */
const codes = { dim: [2, 22], bold: [1, 22], channel: [36, 39], warning: [33, 39] } as const

/** @param hasColor - see {@link Io.hasColor} */
export function makeColors(hasColor: boolean): Colors {
  const style = ([on, off]: readonly [number, number]) =>
    hasColor ? (text: string) => `\u001b[${on}m${text}\u001b[${off}m` : (text: string) => text
  return {
    dim: style(codes.dim),
    bold: style(codes.bold),
    channel: style(codes.channel),
    warning: style(codes.warning),
  }
}
