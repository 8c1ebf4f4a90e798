import { createHash } from "node:crypto"
import { omitUndefined } from "../base/plain.js"
import { ChatError } from "../protocol/errors.js"
import { taskAnswerId } from "../protocol/message-id.js"
import type { AgentId } from "../protocol/names.js"
import { signDetached, verifyDetached } from "./detached-jws.js"
import { agentIdOf } from "./keys.js"
import type { KeyPair } from "./signer.js"

/**
 * The facts of a message that its author signs. `aud` is the `server_id` of the relay, so that a message is valid on one
 * relay only.
 */
export interface MessageFacts {
  readonly aud: string
  /** Agent id of the author. */
  readonly from: string
  /** The whole message id, as readers see it in `msg_id`. */
  readonly id: string
  /** The channel, the role, or the agent: its id if the author knows it, else its name. */
  readonly to: string
  readonly content: string
  readonly parts?: readonly unknown[] | undefined
  readonly kind?: string | undefined
  readonly in_reply_to?: string | undefined
  /** The form of the answer to a task. */
  readonly choices?: readonly string[] | undefined
  readonly schema?: object | undefined
  readonly default?: string | undefined
  /** When the author signed, in milliseconds since the Unix epoch. */
  readonly ts: number
}

const digestCharacters = 22

const messageType = "agentchat.msg+jws"

/** Returns the message id of an answer: always the same, however often the worker sends DONE. */
export function answerIdOf(worker: AgentId, taskId: string): string {
  const digest = createHash("sha256").update(taskId).digest("base64url").slice(0, digestCharacters)
  return taskAnswerId(worker, digest)
}

/**
 * Signs a message with the key of its author.
 * @returns undefined for a message without a canonical form, such as one with half of a surrogate pair
 */
export function signMessage(facts: MessageFacts, keyPair: KeyPair): string | undefined {
  try {
    return signDetached(pick(facts), keyPair, messageType)
  } catch (error) {
    if (error instanceof ChatError) return undefined
    throw error
  }
}

/**
 * Returns the agent id of the key that signed a message.
 * @throws {ChatError} VERIFICATION_FAILED if the signature is not of these facts
 */
export function signerOf(facts: MessageFacts, sig: string): AgentId {
  return agentIdOf(verifyDetached(sig, pick(facts), messageType))
}

function pick(facts: MessageFacts): object {
  const { aud, from, id, to, content, parts, kind, in_reply_to, choices, schema, ts } = facts
  // A relay does not pass on an empty list.
  const some = parts !== undefined && parts.length > 0 ? parts : undefined
  const question = { choices, schema, default: facts.default }
  return omitUndefined({ aud, from, id, to, content, parts: some, kind, in_reply_to, ...question, ts })
}
