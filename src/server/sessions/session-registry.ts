import type { AgentId } from "../../protocol/names.js"
import type { Session } from "./session.js"

/** Who is online. */
export class SessionRegistry {
  readonly #byId = new Map<AgentId, Session>()
  /** By name in lower case; names are not unique. */
  readonly #byName = new Map<string, Session[]>()

  get size(): number {
    return this.#byId.size
  }

  /** Everybody who said who it is, in the order they came. */
  sessions(): Iterable<Session> {
    return this.#byId.values()
  }

  find(id: string): Session | undefined {
    return this.#byId.get(id as AgentId)
  }

  /** Sessions of that name; case is ignored. */
  named(name: string): readonly Session[] {
    return this.#byName.get(name.toLowerCase()) ?? []
  }

  /** Every name that is borne now, in lower case. */
  names(): Iterable<string> {
    return this.#byName.keys()
  }

  /** Takes in a session that was admitted; its id must not be online. */
  add(session: Session): void {
    const { id, name } = session.agent
    this.#byId.set(id, session)
    const key = name.toLowerCase()
    const namesakes = this.#byName.get(key)
    if (namesakes === undefined) this.#byName.set(key, [session])
    else namesakes.push(session)
  }

  remove(session: Session): void {
    const { id, name } = session.agent
    if (this.#byId.get(id) === session) this.#byId.delete(id)
    const key = name.toLowerCase()
    const others = this.named(key).filter((other) => other !== session)
    if (others.length === 0) this.#byName.delete(key)
    else this.#byName.set(key, others)
  }
}
