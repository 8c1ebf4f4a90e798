import type { Clock } from "../../base/clock.js"
import type { Limits } from "../../protocol/limits.js"
import type { Session } from "./session.js"
import type { SessionRegistry } from "./session-registry.js"

/** Milliseconds of silence after which a session is ended. Until then its connection may recover. */
const endMs = 60_000

/**
 * Checks all sessions in one pass, instead of with a timer for each. A session that sent nothing since the last
 * probe is pinged. After `limits.silenceMs` of silence its agent is shown offline; after a minute it is ended.
 */
export class Heartbeat {
  readonly #sessions: SessionRegistry
  readonly #clock: Clock
  /** Counted in probes, not in time: a relay that was suspended has not heard from anybody. */
  readonly #silentProbes: number
  readonly #endProbes: number

  constructor(sessions: SessionRegistry, clock: Clock, limits: Limits) {
    this.#sessions = sessions
    this.#clock = clock
    this.#silentProbes = Math.ceil(limits.silenceMs / limits.probeMs)
    this.#endProbes = Math.ceil(endMs / limits.probeMs)
  }

  /** Call every {@link Limits.probeMs}, after all input that has arrived was read. */
  probe(): void {
    const now = this.#clock.now()
    const dead: Session[] = []
    for (const session of this.#sessions.all()) {
      const { agent } = session
      if (session.probe()) this.#markAlive(session, now)
      else if (++agent.missedProbes === this.#silentProbes && !agent.isSilent) {
        agent.showOffline(now)
        this.#sessions.emit("presence", session, true)
      } else if (agent.missedProbes >= this.#endProbes) dead.push(session)
    }
    for (const session of dead) session.terminate()
  }

  #markAlive(session: Session, now: number): void {
    const { agent } = session
    agent.seenTs = now
    agent.missedProbes = 0
    if (!agent.isSilent) return
    agent.showAgain()
    this.#sessions.emit("presence", session, true)
  }
}
