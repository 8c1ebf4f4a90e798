import type { RowChange } from "../../backbone/backbone.js"
import type { AgentId } from "../../protocol/names.js"
import { type DealEntry, parseDealEntry } from "./deal-record.js"

/** Deals whose last statement is of one time, by that time. */
type Moments = Map<number, Set<DealEntry>>

/** Which deals stand, and whose they are. */
export class DealIndex {
  readonly #entries = new Map<string, DealEntry>()
  readonly #ofParty = new Map<AgentId, Moments>()
  readonly #madeBy = new Map<AgentId, number>()
  #characters = 0

  get size(): number {
    return this.#entries.size
  }

  /** Of all rows. */
  get characters(): number {
    return this.#characters
  }

  entries(): Iterable<DealEntry> {
    return this.#entries.values()
  }

  get(id: string): DealEntry | undefined {
    return this.#entries.get(id)
  }

  /** How many deals an agent proposed. */
  countMadeBy(id: AgentId): number {
    return this.#madeBy.get(id) ?? 0
  }

  /** How many deals of an agent changed at the very time `ts`. */
  countAt(id: AgentId, ts: number): number {
    return this.#ofParty.get(id)?.get(ts)?.size ?? 0
  }

  /** Deals of an agent that changed at `since` or later, oldest change first, those of one time together. */
  changesOf(id: AgentId, since: number): DealEntry[][] {
    const moments = [...(this.#ofParty.get(id) ?? [])].filter(([ts]) => ts >= since)
    return moments.sort(([a], [b]) => a - b).map(([, entries]) => [...entries])
  }

  /** Takes note of a row, unless a newer one is known. */
  take({ key, value, revision }: RowChange): void {
    const known = this.#entries.get(key)
    if (known !== undefined && known.revision > (value === undefined ? revision : revision - 1)) return
    const entry = value === undefined ? undefined : parseDealEntry(key, value, revision)
    if (known !== undefined) this.#remove(known)
    if (entry !== undefined) this.#add(entry)
  }

  #add(entry: DealEntry): void {
    const { id, proposer, recipient, lastTs, characters } = entry
    this.#entries.set(id, entry)
    this.#characters += characters
    this.#madeBy.set(proposer, this.countMadeBy(proposer) + 1)
    for (const party of [proposer, recipient]) {
      const moments = this.#ofParty.get(party) ?? new Map<number, Set<DealEntry>>()
      this.#ofParty.set(party, moments)
      moments.set(lastTs, (moments.get(lastTs) ?? new Set()).add(entry))
    }
  }

  #remove(entry: DealEntry): void {
    const { id, proposer, recipient, lastTs, characters } = entry
    this.#entries.delete(id)
    this.#characters -= characters
    const made = this.countMadeBy(proposer) - 1
    if (made > 0) this.#madeBy.set(proposer, made)
    else this.#madeBy.delete(proposer)
    for (const party of [proposer, recipient]) {
      const moments = this.#ofParty.get(party)
      const moment = moments?.get(lastTs)
      moment?.delete(entry)
      if (moment?.size === 0) moments?.delete(lastTs)
      if (moments?.size === 0) this.#ofParty.delete(party)
    }
  }
}
