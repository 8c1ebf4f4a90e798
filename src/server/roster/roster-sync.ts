import { randomBytes } from "node:crypto"
import type { Backbone } from "../../backbone/backbone.js"
import type { Clock } from "../../base/clock.js"
import type { Limits } from "../../protocol/limits.js"
import { type AgentId, persistentIdPattern } from "../../protocol/names.js"
import type { ChannelDirectory } from "../channels/directory.js"
import type { Agent } from "../sessions/agent.js"
import type { Session } from "../sessions/session.js"
import type { SessionRegistry } from "../sessions/session-registry.js"
import type { WriteScheduler } from "../wire/write-scheduler.js"
import type { KnownAgents } from "./known-agents.js"
import { PeerRelays } from "./peer-relays.js"
import { broadcastRemotePresence } from "./presence-broadcast.js"
import type { Roster } from "./roster.js"
import { departedRecord, epochAfter, type RosterRecord } from "./roster-record.js"
import { RosterStore } from "./roster-store.js"

/** Random bytes in the name of a relay. */
const relayNameBytes = 9
/** Milliseconds between two writes of a record in which only `readTs` or `answeredTs` has changed. */
const activityWriteMs = 20_000

/** The services and settings a roster needs. */
export interface RosterSyncOptions {
  readonly roster: Roster
  readonly sessions: SessionRegistry
  readonly knownAgents: KnownAgents
  readonly channels: Pick<ChannelDirectory, "get">
  readonly writes: WriteScheduler
  readonly clock: Clock
  readonly limits: Limits
  readonly log: (line: string) => void
}

/**
 * Synchronizes the roster with the store: writes the records of agents connected here, and takes over what other relays
 * write. Of two sessions of one identity, the one with the later epoch wins.
 */
export class RosterSync {
  /** The name of this relay among those that share its backbone. */
  readonly relay = randomBytes(relayNameBytes).toString("hex")
  readonly #options: RosterSyncOptions
  /** Absent when nothing outlasts this process. */
  #store: RosterStore | undefined
  /** Absent when no other relay shares the store. */
  #relays: PeerRelays | undefined
  /** Agents whose session here has to end, because they have connected to another relay. */
  readonly #displaced = new Set<AgentId>()
  /** When the record of each agent connected here was last written; only where other relays read it. */
  readonly #writtenTs = new Map<AgentId, number>()

  private constructor(options: RosterSyncOptions) {
    this.#options = options
  }

  /** Reads the stored roster; to be called before any agent connects. @throws {ChatError} UNAVAILABLE */
  static async open(backbone: Backbone, options: RosterSyncOptions): Promise<RosterSync> {
    const sync = new RosterSync(options)
    if (backbone.kind !== "memory" || backbone.isShared) await sync.#start(backbone)
    return sync
  }

  async #start(backbone: Backbone): Promise<void> {
    const { clock, limits, log, roster } = this.#options
    const store = new RosterStore(await backbone.table("agent"), clock, log)
    this.#store = store
    if (!backbone.isShared) {
      for (const record of await store.records()) this.#addDisconnected(toDisconnected(record))
      return
    }
    const self = this.relay
    this.#relays = await PeerRelays.open(
      backbone,
      { self, clock, limits, log },
      {
        // A relay reports an agent as silent only after this time.
        onHeartbeat: (relay) => roster.noteRelay(relay, clock.now() - limits.silenceMs),
        onSilence: (relay) => this.#refreshAgentsOf(relay),
        onGone: (relay) => this.#disconnectAgentsOf(relay),
      },
    )
    await store.watch((id, record) => this.#onChange(id, record))
  }

  /**
   * Takes an identity over for a session that begins here, and sets its epoch.
   * @returns the record it had
   */
  claim(agent: Agent): RosterRecord | undefined {
    const known = this.#options.roster.delete(agent.id)
    this.#noteMoves(known, undefined)
    agent.epoch = epochAfter(this.#options.clock.now(), known?.epoch)
    return known
  }

  /** Writes the record of a new session without delay, so that its name is known even after a crash. */
  began(session: Session): void {
    this.changed(session)
    this.#store?.flushSoon()
  }

  /** Writes the record of a session whose presence or channels have changed. */
  changed(session: Session): void {
    const { agent } = session
    if (this.#store === undefined || (this.#relays === undefined && !agent.isPersistent)) return
    if (agent.isHidden) return
    if (this.#options.sessions.find(agent.id) !== session) return
    this.#store.put(recordOf(session, this.relay))
    if (this.#relays !== undefined) this.#writtenTs.set(agent.id, this.#options.clock.now())
  }

  /** Writes the record of an agent whose session has ended. */
  departed(agent: Agent): void {
    const { id } = agent
    this.#writtenTs.delete(id)
    if (this.#displaced.delete(id) || agent.isHidden) return
    if (!agent.isPersistent) {
      if (this.#relays !== undefined) this.#store?.remove(id)
      return
    }
    const record = departedRecord(agent, agent.epoch, this.#options.clock.now())
    this.#addDisconnected(record)
    this.#store?.put(record)
  }

  /** Removes an agent to make room, unless it is connected to some relay. */
  forget(id: AgentId): void {
    const { roster, sessions } = this.#options
    if (sessions.find(id) !== undefined || (roster.recordOf(id)?.relay ?? null) !== null) return
    roster.delete(id)
    this.#store?.remove(id)
  }

  /** Checks the other relays and writes overdue records; to be called every {@link Limits.probeMs}. */
  check(): void {
    if (this.#relays === undefined) return
    this.#relays.check()
    const { sessions, clock } = this.#options
    const before = clock.now() - activityWriteMs
    for (const session of sessions.all()) {
      const { id, readTs = 0, answeredTs = 0 } = session.agent
      const writtenTs = this.#writtenTs.get(id) ?? 0
      if (writtenTs <= before && Math.max(readTs, answeredTs) > writtenTs) this.changed(session)
    }
  }

  /** Writes what is left to write, and signs off from the other relays. */
  async close(): Promise<void> {
    await this.#store?.flush()
    await this.#relays?.close()
  }

  #onChange(id: AgentId, record: RosterRecord | undefined): void {
    const session = this.#options.sessions.find(id)
    if (session !== undefined) this.#resolveConflict(session, record)
    else if (record?.relay !== this.relay) this.#apply(id, record)
  }

  /** Handles a changed row of an agent that is connected here: its own, or one that another relay wrote. */
  #resolveConflict(session: Session, record: RosterRecord | undefined): void {
    const { clock } = this.#options
    const { agent } = session
    const { id, epoch } = agent
    if (record?.relay === this.relay) return
    if (record !== undefined && record.relay !== null && record.epoch >= epoch) {
      this.#displaced.add(id)
      session.displace(record.process)
      this.#apply(id, record)
      return
    }
    // A later session may have come and gone on another relay; this one outlived it.
    if (record !== undefined && record.epoch > epoch) agent.epoch = epochAfter(clock.now(), record.epoch)
    this.changed(session)
  }

  /** Takes over the row of an agent that is not connected here, unless a later one is known. */
  #apply(id: AgentId, record: RosterRecord | undefined): void {
    const { roster } = this.#options
    const known = roster.recordOf(id)
    if (record !== undefined && known !== undefined && record.epoch < known.epoch) return
    if (record !== undefined && record.relay !== null) {
      this.#setConnected(known, record, record.relay)
      return
    }
    roster.delete(id)
    if (record !== undefined && persistentIdPattern.test(id)) this.#addDisconnected(record)
    this.#noteMoves(known, undefined)
  }

  /** Takes over the record of an agent that is connected to another relay. */
  #setConnected(known: RosterRecord | undefined, record: RosterRecord, relay: string): void {
    const { roster, clock } = this.#options
    this.#relays?.add(relay)
    const shown = this.#isSilent(record) ? toSilent(record, clock.now()) : record
    roster.set(shown)
    this.#noteMoves(known, shown)
    const wasConnected = (known?.relay ?? null) !== null
    if (wasConnected && hasOtherPresence(known, shown)) this.#broadcast([shown])
  }

  #addDisconnected(record: RosterRecord): void {
    const { roster, knownAgents } = this.#options
    roster.set(record)
    knownAgents.learn(record.id)
  }

  /** Notes in each channel that an agent on another relay has joined or left it. */
  #noteMoves(before: RosterRecord | undefined, after: RosterRecord | undefined): void {
    const { channels } = this.#options
    if (before !== undefined) {
      for (const name of channelsOnlyOf(before, after)) channels.get(name)?.noteRemote("left", before)
    }
    if (after !== undefined) {
      for (const name of channelsOnlyOf(after, before)) channels.get(name)?.noteRemote("joined", after)
    }
  }

  #broadcast(records: readonly RosterRecord[]): void {
    const { channels, writes, clock } = this.#options
    broadcastRemotePresence(writes, (name) => channels.get(name), records, clock.now())
  }

  /** Updates the agents of a relay that became silent, or is no longer. */
  #refreshAgentsOf(relay: string): void {
    const { roster, clock } = this.#options
    const changed: RosterRecord[] = []
    for (const record of roster.connectedTo(relay)) {
      const shown = this.#isSilent(record) ? toSilent(record, clock.now()) : (record.beforeSilence ?? record)
      if (shown === record) continue
      roster.set(shown)
      changed.push(shown)
    }
    if (changed.length > 0) this.#broadcast(changed)
  }

  /** Disconnects the agents of a relay that is gone. */
  #disconnectAgentsOf(relay: string): void {
    const { roster } = this.#options
    for (const record of roster.connectedTo(relay)) {
      const { id } = record
      const after = persistentIdPattern.test(id) ? toDisconnected(record) : undefined
      this.#apply(id, after)
      if (after === undefined) this.#store?.remove(id)
      else this.#store?.put(after)
    }
    roster.forgetRelay(relay)
  }

  #isSilent({ relay }: RosterRecord): boolean {
    return relay !== null && this.#relays?.isSilent(relay) === true
  }
}

/** Returns the record of an agent that is connected here. */
function recordOf({ agent, channels, attempt: { process } }: Session, relay: string): RosterRecord {
  const { id, name, status, activity, role, since, seenTs, readTs, answeredTs, card, did, epoch } = agent
  const { formerly, rotations, metTs, attention, wakeable } = agent
  const keys = { did, formerly, rotations }
  const facts = { id, name, status, activity, role, since, seenTs, readTs, answeredTs, card, ...keys }
  const wake = { attention, wakeable }
  return {
    ...facts,
    ...wake,
    metTs,
    relay,
    epoch,
    process,
    channels: Array.from(channels, (channel) => channel.name),
  }
}

/** Returns the record of an agent whose session ended without notice. */
function toDisconnected(record: RosterRecord): RosterRecord {
  const { activity: _, beforeSilence: __, wakeable: ___, ...others } = record
  return { ...others, status: "offline", relay: null, channels: [] }
}

/** Returns the record of an agent whose relay is silent. */
function toSilent(record: RosterRecord, now: number): RosterRecord {
  if (record.beforeSilence !== undefined) return record
  return { ...record, status: "offline", since: now, beforeSilence: record }
}

/** Returns the channels of `one` that `other` is not in; an agent with a new name leaves and joins all of them. */
function channelsOnlyOf(one: RosterRecord, other: RosterRecord | undefined): readonly string[] {
  if (other?.name !== one.name) return one.channels
  const others = new Set(other.channels)
  return one.channels.filter((channel) => !others.has(channel))
}

function hasOtherPresence(a: RosterRecord | undefined, b: RosterRecord): boolean {
  return a?.status !== b.status || a.activity !== b.activity || a.role !== b.role
}
