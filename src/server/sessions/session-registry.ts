import { EventEmitter } from "node:events"
import type { AgentId } from "../../protocol/names.js"
import type { Session } from "./session.js"

/** Events of a {@link SessionRegistry}. */
interface SessionEvents {
  /** A session was added. */
  opened: [session: Session]
  /** A session was removed. */
  closed: [session: Session]
  /** The agent of a session set its presence, fell silent or came back; `isVisible` if it now looks different. */
  presence: [session: Session, isVisible: boolean]
}

/** The sessions of this relay whose agent is identified. */
export class SessionRegistry extends EventEmitter<SessionEvents> {
  readonly #byId = new Map<AgentId, Session>()
  /** By name in lower case; names are not unique. */
  readonly #byName = new Map<string, Session[]>()

  get size(): number {
    return this.#byId.size
  }

  /** All sessions, in the order they were added. */
  all(): Iterable<Session> {
    return this.#byId.values()
  }

  find(id: string): Session | undefined {
    return this.#byId.get(id as AgentId)
  }

  /** Sessions of agents with that name; case is ignored. */
  named(name: string): readonly Session[] {
    return this.#byName.get(name.toLowerCase()) ?? []
  }

  /** All names in use, in lower case. */
  names(): Iterable<string> {
    return this.#byName.keys()
  }

  /** Adds a session with an agent. No other session of that agent may be registered. */
  add(session: Session): void {
    const { id, name } = session.agent
    this.#byId.set(id, session)
    const key = name.toLowerCase()
    const namesakes = this.#byName.get(key)
    if (namesakes === undefined) this.#byName.set(key, [session])
    else namesakes.push(session)
    this.emit("opened", session)
  }

  remove(session: Session): void {
    const { id, name } = session.agent
    if (this.#byId.get(id) === session) this.#byId.delete(id)
    const key = name.toLowerCase()
    const others = this.named(key).filter((other) => other !== session)
    if (others.length === 0) this.#byName.delete(key)
    else this.#byName.set(key, others)
    this.emit("closed", session)
  }
}
