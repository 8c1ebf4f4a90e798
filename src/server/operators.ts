import { agentIdOf, parsePublicKey } from "../identity/keys.js"
import { ChatError } from "../protocol/errors.js"
import { type AgentId, persistentIdPattern } from "../protocol/names.js"

/** The operators of a relay. Guards never stop them, and they may reset guards. */
export class Operators {
  readonly #ids: ReadonlySet<AgentId>

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

  has(id: string): boolean {
    return this.#ids.has(id as AgentId)
  }
}

function parseOperator(name: string): AgentId {
  if (!name.startsWith("@")) return agentIdOf(parsePublicKey(name))
  if (persistentIdPattern.test(name)) return name as AgentId
  throw new ChatError("INVALID_MSG", "operator: must be a did:key, or the id of a key: @ and 16 hex digits")
}
