import type { Clock } from "../../base/clock.js"
import type { Limits } from "../../protocol/limits.js"
import type { Session } from "./session.js"
import type { SessionRegistry } from "./session-registry.js"

/** Milliseconds of silence after which a session is ended: until then its connection may recover. */
const endMs = 60_000

/** Who is told of what a look finds. */
export interface HeartbeatEvents {
  /** An agent is shown otherwise than before: it fell silent, or is back. */
  onShown(session: Session): void
}

/**
 * Looks after everybody who is connected, in one pass and without a timer for each. A session that said
 * nothing since the last look is pinged; one that said nothing for long is shown offline, and ended much later.
 */
export class Heartbeat {
  readonly #hub: SessionRegistry
  readonly #clock: Clock
  readonly #events: HeartbeatEvents
  /** Looks, not time: a relay that was itself stopped for a while has not heard anybody. */
  readonly #silentLooks: number
  readonly #endLooks: number

  constructor(hub: SessionRegistry, clock: Clock, limits: Limits, events: HeartbeatEvents) {
    this.#hub = hub
    this.#clock = clock
    this.#events = events
    this.#silentLooks = Math.ceil(limits.silenceMs / limits.probeMs)
    this.#endLooks = Math.ceil(endMs / limits.probeMs)
  }

  /** Looks once; call every {@link Limits.probeMs}, after what came in the meantime was read. */
  look(): void {
    const now = this.#clock.now()
    const gone: Session[] = []
    for (const session of this.#hub.sessions()) {
      const { agent } = session
      if (session.probe()) this.#hear(session, now)
      else if (++agent.quietLooks === this.#silentLooks && !agent.isSilent) {
        agent.noteSilence(now)
        this.#events.onShown(session)
      } else if (agent.quietLooks >= this.#endLooks) gone.push(session)
    }
    for (const session of gone) session.terminate()
  }

  #hear(session: Session, now: number): void {
    const { agent } = session
    agent.seenTs = now
    agent.quietLooks = 0
    if (!agent.isSilent) return
    agent.noteReturn()
    this.#events.onShown(session)
  }
}
