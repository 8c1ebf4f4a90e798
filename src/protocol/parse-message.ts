import { isPlain } from "../base/plain.js"
import { JsonError, parseStrictJson } from "../base/strict-json.js"
import { type ClientMessage, type ClientType, clientMessages, isClientType } from "./client-messages.js"
import { ChatError } from "./errors.js"
import { frameIdRule, isFrameId } from "./message-id.js"
import { type Address, addressPattern } from "./names.js"
import { Fault, type Fields, object, optional, type Schema, string } from "./schema.js"
import { isServerType, type ServerMessage, type ServerType, serverMessages } from "./server-messages.js"
import { isVerb } from "./verbs.js"

/** Characters of a stranger's text that an error may quote. */
const quotedCharacters = 200

/** A refused frame: the error, and the frame's own `id` if that could be read. */
interface RefusedFrame {
  readonly error: ChatError
  readonly id: string | undefined
}

type ReadFrame = { readonly message: ClientMessage } | { readonly refused: RefusedFrame }

/** Translates a frame before it is validated; undefined to ignore it. */
type Translate = (frame: Members) => Members | undefined

/**
 * Parses a text as a client message. Unknown fields are dropped, unknown types refused. A field that is `null` counts as
 * absent.
 * @returns the message, an INVALID_MSG that names the first field at fault, or undefined if `translate` ignores it
 */
export function parseClientMessage(frame: string): ReadFrame
export function parseClientMessage(frame: string, translate: Translate | undefined): ReadFrame | undefined
export function parseClientMessage(frame: string, translate?: Translate): ReadFrame | undefined {
  const plain = readPlainMessage(frame)
  if (plain !== undefined) return { message: plain }
  let value: unknown
  try {
    value = parseStrictJson(frame)
  } catch (error) {
    if (!(error instanceof JsonError)) throw error
    const where = error.path === "" ? "frame" : error.path.slice(0, quotedCharacters)
    return refuse(undefined, `${where}: ${error.message}`)
  }
  if (!isPlain(value)) return validateClientMessage(value)
  const translated = translate === undefined ? value : translate(value)
  return translated && validateClientMessage(translated)
}

/**
 * A frame of exactly `{type, to, content}` with an `id` before or after them, and `signed` at the end: no space, no escape,
 * nothing beyond ASCII. Such a text has only one meaning; the strict parser would find it at four times the cost.
 */
const plainFrame =
  /^\{"type":"MSG",(?:"id":"([!#-[\]-~]+)",)?"to":"([!#-[\]-~]+)","content":"([ !#-[\]-~]*)"(?:,"id":"([!#-[\]-~]+)")?(?:,"signed":\{"to":"([!#-[\]-~]+)","ts":([1-9][0-9]{0,14}),"sig":"([!#-[\]-~]{0,1024})"\})?\}$/

/** Reads a plain message, which nearly all traffic is. @returns undefined for a frame that the schema must judge */
function readPlainMessage(frame: string): ClientMessage<"MSG"> | undefined {
  const [, before, to = "", content = "", after, ...signed] = plainFrame.exec(frame) ?? []
  if (content.trim() === "" || !addressPattern.test(to)) return undefined
  const id = before ?? after
  const hasTwoIds = before !== undefined && after !== undefined
  if (hasTwoIds || (id !== undefined && !isFrameId(id))) return undefined
  const message = { type: "MSG", ...(id !== undefined && { id }), to: to as Address, content } as const
  return withProof(message, signed)
}

function withProof(
  message: ClientMessage<"MSG">,
  [to, ts, sig = ""]: readonly (string | undefined)[],
): ClientMessage<"MSG"> | undefined {
  if (to === undefined) return message
  return addressPattern.test(to)
    ? { ...message, signed: { to: to as Address, ts: Number(ts), sig } }
    : undefined
}

/** Validates a value that is parsed already, such as a line of the outbox, as a client message. */
export function validateClientMessage(members: unknown): ReadFrame {
  if (!isPlain(members)) return refuse(undefined, "frame: must be a JSON object")
  const value = dropNulls(members)
  const { type, id } = value
  if (id !== undefined && !isFrameId(id)) return refuse(undefined, `id: ${frameIdRule}`)
  if (typeof type !== "string") return refuse(id, "type: must be a string")
  if (!isClientType(type)) {
    const older = olderTypes.has(type) ? `, but of the first AgentChat; ${compatAdvice}` : ""
    return refuse(id, `type: ${JSON.stringify(type.slice(0, 32))} is not a message of this protocol${older}`)
  }
  const message = clientSchemas[type].read(value)
  if (message instanceof Fault) return refuse(id, problemOf(type, value, message))
  const empty = emptyText(message as ClientMessage)
  return empty === undefined ? { message: message as ClientMessage } : { refused: { error: empty, id } }
}

/** Returns the error of a message without text and parts; undefined for any other. */
function emptyText(message: {
  readonly type: string
  readonly content?: unknown
  readonly parts?: unknown
}): ChatError | undefined {
  const { type, content, parts } = message
  if (type !== "MSG" && type !== "FORECAST") return undefined
  const hasParts = Array.isArray(parts) && parts.length > 0
  if (hasParts || typeof content !== "string" || content.trim() !== "") return undefined
  return new ChatError("INVALID_MSG", `${type}.content: is empty, and there are no parts`, {
    hint: "write a text, or attach parts",
  })
}

/** Types and statuses of the first AgentChat that this protocol does not have. */
export const olderTypes: ReadonlySet<unknown> = new Set([
  ...["SET_NICK", "TYPING", "FILE_CHUNK", "RESPONDING_TO", "REGISTER_SKILLS", "SEARCH_SKILLS"],
  ...[
    "VERIFY_REQUEST",
    "VERIFY_RESPONSE",
    "CAPTCHA_RESPONSE",
    "DISPUTE_INTENT",
    "DISPUTE_REVEAL",
    "EVIDENCE",
  ],
  ...["ARBITER_ACCEPT", "ARBITER_DECLINE", "ARBITER_VOTE", "ADMIN_APPROVE", "ADMIN_REVOKE", "ADMIN_LIST"],
  ...["ADMIN_KICK", "ADMIN_BAN", "ADMIN_UNBAN"],
])
const olderStatuses: ReadonlySet<unknown> = new Set(["online", "listening", "busy", "offline"])
/** In the message and not a hint, because clients of the first AgentChat show only that. */
const compatAdvice = "agentchat serve --compat accepts its clients"

/** Describes a fault, and names the first AgentChat where its clients make it. */
function problemOf(type: ClientType, { status, sig, v }: Members, fault: Fault): string {
  if (isVerb(type) && typeof sig === "string" && v === undefined) {
    return `${type}: deals of the first AgentChat are not accepted, because its signatures do not prove a deal to others`
  }
  const problem = `${type}.${fault.path}: ${fault.problem}`
  const isOlder = fault.path === "status" && olderStatuses.has(status)
  return isOlder ? `${problem}; in the first AgentChat it is valid: ${compatAdvice}` : problem
}

function dropNulls(value: Members): Members {
  if (!Object.values(value).includes(null)) return value
  return Object.fromEntries(Object.entries(value).filter(([, member]) => member !== null))
}

function refuse(id: string | undefined, message: string): { refused: RefusedFrame } {
  return { refused: { error: new ChatError("INVALID_MSG", message), id } }
}

/** A JSON object that nothing has checked. */
export type Members = Readonly<Record<string, unknown>>

/** Parses the JSON object of a frame. @returns undefined if it is none */
export function parseMembers(frame: string): Members | undefined {
  let value: unknown
  try {
    value = parseStrictJson(frame)
  } catch (error) {
    if (error instanceof JsonError) return undefined
    throw error
  }
  return isPlain(value) ? value : undefined
}

/**
 * Parses a relay's frame. Fields that are not of the protocol are left out.
 * @returns undefined for anything but a valid message, which is all a hostile relay achieves
 */
export function parseServerMessage(frame: string): ServerMessage | undefined {
  const members = parseMembers(frame)
  return members === undefined ? undefined : validateServerMessage(members)
}

/** Validates a parsed frame of a relay, as {@link parseServerMessage} does. */
export function validateServerMessage(members: Members): ServerMessage | undefined {
  const { type } = members
  if (typeof type !== "string" || !isServerType(type)) return undefined
  const message = serverSchemas[type].read(members)
  return message instanceof Fault ? undefined : (message as ServerMessage)
}

const clientSchemas: Readonly<Record<ClientType, Schema<object>>> = schemasOf(clientMessages, {
  type: string,
  id: optional(string),
})
const serverSchemas: Readonly<Record<ServerType, Schema<object>>> = schemasOf(serverMessages, {
  type: string,
})

/** Returns the schemas of whole messages. @param head - the fields that come first in each message */
function schemasOf<T extends string>(
  rows: Readonly<Record<T, { readonly fields: Fields }>>,
  head: Fields,
): Record<T, Schema<object>> {
  const schemas = Object.entries<{ readonly fields: Fields }>(rows).map(([type, { fields }]) => [
    type,
    object({ ...head, ...fields }),
  ])
  return Object.fromEntries(schemas) as Record<T, Schema<object>>
}
