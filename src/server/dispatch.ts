import { type ClientHandlers, type ClientMessage, clientMessages } from "../protocol/client-messages.js"
import { ChatError } from "../protocol/errors.js"
import { parseClientMessage } from "../protocol/parse-client-message.js"
import { channelHandlers } from "./handlers/channel-handlers.js"
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
export function makeDispatch(house: House): Dispatch {
  const handlers: ClientHandlers<Session> = {
    ...identityHandlers(house),
    ...channelHandlers(house),
    ...messageHandlers(house),
    ...presenceHandlers(house),
    ...taskHandlers(house),
    ...proposalHandlers(house),
  }
  const { clock, isCompat } = house.options
  const reading = { nullIsAbsent: isCompat }
  /** Texts of sessions whose last message is still being handled. */
  const queues = new Map<Session, string[]>()

  function handle(session: Session, text: string): void | Promise<void> {
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
      checkRate(session, message, clock.monotonic())
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

function refuse(session: Session, error: unknown, re: string | undefined): void {
  if (!(error instanceof ChatError)) throw error
  session.refuse(error, re)
}

/**
 * Messages and proposals count against their sender, everything else against the session; RECEIVED follows what
 * was sent.
 */
function checkRate(session: Session, message: ClientMessage, nowMs: number): void {
  const { type } = message
  if (type === "RECEIVED" && message.retrieved === undefined) return
  const meter = type === "MSG" || type === "PROPOSAL" ? session.agent.memory.meter : session.requests
  const passage = meter.take(nowMs)
  if (passage.ok) return
  throw new ChatError("RATE_LIMITED", `${type}: too fast; wait ${passage.retryAfterMs} ms`, {
    retryAfterMs: passage.retryAfterMs,
  })
}
