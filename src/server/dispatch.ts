import { type ClientHandlers, type ClientMessage, clientMessages } from "../protocol/client-messages.js"
import { ChatError } from "../protocol/errors.js"
import { parseClientMessage } from "../protocol/parse-client-message.js"
import { channelHandlers } from "./handlers/channels.js"
import { guardHandlers } from "./handlers/guards.js"
import { identityHandlers } from "./handlers/identity.js"
import { messageHandlers } from "./handlers/messages.js"
import { presenceHandlers } from "./handlers/presence.js"
import { proposalHandlers } from "./handlers/proposals.js"
import { taskHandlers } from "./handlers/tasks.js"
import type { RelayState } from "./relay-state.js"
import type { IpLimiter } from "./sessions/ip-limiter.js"
import { RateLimiter } from "./sessions/rate-limiter.js"
import type { Session } from "./sessions/session.js"

/** Takes one text of a session: reads it, checks what it needs and the rate, and has it handled. */
export type Dispatch = (session: Session, text: string) => void

type Handle = (session: Session, message: ClientMessage) => void | Promise<void>

/** The way in: every refusal is an ERROR to the sender, and the session goes on. */
export function makeDispatch(house: RelayState, gate: IpLimiter): Dispatch {
  const carryOut = makeCarryOut(house)
  const reading = { nullIsAbsent: house.options.isCompat }
  /** Texts of sessions whose last message is still being handled. */
  const queues = new Map<Session, string[]>()
  const turnstile = new RateLimiter(house.options, (session, message) => {
    const handled = carryOut(session, message)
    if (handled !== undefined) attend(session, handled, [])
    return handled
  })

  function handle(session: Session, text: string): void | Promise<void> {
    if (!session.isReady && !isHeard(session, gate)) return
    const parsed = parseClientMessage(text, reading)
    if ("refused" in parsed) {
      session.refuse(parsed.refused.error, parsed.refused.id)
      return
    }
    const { message } = parsed
    try {
      if (clientMessages[message.type].needs === "session" && !session.isReady) {
        throw new ChatError("AUTH_REQUIRED", `${message.type}: IDENTIFY comes first`)
      }
      if (!turnstile.enter(session, message, text)) return
    } catch (error) {
      refuse(session, error, message.id)
      return
    }
    return carryOut(session, message)
  }

  /** Handles texts in order until one takes longer, then the rest after that. */
  function work(session: Session, texts: string[]): void {
    for (let text = texts.shift(); text !== undefined; text = texts.shift()) {
      if (!session.isReadable) break
      const handled = handle(session, text)
      if (handled === undefined) continue
      attend(session, handled, texts)
      return
    }
    queues.delete(session)
    session.read(true)
  }

  /** What comes in the meantime, and `texts` before it, is handled after that. */
  function attend(session: Session, handled: Promise<void>, texts: string[]): void {
    queues.set(session, texts)
    session.read(false)
    void handled.then(() => work(session, texts))
  }

  return (session, text) => {
    const texts = queues.get(session)
    if (texts !== undefined) {
      texts.push(text)
      return
    }
    const handled = handle(session, text)
    if (handled !== undefined) attend(session, handled, [])
  }
}

/** Has a frame handled that may be; what then refuses it is an ERROR too. */
function makeCarryOut(house: RelayState): Handle {
  const handlers: ClientHandlers<Session> = {
    ...identityHandlers(house),
    ...channelHandlers(house),
    ...messageHandlers(house),
    ...presenceHandlers(house),
    ...taskHandlers(house),
    ...proposalHandlers(house),
    ...guardHandlers(house),
  }
  return (session, message): void | Promise<void> => {
    try {
      // The row fits the message; TypeScript cannot follow a pair through an index.
      return (handlers[message.type] as Handle)(session, message)?.catch((error: unknown) => {
        refuse(session, error, message.id)
      })
    } catch (error) {
      refuse(session, error, message.id)
    }
  }
}

/** Whether a frame of somebody who has not said who it is, is read at all. */
function isHeard(session: Session, gate: IpLimiter): boolean {
  if (!session.hearStranger()) return false
  const passage = gate.hear(session.remoteAddress)
  if (passage.ok) return true
  const { retryAfterMs } = passage
  session.refuse(new ChatError("RATE_LIMITED", "frame: too many from your address", { retryAfterMs }))
  return false
}

function refuse(session: Session, error: unknown, re: string | undefined): void {
  if (!(error instanceof ChatError)) throw error
  session.refuse(error, re)
}
