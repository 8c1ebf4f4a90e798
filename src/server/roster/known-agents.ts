import type { Clock } from "../../base/clock.js"
import type { AgentId } from "../../protocol/names.js"
import type { AgentMemory } from "../sessions/agent.js"
import type { Origin } from "../sessions/origin.js"

interface KnownAgent {
  readonly memory: AgentMemory
  /** Of its last session; its id if that was before this relay started. */
  origin: Origin
  isConnected: boolean
  /** When it was last found to be needed, monotonic. */
  neededMs: number
}

/** How it is decided whom to forget. */
export interface Eviction {
  /** Reports whether something waits for an agent: mail, a channel, a deal or a task. */
  readonly isNeeded: (id: AgentId) => Promise<boolean>
  /** Returns the milliseconds between the first and the last sign of an agent. */
  readonly ageOf: (id: AgentId) => number
  readonly forget: (id: AgentId) => void
}

/** Part of the bound by which more than necessary is forgotten at once: sorting takes time. */
const spareShare = 0.01
/** Part of the bound by which agents that are needed may exceed it. */
const neededShare = 0.25
/** Part of the bound that one origin may have agents which are needed. */
const originShare = 0.25
/** Milliseconds after which an agent that was needed is asked about again. */
const askAgainMs = 600_000

/** Milliseconds for which message ids are kept after a session ends: longer than any reconnect takes. */
const idRetentionMs = 15 * 60_000
/** Most disconnected agents whose message ids are kept. */
const maxDepartures = 1_024

/**
 * The persistent identities this relay has met. It remembers their rate limits and message ids while they are
 * disconnected, bounded in number and time.
 */
export class KnownAgents {
  readonly #clock: Clock
  readonly #maxCount: number
  readonly #makeMemory: () => AgentMemory
  /** In the order in which they connected last. */
  readonly #agents = new Map<AgentId, KnownAgent>()
  #isMakingRoom = false
  /** When each disconnected agent left whose message ids are still kept, the earliest first. */
  readonly #departures = new Map<AgentId, number>()

  constructor(clock: Clock, maxCount: number, makeMemory: () => AgentMemory) {
    this.#clock = clock
    this.#maxCount = maxCount
    this.#makeMemory = makeMemory
  }

  /** Adds an agent that connects. @returns its memory, as it was when it left */
  enter(id: AgentId): AgentMemory {
    const memory = this.#agents.get(id)?.memory ?? this.#makeMemory()
    this.#agents.delete(id)
    this.#departures.delete(id)
    this.#agents.set(id, { memory, origin: id, isConnected: true, neededMs: -Infinity })
    return memory
  }

  /** Notes the origin of an agent that connected. */
  noteOrigin(id: AgentId, origin: Origin): void {
    const agent = this.#agents.get(id)
    if (agent !== undefined) agent.origin = origin
  }

  /** Adds an agent that was here before this relay started, or is connected to another one. */
  learn(id: AgentId): void {
    if (this.#agents.has(id)) return
    const memory = this.#makeMemory()
    this.#agents.set(id, { memory, origin: id, isConnected: false, neededMs: -Infinity })
  }

  leave(id: AgentId): void {
    const agent = this.#agents.get(id)
    if (agent === undefined) return
    agent.isConnected = false
    this.#departures.set(id, this.#clock.monotonic())
    this.#dropIds()
  }

  memoryOf(id: AgentId): AgentMemory | undefined {
    return this.#agents.get(id)?.memory
  }

  get size(): number {
    return this.#agents.size
  }

  /** True if there are too many agents. */
  get isFull(): boolean {
    return this.#agents.size > this.#maxCount
  }

  /**
   * Forgets disconnected agents if there are too many: first those of the origin with the most, and of one origin those
   * that were here for the shortest time. Keys are free, so an agent that something waits for stays, as long as its origin
   * has at most a quarter of all.
   */
  async makeRoom({ isNeeded, ageOf, forget }: Eviction): Promise<void> {
    if (!this.isFull || this.#isMakingRoom) return
    this.#isMakingRoom = true
    try {
      const goal = this.#maxCount - Math.floor(this.#maxCount * spareShare)
      const away = this.#byWorth(ageOf)
      const isOverrun = away.length > this.#maxCount * (1 + neededShare)
      for (const { id, agent, siblings } of away) {
        if (this.#agents.size <= goal) return
        const mayStay = siblings <= Math.max(1, this.#maxCount * originShare) && !isOverrun
        if (mayStay && (await this.#isNeeded(id, agent, isNeeded))) continue
        if (agent.isConnected || this.#agents.get(id) !== agent) continue
        this.#agents.delete(id)
        this.#departures.delete(id)
        agent.memory.sentIds.clear()
        agent.memory.delivered.clear()
        forget(id)
      }
    } finally {
      this.#isMakingRoom = false
    }
  }

  /** Returns the disconnected agents, those of the least worth first, with how many agents their origin has. */
  #byWorth(ageOf: (id: AgentId) => number): { id: AgentId; agent: KnownAgent; siblings: number }[] {
    const counts = new Map<Origin, number>()
    for (const { origin } of this.#agents.values()) counts.set(origin, (counts.get(origin) ?? 0) + 1)
    const away = [...this.#agents].reverse().filter(([, { isConnected }]) => !isConnected)
    return away
      .map(([id, agent]) => ({ id, agent, siblings: counts.get(agent.origin) ?? 0, age: ageOf(id) }))
      .sort((a, b) => b.siblings - a.siblings || a.age - b.age)
  }

  async #isNeeded(id: AgentId, agent: KnownAgent, ask: Eviction["isNeeded"]): Promise<boolean> {
    const nowMs = this.#clock.monotonic()
    if (nowMs - agent.neededMs < askAgainMs) return true
    const isNeeded = await ask(id)
    if (isNeeded) agent.neededMs = nowMs
    return isNeeded
  }

  /** Drops the message ids of agents that left long ago, or of too many. */
  #dropIds(): void {
    const before = this.#clock.monotonic() - idRetentionMs
    for (const [id, leftAtMs] of this.#departures) {
      if (leftAtMs > before && this.#departures.size <= maxDepartures) return
      this.#departures.delete(id)
      const memory = this.#agents.get(id)?.memory
      memory?.sentIds.clear()
      memory?.delivered.clear()
    }
  }
}
