import type { Clock } from "../../base/clock.js"
import type { AgentId } from "../../protocol/names.js"
import type { AgentMemory } from "../sessions/agent.js"

interface KnownAgent {
  readonly memory: AgentMemory
  isConnected: boolean
}

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
  /** When each disconnected agent left whose message ids are still kept, the earliest first. */
  readonly #departures = new Map<AgentId, number>()

  constructor(clock: Clock, maxCount: number, makeMemory: () => AgentMemory) {
    this.#clock = clock
    this.#maxCount = maxCount
    this.#makeMemory = makeMemory
  }

  /**
   * Adds an agent that connects.
   * @returns its memory, as it was when it left; and the agent that had to be forgotten to make room
   */
  enter(id: AgentId): { memory: AgentMemory; evicted: AgentId | undefined } {
    const memory = this.#agents.get(id)?.memory ?? this.#makeMemory()
    this.#agents.delete(id)
    this.#departures.delete(id)
    this.#agents.set(id, { memory, isConnected: true })
    return { memory, evicted: this.#evict() }
  }

  /**
   * Adds an agent that was here before this relay started, or is connected to another one.
   * @returns the agent that had to be forgotten to make room
   */
  learn(id: AgentId): AgentId | undefined {
    if (this.#agents.has(id)) return undefined
    this.#agents.set(id, { memory: this.#makeMemory(), isConnected: false })
    return this.#evict()
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

  /** Forgets the disconnected agent that connected longest ago, if there are too many. */
  #evict(): AgentId | undefined {
    if (this.#agents.size <= this.#maxCount) return undefined
    for (const [id, { isConnected }] of this.#agents) {
      if (isConnected) continue
      this.#agents.delete(id)
      this.#departures.delete(id)
      return id
    }
    return undefined
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
