import type { GuardMessage } from "../../guards/guard-message.js"
import { pairOf } from "../../guards/scopes.js"
import { answerIdOf } from "../../identity/message-signature.js"
import type { Kind } from "../../protocol/message-kinds.js"
import { type AgentId, persistentIdPattern } from "../../protocol/names.js"
import type { Stored } from "../delivery/message-json.js"
import type { Route } from "../delivery/route.js"

/** A message as the guards see it; they add the time. */
export type GuardInput = Omit<GuardMessage, "ts">

/** Returns the guard input of a message that an agent wants to send. @param id - its `msg_id` */
export function guardInputOf(
  { message, address, to, addressees }: Route,
  { id: from, sharedOrigin }: { readonly id: AgentId; readonly sharedOrigin: string | undefined },
  id: string,
): GuardInput {
  const text = readableText(message)
  return {
    id,
    from,
    sharedOrigin,
    channel: to === undefined ? address : pairOf(from, to),
    to: addressees,
    kind: message.kind,
    answers: message.in_reply_to,
    text,
    bytes: Buffer.byteLength(text),
  }
}

/**
 * Returns the guard input of a message that another relay accepted; undefined for anything but a message, and for the
 * answer to a task, which is work.
 */
export function replicatedInput(message: Stored): GuardInput | undefined {
  if (message.type !== "MSG") return undefined
  const { msg_id: id, from, to, in_reply_to: answers, mentions = [] } = message
  if (answers !== undefined && id === answerIdOf(from as AgentId, answers)) return undefined
  const isDirect = !to.startsWith("#")
  const text = readableText(message)
  return {
    id,
    from,
    // The address of an agent on another relay is not known, nor the age of its key.
    sharedOrigin: persistentIdPattern.test(from) ? undefined : "elsewhere",
    channel: isDirect ? pairOf(from, to) : to,
    to: isDirect ? [to] : mentions,
    kind: message.kind as Kind | undefined,
    answers,
    text,
    bytes: Buffer.byteLength(text),
  }
}

/** Returns everything that the readers of a message have to read. */
function readableText(message: {
  readonly content: string
  readonly parts?: readonly unknown[] | undefined
}) {
  const { content, parts = [] } = message
  return parts.length === 0 ? content : `${content}\n${JSON.stringify(parts)}`
}
