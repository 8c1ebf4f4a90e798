import type { Clock, Timer } from "../../base/clock.js"
import { Backoff } from "../../client/backoff.js"
import { Connection, type ConnectOptions } from "../../client/connection.js"
import { ChatError, errorSpecs } from "../../protocol/errors.js"
import type { ServerMessage } from "../../protocol/server-messages.js"
import type { SessionState } from "../status.js"

type LinkEvent = "opened" | "lost" | "refused" | "retry" | "stop"

/** Every legal step of a daemon's session; a pair that is not listed is a bug. */
export const linkSteps = {
  connecting: { opened: "online", lost: "waiting", refused: "stopped", stop: "stopped" },
  online: { lost: "waiting", refused: "stopped", stop: "stopped" },
  waiting: { retry: "connecting", stop: "stopped" },
  stopped: { stop: "stopped" },
} as const satisfies Record<SessionState, Partial<Record<LinkEvent, SessionState>>>

/** Milliseconds a session must have lasted for the next back-off to start small again. */
const settledMs = 10_000

/** What the owner of a link is told. */
export interface LinkEvents {
  onOnline(connection: Connection): void
  onMessage(message: ServerMessage): void
  /** The session ended; it is tried again by itself after `retryInMs`. */
  onWaiting(reason: ChatError, retryInMs: number): void
  /** The link ended for good; no reason when it was asked to. */
  onStopped(reason: ChatError | undefined): void
}

/** Keeps one session to a relay for ever: reconnects with full-jitter back-off until told to stop. */
export class RelaySession {
  readonly #options: ConnectOptions
  readonly #events: LinkEvents
  readonly #clock: Clock
  readonly #random: () => number
  readonly #backoff = new Backoff()
  #state: SessionState = "connecting"
  #connection: Connection | undefined
  #timer: Timer | undefined
  #onlineSinceMs = 0
  #isThrottled = false

  constructor(options: ConnectOptions, events: LinkEvents, random: () => number) {
    this.#options = options
    this.#events = events
    this.#clock = options.clock
    this.#random = random
  }

  get state(): SessionState {
    return this.#state
  }

  /** The session, while there is one. */
  get connection(): Connection | undefined {
    return this.#connection
  }

  /** Opens the first session. Call once. */
  start(): void {
    void this.#connect()
  }

  /** Whether the relay is to be kept waiting, in this session and in those to come, until told otherwise. */
  throttle(isThrottled: boolean): void {
    this.#isThrottled = isThrottled
    if (isThrottled) this.#connection?.pause()
    else this.#connection?.resume()
  }

  /** Ends the session and every further try. */
  async stop(): Promise<void> {
    if (this.#state === "stopped") return
    const connection = this.#connection
    this.#end(undefined, "stop")
    await connection?.close()
  }

  async #connect(): Promise<void> {
    try {
      const connection = await Connection.open(this.#options, {
        onMessage: (message) => {
          if (this.#state === "online") this.#events.onMessage(message)
        },
        onClose: (error) => {
          if (this.#state === "online") this.#fail(error)
        },
      })
      if (this.#state !== "connecting") {
        await connection.close()
        return
      }
      this.#step("opened")
      this.#connection = connection
      this.#onlineSinceMs = this.#clock.monotonic()
      if (this.#isThrottled) connection.pause()
      this.#events.onOnline(connection)
    } catch (error) {
      if (!(error instanceof ChatError)) throw error
      if (this.#state === "connecting") this.#fail(error)
    }
  }

  #fail(error: ChatError): void {
    this.#connection = undefined
    // What trying again cannot fix ends the daemon, with the reason in its status, instead of in a fight.
    if (!errorSpecs[error.code].retry) {
      this.#end(error, "refused")
      return
    }
    // A relay that accepts and drops us at once must not be called on every second.
    if (this.#state === "online" && this.#clock.monotonic() - this.#onlineSinceMs > settledMs)
      this.#backoff.reset()
    this.#step("lost")
    const retryInMs = this.#backoff.next(this.#random)
    this.#timer = this.#clock.setTimer(() => {
      this.#step("retry")
      void this.#connect()
    }, retryInMs)
    this.#events.onWaiting(error, retryInMs)
  }

  #end(reason: ChatError | undefined, event: "refused" | "stop"): void {
    this.#step(event)
    this.#timer?.cancel()
    this.#connection = undefined
    this.#events.onStopped(reason)
  }

  #step(event: LinkEvent): void {
    const steps: Partial<Record<LinkEvent, SessionState>> = linkSteps[this.#state]
    const next = steps[event]
    if (next === undefined) throw new Error(`relay link: ${event} while ${this.#state}`)
    this.#state = next
  }
}
