/** Formats messages for people and agents. Text of other agents is escaped; one message takes one line. */
import { formatForTerminal } from "../../base/visible-text.js"
import { persistentIdPattern } from "../../protocol/names.js"
import { formatIsoTime, formatMinute, formatTime } from "./time.js"

/** How messages are shown. */
export interface Look {
  readonly colors: Colors
  /** Milliseconds since the Unix epoch. Other days are shown with their date. */
  readonly nowMs: number
  /** Returns the command that prints a whole line of the inbox. */
  readonly commandFor?: (seq: number) => string
  /** Ids of the answers that `agentchat ask` has printed already. */
  readonly printedAnswers?: ReadonlySet<string>
}

type Members = Readonly<Record<string, unknown>>
type Describe = (members: Members, look: Look) => string

/** Longest text of a message that is printed, in characters. */
const maxBody = 2_000
/** Longest text of another field, and of an answer that was printed already. */
const maxDetail = 500
const maxKnownAnswer = 80

const describers: Readonly<Record<string, Describe>> = {
  MSG: describeMessage,
  AGENT_JOINED: (event, look) => describeMembership(event, look, "joined"),
  AGENT_LEFT: (event, look) => describeMembership(event, look, "left"),
  INVITE: (invite, look) =>
    `${agent(invite["name"], invite["from"], look)} invites you to ${channel(invite["channel"], look)}`,
  PRESENCE_CHANGED: (event, look) =>
    `${agent(event["name"], event["agent"], look)} is ${plain(event["status"])}${detail(event["activity"])}`,
  JOINED: (line, look) => `you are in ${channel(line["channel"], look)}${describeSettings(line)}`,
  LEFT: (line, look) => `you left ${channel(line["channel"], look)}`,
  CHANNEL_CHANGED: (event, look) =>
    `${channel(event["channel"], look)} has new settings${describeSettings(event)}`,
  TASK: (task, look) => {
    const { role, content, attempt } = task
    const again = typeof attempt === "number" && attempt > 1 ? ` (attempt ${attempt})` : ""
    const head = `${look.colors.bold("task")} ${plain(task["task"])} for +${plain(role)}${again}`
    return `${head}, from ${author(task, look)}: ${body(content, task, look)}${describeQuestion(task)}`
  },
  TASK_EXPIRED: (line, { colors }) => {
    const answer =
      line["answer"] === undefined ? ", without an answer" : `; the answer is ${plain(line["answer"])}`
    return colors.warning(
      `task ${plain(line["task"])} for +${plain(line["role"])} expired${answer}, given by no person`,
    )
  },
  TASK_LOST: (line, { colors }) =>
    colors.warning(`task ${plain(line["task"])} is no longer yours${detail(line["reason"])}`),
  PROPOSAL: (deal, look) => `${party(deal, look)} ${described(deal, "proposes", "id")}: ${offer(deal, look)}`,
  ACCEPT: (deal, look) => `${party(deal, look)} ${described(deal, "accepts", "proposal_id")}`,
  REJECT: (deal, look) =>
    `${party(deal, look)} ${described(deal, "rejects", "proposal_id")}${detail(deal["reason"])}`,
  COMPLETE: (deal, look) =>
    `${party(deal, look)} ${described(deal, "has completed", "proposal_id")}${detail(deal["proof"])}`,
  DISPUTE: (deal, look) => {
    const fault = deal["fault"] === undefined ? "" : `, fault: ${plain(deal["fault"])}`
    return `${party(deal, look)} ${described(deal, "disputes", "proposal_id")}${fault}${detail(deal["reason"])}`
  },
  MODERATION: (event, look) => {
    const targets = [
      event["agent"] === undefined ? [] : agent(undefined, event["agent"], look),
      event["channel"] === undefined ? [] : channel(event["channel"], look),
    ].flat()
    const end = typeof event["until"] === "number" ? `, until ${new Date(event["until"]).toISOString()}` : ""
    const writers = Array.isArray(event["writers"]) ? ` to ${event["writers"].map(plain).join(", ")}` : ""
    const text = `operator ${plain(event["by"])}: ${plain(event["action"])} ${targets.join(" in ")}${writers}${end}`
    return look.colors.warning(`${text}${detail(event["reason"])}`)
  },
  GUARD: (guard, look) => look.colors.warning(describeGuard(guard, look)),
  AUDIT: (answer) => `${Array.isArray(answer["list"]) ? answer["list"].length : 0} actions of operators`,
  CLAIMS: (answer) => `${Array.isArray(answer["list"]) ? answer["list"].length : 0} claims`,
  MESSAGES: (answer) => `${Array.isArray(answer["list"]) ? answer["list"].length : 0} messages found`,
  GRANTS: (answer) => `${Array.isArray(answer["list"]) ? answer["list"].length : 0} grants`,
  PENDING: (answer) => `${plain(answer["count"])} waiting for ${plain(answer["target"])}`,
  REJECTED: (line, { colors }) => {
    const hint = line["hint"] === undefined ? "" : ` (${plain(line["hint"])})`
    return colors.warning(`rejected ${plain(line["id"])}${detail(line["reason"])}${hint}`)
  },
  NOTICE: (line, { colors }) => colors.warning(`notice${detail(line["message"])}`),
  CHANNELS: (answer) => `channels: ${namesIn(answer["list"])}`,
  AGENTS: (answer) => `agents: ${namesIn(answer["list"])}`,
  GUARDS: (answer) => `guards of ${plain(answer["agent"])}: ${usagesIn(answer["list"])}`,
  FORECAST: ({ to, recipients, woken, tokens, refused }) => {
    const wakes = Array.isArray(woken) ? woken.length : 0
    const reason = refused === undefined ? "" : `; would be refused${detail((refused as Members)["reason"])}`
    return `a message to ${plain(to)} reaches ${plain(recipients)}, wakes ${wakes}, costs about ${plain(tokens)} tokens${reason}`
  },
  INBOX_ROTATED: (line, { colors }) => colors.dim(`earlier lines are in ${plain(line["segment"])}`),
}

/**
 * Formats a message of a relay, or a line of an inbox, of any type as one line.
 * @param members - the fields as received, unvalidated
 */
export function formatMessage(members: Members, look: Look): string {
  const { type, seq, ts } = members
  const describe = typeof type === "string" && Object.hasOwn(describers, type) ? describers[type] : undefined
  const text = describe?.(members, look) ?? shorten(JSON.stringify(members), maxBody)
  const number = typeof seq === "number" ? `${seq} ` : ""
  return `${look.colors.dim(`${number}${formatTime(ts, look.nowMs)}`)} ${text}`
}

function describeMessage(message: Members, look: Look): string {
  const { to, replay, self, content, msg_id, parts } = message
  const { colors, printedAnswers } = look
  const marks = `${replay === true ? colors.dim("(earlier) ") : ""}${self === true ? colors.dim("(own) ") : ""}`
  // A direct message from another agent can only be to the reader.
  const isToMe = typeof to === "string" && to.startsWith("@") && self !== true
  const head = `${marks}${isToMe ? colors.channel("to you:") : channel(to, look)} ${author(message, look)}`
  if (typeof msg_id === "string" && printedAnswers?.has(msg_id) === true) {
    return `${head} (the answer that ask has printed): ${shorten(textOf(content), maxKnownAnswer)}`
  }
  // The data of parts is for programs and is not printed.
  const note = Array.isArray(parts) && parts.length > 0 ? ` (+${parts.length} in parts)` : ""
  return `${head}${waitNote(message, look)}: ${body(content, message, look)}${note}`
}

/** Says that the author waits for an answer, and until when. */
function waitNote({ wait_ms: waitMs, ts }: Members, { nowMs, colors }: Look): string {
  if (typeof waitMs !== "number" || typeof ts !== "number") return ""
  const end = formatMinute(ts + waitMs, nowMs)
  return ts + waitMs > nowMs ? colors.bold(` asks, waits until ${end}`) : ` asked, waited until ${end}`
}

function describeMembership(event: Members, look: Look, verb: string): string {
  const others = Array.isArray(event["agents"]) ? event["agents"].length - 1 : 0
  const more = others > 0 ? ` and ${others} more` : ""
  return `${agent(event["name"], event["agent"], look)}${more} ${verb} ${channel(event["channel"], look)}`
}

/** Describes the settings of a channel that are set. */
function describeSettings(event: Members): string {
  const { description, instructions, replay, window } = (event["settings"] ?? {}) as Members
  const texts = [description, instructions].filter((text) => typeof text === "string" && text !== "")
  if (typeof replay === "boolean") texts.push(`replay ${replay ? "on" : "off"}`)
  if (typeof window === "string" && window !== "") texts.push(`window ${window}`)
  return texts.length === 0 ? "" : `: ${texts.map((text) => shorten(textOf(text), maxBody)).join("; ")}`
}

/** Returns the author of a statement. Statements of your own come back to your inbox too. */
function party({ name, from, self }: Members, look: Look): string {
  return `${self === true ? look.colors.dim("(own) ") : ""}${agent(name, from, look)}`
}

function described(deal: Members, verb: string, idField: string): string {
  return `${verb} ${plain(deal[idField])}`
}

function offer(deal: Members, look: Look): string {
  const { task, amount, currency, ts, expires, terms } = deal
  const price =
    amount === undefined
      ? ""
      : ` for ${[amount, currency].flatMap((text) => (text === undefined ? [] : plain(text))).join(" ")}`
  const end = typeof ts === "number" && typeof expires === "number" ? ts + expires * 1_000 : undefined
  const deadline = end === undefined ? "" : `, answer by ${formatMinute(end, look.nowMs)}`
  const more = terms === undefined ? "" : ", with terms"
  // The task is last: only our own words come before it.
  return `a deal${price}${deadline}${more}: ${body(task, deal, look)}`
}

function describeGuard(guard: Members, { nowMs }: Look): string {
  const { state, layer, scope, reason, hint, retry_after_ms: retryAfterMs, ts } = guard
  const verbs: Members = { warned: "warns", tripped: "stops", lifted: "lifts its stop of" }
  const verb = verbs[plain(state)] ?? plain(state)
  const where = scope === "" ? "you" : plain(scope)
  const isTimed = typeof retryAfterMs === "number" && typeof ts === "number"
  const end = isTimed ? `, until ${formatMinute(ts + retryAfterMs, nowMs)}` : ""
  return `guard ${plain(layer)} ${plain(verb)} ${where}${end}${detail(reason)}${hint === undefined ? "" : ` (${plain(hint)})`}`
}

/** Returns the author of a message, and a warning if the key of its id has not signed it. */
function author({ name, from, verified }: Members, look: Look): string {
  const isClaimed = verified === false && persistentIdPattern.test(String(from))
  return `${agent(name, from, look)}${isClaimed ? look.colors.warning(" (unverified)") : ""}`
}

/** Returns the name and the id of an agent, which chooses its name freely. */
function agent(name: unknown, id: unknown, { colors }: Look): string {
  return typeof name === "string" && name !== ""
    ? `${colors.bold(plain(name))} ${colors.dim(plain(id))}`
    : colors.bold(plain(id))
}

function channel(name: unknown, { colors }: Look): string {
  return colors.channel(plain(name))
}

function namesIn(list: unknown): string {
  const entries: readonly unknown[] = Array.isArray(list) ? list : []
  const names = entries.map((entry) => textOf((entry as { name?: unknown } | null)?.name ?? entry))
  return shorten(names.join(" "), maxBody)
}

function usagesIn(list: unknown): string {
  const entries: readonly unknown[] = Array.isArray(list) ? list : []
  const texts = entries.map((entry) => {
    const { layer, scope, used, limit } = (entry ?? {}) as Members
    return `${textOf(layer)} ${textOf(scope)} ${textOf(used)} of ${textOf(limit)}`
  })
  return shorten(texts.join("; "), maxBody)
}

/** Returns the text of a message. A long one is cut, and says how to print all of it. */
function body(content: unknown, { seq }: Members, { commandFor }: Look): string {
  const text = textOf(content)
  const shown = shorten(text, maxBody)
  if (shown.length <= maxBody) return shown
  const command = typeof seq === "number" ? commandFor?.(seq) : undefined
  return `${shown} (cut, ${text.length} characters${command === undefined ? "" : `; all of it: ${command}`})`
}

/** Describes what a task asks for, and until when. */
function describeQuestion({ choices, schema, default: fallback, expires_ts: end }: Members): string {
  const parts = [
    Array.isArray(choices) ? `choices: ${choices.map(plain).join(" | ")}` : undefined,
    schema === undefined ? undefined : `answer with JSON of the schema ${plain(JSON.stringify(schema))}`,
    fallback === undefined ? undefined : `without an answer: ${plain(fallback)}`,
    typeof end === "number" ? `expires ${formatIsoTime(end)}` : undefined,
  ].filter((part) => part !== undefined)
  return parts.length === 0 ? "" : ` [${parts.join("; ")}]`
}

function detail(text: unknown): string {
  return text === undefined ? "" : `: ${plain(text)}`
}

function plain(value: unknown): string {
  return value === undefined ? "?" : shorten(textOf(value), maxDetail)
}

/** Escapes a text, and cuts it after `length` characters. */
function shorten(text: string, length: number): string {
  const escaped = formatForTerminal(text.slice(0, length))
  if (text.length <= length && escaped.length <= length) return escaped
  return `${escaped.slice(0, length).toWellFormed()}…`
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value ?? null)
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
