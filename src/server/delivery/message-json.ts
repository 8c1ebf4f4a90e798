import type { LogEntry } from "../../backbone/backbone.js"
import type { ClientMessage } from "../../protocol/client-messages.js"
import { signatureSkewMs } from "../../protocol/limits.js"
import type { MessageProof, RotationClaim } from "../../protocol/message-fields.js"
import type { AgentId, Nick } from "../../protocol/names.js"
import { validateServerMessage } from "../../protocol/parse-message.js"
import { anyObject, parseAs } from "../../protocol/schema.js"
import type { ServerMessage, TargetFacts } from "../../protocol/server-messages.js"
import { type Verb, verbs } from "../../protocol/verbs.js"
import type { SentAck } from "../sessions/ack-table.js"

// MSG and ACK are written for every message read. They are assembled by hand, because JSON.stringify takes five times
// as long. Ids, names and addresses are validated and need no escapes.

/** Formats the start of MSG, which is the same for all messages of an agent. */
export function formatMessagePrefix(id: AgentId, name: Nick): string {
  return `{"type":"MSG","from":"${id}","name":"${name}","to":"`
}

/**
 * Formats MSG as the recipients get it.
 * @param prefix - made by {@link formatMessagePrefix}
 * @param to - a channel or the id of an agent
 */
export function formatMessage(
  prefix: string,
  to: string,
  message: ClientMessage<"MSG">,
  messageId: string,
  ack: SentAck,
): string {
  const { ts, seq, hops } = ack
  const { content } = message
  const text = plainText.test(content) ? `"${content}"` : JSON.stringify(content)
  const number = seq === undefined ? "" : `,"seq":${seq}`
  return `${prefix}${to}","content":${text},"ts":${ts},"msg_id":"${messageId}","hops":${hops}${number}${formatExtras(message)}`
}

function formatExtras(message: ClientMessage<"MSG">): string {
  const { parts, in_reply_to, kind, wait_ms, mentions, signed, sig, trace } = message
  let text = ""
  if (parts !== undefined && parts.length > 0) text += `,"parts":${JSON.stringify(parts)}`
  if (in_reply_to !== undefined) text += `,"in_reply_to":${JSON.stringify(in_reply_to)}`
  if (kind !== undefined) text += `,"kind":"${kind}"`
  if (wait_ms !== undefined) text += `,"wait_ms":${wait_ms}`
  if (mentions !== undefined && mentions.length > 0) text += `,"mentions":${JSON.stringify(mentions)}`
  if (signed !== undefined)
    text += `,"signed":{"to":"${signed.to}","ts":${signed.ts},"sig":${JSON.stringify(signed.sig)}}`
  if (sig !== undefined) text += `,"sig":${JSON.stringify(sig)}`
  if (trace !== undefined) text += `,"trace":"${trace}"`
  return `${text}}`
}

/**
 * Returns a signature to pass on; undefined for one of another time than the relay's, which recipients would take for that of
 * an earlier message.
 */
export function timelySignature(signed: MessageProof | undefined, nowMs: number): MessageProof | undefined {
  const isTimely = signed !== undefined && Math.abs(nowMs - signed.ts) <= signatureSkewMs.relay
  return isTimely ? signed : undefined
}

/** Formats a message from a log, adding its sequence number. */
export function formatStored({ value, seq }: LogEntry): string {
  return `${value.slice(0, -1)},"seq":${seq}}`
}

const jsonObject = anyObject()
const storedTypes: ReadonlySet<string> = new Set(["MSG", "DELIVERY", "INVITE", "TASK_EXPIRED", ...verbs])

/** Parses the message of a log entry. @returns undefined for a malformed one, which readers skip */
export function parseStored({ value }: { readonly value: string }): Stored | undefined {
  // Fields are added before the last brace.
  const message = value.endsWith("}") ? parseAs(jsonObject, value) : undefined
  const valid = message && validateServerMessage(message)
  return valid !== undefined && storedTypes.has(valid.type) ? (valid as Stored) : undefined
}

/** A message in a log. The log of a channel contains only MSG, that of a mailbox all of these. */
export type Stored<T extends StoredType = StoredType> = ServerMessage<T>
type StoredType = "MSG" | "DELIVERY" | "INVITE" | "TASK_EXPIRED" | Verb

/** Formats a message for an agent that was not a member when it was sent. */
export function formatReplay(message: string): string {
  return `${message.slice(0, -1)},"replay":true}`
}

/** The part of an ACK about the agent that the message goes to. */
interface AckedTarget {
  /** Verified, and so ASCII. */
  readonly rotations?: readonly RotationClaim[] | undefined
  readonly target?: TargetFacts | undefined
}

/** Formats the ACK of a message. */
export function formatAck(
  re: string | undefined,
  messageId: string,
  ack: SentAck,
  isDuplicate: boolean,
  { rotations, target }: AckedTarget = {},
): string {
  const { ts, seq, recipients, to, isMember } = ack
  let text = re === undefined ? '{"type":"ACK"' : `{"type":"ACK","re":"${re}"`
  text += `,"msg_id":"${messageId}","ts":${ts},"state":"accepted","recipients":${recipients}`
  if (seq !== undefined) text += `,"seq":${seq}`
  if (to !== undefined) text += `,"to":"${to}"`
  if (rotations !== undefined) text += `,"rotations":${JSON.stringify(rotations)}`
  if (target !== undefined) text += `,"target":${JSON.stringify(target)}`
  if (!isMember) text += ',"member":false'
  return text + (isDuplicate ? ',"duplicate":true}' : "}")
}

/** Printable ASCII without `"` and `\`, which needs no escapes. Testing costs a fifth of JSON.stringify. */
const plainText = /^[ !#-[\]-~]*$/
