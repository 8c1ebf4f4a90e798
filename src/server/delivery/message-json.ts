import type { LogEntry } from "../../backbone/backbone.js"
import type { ClientMessage } from "../../protocol/client-messages.js"
import type { AgentId, Nick } from "../../protocol/names.js"
import type { ServerMessage } from "../../protocol/server-messages.js"
import type { Verb } from "../../protocol/verbs.js"
import type { SentAck } from "../sessions/sent-ids.js"
import { asciiPayload, type Payload, payloadOf } from "../wire/frame-encoder.js"

// The two messages written for every message read. Ids, names and addresses are validated forms that need
// no JSON escape, so these are put together by hand; JSON.stringify of the whole costs five times as much.

/** The fields of MSG that every message of one sender begins with. */
export function formatMessagePrefix(id: AgentId, name: Nick): string {
  return `{"type":"MSG","from":"${id}","name":"${name}","to":"`
}

/**
 * MSG as the recipients read it.
 * @param sender - made by {@link formatMessagePrefix}
 * @param to - the address resolved: a channel or an agent's id
 */
export function formatMessage(
  sender: string,
  to: string,
  message: ClientMessage<"MSG">,
  messageId: string,
  receipt: SentAck,
): Payload {
  const { ts, seq, hops } = receipt
  const { content } = message
  const isPlain = plainText.test(content)
  const pieces = [
    sender,
    to,
    isPlain ? '","content":"' : '","content":',
    isPlain ? content : JSON.stringify(content),
  ]
  pieces.push(isPlain ? '","ts":' : ',"ts":', String(ts), ',"msg_id":"', messageId, '","hops":', String(hops))
  if (seq !== undefined) pieces.push(',"seq":', String(seq))
  const extras = formatExtras(message)
  pieces.push(extras)
  return isPlain && extras === "}" ? asciiPayload(pieces) : payloadOf(pieces.join(""))
}

function formatExtras({ parts, in_reply_to, kind, mentions, sig }: ClientMessage<"MSG">): string {
  let text = ""
  if (parts !== undefined && parts.length > 0) text += `,"parts":${JSON.stringify(parts)}`
  if (in_reply_to !== undefined) text += `,"in_reply_to":${JSON.stringify(in_reply_to)}`
  if (kind !== undefined) text += `,"kind":"${kind}"`
  if (mentions !== undefined && mentions.length > 0) text += `,"mentions":${JSON.stringify(mentions)}`
  if (sig !== undefined) text += `,"sig":${JSON.stringify(sig)}`
  return `${text}}`
}

/** A message that was kept before it had its number. */
export function formatStored({ value, seq }: LogEntry): string {
  return `${value.slice(0, -1)},"seq":${seq}}`
}

/** Parses the message of a log entry. Only relays write logs, so nothing is checked. */
export function parseStored<T extends StoredType = StoredType>({
  value,
}: {
  readonly value: string
}): Stored<T> {
  return JSON.parse(value) as Stored<T>
}

/** A message as a log holds it: a channel's holds MSG alone, a mailbox each of these. */
export type Stored<T extends StoredType = StoredType> = ServerMessage<T>
type StoredType = "MSG" | "DELIVERY" | Verb

/** The same message for somebody who was not there when it was sent. */
export function formatReplay(message: string): string {
  return `${message.slice(0, -1)},"replay":true}`
}

/** ACK of a message; the first one and, marked so, any further one for the same id. */
export function formatAck(
  re: string | undefined,
  messageId: string,
  receipt: SentAck,
  isDuplicate: boolean,
): Payload {
  const { ts, seq, recipients, to, isMember } = receipt
  const pieces = ['{"type":"ACK"']
  if (re !== undefined) pieces.push(',"re":"', re, '"')
  pieces.push(',"msg_id":"', messageId, '","ts":', String(ts))
  pieces.push(',"state":"accepted","recipients":', String(recipients))
  if (seq !== undefined) pieces.push(',"seq":', String(seq))
  if (to !== undefined) pieces.push(',"to":"', to, '"')
  if (!isMember) pieces.push(',"member":false')
  pieces.push(isDuplicate ? ',"duplicate":true}' : "}")
  return asciiPayload(pieces)
}

/** Printable ASCII without `"` and `\` is its own JSON; a look costs a fifth of JSON.stringify. */
const plainText = /^[ !#-[\]-~]*$/
