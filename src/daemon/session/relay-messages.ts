import { omitUndefined } from "../../base/plain.js"

import type { Span, Tracer } from "../../base/tracer.js"

import { digestOfText, isAnswerOf, questionDigest } from "../../identity/answer-signature.js"
import type { Decision } from "../../proposals/receipt.js"

import { ChatError } from "../../protocol/errors.js"
import { isWrittenBy } from "../../protocol/message-id.js"
import type { RoleRef } from "../../protocol/names.js"
import { isQuestion } from "../../protocol/questions.js"
import type { ServerMessage } from "../../protocol/server-messages.js"
import type { DeliveryStatus } from "../delivery/delivery-status.js"
import type { Senders } from "../delivery/senders.js"
import type { ActiveStops } from "../guards/active-stops.js"
import type { CircuitBreaker } from "../guards/circuit-breaker.js"
import type { Inbox } from "../inbox/inbox.js"
import { messageToLine, type ReceivedMessage } from "../inbox/message-to-line.js"
import type { OutboxSender } from "../outbox/sender.js"
import type { Channels } from "./channels.js"
import type { LeasedTasks } from "./leased-tasks.js"
import { type Mark, markOf } from "./read-receipts.js"

/** The answer to a question, and its proof. */
export type VerifiedAnswer = Omit<Decision, "v" | "type">

/** The services that handle messages of the relay. */
export interface RelayServices {
  readonly channels: Channels
  readonly deliveryStatus: DeliveryStatus
  readonly tasks: LeasedTasks
  readonly stops: ActiveStops
  readonly breaker: CircuitBreaker
  readonly sender: OutboxSender
  readonly inbox: Inbox
  readonly senders: Senders
  /** Takes the verified answer to a question of this agent. */
  readonly onAnswer: (answer: VerifiedAnswer) => void
  readonly log: (line: string) => void
  readonly tracer: Pick<Tracer, "start">
}

/** Handles every message of the relay but signed statements: updates the daemon's state, then writes the inbox line. */
export class RelayMessages {
  readonly #services: RelayServices

  constructor(services: RelayServices) {
    this.#services = services
  }

  /** @param welcome - of the session the message came on */
  receive(message: ServerMessage, welcome: ServerMessage<"WELCOME">): void {
    if (message.type === "TASK_EXPIRED" && this.#isOfOther(message, welcome.agent_id)) return
    const { senders } = this.#services
    const isChecked = message.type === "TASK" || (message.type === "MSG" && !isOwnPost(message, welcome))
    const checked = isChecked ? senders.check(message) : message
    if (checked instanceof ChatError) this.#drop(message, checked, welcome)
    else this.#take(checked, welcome)
  }

  #take(message: ReceivedMessage, { agent_id: self, server_id, limits }: ServerMessage<"WELCOME">): void {
    const { sender, inbox, log } = this.#services
    const isExpected = this.#isExpected(message)
    if (isExpected) this.#apply(message, self, limits.buffer)
    else log(`unexpected: dropped ${message.type}, which nothing asked for`)
    const isAnswer = sender.answer(message)
    if (!isExpected) return
    const mark = this.#markOf(message, server_id)
    const entry = messageToLine(message, self, this.#verify(message, server_id))
    if (entry !== undefined) {
      const span = this.#traceOf(message)
      inbox.append(entry.line, { msgId: entry.msgId, mark })
      span?.end("appended")
    } else if (!isAnswer && message.type === "ERROR") log(`relay: ${message.code} ${message.message}`)
  }

  #traceOf(message: ServerMessage): Span | undefined {
    if (message.type !== "MSG" || message.trace === undefined || message.replay === true) return undefined
    return this.#services.tracer.start("agentchat.receive", message.trace, { "agentchat.kind": message.kind })
  }

  /** Drops a message that its author did not write, or not for this agent. Its author does not learn that it was received. */
  #drop(message: ServerMessage, error: ChatError, { server_id }: ServerMessage<"WELCOME">): void {
    const { sender, senders } = this.#services
    if (message.type === "TASK") {
      const { re, task } = message
      if (re !== undefined) sender.answer({ type: "ERROR", re, code: error.code, message: error.message })
      senders.reportDropped(error, task, undefined)
    } else if (message.type === "MSG") {
      const isChannel = message.to.startsWith("#")
      senders.reportDropped(error, message.msg_id, isChannel ? this.#markOf(message, server_id) : undefined)
    }
  }

  /** Returns what to confirm once the line is on disk; nothing for a number that the channel cannot have. */
  #markOf(message: ServerMessage, serverId: string): Mark | undefined {
    const isChannel = message.type === "MSG" && message.to.startsWith("#")
    return isChannel && !this.#services.channels.follow(message) ? undefined : markOf(message, serverId)
  }

  /** Reports whether a JOINED or TASK was asked for, or is one of those that a relay sends by itself. */
  #isExpected(message: ServerMessage): boolean {
    const { channels, tasks, sender } = this.#services
    if (message.type === "JOINED")
      return sender.awaits(message.re, message.channel) || channels.expects(message)
    return message.type !== "TASK" || sender.awaits(message.re) || tasks.expects(message.task)
  }

  /**
   * Checks the answer to a question of this agent, and passes a valid one on.
   * @returns false also for a message that is none
   */
  #verify(message: ServerMessage, aud: string): boolean {
    if (message.type !== "MSG") return false
    const { answer: proof, in_reply_to: task, content: answer, from } = message
    if (proof === undefined || task === undefined) return false
    const question = this.#services.deliveryStatus.questionOf(task)
    const isSame = question !== undefined && digestOfText(question) === proof.question
    const verified = isSame && isAnswerOf({ aud, task, answer }, proof, from)
    if (verified) this.#services.onAnswer({ ...proof, task, question, answer, by: from, aud })
    return verified
  }

  #takeTask(message: ServerMessage<"TASK">): void {
    const { task, lease_ms, role, offered } = message
    const question = isQuestion(message, role) ? questionDigest(message) : undefined
    if (offered === true) this.#services.tasks.offer(task, question ?? "")
    else this.#services.tasks.hold({ task, lease_ms, ...omitUndefined({ question }) })
  }

  #isOfOther({ task }: ServerMessage<"TASK_EXPIRED">, self: string): boolean {
    if (isWrittenBy(self, task)) return false
    this.#services.log(`unexpected: dropped the expiry of ${task.slice(0, 130)}, a task of another agent`)
    return true
  }

  #apply(message: ServerMessage, self: string, replayed: number): void {
    const { channels, deliveryStatus, tasks, stops, breaker } = this.#services
    switch (message.type) {
      case "MSG":
        if (message.from === self) return
        deliveryStatus.replied(message, self)
        breaker.onMessage(message)
        break
      case "JOINED":
        channels.onJoined(message, replayed)
        break
      case "LEFT":
        channels.onLeft(message)
        break
      case "DELIVERY":
        deliveryStatus.delivered(message, self)
        break
      case "TASK":
        this.#takeTask(message)
        break
      case "TASK_EXPIRED":
        deliveryStatus.delivered(expiryReport(message), self)
        break
      case "TASK_LOST":
        tasks.onLost(message)
        break
      case "GUARD":
        stops.onGuard(message)
        break
      default:
    }
  }
}

/** Returns the news of an expiry as a delivery stage of its task. */
function expiryReport({ task, role, ts }: ServerMessage<"TASK_EXPIRED">): ServerMessage<"DELIVERY"> {
  return { type: "DELIVERY", msg_id: task, state: "expired", by: `+${role}` as RoleRef, ts }
}

/** Reports whether a message is one that the agent itself posted to a channel, which comes back only as history. */
function isOwnPost(
  { from, to }: ServerMessage<"MSG">,
  { agent_id: self }: ServerMessage<"WELCOME">,
): boolean {
  return from === self && to !== self
}
