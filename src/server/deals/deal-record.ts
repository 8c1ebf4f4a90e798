import {
  type Deal,
  dealOf,
  disputableUntil,
  expiryOf,
  partiesOf,
  statementsOf,
} from "../../proposals/deal.js"
import { agentIdOfDid } from "../../proposals/statement.js"
import type { AgentId } from "../../protocol/names.js"
import type { DealState } from "../../protocol/server-messages.js"
import type { Statement } from "../../protocol/statements.js"

/** A deal, and what its parties were called when they last said something in it. */
export interface DealRecord {
  readonly deal: Deal
  readonly names: Readonly<Record<string, string>>
}

/** What is known of a deal without reading its chain. Times are milliseconds since the Unix epoch. */
export interface DealEntry {
  readonly id: string
  readonly proposer: AgentId
  readonly recipient: AgentId
  /** Of the last statement. */
  readonly lastTs: number
  /** From when on nothing can be said in it; absent while that is open. */
  readonly closesTs?: number
  /** Length of its row. */
  readonly characters: number
  readonly revision: number
}

/** A row of the table of proposals, whose key is the id of the proposal. */
interface Row {
  readonly v: 1
  readonly parties: readonly [proposer: AgentId, recipient: AgentId]
  /** As it was after the last statement. */
  readonly state: DealState
  readonly closes?: number
  readonly statements: readonly Statement[]
  readonly names: Readonly<Record<string, string>>
}

/** A record as a row. */
export function formatDealRecord({ deal, names }: DealRecord): string {
  const [proposer, recipient] = partiesOf(deal)
  const closes = closesTsOf(deal)
  const row: Row = {
    v: 1,
    parties: [agentIdOfDid(proposer), agentIdOfDid(recipient)],
    state: deal.state,
    ...(closes !== undefined && { closes }),
    statements: deal.chain,
    names,
  }
  return JSON.stringify(row)
}

/** @returns undefined for a row that another version wrote */
export function parseDealRecord(text: string): DealRecord | undefined {
  const row = parseRow(text)
  return row === undefined ? undefined : { deal: dealOf(row.statements), names: row.names }
}

/** What a row tells at a glance. @returns undefined for one that another version wrote */
export function parseDealEntry(id: string, text: string, revision: number): DealEntry | undefined {
  const row = parseRow(text)
  const lastTs = row?.statements.at(-1)?.ts
  if (row === undefined || lastTs === undefined) return undefined
  const {
    parties: [proposer, recipient],
    closes,
  } = row
  const closing = closes === undefined ? {} : { closesTs: closes }
  return { id, proposer, recipient, lastTs, ...closing, characters: text.length, revision }
}

/** The store holds only what a relay wrote. */
function parseRow(text: string): Row | undefined {
  const row = JSON.parse(text) as { readonly v?: unknown }
  return row.v === 1 ? (row as Row) : undefined
}

/** From when on nothing can be said in a deal; who disputes gets an answer within the same time, or none. */
function closesTsOf(deal: Deal): number | undefined {
  const [{ dispute_window: window }] = deal.chain
  const lastTs = deal.chain.at(-1)?.ts ?? 0
  switch (deal.state) {
    case "pending":
      return expiryOf(deal)
    case "completed":
      return disputableUntil(deal)
    case "disputed":
      return statementsOf(deal, "DISPUTE").length > 1 ? lastTs : lastTs + window * 1_000
    case "rejected":
      return lastTs
    default:
      return undefined
  }
}
