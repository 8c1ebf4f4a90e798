import { type ClientHandlers, type ClientMessage, clientMessages } from "../protocol/client-messages.js"
import { ChatError } from "../protocol/errors.js"
import type { Channel } from "../protocol/names.js"
import { type Members, parseClientMessage } from "../protocol/parse-message.js"
import { channelHandlers, channelTextHandlers } from "./handlers/channels.js"
import { claimHandlers } from "./handlers/claims.js"
import { grantHandlers } from "./handlers/grants.js"
import { guardHandlers } from "./handlers/guards.js"
import { identityHandlers } from "./handlers/identity.js"
import { mailHandlers } from "./handlers/mail.js"
import { messageHandlers } from "./handlers/messages.js"
import { moderationHandlers } from "./handlers/moderation.js"
import { presenceHandlers } from "./handlers/presence.js"
import { proposalHandlers } from "./handlers/proposals.js"
import { searchHandlers } from "./handlers/search.js"
import { taskHandlers } from "./handlers/tasks.js"
import type { RelayObserver } from "./observer.js"
import type { RelaySettings, Services } from "./services.js"
import type { IpLimiter } from "./sessions/ip-limiter.js"
import { translateOlder } from "./sessions/older-clients.js"
import { RateLimiter } from "./sessions/rate-limiter.js"
import type { Session } from "./sessions/session.js"

type Handle = (session: Session, message: ClientMessage) => void | Promise<void>

/**
 * Handles the frames of all sessions. A frame is parsed, then checked for what its message needs and for the rate,
 * then handled. A frame that is refused is answered with ERROR, and the session continues.
 */
export class Dispatcher {
  readonly #handlers: ClientHandlers<Session>
  readonly #ipLimiter: IpLimiter
  readonly #rateLimiter: RateLimiter
  readonly #services: Pick<Services, "moderation" | "grants" | "channels">
  readonly #roleOf: (task: string) => string | undefined
  readonly #isCompat: boolean
  readonly #observer: RelayObserver
  /** Frames that wait until the last message of their session is handled. */
  readonly #waiting = new Map<Session, string[]>()

  constructor(services: Services, settings: RelaySettings, ipLimiter: IpLimiter) {
    this.#handlers = {
      ...identityHandlers(services, settings),
      ...channelHandlers(services, settings),
      ...channelTextHandlers(services, settings),
      ...messageHandlers(services, settings),
      ...mailHandlers(services, settings),
      ...presenceHandlers(services, settings),
      ...taskHandlers(services, settings),
      ...claimHandlers(services, settings),
      ...proposalHandlers(services),
      ...guardHandlers(services, settings),
      ...moderationHandlers(services, settings),
      ...grantHandlers(services),
      ...searchHandlers(services, settings),
    }
    this.#ipLimiter = ipLimiter
    this.#services = services
    this.#roleOf = (task) => services.tasks.roleOf(task)
    this.#isCompat = settings.isCompat
    this.#observer = settings.observer
    this.#rateLimiter = new RateLimiter({ ...settings, ipLimiter }, (session, message) => {
      const handled = this.#handle(session, message)
      if (handled !== undefined) this.#waitFor(session, handled, [])
      return handled
    })
  }

  /** Handles one frame of a session, after all earlier ones. */
  dispatch(session: Session, text: string): void {
    const texts = this.#waiting.get(session)
    if (texts !== undefined) {
      texts.push(text)
      return
    }
    try {
      const handled = this.#admit(session, text)
      if (handled !== undefined) this.#waitFor(session, handled, [])
    } catch (error) {
      this.#fail(session, error)
    }
  }

  /** Parses, checks and handles a frame. @returns a promise if the next frame has to wait */
  #admit(session: Session, text: string): void | Promise<void> {
    if (!session.isReady && !this.#mayRead(session)) return
    const translate = this.#isCompat ? (frame: Members) => translateOlder(frame, session) : undefined
    const parsed = parseClientMessage(text, translate)
    if (parsed === undefined) return
    if ("refused" in parsed) {
      session.sendError(parsed.refused.error, parsed.refused.id)
      return session.payForWaste(1)
    }
    const { message } = parsed
    try {
      if (!session.isReady && clientMessages[message.type].needs === "session") {
        throw new ChatError("AUTH_REQUIRED", `${message.type}: IDENTIFY comes first`)
      }
      const forbidden = session.isReady ? this.#forbidden(session, message) : undefined
      if (forbidden !== undefined) throw forbidden
      if (!this.#rateLimiter.admit(session, message, text)) return
    } catch (error) {
      this.#refuse(session, error, message)
      return session.payForWaste(1)
    }
    return this.#handle(session, message)
  }

  #forbidden({ agent }: Session, message: ClientMessage): ChatError | undefined {
    const { moderation, grants, channels } = this.#services
    // Grants come first: what one may not read does not exist, also if it is closed.
    const isVisible = (name: Channel) => channels.peek(name, agent.id) !== undefined
    return grants.refusal(agent, message, this.#roleOf) ?? moderation.refusal(agent, message, isVisible)
  }

  #handle(session: Session, message: ClientMessage): void | Promise<void> {
    try {
      // The handler fits the message, but TypeScript cannot relate the two through an index.
      const handle = this.#handlers[message.type] as Handle
      const handled = handle(session, message)
      if (handled === undefined) {
        this.#accepted(message)
        return
      }
      return handled.then(
        () => this.#accepted(message),
        (error: unknown) => this.#refuse(session, error, message),
      )
    } catch (error) {
      this.#refuse(session, error, message)
    }
  }

  /** The handler of a message counts it by itself, when it is stored. */
  #accepted({ type }: ClientMessage): void {
    if (type !== "MSG") this.#observer.request(type, "accepted")
  }

  #refuse(session: Session, error: unknown, message: ClientMessage): void {
    const isExpected = error instanceof ChatError
    const code = isExpected ? error.code : "INTERNAL"
    if (message.type === "MSG") this.#observer.message(message, code)
    else this.#observer.request(message.type, code)
    if (isExpected && error.guard !== undefined) this.#observer.stop(error.guard.layer)
    session.refuse(
      isExpected ? this.#rateLimiter.chargeRefusal(session, message.type, error) : error,
      message,
    )
  }

  /** Keeps back what the session sends, and before it `texts`, until a message is handled. */
  #waitFor(session: Session, handled: Promise<void>, texts: string[]): void {
    this.#waiting.set(session, texts)
    session.setReading(false)
    handled.then(() => this.#resume(session, texts)).catch((error: unknown) => this.#fail(session, error))
  }

  /** Ends a session for which even the refusal of a frame failed. Without that, nothing of it would be read again. */
  #fail(session: Session, error: unknown): void {
    this.#waiting.delete(session)
    session.fail(error)
  }

  #resume(session: Session, texts: string[]): void {
    for (let text = texts.shift(); text !== undefined; text = texts.shift()) {
      if (!session.isReadable) break
      const handled = this.#admit(session, text)
      if (handled === undefined) continue
      this.#waitFor(session, handled, texts)
      return
    }
    this.#waiting.delete(session)
    session.setReading(true)
  }

  /** Returns whether a frame of a session without an agent may be read. */
  #mayRead(session: Session): boolean {
    if (!session.countUnidentifiedFrame()) return false
    const passage = this.#ipLimiter.takeFrame(session.remoteAddress)
    if (passage.ok) return true
    const { retryAfterMs } = passage
    session.sendError(new ChatError("RATE_LIMITED", "frame: too many from your address", { retryAfterMs }))
    return false
  }
}
