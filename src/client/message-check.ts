import type { Identity } from "../identity/identity-file.js"
import { signerOf } from "../identity/message-signature.js"
import { agentIdOfDid } from "../proposals/statement.js"
import { ChatError } from "../protocol/errors.js"
import { signatureSkewMs } from "../protocol/limits.js"
import { messageProof } from "../protocol/message-fields.js"
import { isWrittenBy } from "../protocol/message-id.js"
import { agentIdIn } from "../protocol/names.js"
import { Fault } from "../protocol/schema.js"
import type { ServerMessage } from "../protocol/server-messages.js"

/** A message that was checked, without `signed`. */
export type Checked<M> = M & {
  /** True if the key of `from` signed it, for this recipient and this relay. */
  readonly verified: boolean
}

/** The agent that reads messages, and the relay they come from. */
export interface MessageReader {
  readonly serverId: string
  /** Own agent id, and those of earlier keys. */
  readonly ids: readonly string[]
  /** Own names, with those of earlier sessions. */
  readonly names: readonly string[]
  /** True for a relay of the first AgentChat, whose message ids do not name the author. */
  readonly isOlder: boolean
}

/**
 * Checks who wrote a message, so that its `from` does not rest on the word of the relay. A message without a signature is not
 * verified: its author has no key, or an older program, or the relay has left the signature out.
 * @throws {ChatError} VERIFICATION_FAILED for a message that was forged, changed, repeated later or sent to somebody else
 */
export function checkMessage<M extends ServerMessage<"MSG"> | ServerMessage<"TASK">>(
  message: M,
  reader: MessageReader,
): Checked<M> {
  const { signed, ...others } = message
  const id = "task" in message ? message.task : message.msg_id
  if (!isWrittenBy(message.from, id) && !reader.isOlder) {
    throw refused(message, `sender-mismatch: it has the id of another agent's message`)
  }
  if (signed === undefined) return { ...others, verified: false } as Checked<M>
  const proof = messageProof.read(signed)
  if (proof instanceof Fault) throw refused(message, `its signature is malformed`)
  const { to, ts, sig } = proof
  const facts = { ...others, aud: reader.serverId, id, to, ts }
  if (signerIn(facts, sig) !== others.from) throw refused(message, "its signature is not of this text")
  const problem = problemOf(others, proof, reader)
  if (problem !== undefined) throw refused(message, problem)
  return { ...others, verified: true } as Checked<M>
}

/** Returns the reader of a session's messages. @param names - own names of earlier sessions */
export function readerOf(
  { agent_id: self, name, server_id: serverId, protocol }: ServerMessage<"WELCOME">,
  identity: Pick<Identity, "nick" | "rotations"> | undefined,
  names: readonly string[] = [],
): MessageReader {
  const { nick, rotations = [] } = identity ?? {}
  const ids = [self, ...rotations.map(({ from }) => agentIdOfDid(from))]
  const ownNames = [name, ...names, ...(nick === undefined ? [] : [nick])]
  return { serverId, ids, names: ownNames, isOlder: protocol === 0 }
}

function signerIn(facts: Parameters<typeof signerOf>[0], sig: string): string | undefined {
  try {
    return signerOf(facts, sig)
  } catch (error) {
    if (error instanceof ChatError) return undefined
    throw error
  }
}

/** Returns why a message with a valid signature is not what the relay says it is. */
function problemOf(
  message: Pick<ServerMessage<"MSG" | "TASK">, "ts"> & object,
  { to, ts }: { readonly to: string; readonly ts: number },
  { ids, names }: MessageReader,
): string | undefined {
  const isFor = (target: string) => `it was meant for ${target}`
  if ("role" in message) {
    return to.toLowerCase() === `+${String(message.role).toLowerCase()}` ? undefined : isFor(to)
  }
  const shown = (message as ServerMessage<"MSG">).to
  if (shown.startsWith("@")) {
    const id = agentIdIn(to)
    const isOwn =
      id === undefined
        ? names.some((name) => `@${name}`.toLowerCase() === to.toLowerCase())
        : ids.includes(id)
    if (!isOwn || !ids.includes(shown)) return isFor(to)
  } else if (to !== shown) return isFor(to)
  const isOfThatTime = Math.abs(message.ts - ts) <= signatureSkewMs.recipient
  return isOfThatTime ? undefined : `it was sent at ${new Date(ts).toISOString()}`
}

function refused({ from }: { readonly from: string }, problem: string): ChatError {
  return new ChatError("VERIFICATION_FAILED", `a message from ${from} was dropped: ${problem}`)
}
