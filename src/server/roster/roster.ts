import type { AgentId } from "../../protocol/names.js"
import type { RosterEntry } from "../../protocol/server-messages.js"
import type { SessionRegistry } from "../sessions/session-registry.js"
import { formatEntry, type RosterFacts, type RosterRecord, type Showing } from "./roster-record.js"

/** Characters of the cards in one answer. */
const cardsLength = 1024 * 1024

/** Everybody this relay knows: those connected to it, to another relay, and persistent ones that are away. */
export class Roster {
  readonly #hub: SessionRegistry
  /** All but those connected here, the one whose record changed last standing last. */
  readonly #records = new Map<AgentId, RosterRecord>()
  /** Their ids by name in lower case. */
  readonly #byName = new Map<string, Set<AgentId>>()
  /** Their ids by channel. */
  readonly #byChannel = new Map<string, Set<AgentId>>()
  /** When each other relay was last known to be there. */
  readonly #relaySeen = new Map<string, number>()

  constructor(hub: SessionRegistry) {
    this.#hub = hub
  }

  /** What is known of an agent that is not connected here. */
  recall(id: AgentId): RosterRecord | undefined {
    return this.#records.get(id)
  }

  /** Takes note of an agent that is not connected here. */
  keep(record: RosterRecord): void {
    const { id, name, channels } = record
    this.forget(id)
    this.#records.set(id, record)
    addTo(this.#byName, name.toLowerCase(), id)
    for (const channel of channels) addTo(this.#byChannel, channel, id)
  }

  /** @returns what was known */
  forget(id: AgentId): RosterRecord | undefined {
    const record = this.#records.get(id)
    if (record === undefined) return undefined
    this.#records.delete(id)
    takeFrom(this.#byName, record.name.toLowerCase(), id)
    for (const channel of record.channels) takeFrom(this.#byChannel, channel, id)
    return record
  }

  /** Notes that another relay, and so everybody it does not call silent, was there at `ts`. */
  noteRelay(relay: string, ts: number): void {
    this.#relaySeen.set(relay, ts)
  }

  /** Forgets a relay that is gone. */
  forgetRelay(relay: string): void {
    this.#relaySeen.delete(relay)
  }

  /** Everybody connected to `relay`, which is not this one. */
  connectedTo(relay: string): RosterRecord[] {
    return [...this.#records.values()].filter((record) => record.relay === relay)
  }

  /** Members of a channel that are connected to other relays. */
  membersElsewhere(channel: string): RosterRecord[] {
    const records: RosterRecord[] = []
    for (const id of this.#byChannel.get(channel) ?? []) {
      const record = this.#records.get(id)
      if (record !== undefined) records.push(this.#refresh(record))
    }
    return records
  }

  /** How many {@link membersElsewhere} there are. */
  countElsewhere(channel: string): number {
    return this.#byChannel.get(channel)?.size ?? 0
  }

  /** Whether `id` is one of {@link membersElsewhere}. */
  isElsewhereIn(channel: string, id: AgentId): boolean {
    return this.#byChannel.get(channel)?.has(id) === true
  }

  /** An agent connected here, or the record of one that is not. */
  find(id: string): RosterFacts | undefined {
    const agent = this.#hub.find(id)?.agent
    if (agent !== undefined) return agent
    const record = this.#records.get(id as AgentId)
    return record === undefined ? undefined : this.#refresh(record)
  }

  /** Ids of those who bear `name` and are not shown offline; case is ignored. */
  liveNamed(name: string): AgentId[] {
    return this.#named(name, isShownLive)
  }

  /** Ids of those who bear `name`, or bore it when they were last here, and are shown offline. */
  awayNamed(name: string): AgentId[] {
    return this.#named(name, isShownOffline)
  }

  /** Every name that somebody bears, or bore when it was last here, in lower case: first of those connected here. */
  *names(): Iterable<string> {
    yield* this.#hub.names()
    for (const name of this.#byName.keys()) if (this.#hub.named(name).length === 0) yield name
  }

  #named(name: string, fits: (facts: RosterFacts) => boolean): AgentId[] {
    const ids: AgentId[] = []
    for (const { agent } of this.#hub.named(name)) if (fits(agent)) ids.push(agent.id)
    for (const id of this.#byName.get(name.toLowerCase()) ?? []) {
      const record = this.#records.get(id)
      if (record !== undefined && fits(record)) ids.push(id)
    }
    return ids
  }

  /** Everybody with a session, here or elsewhere. */
  *live(): Iterable<RosterFacts> {
    for (const { agent } of this.#hub.sessions()) yield agent
    for (const record of this.#records.values()) if (isLive(record)) yield this.#refresh(record)
  }

  /** Those who are away, the one that left last first. */
  away(): RosterFacts[] {
    return [...this.#records.values()].filter(isAway).reverse()
  }

  /** Its relay vouches for an agent that is not shown offline; a record alone is as old as its last change. */
  #refresh(record: RosterRecord): RosterRecord {
    const { relay, status, seenTs } = record
    const relayTs = relay === null || status === "offline" ? undefined : this.#relaySeen.get(relay)
    return relayTs === undefined || relayTs <= seenTs ? record : { ...record, seenTs: relayTs }
  }
}

/** A whole roster: who is online first, then who is silent, then who is away; at most `count` entries. */
export function listRoster(roster: Roster, count: number, showing: Showing): RosterList {
  const connected = [...roster.live()]
  const live = connected.filter(isShownLive)
  const shown = live.length < count ? [...live, ...connected.filter(isShownOffline), ...roster.away()] : live
  return { list: live.map(({ id }) => id), roster: formatEntries(shown.slice(0, count), showing) }
}

/** Ids of those who are not shown offline, and what is shown of everybody. */
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

function addTo(index: Map<string, Set<AgentId>>, key: string, id: AgentId): void {
  const ids = index.get(key)
  if (ids === undefined) index.set(key, new Set([id]))
  else ids.add(id)
}

function takeFrom(index: Map<string, Set<AgentId>>, key: string, id: AgentId): void {
  const ids = index.get(key)
  ids?.delete(id)
  if (ids?.size === 0) index.delete(key)
}

function isShownLive({ status }: RosterFacts): boolean {
  return status !== "offline"
}

function isShownOffline({ status }: RosterFacts): boolean {
  return status === "offline"
}

function isLive({ relay }: RosterRecord): boolean {
  return relay !== null
}

function isAway({ relay }: RosterRecord): boolean {
  return relay === null
}
