import type { AgentId } from "../protocol/names.js"
import type { RosterEntry } from "../protocol/server-messages.js"
import type { Hub } from "./hub.js"
import { formatEntry, type RosterFacts, type RosterRecord, type Showing } from "./roster-record.js"

/** Characters of the cards in one answer. */
const cardsLength = 1024 * 1024

/** Everybody this relay knows: those connected to it, to another relay, and persistent ones that are away. */
export class Roster {
  readonly #hub: Hub
  /** All but those connected here, the one whose record changed last standing last. */
  readonly #records = new Map<AgentId, RosterRecord>()
  /** Their ids by name in lower case. */
  readonly #byName = new Map<string, Set<AgentId>>()

  constructor(hub: Hub) {
    this.#hub = hub
  }

  /** What is known of an agent that is not connected here. */
  recall(id: AgentId): RosterRecord | undefined {
    return this.#records.get(id)
  }

  /** Takes note of an agent that is not connected here. */
  keep(record: RosterRecord): void {
    this.forget(record.id)
    this.#records.set(record.id, record)
    const key = record.name.toLowerCase()
    const ids = this.#byName.get(key)
    if (ids === undefined) this.#byName.set(key, new Set([record.id]))
    else ids.add(record.id)
  }

  /** @returns what was known */
  forget(id: AgentId): RosterRecord | undefined {
    const record = this.#records.get(id)
    if (record === undefined) return undefined
    this.#records.delete(id)
    const key = record.name.toLowerCase()
    const ids = this.#byName.get(key)
    ids?.delete(id)
    if (ids?.size === 0) this.#byName.delete(key)
    return record
  }

  /** An agent connected here, or the record of one that is not. */
  find(id: string): RosterFacts | undefined {
    return this.#hub.find(id)?.agent ?? this.#records.get(id as AgentId)
  }

  /** Ids of those who bear `name` now and have a session somewhere; case is ignored. */
  liveNamed(name: string): AgentId[] {
    const here = this.#hub.named(name).map(({ agent }) => agent.id)
    return [...here, ...this.#recordsNamed(name, isLive)]
  }

  /** Ids of those who bore `name` when they were last here and are away. */
  awayNamed(name: string): AgentId[] {
    return this.#recordsNamed(name, isAway)
  }

  /** Every name that is borne by somebody with a session, in lower case. */
  *liveNames(): Iterable<string> {
    yield* this.#hub.names()
    for (const record of this.#records.values()) if (isLive(record)) yield record.name.toLowerCase()
  }

  #recordsNamed(name: string, fits: (record: RosterRecord) => boolean): AgentId[] {
    const ids: AgentId[] = []
    for (const id of this.#byName.get(name.toLowerCase()) ?? []) {
      const record = this.#records.get(id)
      if (record !== undefined && fits(record)) ids.push(id)
    }
    return ids
  }

  /** Everybody with a session, here or elsewhere. */
  *live(): Iterable<RosterFacts> {
    for (const { agent } of this.#hub.sessions()) yield agent
    for (const record of this.#records.values()) if (isLive(record)) yield record
  }

  /** Those who are away, the one that left last first. */
  away(): RosterFacts[] {
    return [...this.#records.values()].filter(isAway).reverse()
  }
}

/** A whole roster: who has a session first, then who is away; at most `count` entries. */
export function listRoster(roster: Roster, count: number, showing: Showing): RosterList {
  const live = [...roster.live()]
  const shown = live.length < count ? [...live, ...roster.away()] : live
  return { list: live.map(({ id }) => id), roster: formatEntries(shown.slice(0, count), showing) }
}

/** Ids of those who have a session, and what is shown. */
interface RosterList {
  readonly list: readonly AgentId[]
  readonly roster: readonly RosterEntry[]
}

/** The same for some agents; cards that would make the answer too long are left out. */
export function formatEntries(agents: readonly RosterFacts[], showing: Showing): RosterEntry[] {
  let left = cardsLength
  return agents.map((facts) => {
    const { card } = facts
    if (showing.withCard === true && card !== undefined && left > 0) left -= JSON.stringify(card).length
    return formatEntry(facts, { ...showing, withCard: showing.withCard === true && left > 0 })
  })
}

function isLive({ relay }: RosterRecord): boolean {
  return relay !== null
}

function isAway({ relay }: RosterRecord): boolean {
  return relay === null
}
