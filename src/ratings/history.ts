import { agreedFault, type Deal, partiesOf, statementsOf } from "../proposals/deal.js"
import { hashStatement } from "../proposals/statement.js"
import { Lineage } from "./lineage.js"

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
  /** did:key of who proposed, and of whom it was proposed to. */
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

/**
 * The deals that receipts tell of, in the order in which they count: by time, then by the hash of the proposal. Of
 * several receipts of one deal the longest counts; a deal of an agent with itself does not. The result does not
 * depend on the order of the records.
 * @returns records in which each party is the newest key of its line
 */
export function historyOf(records: Iterable<DealRecord>, lineage: Lineage = new Lineage()): DealRecord[] {
  const deals = new Map<string, DealRecord>()
  for (const record of records) {
    if (isAfterEnd(record, lineage)) continue
    const known = deals.get(record.proposal)
    if (known === undefined || tellsMore(record, known)) deals.set(record.proposal, record)
  }
  return [...deals.values()]
    .map((record) => renamed(record, lineage))
    .filter(({ parties: [proposer, recipient] }) => proposer !== recipient)
    .sort(byTime)
}

/** Whether a party signed when its key had ended. */
export function isAfterEnd({ parties, signedTs }: DealRecord, lineage: Lineage): boolean {
  return signedTs[0] >= lineage.endOf(parties[0]) || signedTs[1] >= lineage.endOf(parties[1])
}

/** Two chains of one length differ only when a party signed against itself; then any fixed choice will do. */
function tellsMore(record: DealRecord, known: DealRecord): boolean {
  return record.steps > known.steps || (record.steps === known.steps && record.head < known.head)
}

function renamed(record: DealRecord, lineage: Lineage): DealRecord {
  const [proposer, recipient] = record.parties
  const newest = [lineage.newestOf(proposer), lineage.newestOf(recipient)] as const
  return newest[0] === proposer && newest[1] === recipient ? record : { ...record, parties: newest }
}

function byTime(a: DealRecord, b: DealRecord): number {
  return a.ts - b.ts || (a.proposal < b.proposal ? -1 : 1)
}
