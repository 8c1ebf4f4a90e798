import type { Clock, Timer } from "../base/clock.js"
import { ChatError, errorSpecs } from "../protocol/errors.js"
import type { ServerMessage } from "../protocol/server-messages.js"
import { Backoff } from "./backoff.js"
import { Connection, type ConnectOptions } from "./connection.js"

/** Milliseconds a session must have lasted for the next wait to be short again. */
const settledMs = 10_000

/** What a keeper tells its owner. */
export interface ClientSessionEvents {
  onMessage(message: ServerMessage): void
  /** The session, or a try to get it back, ended. */
  onLost(error: ChatError, willRetry: boolean): void
  /** A session stands again after one was lost. */
  onBack(connection: Connection): void
}

/** How a keeper opens sessions. */
export interface ClientSessionOptions {
  readonly clock: Clock
  /** Uniform in [0, 1). */
  readonly random: () => number
  /** Whether a lost session is tried again, for ever, unless the error is one that trying again cannot fix. */
  readonly reconnect: boolean
  /** Called for each session. */
  connectOptions(): Promise<ConnectOptions>
}

/** Holds at most one session, and gets it back when asked to. */
export class ClientSession {
  readonly #options: ClientSessionOptions
  readonly #events: ClientSessionEvents
  readonly #backoff = new Backoff()
  #connection: Connection | undefined
  #opening: Promise<Connection> | undefined
  #retry: Timer | undefined
  /** A session ended that is to come back. */
  #isLost = false
  #onlineSinceMs = 0
  /** Rises with each close, so that an attempt under way knows it is no longer wanted. */
  #closes = 0

  constructor(options: ClientSessionOptions, events: ClientSessionEvents) {
    this.#options = options
    this.#events = events
  }

  /** The session, while there is one. */
  get connection(): Connection | undefined {
    return this.#connection
  }

  /** The session; opened if there is none, at once if it was to be tried again later. @throws {ChatError} as {@link Connection.open} */
  connect(): Promise<Connection> {
    if (this.#connection !== undefined) return Promise.resolve(this.#connection)
    this.#retry?.cancel()
    this.#opening ??= this.#isLost ? this.#restore() : this.#open()
    return this.#opening
  }

  /** Ends the session and every further try. */
  async close(): Promise<void> {
    this.#closes++
    this.#isLost = false
    this.#opening = undefined
    this.#retry?.cancel()
    const connection = this.#connection
    this.#connection = undefined
    await connection?.close()
  }

  async #open(): Promise<Connection> {
    const closes = this.#closes
    try {
      const connection = await Connection.open(await this.#options.connectOptions(), {
        onMessage: (message) => this.#events.onMessage(message),
        onClose: (error) => this.#lose(error),
      })
      if (this.#closes !== closes) {
        await connection.close()
        throw new ChatError("UNREACHABLE", "client: disconnected while it was connecting")
      }
      this.#connection = connection
      this.#onlineSinceMs = this.#options.clock.monotonic()
      return connection
    } finally {
      // After a close another attempt may be under way already.
      if (this.#closes === closes) this.#opening = undefined
    }
  }

  #lose(error: ChatError): void {
    this.#connection = undefined
    // A relay that lets us in and drops us at once must not be called on every second.
    if (this.#options.clock.monotonic() - this.#onlineSinceMs > settledMs) this.#backoff.reset()
    this.#decide(error)
  }

  async #restore(): Promise<Connection> {
    const closes = this.#closes
    try {
      const connection = await this.#open()
      this.#isLost = false
      this.#events.onBack(connection)
      return connection
    } catch (error) {
      if (error instanceof ChatError && this.#closes === closes) this.#decide(error)
      throw error
    }
  }

  #decide(error: ChatError): void {
    this.#isLost = this.#options.reconnect && errorSpecs[error.code].retry
    if (this.#isLost) {
      const waitMs = this.#backoff.next(this.#options.random)
      this.#retry = this.#options.clock.setTimer(() => this.#tryAgain(), waitMs)
    }
    this.#events.onLost(error, this.#isLost)
  }

  #tryAgain(): void {
    this.connect().catch((error: unknown) => {
      // A ChatError was told by #decide.
      if (!(error instanceof ChatError)) throw error
    })
  }
}
