import * as v from "valibot"
import { JsonError, parseStrictJson } from "../base/strict-json.js"
import { type ClientMessage, type ClientType, clientMessages, isClientType } from "./client-messages.js"
import { ChatError } from "./errors.js"
import { frameIdRule, isFrameId } from "./message-id.js"
import { type Address, addressPattern } from "./names.js"

/** Of a stranger's text, in an error. */
const shownCharacters = 200

/** A refused frame: the error, and the frame's own `id` when that much could be read. */
export interface RefusedFrame {
  readonly error: ChatError
  readonly id: string | undefined
}

/** How a frame is read. */
export interface ReadOptions {
  /** Take a member that is `null` as absent, as clients of the first AgentChat write it. */
  readonly nullIsAbsent?: boolean
}

/**
 * Reads one text as a client message. Unknown fields are dropped, unknown types refused.
 * @returns the message, or what is wrong with the first field at fault (INVALID_MSG)
 */
export function parseClientMessage(
  text: string,
  options: ReadOptions = {},
): { message: ClientMessage } | { refused: RefusedFrame } {
  const plain = readPlainMessage(text)
  if (plain !== undefined) return { message: plain }
  let value: unknown
  try {
    value = parseStrictJson(text)
  } catch (error) {
    if (!(error instanceof JsonError)) throw error
    const where = error.path === "" ? "frame" : error.path.slice(0, shownCharacters)
    return refuse(undefined, `${where}: ${error.message.slice(0, shownCharacters)}`)
  }
  return validateClientMessage(options.nullIsAbsent === true ? dropNulls(value) : value)
}

/**
 * A frame of exactly `{type, to, content}` with an `id` before or after them: no space, no escape, nothing
 * beyond ASCII. Such text has one meaning only, as the strict parser would find out at four times the cost.
 */
const plainFrame =
  /^\{"type":"MSG",(?:"id":"([!#-[\]-~]+)",)?"to":"([!#-[\]-~]+)","content":"([ !#-[\]-~]*)"(?:,"id":"([!#-[\]-~]+)")?\}$/

/** Nearly all traffic is plain messages; whatever is not one, or wrong, is the schema's to judge. */
function readPlainMessage(text: string): ClientMessage<"MSG"> | undefined {
  const [, before, to, content, after] = plainFrame.exec(text) ?? []
  if (to === undefined || content === undefined || !addressPattern.test(to)) return undefined
  const id = before ?? after
  if (id === undefined) return { type: "MSG", to: to as Address, content }
  const isDouble = before !== undefined && after !== undefined
  return isDouble || !isFrameId(id) ? undefined : { type: "MSG", id, to: to as Address, content }
}

/** The same for a value that is parsed already (an outbox line). */
export function validateClientMessage(
  value: unknown,
): { message: ClientMessage } | { refused: RefusedFrame } {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return refuse(undefined, "frame: must be a JSON object")
  }
  const { type, id } = value as { type?: unknown; id?: unknown }
  if (id !== undefined && !isFrameId(id)) return refuse(undefined, `id: ${frameIdRule}`)
  if (typeof type !== "string") return refuse(id, "type: must be a string")
  if (!isClientType(type)) {
    return refuse(id, `type: ${JSON.stringify(type.slice(0, 32))} is not a message of this protocol`)
  }
  return validateBody(type, id, value)
}

function validateBody(
  type: ClientType,
  id: string | undefined,
  value: object,
): { message: ClientMessage } | { refused: RefusedFrame } {
  const parsed = v.safeParse(clientMessages[type].body, value, { abortEarly: true })
  if (!parsed.success) {
    const issue = parsed.issues[0]
    return refuse(id, `${type}.${v.getDotPath(issue) ?? "frame"}: ${describeIssue(issue)}`)
  }
  const message = parsed.output as { type?: string; id?: string }
  message.type = type
  if (id !== undefined) message.id = id
  return { message: message as ClientMessage }
}

function dropNulls(value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value
  return Object.fromEntries(Object.entries(value).filter(([, member]) => member !== null))
}

/** Valibot quotes the received value; a stranger's text must not come back in an error unbounded. */
function describeIssue(issue: v.BaseIssue<unknown>): string {
  if (issue.input === undefined) return "is missing"
  return issue.message.startsWith("Invalid ")
    ? `must be ${issue.expected ?? "of another form"}`
    : issue.message
}

function refuse(id: string | undefined, message: string): { refused: RefusedFrame } {
  return { refused: { error: new ChatError("INVALID_MSG", message), id } }
}
