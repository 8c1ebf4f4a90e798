import { type Clock, systemClock } from "../../base/clock.js"
import { LruMap } from "../../base/lru-map.js"
import { defaultLimits } from "../../protocol/limits.js"
import type { AgentId } from "../../protocol/names.js"
import type { RosterEntry } from "../../protocol/server-messages.js"
import type { SessionRegistry } from "../sessions/session-registry.js"
import { type EntryOptions, formatEntry, type RosterFacts, type RosterRecord } from "./roster-record.js"

/** Most characters of cards in one answer. */
const maxCardCharacters = 1024 * 1024

/**
 * Every agent this relay knows: those connected to it or to another relay, and disconnected ones that are persistent.
 * An agent is shown offline when it is disconnected or silent.
 */
export class Roster {
  readonly #sessions: SessionRegistry
  readonly #clock: Pick<Clock, "now">
  /** Agents that are not connected here, in the order in which their records changed. */
  readonly #records = new Map<AgentId, RosterRecord>()
  /** The ids in `#records` by name in lower case. */
  readonly #byName = new Map<string, Set<AgentId>>()
  /** The ids in `#records` by channel. */
  readonly #byChannel = new Map<string, Set<AgentId>>()
  /** For an id of an earlier key, the id of the key that replaced it. */
  readonly #successors: LruMap<AgentId, AgentId>
  /** Ids whose key was revoked. */
  readonly #revoked = new Set<AgentId>()
  /** When each other relay was last known to be running. */
  readonly #relaySeen = new Map<string, number>()

  /** @param maxSuccessors - most replaced ids that are known */
  constructor(
    sessions: SessionRegistry,
    maxSuccessors: number = defaultLimits.identities,
    clock: Pick<Clock, "now"> = systemClock,
  ) {
    this.#sessions = sessions
    this.#clock = clock
    this.#successors = new LruMap(maxSuccessors)
  }

  /**
   * Records that keys replaced each other.
   * @param ids - of the keys, oldest first
   * @returns false if another key has replaced one of them before; that one stays the successor
   */
  noteSuccession(ids: readonly AgentId[]): boolean {
    const links = ids.flatMap((from, index) => {
      const to = ids[index + 1]
      return to === undefined ? [] : [[from, to] as const]
    })
    const isOther = ([from, to]: readonly [AgentId, AgentId]) =>
      this.#revoked.has(from) || (this.#successors.get(from) ?? to) !== to
    if (links.some(isOther)) return false
    for (const [from, to] of links) this.#successors.set(from, to)
    return true
  }

  /**
   * Records the end of a key, whatever was known about it.
   * @param to - the id of the key that replaced it; undefined if it was revoked
   */
  noteEnd(id: AgentId, to: AgentId | undefined): void {
    if (to !== undefined) {
      this.#successors.set(id, to)
      return
    }
    this.#revoked.add(id)
    this.#successors.delete(id)
  }

  /** Reports whether an agent is connected here and only reads. */
  isHidden(id: AgentId): boolean {
    return this.#sessions.find(id)?.agent.isHidden === true
  }

  /** Reports whether the key of an agent was revoked. */
  isRevoked(id: AgentId): boolean {
    return this.#revoked.has(id)
  }

  /** Returns the id that an agent has now: that of its newest key. */
  currentId(id: AgentId): AgentId {
    const seen = new Set<AgentId>()
    for (let current = id; !seen.has(current); ) {
      seen.add(current)
      const next = this.#successors.get(current)
      if (next === undefined) return current
      current = next
    }
    return id
  }

  /** Returns the record of an agent that is not connected here. */
  recordOf(id: AgentId): RosterRecord | undefined {
    return this.#records.get(id)
  }

  /** Sets the record of an agent that is not connected here. */
  set(record: RosterRecord): void {
    const { id, name, channels } = record
    this.delete(id)
    this.#records.set(id, record)
    if (record.formerly !== undefined) this.noteSuccession([...record.formerly, id])
    addTo(this.#byName, name.toLowerCase(), id)
    for (const channel of channels) addTo(this.#byChannel, channel, id)
  }

  /** Removes the record of an agent. @returns the record */
  delete(id: AgentId): RosterRecord | undefined {
    const record = this.#records.get(id)
    if (record === undefined) return undefined
    this.#records.delete(id)
    takeFrom(this.#byName, record.name.toLowerCase(), id)
    for (const channel of record.channels) takeFrom(this.#byChannel, channel, id)
    return record
  }

  /** Notes that another relay was running at `ts`, which also counts as a sign of life of its agents. */
  noteRelay(relay: string, ts: number): void {
    this.#relaySeen.set(relay, ts)
  }

  /** Removes a relay that is gone. */
  forgetRelay(relay: string): void {
    this.#relaySeen.delete(relay)
  }

  /** Returns the agents connected to another relay. */
  connectedTo(relay: string): RosterRecord[] {
    return [...this.#records.values()].filter((record) => record.relay === relay)
  }

  /** Returns the members of a channel that are connected to other relays. */
  remoteMembers(channel: string): RosterRecord[] {
    const records: RosterRecord[] = []
    for (const id of this.#byChannel.get(channel) ?? []) {
      const record = this.#records.get(id)
      if (record !== undefined) records.push(this.#refresh(record))
    }
    return records
  }

  /** Returns the number of {@link remoteMembers}. */
  countRemoteMembers(channel: string): number {
    return this.#byChannel.get(channel)?.size ?? 0
  }

  /** Reports whether `id` is one of {@link remoteMembers}. */
  isRemoteMember(channel: string, id: AgentId): boolean {
    return this.#byChannel.get(channel)?.has(id) === true
  }

  /** Returns an agent connected here, or the record of one that is not. */
  find(id: string): RosterFacts | undefined {
    const agent = this.#sessions.find(id)?.agent
    if (agent !== undefined) return agent.isHidden ? undefined : agent
    const record = this.#records.get(id as AgentId)
    return record === undefined ? undefined : this.#refresh(record)
  }

  /** Returns the ids of agents with a name that are not shown offline; case is ignored. */
  onlineNamed(name: string): AgentId[] {
    return this.#named(name, isOnline)
  }

  /**
   * Returns the ids of agents with a name that are shown offline; case is ignored.
   * @param withinMs - how long ago they may have been seen last
   */
  awayNamed(name: string, withinMs = Infinity): AgentId[] {
    const sinceTs = this.#clock.now() - withinMs
    return this.#named(name, (facts) => isOffline(facts) && facts.seenTs >= sinceTs)
  }

  /** Yields the names of all agents in lower case, first of those connected here. */
  *names(): Iterable<string> {
    yield* this.#sessions.names()
    for (const name of this.#byName.keys()) if (this.#sessions.named(name).length === 0) yield name
  }

  #named(name: string, fits: (facts: RosterFacts) => boolean): AgentId[] {
    const ids: AgentId[] = []
    for (const { agent } of this.#sessions.named(name)) if (!agent.isHidden && fits(agent)) ids.push(agent.id)
    for (const id of this.#byName.get(name.toLowerCase()) ?? []) {
      const record = this.#records.get(id)
      if (record !== undefined && fits(record)) ids.push(id)
    }
    return ids
  }

  /** Yields every agent with a session, here or on another relay. */
  *connected(): Iterable<RosterFacts> {
    for (const { agent } of this.#sessions.all()) if (!agent.isHidden) yield agent
    for (const record of this.#records.values()) if (record.relay !== null) yield this.#refresh(record)
  }

  /** Returns the disconnected agents that were seen at `sinceTs` or later, the one that left last first. */
  disconnected(sinceTs: number): RosterFacts[] {
    const isListed = ({ relay, seenTs }: RosterRecord) => relay === null && seenTs >= sinceTs
    return [...this.#records.values()].filter(isListed).reverse()
  }

  /** Updates `seenTs` to when its relay was last seen, because the record is as old as its last change. */
  #refresh(record: RosterRecord): RosterRecord {
    const { relay, status, seenTs } = record
    const relayTs = relay === null || status === "offline" ? undefined : this.#relaySeen.get(relay)
    return relayTs === undefined || relayTs <= seenTs ? record : { ...record, seenTs: relayTs }
  }
}

/** Milliseconds after which a disconnected agent is listed only on request. */
const retiredMs = 7 * 86_400_000

/**
 * Lists the roster: agents online first, then silent ones, then disconnected ones; at most `count` entries.
 * @param isAll - whether to list agents too that have been disconnected for more than 7 days
 */
export function listRoster(
  roster: Roster,
  { count, isAll }: { readonly count: number; readonly isAll: boolean },
  options: EntryOptions,
): RosterList {
  const sinceTs = isAll ? 0 : options.now - retiredMs
  const connected = [...roster.connected()]
  const online = connected.filter(isOnline)
  const isFull = online.length >= count
  const shown = isFull ? online : [...online, ...connected.filter(isOffline), ...roster.disconnected(sinceTs)]
  return { list: online.map(({ id }) => id), roster: formatEntries(shown.slice(0, count), options) }
}

/** A list of agents, as AGENTS sends it. */
export interface RosterList {
  /** Ids of agents that are not shown offline. */
  readonly list: readonly AgentId[]
  readonly roster: readonly RosterEntry[]
}

/** Formats agents as entries; leaves out cards that would make the answer too long. */
export function formatEntries(agents: readonly RosterFacts[], options: EntryOptions): RosterEntry[] {
  let left = maxCardCharacters
  return agents.map((facts) => {
    const { card } = facts
    if (options.withCard === true && card !== undefined && left > 0) left -= JSON.stringify(card).length
    return formatEntry(facts, { ...options, withCard: options.withCard === true && left > 0 })
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

function isOnline({ status }: RosterFacts): boolean {
  return status !== "offline"
}

function isOffline({ status }: RosterFacts): boolean {
  return status === "offline"
}
