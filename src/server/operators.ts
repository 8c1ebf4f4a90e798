import { agentIdOf, parsePublicKey } from "../identity/keys.js"
import { ChatError } from "../protocol/errors.js"
import { type AgentId, persistentIdPattern } from "../protocol/names.js"

/** The operators of a relay. Guards never stop them, and they may reset guards. */
export class Operators {
  #ids: ReadonlySet<AgentId>
  /** For the new key of an operator, the id of the key it replaced. */
  readonly #predecessors = new Map<AgentId, AgentId>()

  private constructor(ids: ReadonlySet<AgentId>) {
    this.#ids = ids
  }

  /**
   * @param names - public keys (did:key), or ids of agents that have a key
   * @throws {ChatError} INVALID_MSG for a name, or for an id without a key: anybody could claim those
   */
  static of(names: readonly string[]): Operators {
    return new Operators(new Set(names.map(parseOperator)))
  }

  /** Names other operators. @throws {ChatError} as {@link of} */
  replace(names: readonly string[]): void {
    this.#ids = new Set(names.map(parseOperator))
  }

  /** The ids of up to `count` operators, under the keys they have now. */
  newest(count: number): AgentId[] {
    const replaced = new Set(this.#predecessors.values())
    const all = [...this.#ids, ...this.#predecessors.keys()]
    return all.filter((id) => !replaced.has(id)).slice(0, count)
  }

  /** Lets an operator keep its office with a new key. */
  succeed(from: AgentId, to: AgentId): void {
    if (from !== to && this.has(from)) this.#predecessors.set(to, from)
  }

  /** Takes an office back from the key that replaced a revoked one: a thief may have replaced it. */
  withdraw(revoked: AgentId): void {
    for (const [to, from] of this.#predecessors) if (from === revoked) this.#predecessors.delete(to)
  }

  has(id: string): boolean {
    const seen = new Set<string>()
    for (let key: string | undefined = id; key !== undefined && !seen.has(key); ) {
      if (this.#ids.has(key as AgentId)) return true
      seen.add(key)
      key = this.#predecessors.get(key as AgentId)
    }
    return false
  }
}

function parseOperator(name: string): AgentId {
  if (!name.startsWith("@")) return agentIdOf(parsePublicKey(name))
  const id = name.toLowerCase()
  if (persistentIdPattern.test(id)) return id as AgentId
  throw new ChatError("INVALID_MSG", "operator: must be a did:key, or the id of a key: @ and 16 hex digits")
}
