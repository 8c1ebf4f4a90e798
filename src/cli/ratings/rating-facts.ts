/** What receipts say of ratings, and how that is written down. */
import type { DealRecord, Outcome } from "../../ratings/history.js"
import type { KeyEnd } from "../../ratings/lineage.js"

/** Lines that do not count. */
export interface RefusedLines {
  readonly count: number
  /** Numbers of the first few. */
  readonly first: readonly number[]
  /** Whether the file ends within a line. */
  readonly hasTail: boolean
}

/** What valid receipts say; whole enough to go on from when there are more of them. */
export interface RatingFacts {
  /** Agent ids by did:key. */
  readonly agentIds: Map<string, string>
  /** By {@link nameOfEnd}. */
  readonly keyEnds: Map<string, KeyEnd>
  /** By the hash of the last statement. */
  readonly records: Map<string, DealRecord>
  refused: RefusedLines
}

/** Two ends of one name differ only in time. */
export function nameOfEnd({ key, successor = "" }: KeyEnd): string {
  return `${key} ${successor}`
}

/** {@link RatingFacts} as they stand in ratings.json. */
export interface FactsDocument {
  readonly agents: readonly (readonly [did: string, agentId: string])[]
  readonly key_ends: readonly (readonly [did: string, ts: number, successor?: string])[]
  /** See {@link rowOf}. */
  readonly deals: readonly DealRow[]
}

/** A record in which agents are places in a list, so that a hundred thousand of them stay small. */
type DealRow = readonly [
  proposal: string,
  head: string,
  steps: number,
  id: string,
  proposer: number,
  recipient: number,
  proposerTs: number,
  recipientTs: number,
  amount: string | null,
  outcome: Outcome,
  ts: number,
]

/** One line of JSON; the same receipts in another order give the same one. */
export function formatFacts({ agentIds, keyEnds, records }: RatingFacts): string {
  const agents = [...agentIds].sort(byFirst)
  const indexes = new Map(agents.map(([did], index) => [did, index]))
  const indexOf = (did: string) => indexes.get(did) ?? -1
  const deals = [...records.values()]
    .sort((a, b) => (a.head < b.head ? -1 : 1))
    .map((record): DealRow => {
      const { proposal, head, steps, id, parties, signedTs, amount, outcome, ts } = record
      const [proposer, recipient] = parties
      return [
        proposal,
        head,
        steps,
        id,
        indexOf(proposer),
        indexOf(recipient),
        ...signedTs,
        amount ?? null,
        outcome,
        ts,
      ]
    })
  const key_ends = [...keyEnds].sort(byFirst).map(([, { key, successor, ts }]) => {
    return successor === undefined ? ([key, ts] as const) : ([key, ts, successor] as const)
  })
  const document: FactsDocument = { agents, key_ends, deals }
  return JSON.stringify(document)
}

/** Reads what {@link formatFacts} wrote, parsed. */
export function readFactsDocument(
  { agents, key_ends, deals }: FactsDocument,
  refused: RefusedLines,
): RatingFacts {
  const didOf = (index: number) => agents[index]?.[0] ?? ""
  const records = deals.map((row): [string, DealRecord] => {
    const [proposal, head, steps, id, proposer, recipient, proposerTs, recipientTs, amount, outcome, ts] = row
    return [
      head,
      {
        proposal,
        head,
        steps,
        id,
        parties: [didOf(proposer), didOf(recipient)],
        signedTs: [proposerTs, recipientTs],
        amount: amount ?? undefined,
        outcome,
        ts,
      },
    ]
  })
  const keyEnds = key_ends.map(([key, ts, successor]): [string, KeyEnd] => {
    const end = { key, successor, ts }
    return [nameOfEnd(end), end]
  })
  return { agentIds: new Map(agents), keyEnds: new Map(keyEnds), records: new Map(records), refused }
}

function byFirst([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number {
  return a < b ? -1 : 1
}
