import { LruMap } from "../../base/lru-map.js"
import { isPlain } from "../../base/plain.js"
import { type AgentId, agentIdIn, persistentIdPattern } from "../../protocol/names.js"
import type { DaemonMemory } from "../session/daemon-memory.js"

const maxPins = 1_000
const maxRivals = 100

/**
 * The agents that this daemon's messages to a name went to. A name goes on meaning the agent that it meant first. If that
 * agent has lost it to another one, messages to the name are refused until one to the id of either has been accepted.
 */
export class NamePins {
  readonly #memory: DaemonMemory
  /** By name in lower case. */
  readonly #ids = new LruMap<string, AgentId>(maxPins)
  /** The names that the relay refused as ambiguous, by the id of each agent that has one. */
  readonly #rivals = new LruMap<string, string>(maxRivals)
  #serverId: string | undefined

  constructor(memory: DaemonMemory) {
    this.#memory = memory
    const { names } = memory.state
    if (!isPlain(names)) return
    const { server_id: serverId, ids } = names
    if (typeof serverId === "string") this.#serverId = serverId
    for (const [name, id] of Object.entries(isPlain(ids) ? ids : {})) {
      const known = typeof id === "string" ? agentIdIn(id) : undefined
      if (known !== undefined) this.#ids.set(name, known)
    }
  }

  /** Begins a session. Another relay knows no agent without a key by its id. */
  attach(serverId: string): void {
    if (this.#serverId === serverId) return
    this.#serverId = serverId
    for (const [name, id] of [...this.#ids]) if (!persistentIdPattern.test(id)) this.#ids.delete(name)
    this.#save()
  }

  /** Returns the id that a reference means: its own, or that of the agent with the name; undefined for a new name. */
  idOf(ref: string): AgentId | undefined {
    if (!ref.startsWith("@")) return undefined
    return agentIdIn(ref) ?? this.#ids.get(ref.toLowerCase())
  }

  /** Notes that a message to `ref` was accepted for an agent. */
  accepted(ref: string, to: string): void {
    const id = agentIdIn(to)
    if (id === undefined || !ref.startsWith("@")) return
    const name = agentIdIn(ref) === undefined ? ref.toLowerCase() : this.#rivals.peek(id)
    if (name === undefined || this.#ids.get(name) === id) return
    this.#ids.set(name, id)
    for (const [rival, known] of this.#rivals) if (known === name) this.#rivals.delete(rival)
    this.#save()
  }

  /** Notes that a message to `ref` was refused because several agents have the name. */
  refused(ref: string, candidates: readonly string[]): void {
    for (const id of candidates) this.#rivals.set(id, ref.toLowerCase())
  }

  #save(): void {
    this.#memory.note({ names: { server_id: this.#serverId, ids: Object.fromEntries(this.#ids) } })
  }
}
