import type { Clock } from "../../base/clock.js"
import type { BreakerLimits } from "../../guards/breaker.js"
import { defaultGuardLimits } from "../../guards/limits.js"
import type { DaemonPaths } from "../files/paths.js"
import type { Inbox } from "../inbox/inbox.js"
import type { InboxLine } from "../inbox/line.js"
import type { DaemonMemory } from "../session/daemon-memory.js"
import { ActiveStops } from "./active-stops.js"
import { CircuitBreaker, workingDirectoryOf } from "./circuit-breaker.js"

/** What the guards of a daemon need of it. */
interface GuardPorts {
  readonly paths: DaemonPaths
  readonly clock: Clock
  readonly memory: DaemonMemory
  /** Numbers of its own breaker that are not the default ones. */
  readonly limits: Partial<BreakerLimits> | undefined
  readonly log: (line: string) => void
  /** Own agent id. */
  readonly self: () => string
  readonly inbox: Pick<Inbox, "append">
}

/** What a daemon knows of the relay's guards, and its own one. */
export interface DaemonGuards {
  readonly stops: ActiveStops
  readonly breaker: CircuitBreaker
}

export function makeGuards({ paths, limits, inbox, ...ports }: GuardPorts): DaemonGuards {
  const tell = (line: InboxLine, msgId?: string) => {
    ports.log(`guard: ${[line["layer"], line["state"], line["scope"], line["reason"]].join(" ")}`)
    inbox.append(line, { msgId })
  }
  const stops = new ActiveStops({ ...ports, tell })
  const numbers = { ...defaultGuardLimits, ...limits }
  const breaker = new CircuitBreaker(numbers, workingDirectoryOf(paths.dir), { ...ports, stops, tell })
  return { stops, breaker }
}
