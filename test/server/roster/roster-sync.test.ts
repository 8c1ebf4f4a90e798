import { Socket } from "node:net"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { Gcra } from "../../../src/guards/gcra.js"
import { defaultLimits } from "../../../src/protocol/limits.js"
import type { AgentId, Nick } from "../../../src/protocol/names.js"
import { Roster } from "../../../src/server/roster/roster.js"
import { RosterSync } from "../../../src/server/roster/roster-sync.js"
import { Agent } from "../../../src/server/sessions/agent.js"
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

/** One relay's roster without its sockets; it believes of each channel what it is told of those elsewhere. */
class Station {
  readonly hub = new SessionRegistry()
  readonly roster = new Roster(this.hub)
  readonly keeper: RosterSync
  readonly access: LentEngine
  readonly elsewhere = new Map<string, Set<AgentId>>()
  readonly #clock: FakeClock

  private constructor(access: LentEngine, clock: FakeClock) {
    this.access = access
    this.#clock = clock
    this.keeper = new RosterSync({
      roster: this.roster,
      hub: this.hub,
      clock,
      limits,
      log: () => {},
      events: {
        onMoved: (movement, { id }, channel) => {
          const believed = this.elsewhere.get(channel) ?? new Set()
          this.elsewhere.set(channel, believed)
          if (movement === "left") expect(believed.delete(id)).toBe(true)
          else expect(believed.has(id) ? 0 : believed.add(id).size).toBeGreaterThan(0)
        },
        onShown: () => {},
        onAway: () => {},
        onDisplaced: (session) => this.leave(session.agent.id),
      },
    })
  }

  static async start(access: LentEngine, clock: FakeClock): Promise<Station> {
    const station = new Station(access, clock)
    await station.keeper.start(access)
    return station
  }

  enter(id: AgentId, ...channels: string[]): void {
    this.leave(id)
    const owner = { isWritable: false, onOverflow: () => {} }
    const memory = {
      meter: new Gcra({ ratePerSecond: 1, burst: 1 }),
      sent: new SentIds(1),
      lane: new WriteSequencer(new FakeClock()),
    }
    const outgoing = new SendQueue(new Socket(), owner, new WriteScheduler(), 1)
    const time = { clock: this.#clock, staleMs: 1 }
    const agent = new Agent(id, `n${id.slice(-2)}` as Nick, memory, outgoing, time)
    agent.introduce({}, this.keeper.claim(agent))
    const session = { agent, channels: channels.map((name) => ({ name })) }
    this.hub.add(session as unknown as Session)
    this.keeper.changed(session as unknown as Session)
  }

  say(id: AgentId, status: "idle" | "working"): void {
    const session = this.hub.find(id)
    if (session === undefined) return
    session.agent.say(status, undefined, undefined)
    this.keeper.changed(session)
  }

  leave(id: AgentId): void {
    const session = this.hub.find(id)
    if (session === undefined) return
    this.hub.remove(session)
    this.keeper.departed(session.agent)
  }

  /** Who is shown how; the same on every relay once all is told. */
  get view(): string[] {
    const shown = ids.map((id) => this.roster.find(id)).filter((facts) => facts !== undefined)
    return shown.map(({ id, status, role }) => `${id} ${status} ${role ?? ""}`)
  }

  get here(): AgentId[] {
    return ids.filter((id) => this.hub.find(id) !== undefined)
  }
}

async function settle(clock: FakeClock, stations: readonly Station[], looks: number): Promise<void> {
  for (let i = 0; i < looks; i++) {
    clock.advance(2_000)
    await new Promise((resolve) => setImmediate(resolve))
    for (const { keeper } of stations) keeper.look()
    await new Promise((resolve) => setImmediate(resolve))
  }
}

interface Step {
  readonly at: number
  readonly id: AgentId
  readonly act: "enter" | "leave" | "say" | "cut" | "heal" | "look" | "wait"
}

function take(station: Station, { id, act }: Step, clock: FakeClock): void {
  // An identity without a key is given for one session at one relay.
  const isOurs = id.length > 9 || station.keeper.relay === owner
  if (act === "enter" && isOurs) station.enter(id, "#a")
  else if (act === "leave") station.leave(id)
  else if (act === "say") station.say(id, "working")
  else if (act === "cut") station.access.setReachable(false)
  else if (act === "heal") station.access.setReachable(true)
  else if (act === "look") station.keeper.look()
  else clock.advance(60)
}

let owner = ""

describe("rosters that share a backbone", () => {
  it("show the same once they are told everything, whatever happened", async () => {
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
        owner = stations[0]?.keeper.relay ?? ""
        for (const step of steps) {
          const station = stations[step.at]
          if (station !== undefined) take(station, step, clock)
          await new Promise((resolve) => setImmediate(resolve))
        }
        for (const { access } of stations) access.setReachable(true)
        await settle(clock, stations, 8)
        const [first, ...others] = stations
        for (const other of others) expect(other.view).toEqual(first?.view)
        const here = stations.flatMap((station) => station.here)
        expect(new Set(here).size).toBe(here.length)
        for (const station of stations) {
          const elsewhere = here.filter((id) => !station.here.includes(id))
          expect([...(station.elsewhere.get("#a") ?? [])].sort()).toEqual(elsewhere.sort())
          expect(
            station.roster
              .membersElsewhere("#a")
              .map(({ id }) => id)
              .sort(),
          ).toEqual(elsewhere.sort())
        }
      }),
      { numRuns: 100 },
    )
  }, 60_000)
})
