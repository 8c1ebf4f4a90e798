import type { Backbone, RowChange, Subscription, Table } from "../../backbone/backbone.js"
import { tooManyChanges, updateRow } from "../../backbone/update-row.js"
import { type Clock, repeat, type Timer } from "../../base/clock.js"
import {
  type Deal,
  dealOf,
  disputableUntil,
  expiryOf,
  partiesOf,
  statementsOf,
} from "../../proposals/deal.js"
import { agentIdOfDid, readStatement } from "../../proposals/statement.js"
import { ChatError } from "../../protocol/errors.js"
import type { Limits } from "../../protocol/limits.js"
import { type AgentId, persistentIdPattern } from "../../protocol/names.js"
import {
  list,
  literal,
  matching,
  number,
  object,
  openObject,
  optional,
  parseAs,
  record,
  string,
  whole,
} from "../../protocol/schema.js"
import type { DealState } from "../../protocol/server-messages.js"
import type { Statement } from "../../protocol/statements.js"

/** Attempts to read a page of deals while others change them. */
const maxTries = 20
/** Characters of rows after which a page gets no more deals. */
const pageCharacters = 256 * 1024
/** Milliseconds between two deletions of closed deals. */
const expiryMs = 600_000

/** A deal as the table has it. */
export interface DealRecord {
  readonly deal: Deal
  /** Nicks of the parties in their last statements, by agent id. */
  readonly names: Readonly<Record<string, string>>
}

/** A row of the table `proposal`. Its key is the id of the proposal. */
interface Row {
  readonly v: 1
  readonly parties: readonly [proposer: AgentId, recipient: AgentId]
  /** State after the last statement. */
  readonly state: DealState
  /** When the deal closes, in milliseconds since the Unix epoch; absent while there is no end. */
  readonly closes?: number
  readonly statements: readonly Statement[]
  readonly names: Readonly<Record<string, string>>
}

/** A deal in the index. Times are milliseconds since the Unix epoch. */
interface DealEntry {
  readonly id: string
  readonly parties: Row["parties"]
  /** `ts` of the last statement. */
  readonly lastTs: number
  readonly closesTs: number | undefined
  /** Length of the row. */
  readonly characters: number
  readonly revision: number
}

export interface DealTableOptions {
  readonly limits: Limits
  readonly clock: Clock
  readonly log: (line: string) => void
}

/**
 * The deals of all relays on a backbone, with an index in memory by party and time. Deletes deals some time after they
 * have closed.
 */
export class DealTable {
  readonly #table: Table
  readonly #options: DealTableOptions
  #endWatch: Subscription = () => {}
  readonly #entries = new Map<string, DealEntry>()
  /** Per party, the deals by the time of their last statement. */
  readonly #byParty = new Map<AgentId, Map<number, Set<DealEntry>>>()
  readonly #proposed = new Map<AgentId, number>()
  #characters = 0
  #timer: Timer | undefined
  #isClosed = false

  /** Reads the index. @throws {ChatError} UNAVAILABLE */
  static async open(backbone: Pick<Backbone, "table">, options: DealTableOptions): Promise<DealTable> {
    const deals = new DealTable(await backbone.table("proposal"), options)
    deals.#endWatch = await deals.#table.watch((change) => deals.#index(change))
    deals.#timer = repeat(options.clock, expiryMs, () => deals.#deleteExpired())
    return deals
  }

  private constructor(table: Table, options: DealTableOptions) {
    this.#table = table
    this.#options = options
  }

  get size(): number {
    return this.#entries.size
  }

  /** Total length of all rows. */
  get characters(): number {
    return this.#characters
  }

  /** Returns how many of the deals an agent proposed. */
  countProposedBy(id: AgentId): number {
    return this.#proposed.get(id) ?? 0
  }

  /** Returns whether an agent is a party of a deal. */
  isParty(id: AgentId): boolean {
    return this.#byParty.has(id)
  }

  /** Returns how many deals of an agent have their last statement at exactly this time. */
  countAt(id: AgentId, ts: number): number {
    return this.#byParty.get(id)?.get(ts)?.size ?? 0
  }

  /** @throws {ChatError} UNAVAILABLE */
  async get(id: string): Promise<DealRecord | undefined> {
    return (await this.#read(id)).record
  }

  /**
   * Updates a deal. `change` is called again if another relay changes the deal at the same time.
   * @param what - names the update in an error
   * @param change - returns the new record, or none to leave the deal unchanged
   * @returns the result of the last `change`, and the revision of the row
   * @throws {ChatError} UNAVAILABLE; what `change` throws
   */
  async update<T>(
    id: string,
    what: string,
    change: (record: DealRecord | undefined) => { readonly result: T; readonly record?: DealRecord },
  ): Promise<{ readonly result: T; readonly revision: number }> {
    let value: string | undefined
    const updated = await updateRow(
      this.#table,
      id,
      (row) => {
        if (row !== undefined) this.#index({ key: id, ...row })
        const { result, record } = change(row && parseDealRecord(row.value))
        value = record && formatRecord(record)
        return { result, value }
      },
      { what },
    )
    if (value !== undefined) this.#index({ key: id, value, revision: updated.revision })
    return updated
  }

  /**
   * Returns deals that changed at `since` or later, oldest change first.
   * @param ids - of an agent, which may have had others; undefined for the deals of all agents
   * @returns a page, and whether there are more after it
   * @throws {ChatError} UNAVAILABLE
   */
  async list(
    ids: readonly AgentId[] | undefined,
    since: number,
  ): Promise<{ records: DealRecord[]; more: boolean }> {
    for (let tries = 0; tries < maxTries; tries++) {
      const { entries, more } = this.#pageOf(ids, since)
      const read = await Promise.all(entries.map((entry) => this.#readEntry(entry)))
      if (read.every(({ isUnchanged }) => isUnchanged)) {
        return { records: read.flatMap(({ record }) => record ?? []), more }
      }
    }
    throw tooManyChanges("LIST_PROPOSALS")
  }

  /** @returns false if the deal has another revision by now */
  async delete(id: string, revision: number): Promise<boolean> {
    const isDeleted = await this.#table.delete(id, revision)
    if (isDeleted) this.#index({ key: id, value: undefined, revision })
    return isDeleted
  }

  close(): void {
    this.#isClosed = true
    this.#timer?.cancel()
    this.#endWatch()
  }

  /** Groups by time, because the next page starts at the last time of this one: a page has at least two times. */
  #pageOf(ids: readonly AgentId[] | undefined, since: number): { entries: DealEntry[]; more: boolean } {
    const byTime = new Map<number, Set<DealEntry>>()
    const parties = ids ?? this.#byParty.keys()
    for (const [ts, group] of [...parties].flatMap((id) => [...(this.#byParty.get(id) ?? [])])) {
      if (ts >= since) byTime.set(ts, new Set([...(byTime.get(ts) ?? []), ...group]))
    }
    const groups = [...byTime]
    const entries: DealEntry[] = []
    let characters = 0
    for (const [index, [, group]] of groups.sort(([a], [b]) => a - b).entries()) {
      if (index > 1 && characters > pageCharacters) return { entries, more: true }
      for (const entry of group) {
        entries.push(entry)
        characters += entry.characters
      }
    }
    return { entries, more: false }
  }

  async #read(id: string): Promise<{ revision: number; record: DealRecord | undefined }> {
    const row = await this.#table.get(id)
    if (row === undefined) return { revision: 0, record: undefined }
    this.#index(row)
    return { revision: row.revision, record: parseDealRecord(row.value) }
  }

  /** Reads an indexed deal; `isUnchanged` is false if it has changed since it was indexed. */
  async #readEntry({ id, revision }: DealEntry) {
    const found = await this.#read(id)
    if (found.revision === 0) this.#index({ key: id, value: undefined, revision })
    return { isUnchanged: found.revision === revision, record: found.record }
  }

  /** Applies a change to the index, unless the index has a newer revision. */
  #index({ key, value, revision }: RowChange): void {
    const known = this.#entries.get(key)
    if (known !== undefined && known.revision > (value === undefined ? revision : revision - 1)) return
    const entry = value === undefined ? undefined : parseEntry(key, value, revision)
    if (known !== undefined) this.#remove(known)
    if (entry !== undefined) this.#add(entry)
  }

  #add(entry: DealEntry): void {
    const { id, parties, lastTs, characters } = entry
    const [proposer] = parties
    this.#entries.set(id, entry)
    this.#characters += characters
    this.#proposed.set(proposer, this.countProposedBy(proposer) + 1)
    for (const party of parties) {
      const groups = this.#byParty.get(party) ?? new Map<number, Set<DealEntry>>()
      this.#byParty.set(party, groups)
      groups.set(lastTs, (groups.get(lastTs) ?? new Set()).add(entry))
    }
  }

  #remove(entry: DealEntry): void {
    const { id, parties, lastTs, characters } = entry
    const [proposer] = parties
    this.#entries.delete(id)
    this.#characters -= characters
    const proposed = this.countProposedBy(proposer) - 1
    if (proposed > 0) this.#proposed.set(proposer, proposed)
    else this.#proposed.delete(proposer)
    for (const party of parties) {
      const groups = this.#byParty.get(party)
      const group = groups?.get(lastTs)
      group?.delete(entry)
      if (group?.size === 0) groups?.delete(lastTs)
      if (groups?.size === 0) this.#byParty.delete(party)
    }
  }

  async #deleteExpired(): Promise<void> {
    try {
      for (const { id, revision } of this.#expired()) {
        await this.delete(id, revision)
        if (this.#isClosed) return
      }
    } catch (error) {
      if (!(error instanceof ChatError)) throw error
      this.#options.log(`closed proposals cannot be deleted now: ${error.message}`)
    }
  }

  #expired(): DealEntry[] {
    const { clock, limits } = this.#options
    const now = clock.now()
    return [...this.#entries.values()].filter(({ lastTs, closesTs = Infinity }) => {
      const closedTs = Math.max(lastTs, closesTs)
      return now > closedTs + limits.closedProposalMs || now > lastTs + limits.openProposalMs
    })
  }
}

function formatRecord({ deal, names }: DealRecord): string {
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

/** @returns undefined for a row that is malformed or of another version */
export function parseDealRecord(text: string): DealRecord | undefined {
  const row = parseAs(rowSchema, text)
  if (row === undefined) return undefined
  try {
    return { deal: dealOf(row.statements.map(readStatement)), names: row.names }
  } catch (error) {
    if (error instanceof ChatError) return undefined
    throw error
  }
}

function parseEntry(id: string, text: string, revision: number): DealEntry | undefined {
  const row = parseAs(rowSchema, text)
  const lastTs = row?.statements.at(-1)?.ts
  const [proposer, recipient] = row?.parties ?? []
  if (row === undefined || lastTs === undefined || proposer === undefined || recipient === undefined) {
    return undefined
  }
  const parties = [proposer, recipient] as const
  return { id, parties, lastTs, closesTs: row.closes, characters: text.length, revision }
}

/** Checks what the index needs; {@link parseDealRecord} checks the statements. */
const rowSchema = object({
  v: literal(1),
  parties: list(matching<AgentId>(persistentIdPattern, "must be an agent id"), 2),
  closes: optional(number()),
  statements: list(openObject({ ts: whole() })),
  names: record(string, string),
})

/** Returns when a deal closes. The answer to a dispute has the time of the dispute window. */
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
