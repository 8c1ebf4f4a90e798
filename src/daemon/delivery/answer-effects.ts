import type { Clock } from "../../base/clock.js"
import { omitUndefined } from "../../base/plain.js"
import { agentIdOfDid } from "../../proposals/statement.js"
import type { ClientMessage } from "../../protocol/client-messages.js"
import type { ChatError } from "../../protocol/errors.js"
import { commandPid } from "../../protocol/message-id.js"
import type { ServerMessage } from "../../protocol/server-messages.js"
import { isVerb, type Verb } from "../../protocol/verbs.js"
import { isRunning } from "../files/process-record.js"
import type { ActiveStops } from "../guards/active-stops.js"
import type { CircuitBreaker } from "../guards/circuit-breaker.js"
import type { Inbox } from "../inbox/inbox.js"
import { echoLine, noticeLine, rejectedLine } from "../inbox/message-to-line.js"
import type { OutboxLine, Rejection } from "../outbox/outbox.js"
import type { LeasedTasks } from "../session/leased-tasks.js"
import type { Presence } from "../session/presence.js"
import type { Bell } from "../wake/bell.js"
import { questionIn, recipientOf } from "./acks.js"
import type { DeliveryStatus } from "./delivery-status.js"

/** The parts of a daemon that change when the relay answers a line. */
export interface AnswerServices {
  readonly deliveryStatus: DeliveryStatus
  readonly inbox: Inbox
  readonly tasks: LeasedTasks
  readonly presence: Presence
  readonly stops: ActiveStops
  readonly breaker: CircuitBreaker
  readonly bell: Pick<Bell, "onAttention" | "setChannel">
  /** True to show the agent's own messages in the inbox. */
  readonly isEcho: boolean
  readonly clock: Clock
  readonly log: (line: string) => void
  /** Returns the own agent id. */
  readonly self: () => string
  /** Called when an accepted line changed the daemon's state, before its ack is written. */
  readonly onStateChanged: () => void
}

/** Updates the daemon's state after the relay answered an outbox line, or a line was rejected. */
export class AnswerEffects {
  readonly #services: AnswerServices
  /** Channels posted to without membership; the inbox gets one notice for each per session. */
  readonly #foreignChannels = new Set<string>()

  constructor(services: AnswerServices) {
    this.#services = services
  }

  /** Starts a new session. */
  restart(): void {
    this.#foreignChannels.clear()
  }

  /** Handles a line that the relay accepted. */
  accepted(line: OutboxLine, answer: ServerMessage): void {
    const { tasks, presence, breaker, bell } = this.#services
    const { frame } = line
    breaker.onLineAccepted()
    if (isVerb(answer.type)) {
      this.#acceptedStatement(line, answer as ServerMessage<Verb>)
      return
    }
    if (frame.type === "MSG") {
      if (answer.type === "ACK") this.#acceptedMessage(line, frame, answer)
      return
    }
    if (frame.type === "DONE" || frame.type === "FAIL") tasks.end(frame.task)
    if (frame.type === "DONE") breaker.onWork()
    if (frame.type === "SET_PRESENCE" && answer.type === "ACK") {
      presence.set(frame, answer.ts)
      tasks.onPresence()
      bell.onAttention()
    }
    if (frame.type === "SET_ATTENTION") bell.setChannel(frame.channel, frame.attention)
    this.#services.onStateChanged()
  }

  /** Handles a line that the relay, or the daemon's own guard, refused for good. */
  rejected(line: OutboxLine, error: ChatError): void {
    const { tasks, stops, breaker } = this.#services
    const { frame } = line
    const isOver = error.code === "LEASE_LOST" || error.code === "TASK_NOT_FOUND"
    const isOwnTask = frame.type === "EXTEND" || frame.type === "DONE" || frame.type === "FAIL"
    if (isOver && isOwnTask) tasks.end(frame.task)
    if (error.guard !== undefined) stops.onRefused(line, error)
    else if (breaker.onLineRejected(line, error)) this.#reportRejected(line, error)
  }

  /** Handles a line that is not a valid message and was not sent. */
  rejectedUnsent(rejection: Rejection): void {
    const { error } = rejection
    if (this.#services.breaker.onLineRejected(rejection, error)) this.#reportRejected(rejection, error)
  }

  #reportRejected(line: Pick<OutboxLine, "at" | "id" | "sha256">, error: ChatError): void {
    const { inbox, log, clock } = this.#services
    log(`rejected: ${line.id} ${error.code}`)
    if (isReadByCommand(line.id)) return
    inbox.append(rejectedLine(line, error, clock.now()), { msgId: line.at })
  }

  #acceptedStatement({ id, sha256, frame }: OutboxLine, { msg_id: msgId, to }: ServerMessage<Verb>): void {
    this.#services.deliveryStatus.accepted({ id, msgId, sha256, to: agentIdOfDid(to) })
    if (frame.type === "ACCEPT" || frame.type === "COMPLETE") this.#services.breaker.onWork()
  }

  #acceptedMessage(
    { id, sha256 }: OutboxLine,
    message: ClientMessage<"MSG">,
    answer: ServerMessage<"ACK">,
  ): void {
    const { deliveryStatus, inbox, clock, log, self, stops, breaker } = this.#services
    const { to, content, kind } = message
    breaker.onMessageAccepted(message)
    const { msg_id: msgId, member, ts } = answer
    const recipient = recipientOf(to, answer)
    if (recipient !== undefined) stops.onMessageAccepted(self(), recipient, kind)
    if (msgId !== undefined && recipient !== undefined) {
      const question = questionIn(message)
      deliveryStatus.accepted({ id, msgId, sha256, to: recipient, ...omitUndefined({ question }) })
    }
    if (member === false && !this.#foreignChannels.has(to)) {
      this.#foreignChannels.add(to)
      const message = `sent to ${to}, but you are not in it and will not see answers`
      log(`notice: ${message}`)
      inbox.append(noticeLine("NOT_IN_CHANNEL", message, clock.now(), to))
    }
    if (msgId === undefined || !this.#services.isEcho) return
    inbox.append(echoLine({ to, content }, msgId, ts, self()), { msgId })
  }
}

/** Reports whether a command still waits for the outcome of its line, and so prints it itself. */
function isReadByCommand(lineId: string): boolean {
  const pid = commandPid(lineId)
  return pid !== undefined && isRunning(pid)
}
