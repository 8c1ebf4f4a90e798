import type { Clock } from "../../base/clock.js"
import type { AgentId } from "../../protocol/names.js"
import type { AgentMemory } from "../sessions/agent.js"

/** A persistent identity this relay has met. */
interface KnownAgent {
  readonly memory: AgentMemory
  isOnline: boolean
}

/** Milliseconds after a session's end for which its message ids are kept: long enough for any reconnect. */
const keepIdsMs = 15 * 60_000
/** Absent identities whose message ids are kept at once. */
const keepIdsOf = 1_024

/** What the relay remembers of persistent identities while they are away, bounded in number and time. */
export class KnownAgents {
  readonly #clock: Clock
  readonly #maxCount: number
  readonly #makeMemory: () => AgentMemory
  readonly #onForgotten: (id: AgentId) => void
  /** The one that came last stands last. */
  readonly #residents = new Map<AgentId, KnownAgent>()
  /** When each absent identity left whose ids are still kept, the earliest first. */
  readonly #departures = new Map<AgentId, number>()

  /** @param onForgotten - told of each that had to go to make room */
  constructor(
    clock: Clock,
    maxCount: number,
    makeMemory: () => AgentMemory,
    onForgotten: (id: AgentId) => void,
  ) {
    this.#clock = clock
    this.#maxCount = maxCount
    this.#makeMemory = makeMemory
    this.#onForgotten = onForgotten
  }

  /** The memory of an identity that comes online, as it left it. */
  enter(id: AgentId): AgentMemory {
    const known = this.#residents.get(id)
    this.#residents.delete(id)
    this.#departures.delete(id)
    const memory = known?.memory ?? this.#makeMemory()
    this.#residents.set(id, { memory, isOnline: true })
    this.#forgetStrangers()
    return memory
  }

  /** Takes note of one that was here before this relay started, or is connected to another. */
  learn(id: AgentId): void {
    if (this.#residents.has(id)) return
    this.#residents.set(id, { memory: this.#makeMemory(), isOnline: false })
    this.#forgetStrangers()
  }

  leave(id: AgentId): void {
    const resident = this.#residents.get(id)
    if (resident === undefined) return
    resident.isOnline = false
    this.#departures.set(id, this.#clock.monotonic())
    this.#forgetIds()
  }

  memoryOf(id: AgentId): AgentMemory | undefined {
    return this.#residents.get(id)?.memory
  }

  #forgetStrangers(): void {
    if (this.#residents.size <= this.#maxCount) return
    for (const [id, { isOnline }] of this.#residents) {
      if (isOnline) continue
      this.#residents.delete(id)
      this.#departures.delete(id)
      this.#onForgotten(id)
      return
    }
  }

  #forgetIds(): void {
    const before = this.#clock.monotonic() - keepIdsMs
    for (const [id, leftAtMs] of this.#departures) {
      if (leftAtMs > before && this.#departures.size <= keepIdsOf) return
      this.#departures.delete(id)
      this.#residents.get(id)?.memory.sent.clear()
    }
  }
}
