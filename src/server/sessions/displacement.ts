import type { Clock } from "../../base/clock.js"
import { closeCodes } from "../../protocol/limits.js"
import type { Session } from "./session.js"

/** Ends a session whose identity connected again: its connection may be a dead one nobody noticed. */
export function displace(session: Session, clock: Clock, log: (line: string) => void): void {
  const reason = "this identity connected elsewhere"
  log(`displaced: ${session.agent.id} at ${session.remoteAddress}`)
  session.send({ type: "SESSION_DISPLACED", reason, ts: clock.now() })
  session.close(closeCodes.displaced, `SESSION_DISPLACED: ${reason}`)
}
