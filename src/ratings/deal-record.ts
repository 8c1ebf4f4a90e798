import { agreedFault, type Deal, partiesOf, statementsOf } from "../proposals/deal.js"
import { hashStatement } from "../proposals/statement.js"

/** How a deal ended: completed, or disputed, and who both say is at fault. */
export type Outcome = "completed" | "unresolved" | "proposer" | "recipient" | "mutual"

/** What a valid receipt says that matters to ratings. */
export interface DealRecord {
  /** Hash of the proposal: whoever has another one has another deal. */
  readonly proposal: string
  /** Hash of the last statement. */
  readonly head: string
  /** Statements in the chain. */
  readonly steps: number
  /** Of the proposal, as its author chose it. */
  readonly id: string
  /** did:key of who proposed, and to whom. */
  readonly parties: readonly [string, string]
  /** When each of the two last signed; milliseconds since the Unix epoch. */
  readonly signedTs: readonly [number, number]
  readonly amount: string | undefined
  readonly outcome: Outcome
  /** When it was first said to be completed, or the fault agreed on; milliseconds since the Unix epoch. */
  readonly ts: number
}

/** What counts of a deal that has a receipt. Looks at no signature. */
export function recordOf(deal: Deal): DealRecord {
  const [proposal] = deal.chain
  const parties = partiesOf(deal)
  const lastOf = (did: string) => deal.chain.findLast(({ from }) => from === did)?.ts ?? 0
  return {
    proposal: hashStatement(proposal),
    head: deal.head,
    steps: deal.chain.length,
    id: deal.id,
    parties,
    signedTs: [lastOf(parties[0]), lastOf(parties[1])],
    amount: proposal.amount,
    ...endOf(deal),
  }
}

function endOf(deal: Deal): Pick<DealRecord, "outcome" | "ts"> {
  const last = deal.chain.at(-1)?.ts ?? 0
  if (deal.state === "disputed") return { outcome: agreedFault(deal) ?? "unresolved", ts: last }
  return { outcome: "completed", ts: statementsOf(deal, "COMPLETE")[0]?.ts ?? last }
}
