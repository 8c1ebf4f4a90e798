import { type ClientHandlers, type ClientMessage, clientMessages } from "../protocol/client-messages.js"
import { ChatError } from "../protocol/errors.js"
import type { Limits } from "../protocol/limits.js"
import { parseClientMessage } from "../protocol/parse-client-message.js"
import type { Gate } from "./gate.js"
import { channelHandlers } from "./handlers/channel-handlers.js"
import { guardHandlers } from "./handlers/guard-handlers.js"
import { identityHandlers } from "./handlers/identity-handlers.js"
import { messageHandlers } from "./handlers/message-handlers.js"
import { presenceHandlers } from "./handlers/presence-handlers.js"
import { proposalHandlers } from "./handlers/proposal-handlers.js"
import { taskHandlers } from "./handlers/task-handlers.js"
import type { House } from "./house.js"
import type { Session } from "./session.js"

/** Takes one text of a session: reads it, checks what it needs and the rate, and has it handled. */
export type Dispatch = (session: Session, text: string) => void

type Handle = (session: Session, message: ClientMessage) => void | Promise<void>

/** The way in: every refusal is an ERROR to the sender, and the session goes on. */
export function makeDispatch(house: House, gate: Gate): Dispatch {
  const handlers: ClientHandlers<Session> = {
    ...identityHandlers(house),
    ...channelHandlers(house),
    ...messageHandlers(house),
    ...presenceHandlers(house),
    ...taskHandlers(house),
    ...proposalHandlers(house),
    ...guardHandlers(house),
  }
  const { clock, isCompat, limits } = house.options
  const reading = { nullIsAbsent: isCompat }
  /** Texts of sessions whose last message is still being handled. */
  const queues = new Map<Session, string[]>()

  function handle(session: Session, text: string): void | Promise<void> {
    if (!session.isReady && !isHeard(session, gate)) return
    const parsed = parseClientMessage(text, reading)
    if ("refused" in parsed) {
      session.refuse(parsed.refused.error, parsed.refused.id)
      return
    }
    const { message } = parsed
    const { type } = message
    try {
      if (clientMessages[type].needs === "session" && !session.isReady) {
        throw new ChatError("AUTH_REQUIRED", `${type}: IDENTIFY comes first`)
      }
      checkRate(session, message, clock.monotonic(), costOf(text, limits))
      // The row fits the message; TypeScript cannot follow a pair through an index.
      return (handlers[type] as Handle)(session, message)?.catch((error: unknown) => {
        refuse(session, error, message.id)
      })
    } catch (error) {
      refuse(session, error, message.id)
    }
  }

  /** Handles texts in order until one takes longer, then the rest after that. */
  function work(session: Session, texts: string[]): void {
    for (let text = texts.shift(); text !== undefined; text = texts.shift()) {
      if (!session.isReadable) break
      const handled = handle(session, text)
      if (handled === undefined) continue
      queues.set(session, texts)
      session.read(false)
      void handled.then(() => work(session, texts))
      return
    }
    queues.delete(session)
    session.read(true)
  }

  return (session, text) => {
    const queue = queues.get(session)
    if (queue !== undefined) {
      queue.push(text)
      return
    }
    const handled = handle(session, text)
    if (handled === undefined) return
    const texts: string[] = []
    queues.set(session, texts)
    session.read(false)
    void handled.then(() => work(session, texts))
  }
}

/** Whether a frame of somebody who has not said who it is, is read at all. */
function isHeard(session: Session, gate: Gate): boolean {
  if (!session.hearStranger()) return false
  const passage = gate.hear(session.remoteAddress)
  if (passage.ok) return true
  const { retryAfterMs } = passage
  session.refuse(new ChatError("RATE_LIMITED", "frame: too many from your address", { retryAfterMs }))
  return false
}

/** In messages; a frame of any length passes after a pause. */
function costOf({ length }: string, { rateBytes, rateBurst }: Limits): number {
  return Math.min(1 + Math.floor(length / rateBytes), rateBurst)
}

function refuse(session: Session, error: unknown, re: string | undefined): void {
  if (!(error instanceof ChatError)) throw error
  session.refuse(error, re)
}

/**
 * Messages and proposals count against their sender, everything else against the session; RECEIVED follows what
 * was sent.
 */
function checkRate(session: Session, message: ClientMessage, nowMs: number, cost: number): void {
  const { type } = message
  if (type === "RECEIVED" && message.retrieved === undefined) return
  const isMessage = type === "MSG" || type === "PROPOSAL"
  const passage = isMessage ? session.agent.memory.meter.take(nowMs, cost) : session.requests.take(nowMs)
  if (passage.ok) return
  throw new ChatError("RATE_LIMITED", `${type}: too fast; wait ${passage.retryAfterMs} ms`, {
    retryAfterMs: passage.retryAfterMs,
  })
}
