import { agreedFault, type Deal, partiesOf, statementsOf } from "../proposals/deal.js"
import { hashStatement } from "../proposals/statement.js"
import { KeySuccession } from "./key-succession.js"

/** The outcome of a deal: completed, or disputed with the party that both name as at fault. */
export type Outcome = "completed" | "unresolved" | "proposer" | "recipient" | "mutual"

/** The contents of a valid receipt that ratings are computed from. */
export interface DealRecord {
  /** Hash of the proposal, which identifies the deal. */
  readonly proposal: string
  /** Hash of the last statement. */
  readonly head: string
  /** Number of statements in the chain. */
  readonly steps: number
  /** Id of the proposal, chosen by its author. */
  readonly id: string
  /** did:keys of the proposer and of the recipient. */
  readonly parties: readonly [string, string]
  /** Time of the last statement of each party; milliseconds since the Unix epoch. */
  readonly signedTs: readonly [number, number]
  readonly amount: string | undefined
  readonly outcome: Outcome
  /** Time of the first COMPLETE, or of the agreement on the fault; milliseconds since the Unix epoch. */
  readonly ts: number
}

/** Returns the record of a deal. Does not verify signatures. */
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
 * Selects the deals to rate, ordered by time, then by the hash of the proposal. Of several receipts of one deal, the
 * longest counts. A deal of an agent with itself does not count. The order of the records makes no difference.
 * @returns records in which each party is replaced by its current key
 */
export function historyOf(
  records: Iterable<DealRecord>,
  keys: KeySuccession = new KeySuccession(),
): DealRecord[] {
  const deals = new Map<string, DealRecord>()
  for (const record of records) {
    if (isAfterEnd(record, keys)) continue
    const known = deals.get(record.proposal)
    if (known === undefined || isLonger(record, known)) deals.set(record.proposal, record)
  }
  return [...deals.values()]
    .map((record) => withCurrentKeys(record, keys))
    .filter(({ parties: [proposer, recipient] }) => proposer !== recipient)
    .sort(byTime)
}

/** Tests whether a party signed at or after the end of its key. */
export function isAfterEnd({ parties, signedTs }: DealRecord, keys: KeySuccession): boolean {
  return signedTs[0] >= keys.endOf(parties[0]) || signedTs[1] >= keys.endOf(parties[1])
}

/** Tests which of two receipts counts. Equal lengths mean that a party signed two versions: the lower hash counts. */
function isLonger(record: DealRecord, known: DealRecord): boolean {
  return record.steps > known.steps || (record.steps === known.steps && record.head < known.head)
}

function withCurrentKeys(record: DealRecord, keys: KeySuccession): DealRecord {
  const [proposer, recipient] = record.parties
  const newest = [keys.newestOf(proposer), keys.newestOf(recipient)] as const
  return newest[0] === proposer && newest[1] === recipient ? record : { ...record, parties: newest }
}

function byTime(a: DealRecord, b: DealRecord): number {
  return a.ts - b.ts || (a.proposal < b.proposal ? -1 : 1)
}
