import { agentIdOfDid } from "../../proposals/statement.js"
import type { ClientMessage } from "../../protocol/client-messages.js"
import type { ChatError } from "../../protocol/errors.js"
import type { ServerMessage } from "../../protocol/server-messages.js"
import { isVerb, type Verb } from "../../protocol/verbs.js"
import type { ActiveStops } from "../guards/active-stops.js"
import type { CircuitBreaker } from "../guards/circuit-breaker.js"
import type { News } from "../guards/news.js"
import type { IdentifiedLine } from "../inbox/line.js"
import { echoLine } from "../inbox/message-to-line.js"
import type { OutboxLine, Rejection } from "../outbox/outbox.js"
import type { LeasedTasks } from "../session/leased-tasks.js"
import type { Presence } from "../session/presence.js"
import { addresseeOf } from "./answer-evidence.js"
import type { DeliveryStatus } from "./delivery-status.js"

/** Whom the outcome of a line concerns. */
export interface Concerned {
  readonly ladder: DeliveryStatus
  readonly news: News
  readonly tasks: LeasedTasks
  readonly presence: Presence
  readonly stops: ActiveStops
  readonly breaker: CircuitBreaker
  /** Shows an own message in the inbox; absent unless that is wanted. */
  readonly echo?: (line: IdentifiedLine) => void
  /** Own agent id. */
  readonly self: () => string
}

/** What follows from the relay's answer to a line of the outbox. */
export class LineOutcomes {
  readonly #concerned: Concerned
  /** Channels posted to from outside, told of once per session. */
  readonly #foreign = new Set<string>()

  constructor(concerned: Concerned) {
    this.#concerned = concerned
  }

  /** A new session began. */
  restart(): void {
    this.#foreign.clear()
  }

  /** The relay carried a line out. */
  answered(line: OutboxLine, answer: ServerMessage): void {
    const { frame } = line
    this.#concerned.breaker.accepted()
    if (isVerb(answer.type)) this.#said(line, answer as ServerMessage<Verb>)
    if (answer.type !== "ACK") return
    const { tasks, presence, breaker } = this.#concerned
    if (frame.type === "MSG") this.#accepted(line, frame, answer)
    if (frame.type === "DONE" || frame.type === "FAIL") tasks.end(frame.task)
    if (frame.type === "DONE") breaker.worked()
    if (frame.type === "SET_PRESENCE") {
      presence.set(frame, answer.ts)
      tasks.onPresence()
    }
  }

  /** The relay refused a line for good. */
  rejected(line: OutboxLine, error: ChatError): void {
    const { frame } = line
    const isOver = error.code === "LEASE_LOST" || error.code === "TASK_NOT_FOUND"
    const isHeld = frame.type === "EXTEND" || frame.type === "DONE" || frame.type === "FAIL"
    if (isOver && isHeld) this.#concerned.tasks.end(frame.task)
    if (error.guard !== undefined) this.#concerned.stops.refused(line, error)
    else if (this.#concerned.breaker.rejected(line, error)) this.#concerned.news.rejected(line, error)
  }

  /** A line was nothing that could be sent. */
  refused(rejection: Rejection): void {
    const { breaker, news } = this.#concerned
    if (breaker.rejected(rejection, rejection.error)) news.refused(rejection)
  }

  /** A statement climbs like a message. */
  #said({ id, sha256, frame }: OutboxLine, { msg_id: msgId, to }: ServerMessage<Verb>): void {
    this.#concerned.ladder.accepted({ id, msgId, sha256, to: agentIdOfDid(to) })
    if (frame.type === "ACCEPT" || frame.type === "COMPLETE") this.#concerned.breaker.worked()
  }

  #accepted(
    { id, sha256 }: OutboxLine,
    { to, content, kind }: ClientMessage<"MSG">,
    answer: ServerMessage<"ACK">,
  ): void {
    const { ladder, news, echo, self, stops, breaker } = this.#concerned
    breaker.said()
    const { msg_id: msgId, member, ts } = answer
    const addressee = addresseeOf(to, answer)
    if (addressee !== undefined) stops.spoke(self(), addressee, kind)
    if (msgId !== undefined && addressee !== undefined) {
      ladder.accepted({ id, msgId, sha256, to: addressee })
    }
    if (member === false && !this.#foreign.has(to)) {
      this.#foreign.add(to)
      news.notice("NOT_IN_CHANNEL", `sent to ${to}, but you are not in it and will not see answers`, to)
    }
    if (msgId !== undefined) echo?.(echoLine({ to, content }, msgId, ts, self()))
  }
}
