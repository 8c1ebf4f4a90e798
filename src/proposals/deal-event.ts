import type { AgentId } from "../protocol/names.js"
import type { DealState } from "../protocol/server-messages.js"
import type { Draft, Statement } from "../protocol/statements.js"
import type { Fault, Verb } from "../protocol/verbs.js"
import { type Deal, stateAfter, stateAt } from "./deal.js"
import { agentIdOfDid, statementMessageId } from "./statement.js"

interface EventFields extends Readonly<Record<string, unknown>> {
  readonly from: AgentId
  readonly name: string
  readonly to: AgentId
  /** State of the deal after this statement. */
  readonly state: DealState
  /** Milliseconds since the Unix epoch. */
  readonly ts: number
  readonly msg_id: string
}

/** Fields of a statement that only prove it, or that an event has in another form. */
type OmittedField<V extends Verb> =
  | "from"
  | "name"
  | "to"
  | "state"
  | "ts"
  | "msg_id"
  | "type"
  | "v"
  | "aud"
  | "sig"
  | "prev"
  | (V extends "PROPOSAL" ? never : "id")

type StatementFields<V extends Verb> = {
  readonly [K in keyof Statement<V> as K extends OmittedField<V> ? never : K]: Statement<V>[K]
}

/**
 * A verified statement as an agent reads it, in its inbox or as an event: without the fields that only prove it.
 * A PROPOSAL has `id`, every other statement `proposal_id`.
 */
export type DealEvent<V extends Verb = Verb> = {
  [K in V]: EventFields & { readonly type: K } & StatementFields<K>
}[V]

/** The content of a proposal before it is signed. `expires` and `dispute_window` are seconds (default: 7 days). */
export interface ProposalDraft extends Omit<Draft<"PROPOSAL">, "type" | "to"> {
  /** Any text that is unique among your own proposals: repeating a call with the same id makes no second proposal. */
  readonly id?: string
}

export interface DisputeOptions {
  /** The party at fault, as the signer sees it. It counts once both parties have named the same one. */
  readonly fault?: Fault
}

/** Selects the proposals to list. */
export interface ProposalQuery {
  readonly id?: string
  /** Only deals that changed at this time or later, in milliseconds since the Unix epoch. */
  readonly since?: number
}

/** A deal as the relay lists it: its proposal with the current `state`, and the statements that followed. */
export type Proposal = DealEvent<"PROPOSAL"> & {
  /** The answers to the proposal, oldest first. */
  readonly steps: readonly DealEvent[]
}

/**
 * Converts a statement to its event. The statement must have been verified.
 * @param name - nick of the signer
 * @param state - state of the deal after the statement
 */
export function dealEventOf<V extends Verb>(
  statement: Statement<V>,
  { name, state }: { readonly name: string; readonly state: DealState },
): DealEvent<V> {
  const { v: _v, aud: _aud, sig: _sig, id, from, to, ts, ...rest }: Statement = statement
  const { type, prev: _prev, ...content } = { prev: undefined, ...rest }
  const event = {
    type,
    ...(type === "PROPOSAL" ? { id } : {}),
    ...content,
    from: agentIdOfDid(from),
    name,
    to: agentIdOfDid(to),
    state,
    ts,
    msg_id: statementMessageId(statement),
  }
  return event as unknown as DealEvent<V>
}

/** Converts a verified statement of a deal to its event. @param name - nick of the signer, if known */
export function eventIn<V extends Verb>(
  deal: Deal,
  statement: Statement<V>,
  name = agentIdOfDid((statement as Statement).from).slice(1),
): DealEvent<V> {
  return dealEventOf(statement, { name, state: stateAfter(deal, statement) })
}

/**
 * Converts a verified deal.
 * @param nameOf - returns the nick of a party, if known
 * @param nowMs - milliseconds since the Unix epoch
 */
export function proposalOf(
  deal: Deal,
  nameOf: (party: AgentId) => string | undefined,
  nowMs: number,
): Proposal {
  const [proposal, ...steps] = deal.chain.map((statement) =>
    eventIn(deal, statement, nameOf(agentIdOfDid(statement.from))),
  )
  return { ...(proposal as DealEvent<"PROPOSAL">), state: stateAt(deal, nowMs), steps }
}
