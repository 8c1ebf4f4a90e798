import { Socket } from "node:net"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { Gcra } from "../../../src/guards/gcra.js"
import { defaultLimits } from "../../../src/protocol/limits.js"
import type { AgentId, Nick } from "../../../src/protocol/names.js"
import type { Channel } from "../../../src/server/channels/channel.js"
import { KnownAgents } from "../../../src/server/roster/known-agents.js"
import { Roster } from "../../../src/server/roster/roster.js"
import { RosterSync } from "../../../src/server/roster/roster-sync.js"
import { Agent } from "../../../src/server/sessions/agent.js"
import { DeliveredIds } from "../../../src/server/sessions/delivered-ids.js"
import { SentIds } from "../../../src/server/sessions/sent-ids.js"
import type { Session } from "../../../src/server/sessions/session.js"
import { SessionRegistry } from "../../../src/server/sessions/session-registry.js"
import { WriteSequencer } from "../../../src/server/sessions/write-sequencer.js"
import { SendQueue } from "../../../src/server/wire/send-queue.js"
import { WriteScheduler } from "../../../src/server/wire/write-scheduler.js"
import { LastingEngine, type LentEngine } from "../../kit/engine.js"
import { FakeClock } from "../../kit/fake-clock.js"

const limits = { ...defaultLimits, identities: 1_000 }
const ids = ["@00000000000000a1", "@00000000000000a2", "@00000000000000a3", "@abcdefgh"] as AgentId[]

/** A channel that collects its remote members. */
function recordingChannel(remoteMembers: Map<string, Set<AgentId>>, name: string): Channel {
  const members = remoteMembers.get(name) ?? new Set()
  remoteMembers.set(name, members)
  const channel = {
    members: new Set(),
    noteRemote: (movement: "joined" | "left", { id }: { id: AgentId }) => {
      if (movement === "left") expect(members.delete(id)).toBe(true)
      else expect(members.has(id) ? 0 : members.add(id).size).toBeGreaterThan(0)
    },
  }
  return channel as unknown as Channel
}

function makeMemory() {
  return {
    meter: new Gcra({ ratePerSecond: 1, burst: 1 }),
    startMs: 0,
    sentIds: new SentIds(1),
    delivered: new DeliveredIds(),
    sequencer: new WriteSequencer(new FakeClock()),
  }
}

interface Parts {
  readonly sessions: SessionRegistry
  readonly roster: Roster
  readonly remoteMembers: Map<string, Set<AgentId>>
  readonly sync: RosterSync
}

/** The roster of one relay without sockets. Collects the remote members of each channel from the moves it notes. */
class Station {
  readonly sessions: SessionRegistry
  readonly roster: Roster
  readonly sync: RosterSync
  readonly access: LentEngine
  readonly remoteMembers: Map<string, Set<AgentId>>
  readonly #clock: FakeClock

  private constructor(access: LentEngine, clock: FakeClock, parts: Parts) {
    this.access = access
    this.#clock = clock
    this.sessions = parts.sessions
    this.roster = parts.roster
    this.remoteMembers = parts.remoteMembers
    this.sync = parts.sync
  }

  static async start(access: LentEngine, clock: FakeClock): Promise<Station> {
    const sessions = new SessionRegistry()
    const roster = new Roster(sessions)
    const remoteMembers = new Map<string, Set<AgentId>>()
    const channels = { get: (name: string) => recordingChannel(remoteMembers, name) }
    const sync = await RosterSync.open(access, {
      ...{ roster, sessions, channels, clock, limits, writes: new WriteScheduler() },
      knownAgents: new KnownAgents(clock, limits.identities, makeMemory),
      log: () => {},
    })
    return new Station(access, clock, { sessions, roster, remoteMembers, sync })
  }

  enter(id: AgentId, ...channels: string[]): void {
    this.leave(id)
    const owner = { isWritable: false, onOverflow: () => {} }
    const outgoing = new SendQueue(new Socket(), owner, new WriteScheduler(), 1)
    const time = { clock: this.#clock, staleMs: 1, address: "loopback" }
    const agent = new Agent(id, `n${id.slice(-2)}` as Nick, makeMemory(), outgoing, time)
    agent.introduce({}, this.sync.claim(agent))
    const session = {
      agent,
      channels: channels.map((name) => ({ name })),
      send: () => {},
      attempt: {},
      displace: () => this.leave(id),
    }
    this.sessions.add(session as unknown as Session)
    this.sync.changed(session as unknown as Session)
  }

  say(id: AgentId, status: "idle" | "working"): void {
    const session = this.sessions.find(id)
    if (session === undefined) return
    session.agent.setPresence(status, undefined, undefined)
    this.sync.changed(session)
  }

  leave(id: AgentId): void {
    const session = this.sessions.find(id)
    if (session === undefined) return
    this.sessions.remove(session)
    this.sync.departed(session.agent)
  }

  /** The status and role shown of each agent; the same on every relay once all changes have arrived. */
  get view(): string[] {
    const shown = ids.map((id) => this.roster.find(id)).filter((facts) => facts !== undefined)
    return shown.map(({ id, status, role }) => `${id} ${status} ${role ?? ""}`)
  }

  get connected(): AgentId[] {
    return ids.filter((id) => this.sessions.find(id) !== undefined)
  }
}

async function settle(clock: FakeClock, stations: readonly Station[], looks: number): Promise<void> {
  for (let i = 0; i < looks; i++) {
    clock.advance(2_000)
    await new Promise((resolve) => setImmediate(resolve))
    for (const { sync } of stations) sync.check()
    await new Promise((resolve) => setImmediate(resolve))
  }
}

interface Step {
  readonly at: number
  readonly id: AgentId
  readonly act: "enter" | "leave" | "say" | "cut" | "heal" | "look" | "wait"
}

function take(station: Station, { id, act }: Step, clock: FakeClock): void {
  // An identity without a key is valid for one session on one relay.
  const isOurs = id.length > 9 || station.sync.relay === owner
  if (act === "enter" && isOurs) station.enter(id, "#a")
  else if (act === "leave") station.leave(id)
  else if (act === "say") station.say(id, "working")
  else if (act === "cut") station.access.setReachable(false)
  else if (act === "heal") station.access.setReachable(true)
  else if (act === "look") station.sync.check()
  else clock.advance(60)
}

let owner = ""

describe("rosters that share a backbone", () => {
  it("rosters show the same agents once all changes have arrived", async () => {
    const step: fc.Arbitrary<Step> = fc.record({
      at: fc.integer({ min: 0, max: 2 }),
      id: fc.constantFrom(...ids),
      act: fc.constantFrom("enter", "enter", "leave", "say", "cut", "heal", "look", "wait", "wait"),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const clock = new FakeClock()
        const engine = await LastingEngine.make({ isShared: true })
        const stations: Station[] = []
        for (let i = 0; i < 3; i++) stations.push(await Station.start(engine.lend(), clock))
        owner = stations[0]?.sync.relay ?? ""
        for (const step of steps) {
          const station = stations[step.at]
          if (station !== undefined) take(station, step, clock)
          await new Promise((resolve) => setImmediate(resolve))
        }
        for (const { access } of stations) access.setReachable(true)
        await settle(clock, stations, 8)
        const [first, ...others] = stations
        for (const other of others) expect(other.view).toEqual(first?.view)
        const connected = stations.flatMap((station) => station.connected)
        expect(new Set(connected).size).toBe(connected.length)
        for (const station of stations) {
          const remote = connected.filter((id) => !station.connected.includes(id))
          expect([...(station.remoteMembers.get("#a") ?? [])].sort()).toEqual(remote.sort())
          expect(
            station.roster
              .remoteMembers("#a")
              .map(({ id }) => id)
              .sort(),
          ).toEqual(remote.sort())
        }
      }),
      { numRuns: 100 },
    )
  }, 60_000)
})
