import { answerIdOf, signMessage } from "../identity/message-signature.js"
import type { KeyPair } from "../identity/signer.js"
import type { ClientFrame } from "../protocol/client-messages.js"
import { authorOf, formatMessageId } from "../protocol/message-id.js"
import { type AgentId, agentIdIn } from "../protocol/names.js"

/** The author of a session's messages. */
export interface MessageAuthor {
  readonly agentId: AgentId
  readonly keyPair: KeyPair
  /** `server_id` of the relay. */
  readonly serverId: string
}

/**
 * Signs a frame that becomes a message: a MSG with an id, or a DONE, which the relay makes a message to the agent that asked.
 * Any other frame is returned as it is, and so is one that has no canonical form.
 * @param ts - now, in milliseconds since the Unix epoch
 */
export function signFrame<F extends ClientFrame>(frame: F, author: MessageAuthor, ts: number): F {
  const facts = factsOf(frame, author.agentId)
  if (facts === undefined) return frame
  const sig = signMessage({ ...facts, aud: author.serverId, from: author.agentId, ts }, author.keyPair)
  return sig === undefined ? frame : { ...frame, signed: { to: facts.to, ts, sig } }
}

function factsOf(frame: ClientFrame, self: AgentId) {
  if (frame.type === "DONE") {
    const { task, content = "" } = frame
    return { to: authorOf(task), id: answerIdOf(self, task), content, kind: "inform", in_reply_to: task }
  }
  if (frame.type !== "MSG" || frame.id === undefined) return undefined
  const { id, to, to_id: meant } = frame
  const target = to.startsWith("@") ? (meant ?? agentIdIn(to) ?? to) : to
  return { ...frame, id: formatMessageId(self, id), to: target }
}
