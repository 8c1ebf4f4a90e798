import { type Channel as ChannelName, type ChannelPattern, matchesChannel } from "../../protocol/names.js"
import type { Session } from "../sessions/session.js"

/** Who wants every channel of a pattern, also those to come. */
export class ChannelPatterns {
  readonly #sessions = new Map<ChannelPattern, Set<Session>>()

  add(session: Session, pattern: ChannelPattern): void {
    session.patterns.add(pattern)
    const sessions = this.#sessions.get(pattern)
    if (sessions === undefined) this.#sessions.set(pattern, new Set([session]))
    else sessions.add(session)
  }

  remove(session: Session, pattern: ChannelPattern): void {
    session.patterns.delete(pattern)
    const sessions = this.#sessions.get(pattern)
    sessions?.delete(session)
    if (sessions?.size === 0) this.#sessions.delete(pattern)
  }

  /** Takes a session out that is gone. */
  drop(session: Session): void {
    for (const pattern of session.patterns) this.remove(session, pattern)
  }

  /** Every session that wants a channel, with the pattern that says so. */
  *wanting(channel: ChannelName): Iterable<readonly [Session, ChannelPattern]> {
    for (const [pattern, sessions] of this.#sessions) {
      if (!matchesChannel(pattern, channel)) continue
      for (const session of sessions) yield [session, pattern]
    }
  }
}
