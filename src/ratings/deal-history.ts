import type { DealRecord } from "./deal-record.js"

/** When keys ended, by did:key: what one signed at or after that time is not believed. */
export type KeyEnds = ReadonlyMap<string, number>

/**
 * The deals that receipts tell of, in the order in which they count: by time, then by the hash of the proposal. Of
 * several receipts of one deal the longest counts. The result does not depend on the order of the records.
 */
export function historyOf(records: Iterable<DealRecord>, keyEnds: KeyEnds = new Map()): DealRecord[] {
  const deals = new Map<string, DealRecord>()
  for (const record of records) {
    if (isAfterEnd(record, keyEnds)) continue
    const known = deals.get(record.proposal)
    if (known === undefined || tellsMore(record, known)) deals.set(record.proposal, record)
  }
  return [...deals.values()].sort(byTime)
}

function isAfterEnd({ parties, signedTs }: DealRecord, keyEnds: KeyEnds): boolean {
  if (keyEnds.size === 0) return false
  const [proposerEnd, recipientEnd] = parties.map((did) => keyEnds.get(did) ?? Number.POSITIVE_INFINITY)
  return signedTs[0] >= (proposerEnd ?? 0) || signedTs[1] >= (recipientEnd ?? 0)
}

/** Two chains of one length differ only when a party signed against itself; then any fixed choice will do. */
function tellsMore(record: DealRecord, known: DealRecord): boolean {
  return record.steps > known.steps || (record.steps === known.steps && record.head < known.head)
}

function byTime(a: DealRecord, b: DealRecord): number {
  return a.ts - b.ts || (a.proposal < b.proposal ? -1 : 1)
}
