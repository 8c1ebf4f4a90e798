import { randomBytes } from "node:crypto"
import type { Clock, Timer } from "../base/clock.js"
import { ChatError, errorSpecs } from "../protocol/errors.js"
import type { ServerMessage } from "../protocol/server-messages.js"
import { Backoff } from "./backoff.js"
import { Connection, type ConnectOptions } from "./connection.js"

type SessionEvent = "connect" | "opened" | "lost" | "failed" | "close"

/** The legal transitions of a session: state, event, next state. */
export const sessionSteps = {
  stopped: { connect: "connecting" },
  connecting: { opened: "online", lost: "waiting", failed: "stopped", close: "stopped" },
  online: { lost: "waiting", failed: "stopped", close: "stopped" },
  waiting: { connect: "connecting", close: "stopped" },
} as const satisfies Record<string, Partial<Record<SessionEvent, string>>>

/** State of a session: open (`online`), being opened, waiting for the next attempt, or ended. */
export type SessionState = keyof typeof sessionSteps

/** A session that lasted this many milliseconds resets the backoff. */
const settledMs = 10_000
/** A relay that kept a session for this many milliseconds may end one for good. */
const trustedMs = 300_000

export interface SessionOptions {
  readonly clock: Clock
  /** Uniform in [0, 1). */
  readonly random: () => number
  /**
   * When to try again: never; after an open session was lost, if a retry may fix the error; or always, also after a failed
   * first attempt and a refusal, because any program may answer at the address of a relay.
   */
  readonly retry: "never" | "after-loss" | "always"
  /** Returns the options of the next connection. Called for each attempt. */
  connectOptions(): Promise<ConnectOptions>
  /** Returns the `server_id` of the relay that an earlier process was connected to. */
  lastServerId?(): string | undefined
}

export interface SessionEvents {
  /** @param isReconnect - whether a session was lost before this one */
  onOnline(connection: Connection, isReconnect: boolean): void
  onMessage(message: ServerMessage): void
  /**
   * Called when the session is lost or an attempt to open one failed. A failed first attempt is reported only with
   * `retry: "always"`; its error also rejects {@link ReconnectingSession.connect}.
   * @param retryInMs - milliseconds until the next attempt; undefined if there is none
   */
  onLost(error: ChatError, retryInMs: number | undefined): void
}

/** One session with a relay, reopened with full-jitter backoff until it is closed; see {@link SessionOptions.retry}. */
export class ReconnectingSession {
  readonly #options: SessionOptions
  readonly #events: SessionEvents
  readonly #backoff = new Backoff()
  #state: SessionState = "stopped"
  #connection: Connection | undefined
  #opening: Promise<Connection> | undefined
  #retryTimer: Timer | undefined
  #wasOnline = false
  #onlineSinceMs = 0
  /** The relay that may end the session for good: the first one, or the last one that kept a session for {@link trustedMs}. */
  #serverId: string | undefined
  #isPaused = false
  readonly #process = randomBytes(9).toString("base64url")
  /** Number of the current attempt, so that an attempt that was closed meanwhile is recognized. */
  #attempt = 0

  constructor(options: SessionOptions, events: SessionEvents) {
    this.#options = options
    this.#events = events
  }

  get state(): SessionState {
    return this.#state
  }

  /** The open connection; undefined unless the state is `online`. */
  get connection(): Connection | undefined {
    return this.#connection
  }

  /**
   * Returns the open connection, or opens one now. Does not wait for a pending retry.
   * @throws {ChatError} as {@link Connection.open}
   */
  connect(): Promise<Connection> {
    if (this.#connection !== undefined) return Promise.resolve(this.#connection)
    this.#opening ??= this.#open()
    return this.#opening
  }

  /** Stops or resumes reading, so that the relay feels backpressure. Applies to later connections as well. */
  setPaused(isPaused: boolean): void {
    this.#isPaused = isPaused
    if (isPaused) this.#connection?.pause()
    else this.#connection?.resume()
  }

  /** Ends the session and cancels the next attempt. {@link connect} may be called again. */
  async close(): Promise<void> {
    if (this.#state !== "stopped") this.#step("close")
    const connection = this.#connection
    this.#attempt++
    this.#connection = undefined
    this.#opening = undefined
    this.#wasOnline = false
    this.#retryTimer?.cancel()
    await connection?.close()
  }

  async #open(): Promise<Connection> {
    this.#retryTimer?.cancel()
    this.#step("connect")
    this.#serverId ??= this.#options.lastServerId?.()
    const attempt = ++this.#attempt
    try {
      const options = {
        ...(await this.#options.connectOptions()),
        attempt: { process: this.#process, attempt },
      }
      const connection = await Connection.open(options, {
        onMessage: (message) => this.#events.onMessage(message),
        onClose: (error) => this.#fail(error),
      })
      if (this.#attempt !== attempt) {
        await connection.close()
        throw new ChatError("UNREACHABLE", "client: disconnected while it was connecting")
      }
      this.#onOpened(connection)
      return connection
    } catch (error) {
      if (this.#attempt === attempt && this.#state === "connecting") this.#fail(error)
      throw error
    }
  }

  #onOpened(connection: Connection): void {
    const isReconnect = this.#wasOnline
    this.#step("opened")
    this.#opening = undefined
    this.#connection = connection
    this.#wasOnline = true
    this.#onlineSinceMs = this.#options.clock.monotonic()
    if (this.#isPaused) connection.pause()
    this.#events.onOnline(connection, isReconnect)
  }

  #fail(error: unknown): void {
    const { clock, random, retry } = this.#options
    const isKnownRelay = this.#judgeRelay()
    const isOver = isFinal(error, retry, isKnownRelay)
    this.#connection = undefined
    this.#opening = undefined
    const mayRetry = retry === "always" || (retry === "after-loss" && this.#wasOnline)
    const isReported = retry === "always" || this.#wasOnline
    let retryInMs: number | undefined
    if (mayRetry && !isOver) {
      this.#step("lost")
      retryInMs = this.#backoff.next(random)
      this.#retryTimer = clock.setTimer(() => this.#retry(), retryInMs)
    } else {
      this.#step("failed")
      this.#wasOnline = false
    }
    if (isReported && error instanceof ChatError) this.#events.onLost(error, retryInMs)
  }

  /** Notes for how long the relay kept the session. @returns true if it is the relay that was there before */
  #judgeRelay(): boolean {
    const serverId = this.#connection?.welcome.server_id
    if (serverId === undefined) return false
    const onlineMs = this.#options.clock.monotonic() - this.#onlineSinceMs
    // A relay that accepts a session and drops it at once must not reset the backoff each time.
    if (onlineMs > settledMs) this.#backoff.reset()
    if (onlineMs > trustedMs) this.#serverId = serverId
    else this.#serverId ??= serverId
    return serverId === this.#serverId
  }

  #retry(): void {
    this.connect().catch((error: unknown) => {
      // A ChatError was reported by #fail.
      if (!(error instanceof ChatError)) throw error
    })
  }

  #step(event: SessionEvent): void {
    const steps: Partial<Record<SessionEvent, SessionState>> = sessionSteps[this.#state]
    const next = steps[event]
    if (next === undefined) throw new Error(`session: ${event} while ${this.#state}`)
    this.#state = next
  }
}

/**
 * Reports whether an error ends a session for good. One that always retries believes no refusal before WELCOME, and after it
 * only that the relay which was there before displaced it.
 */
function isFinal(error: unknown, retry: SessionOptions["retry"], isKnownRelay: boolean): boolean {
  if (!(error instanceof ChatError)) return true
  const { retry: isTemporary, wire } = errorSpecs[error.code]
  if (retry !== "always" || !wire) return !isTemporary
  return isKnownRelay && error.code === "SESSION_DISPLACED"
}
