import { randomBytes } from "node:crypto"
import type { Backbone } from "../../backbone/backbone.js"
import type { Clock } from "../../base/clock.js"
import type { Limits } from "../../protocol/limits.js"
import { type AgentId, persistentIdPattern } from "../../protocol/names.js"
import type { Agent } from "../sessions/agent.js"
import type { Session } from "../sessions/session.js"
import type { SessionRegistry } from "../sessions/session-registry.js"
import { epochAfter } from "./epoch.js"
import { PeerRelays } from "./peer-relays.js"
import type { Roster } from "./roster.js"
import { type RosterRecord, recordDeparture } from "./roster-record.js"
import { RosterStore } from "./roster-store.js"

/** Bytes of randomness in the name of a relay. */
const relayIdBytes = 9
/** Milliseconds between two writes of what only says when an agent last read or said something. */
const signsMs = 20_000

/** What happens to agents that are not connected here. */
interface KeeperEvents {
  /** One came into a channel, or left it. */
  onMoved(movement: "joined" | "left", record: RosterRecord, channel: string): void
  /** They are shown otherwise than before. */
  onShown(records: readonly RosterRecord[]): void
  /** There is a persistent one that is away. */
  onAway(id: AgentId): void
  /** The identity of a session connected to another relay, later. */
  onDisplaced(session: Session): void
}

/** What a keeper is made of. */
export interface RosterSyncOptions {
  readonly roster: Roster
  readonly hub: SessionRegistry
  readonly clock: Clock
  readonly limits: Limits
  readonly log: (line: string) => void
  readonly events: KeeperEvents
}

/**
 * Keeps the roster: what becomes of those connected here is written where it lasts and where other relays
 * read it, and what those write is taken over. Of two sessions of one identity the later one, by its epoch, wins.
 */
export class RosterSync {
  /** What this relay is called among those that share its backbone. */
  readonly relay = randomBytes(relayIdBytes).toString("hex")
  readonly #options: RosterSyncOptions
  #store: RosterStore | undefined
  #relays: PeerRelays | undefined
  /** Sessions whose identity is now somebody else's to tell of. */
  readonly #yielded = new Set<AgentId>()
  /** When the row of each agent connected here was last handed over; only where others read it. */
  readonly #told = new Map<AgentId, number>()

  constructor(options: RosterSyncOptions) {
    this.#options = options
  }

  /** Takes in what is kept; before anybody connects. @throws {ChatError} UNAVAILABLE */
  async start(backbone: Backbone): Promise<void> {
    const { clock, limits, log, roster } = this.#options
    if (backbone.kind === "memory" && !backbone.isShared) return
    const store = new RosterStore(await backbone.table("agent"), clock, log)
    this.#store = store
    if (!backbone.isShared) {
      for (const record of await store.records()) this.#learn(asAway(record))
      return
    }
    this.#relays = await PeerRelays.open(backbone, this.relay, clock, limits, {
      // Its relay calls an agent silent after that time, and not before.
      onBeat: (relay) => roster.noteRelay(relay, clock.now() - limits.silenceMs),
      onSilence: (relay) => this.#showAgain(relay),
      onGone: (relay) => this.#endRelay(relay),
      log,
    })
    await store.watch((id, record) => this.#hear(id, record))
  }

  /**
   * Takes an identity over for a session that begins here.
   * @returns what was known of it
   */
  claim(agent: Agent): RosterRecord | undefined {
    const known = this.#options.roster.forget(agent.id)
    this.#tellMoves(known, undefined)
    agent.epoch = epochAfter(this.#options.clock.now(), known?.epoch)
    return known
  }

  /** A session began: told without delay, so that its name means it also after a crash, and on other relays. */
  began(session: Session): void {
    this.changed(session)
    this.#store?.hurry()
  }

  /** An agent is shown otherwise, or it came into a channel or left one. */
  changed(session: Session): void {
    const { agent } = session
    if (this.#store === undefined || (this.#relays === undefined && !agent.isPersistent)) return
    if (this.#options.hub.find(agent.id) !== session) return
    this.#store.put(recordOf(session, this.relay))
    if (this.#relays !== undefined) this.#told.set(agent.id, this.#options.clock.now())
  }

  /** A session ended. */
  departed(agent: Agent): void {
    const { id } = agent
    this.#told.delete(id)
    if (this.#yielded.delete(id)) return
    if (!agent.isPersistent) {
      if (this.#relays !== undefined) this.#store?.remove(id)
      return
    }
    const record = recordDeparture(agent, agent.epoch, this.#options.clock.now())
    this.#learn(record)
    this.#store?.put(record)
  }

  /** Forgets an agent to make room, unless it is connected somewhere. */
  forget(id: AgentId): void {
    const { roster, hub } = this.#options
    if (hub.find(id) !== undefined || (roster.recall(id)?.relay ?? null) !== null) return
    roster.forget(id)
    this.#store?.remove(id)
  }

  /**
   * Whether there is an agent of this id, here, away or on another relay; asks the store for one not heard of yet.
   * @throws {ChatError} UNAVAILABLE
   */
  async knows(id: AgentId): Promise<boolean> {
    if (this.#options.roster.find(id) !== undefined) return true
    return this.#relays !== undefined && (await this.#store?.find(id)) !== undefined
  }

  /** Looks after the other relays, and tells them what is not told at once; call every {@link Limits.probeMs}. */
  look(): void {
    if (this.#relays === undefined) return
    this.#relays.look()
    const { hub, clock } = this.#options
    const before = clock.now() - signsMs
    for (const session of hub.sessions()) {
      const { id, readTs = 0, answeredTs = 0 } = session.agent
      const toldTs = this.#told.get(id) ?? 0
      if (toldTs <= before && Math.max(readTs, answeredTs) > toldTs) this.changed(session)
    }
  }

  /** Everybody connected here is gone: tells so where it lasts. */
  async close(): Promise<void> {
    await this.#store?.flush()
    await this.#relays?.close()
  }

  #hear(id: AgentId, record: RosterRecord | undefined): void {
    const session = this.#options.hub.find(id)
    if (session !== undefined) this.#contest(session, record)
    else if (record === undefined) this.#apply(id, undefined)
    else if (record.relay !== this.relay) this.#apply(id, record)
  }

  /** A row of somebody who is connected here: ours, or one that another relay wrote. */
  #contest(session: Session, record: RosterRecord | undefined): void {
    const { agent } = session
    const { id, epoch } = agent
    if (record?.relay === this.relay) return
    if (record === undefined || record.relay === null || record.epoch < epoch) {
      // A later session of it may have come and gone elsewhere; this one outlived it.
      if (record !== undefined && record.epoch > epoch)
        agent.epoch = epochAfter(this.#options.clock.now(), record.epoch)
      this.changed(session)
      return
    }
    this.#yielded.add(id)
    this.#options.events.onDisplaced(session)
    this.#apply(id, record)
  }

  /** Takes over what a row says of somebody who is not connected here; what is older than known is not news. */
  #apply(id: AgentId, record: RosterRecord | undefined): void {
    const { roster } = this.#options
    const known = roster.recall(id)
    if (record !== undefined && known !== undefined && record.epoch < known.epoch) return
    if (record !== undefined && record.relay !== null) {
      this.#meet(known, record, record.relay)
      return
    }
    roster.forget(id)
    if (record !== undefined && persistentIdPattern.test(id)) this.#learn(record)
    this.#tellMoves(known, undefined)
  }

  /** Somebody is connected to another relay. */
  #meet(known: RosterRecord | undefined, record: RosterRecord, relay: string): void {
    const { roster, events, clock } = this.#options
    this.#relays?.mention(relay)
    const shown = this.#isSilent(record) ? asSilent(record, clock.now()) : record
    roster.keep(shown)
    this.#tellMoves(known, shown)
    const wasLive = (known?.relay ?? null) !== null
    if (wasLive && isShownOtherwise(known, shown)) events.onShown([shown])
  }

  #learn(record: RosterRecord): void {
    this.#options.roster.keep(record)
    this.#options.events.onAway(record.id)
  }

  #tellMoves(before: RosterRecord | undefined, after: RosterRecord | undefined): void {
    const { events } = this.#options
    if (before !== undefined) {
      for (const channel of channelsOnlyOf(before, after)) events.onMoved("left", before, channel)
    }
    if (after !== undefined) {
      for (const channel of channelsOnlyOf(after, before)) events.onMoved("joined", after, channel)
    }
  }

  /** A relay fell silent, or is back: those connected to it are shown so. */
  #showAgain(relay: string): void {
    const { roster, events, clock } = this.#options
    const news: RosterRecord[] = []
    for (const record of roster.connectedTo(relay)) {
      const shown = this.#isSilent(record) ? asSilent(record, clock.now()) : (record.saidBefore ?? record)
      if (shown === record) continue
      roster.keep(shown)
      news.push(shown)
    }
    if (news.length > 0) events.onShown(news)
  }

  /** A relay is gone, and everybody connected to it. */
  #endRelay(relay: string): void {
    const { roster } = this.#options
    for (const record of roster.connectedTo(relay)) {
      const { id } = record
      const isPersistent = persistentIdPattern.test(id)
      const away = isPersistent ? { ...asAway(record), epoch: record.epoch } : undefined
      this.#apply(id, away)
      if (away === undefined) this.#store?.remove(id)
      else this.#store?.put(away)
    }
    roster.forgetRelay(relay)
  }

  #isSilent({ relay }: RosterRecord): boolean {
    return relay !== null && this.#relays?.isSilent(relay) === true
  }
}

/** Somebody who is connected here, as others are to know it. */
function recordOf({ agent, channels }: Session, relay: string): RosterRecord {
  const { id, name, status, activity, role, since, seenTs, readTs, answeredTs, card, did, epoch } = agent
  const names = Array.from(channels, (channel) => channel.name)
  return {
    id,
    name,
    status,
    activity,
    role,
    since,
    seenTs,
    readTs,
    answeredTs,
    card,
    did,
    relay,
    epoch,
    channels: names,
  }
}

/** A record of somebody whose session ended without a word. */
function asAway(record: RosterRecord): RosterRecord {
  const { activity: _, saidBefore: __, ...others } = record
  return { ...others, status: "offline", relay: null, channels: [] }
}

/** A record of somebody whose relay is silent. */
function asSilent(record: RosterRecord, now: number): RosterRecord {
  if (record.saidBefore !== undefined) return record
  return { ...record, status: "offline", since: now, saidBefore: record }
}

/** Channels `one` is in and `other` is not; under another name somebody is somebody else to the members. */
function channelsOnlyOf(one: RosterRecord, other: RosterRecord | undefined): readonly string[] {
  if (other?.name !== one.name) return one.channels
  const others = new Set(other.channels)
  return one.channels.filter((channel) => !others.has(channel))
}

function isShownOtherwise(a: RosterRecord | undefined, b: RosterRecord): boolean {
  return a?.status !== b.status || a.activity !== b.activity || a.role !== b.role
}
