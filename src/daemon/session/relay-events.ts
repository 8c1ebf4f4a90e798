import type { ServerMessage } from "../../protocol/server-messages.js"
import type { DeliveryStatus } from "../delivery/delivery-status.js"
import type { ActiveStops } from "../guards/active-stops.js"
import type { CircuitBreaker } from "../guards/circuit-breaker.js"
import { isFromSender } from "../inbox/message-to-line.js"
import type { LeasedTasks } from "./leased-tasks.js"
import type { Memberships } from "./memberships.js"
import type { Entrance } from "./rejoin-channels.js"

/** Whom a relay's message concerns. */
export interface Concerned {
  readonly memberships: Memberships
  readonly entrance: Entrance
  readonly ladder: DeliveryStatus
  readonly tasks: LeasedTasks
  readonly stops: ActiveStops
  readonly breaker: CircuitBreaker
  readonly isCompat: boolean
  readonly log: (line: string) => void
  /** Own agent id. */
  readonly self: () => string
  /** Messages the relay replays to a newcomer. */
  readonly buffer: () => number
  /** A task came, which must outlast a crash. */
  onTask(): void
  /** A task is no longer ours. */
  onTaskLost(message: ServerMessage<"TASK_LOST">): void
}

/** What a relay's message means for the daemon itself. */
export class RelayNews {
  readonly #concerned: Concerned

  constructor(concerned: Concerned) {
    this.#concerned = concerned
  }

  /** @returns whether it is to be dropped: it says it is from somebody it is not from */
  isForged(message: ServerMessage): boolean {
    const { isCompat, log } = this.#concerned
    if (message.type !== "MSG" || isCompat || isFromSender(message)) return false
    const { from, msg_id } = message
    log(`sender-mismatch: dropped message ${msg_id.slice(0, 130)} that says it is from ${from}`)
    return true
  }

  take(message: ServerMessage): void {
    const { memberships, entrance, ladder, tasks, stops, self, buffer } = this.#concerned
    switch (message.type) {
      case "JOINED":
        memberships.entered(message, buffer())
        break
      case "LEFT":
        entrance.left(message)
        break
      case "DELIVERY":
        ladder.delivered(message, self())
        break
      case "MSG":
        this.#heard(message)
        break
      case "TASK":
        tasks.hold(message)
        this.#concerned.onTask()
        break
      case "TASK_LOST":
        if (tasks.end(message.task)) this.#concerned.onTaskLost(message)
        break
      case "GUARD":
        stops.heard(message)
        break
      default:
    }
  }

  #heard(message: ServerMessage<"MSG">): void {
    const { ladder, breaker, self } = this.#concerned
    if (message.from === self()) return
    ladder.replied(message, self())
    breaker.heard(message)
  }
}
