import { formatStatementId } from "../protocol/message-id.js"
import type { AgentId } from "../protocol/names.js"
import type { DealState, ServerMessage } from "../protocol/server-messages.js"
import type { Statement } from "../protocol/statements.js"
import { proposalIdOf, type Verb } from "../protocol/verbs.js"
import { agentIdOfDid } from "./statement.js"

/**
 * A step of a deal as an agent reads it, in its inbox or as an event: without what only proves it. A PROPOSAL has
 * `id`, every other `proposal_id`; the rest are members of the statement.
 */
export interface DealNews extends Readonly<Record<string, unknown>> {
  readonly type: Verb
  readonly from: AgentId
  /** What `from` calls itself. */
  readonly name: string
  readonly to: AgentId
  /** Of the deal, after this step. */
  readonly state: DealState
  /** Milliseconds since the Unix epoch. */
  readonly ts: number
  readonly msg_id: string
}

/** Tells a step of a deal. The statement must have been verified. */
export function newsOf(
  statement: Statement,
  { name, state, msgId }: { readonly name: string; readonly state: DealState; readonly msgId: string },
): DealNews {
  const { type, from, to, ts, v: _v, aud: _aud, sig: _sig, ...said } = statement
  const { prev: _prev, id, ...told } = "prev" in said ? said : { ...said, prev: undefined }
  return {
    type,
    ...(type === "PROPOSAL" ? { id } : {}),
    ...told,
    from: agentIdOfDid(from),
    name,
    to: agentIdOfDid(to),
    state,
    ts,
    msg_id: msgId,
  }
}

/** The `msg_id` of a statement. */
export function statementMessageId(statement: Statement): string {
  return formatStatementId(agentIdOfDid(statement.from), proposalIdOf(statement), statement.type)
}

/** The statement a relay's message carries. Nothing is verified. */
export function statementIn(message: ServerMessage<Verb>): unknown {
  const { re: _re, msg_id: _msgId, name: _name, state: _state, ...statement } = message
  return statement
}
