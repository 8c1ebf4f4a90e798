import { type JetStreamClient, type JetStreamManager, jetstream, jetstreamManager } from "@nats-io/jetstream"
import type { NatsConnection } from "@nats-io/transport-node"
import type { Clock, Timer } from "../../base/clock.js"
import { ChatError } from "../../protocol/errors.js"
import { Listeners } from "../listeners.js"
import type { NatsAddress } from "./address.js"
import { breakOff, dial, unreachable } from "./dial.js"

/** Longest any operation takes; a single request to NATS gives up before. */
const operationMs = 5_000
const requestMs = 4_000
/** The same for what is asked again soon: of several that make one stream at once, NATS leaves some without an answer. */
const quickMs = 1_500
const insistMs = 250
/** How often JetStream is asked to take something, to know that it can. */
const probeMs = 2_000
/** What a connection is made of. */
export interface NatsLinkOptions {
  readonly address: NatsAddress
  readonly space: string
  readonly clock: Clock
  readonly log: (line: string) => void
  readonly connectTimeoutMs: number
}

/**
 * One connection to NATS: it comes back by itself, knows whether JetStream can be reached, and bounds what is
 * asked of it in time.
 */
export class NatsLink {
  readonly nc: NatsConnection
  readonly js: JetStreamClient
  readonly jsm: JetStreamManager
  /** The same, sooner giving up; for what is tried again. */
  readonly quickJsm: JetStreamManager
  readonly space: string
  readonly clock: Clock
  readonly log: (line: string) => void
  readonly #where: string
  readonly #connectTimeoutMs: number
  readonly #reach = new Listeners<boolean>()
  readonly #reconnects = new Listeners<true>()
  readonly #waiting = new Set<(error: ChatError) => void>()
  readonly #restorers: (() => Promise<unknown>)[] = []
  #isConnected = true
  #answers = true
  #isClosed = false
  #isProbing = false
  #probe: () => Promise<unknown> = () => Promise.resolve()
  #timer: Timer | undefined

  private constructor(nc: NatsConnection, managers: readonly JetStreamManager[], options: NatsLinkOptions) {
    const [jsm, quickJsm] = managers as [JetStreamManager, JetStreamManager]
    this.nc = nc
    this.js = jetstream(nc, { timeout: requestMs })
    this.jsm = jsm
    this.quickJsm = quickJsm
    this.space = options.space
    this.clock = options.clock
    this.log = options.log
    this.#where = options.address.where
    this.#connectTimeoutMs = options.connectTimeoutMs
    void this.#followStatus()
  }

  /** @throws {ChatError} UNREACHABLE */
  static async open(options: NatsLinkOptions): Promise<NatsLink> {
    const nc = await dial(options)
    try {
      const manager = (timeout: number) => jetstreamManager(nc, { timeout, checkAPI: false })
      return new NatsLink(nc, await Promise.all([manager(requestMs), manager(quickMs)]), options)
    } catch (error) {
      await nc.close()
      throw unreachable(options.address.where, error)
    }
  }

  get isReachable(): boolean {
    return this.#isConnected && this.#answers && !this.#isClosed
  }

  /** Whether this connection is one of a cluster's, which can keep several copies. */
  get isClustered(): boolean {
    return this.nc.info?.cluster !== undefined
  }

  onReach(listener: (isReachable: boolean) => void): void {
    this.#reach.add(listener)
  }

  /** Calls `listener` whenever the connection was lost and stands again. */
  onReconnect(listener: () => void): () => void {
    return this.#reconnects.add(listener)
  }

  /** Has `restore` called each time JetStream answers again, before anybody is told so. */
  onRestore(restore: () => Promise<unknown>): void {
    this.#restorers.push(restore)
  }

  /** Takes JetStream to be there, as long as nothing else is known; for the time before it is probed. */
  hope(): void {
    this.#answers = true
  }

  /** Asks JetStream every 2 s from now on whether it takes something: `probe` must write. */
  startProbing(probe: () => Promise<unknown>): void {
    this.#probe = probe
    this.#scheduleProbe()
  }

  /**
   * Does `operation` within 5 s.
   * @throws {ChatError} what the operation throws as such; UNAVAILABLE for everything else, at once while
   * the store is out of reach
   */
  async run<T>(operation: () => Promise<T>): Promise<T> {
    if (!this.isReachable) throw unavailable()
    try {
      return await this.within(operation)
    } catch (error) {
      if (error instanceof ChatError && error.code !== "UNAVAILABLE") throw error
      this.#lose(error)
      throw error instanceof ChatError ? error : unavailable(error)
    }
  }

  /** The same without asking whether the store is in reach, and with the errors as they come. */
  within<T>(operation: () => Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const giveUp = (error: ChatError): void => {
        this.#waiting.delete(giveUp)
        timer.cancel()
        reject(error)
      }
      const timer = this.clock.setTimer(() => giveUp(unavailable("no answer in time")), operationMs)
      this.#waiting.add(giveUp)
      operation()
        .finally(() => {
          this.#waiting.delete(giveUp)
          timer.cancel()
        })
        .then(resolve, reject)
    })
  }

  /**
   * Does `operation`, which must bear being done twice, again and again until it succeeds, as long as a connection
   * may take at first. What fails meanwhile does not count as a loss.
   * @param what - what is to be had by it, for the error
   * @throws {ChatError} what the operation throws as such; UNAVAILABLE for everything else, at once while there
   * is no connection
   */
  async insist<T>(what: string, operation: () => Promise<T>): Promise<T> {
    const untilMs = this.clock.monotonic() + this.#connectTimeoutMs
    for (;;) {
      if (!this.#isConnected || this.#isClosed) throw unavailable()
      try {
        return await this.within(operation)
      } catch (error) {
        if (error instanceof ChatError && error.code !== "UNAVAILABLE") throw error
        if (this.clock.monotonic() + insistMs > untilMs) {
          const reason = toText(error)
          throw unavailable(error, `NATS at ${this.#where} does not open ${what} (${reason})`)
        }
        await this.pause(insistMs)
      }
    }
  }

  /** Resolves after `ms`. */
  pause(ms: number): Promise<void> {
    return new Promise((resolve) => void this.clock.setTimer(resolve, ms, { unref: true }))
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#timer?.cancel()
    this.#giveUpWaiting("this relay closes its store")
    await Promise.race([this.nc.flush().catch(() => {}), this.pause(1_000)])
    await Promise.race([this.nc.close().catch(() => {}), this.pause(1_000)])
  }

  async #followStatus(): Promise<void> {
    try {
      for await (const status of this.nc.status()) {
        if (status.type === "disconnect") this.#disconnected()
        if (status.type === "reconnect") this.#reconnected()
        if (status.type === "staleConnection") breakOff(this.nc)
      }
    } catch (error) {
      this.log(`nats: ${toText(error)}`)
    }
  }

  #disconnected(): void {
    if (!this.#isConnected || this.#isClosed) return
    this.#change(() => {
      this.#isConnected = false
      this.#answers = false
    }, "the connection is lost")
    this.#giveUpWaiting("the connection is lost")
  }

  #reconnected(): void {
    if (this.#isClosed) return
    this.#isConnected = true
    this.#reconnects.emit(true)
    void this.#probeNow()
  }

  #lose(error: unknown): void {
    if (this.#isClosed) return
    this.#change(() => {
      this.#answers = false
    }, toText(error))
  }

  #giveUpWaiting(reason: string): void {
    for (const giveUp of [...this.#waiting]) giveUp(unavailable(reason))
  }

  #change(act: () => void, reason: string): void {
    const was = this.isReachable
    act()
    if (this.isReachable === was) return
    const state = was ? `out of reach (${reason})` : "reached again"
    this.log(`nats: ${this.#where} is ${state}`)
    this.#reach.emit(!was)
  }

  #scheduleProbe(): void {
    this.#timer?.cancel()
    if (this.#isClosed) return
    this.#timer = this.clock.setTimer(() => void this.#probeNow(), probeMs, { unref: true })
  }

  async #probeNow(): Promise<void> {
    if (this.#isProbing) return
    this.#isProbing = true
    try {
      if (this.#isConnected) await this.#ask()
    } catch (error) {
      this.#lose(error)
    } finally {
      this.#isProbing = false
      this.#scheduleProbe()
    }
  }

  async #ask(): Promise<void> {
    const hadAnswers = this.#answers
    if (!hadAnswers) for (const restore of this.#restorers) await this.within(restore)
    await this.within(this.#probe)
    // What was lost while it was asked is asked for again.
    if (hadAnswers || !this.#isConnected || this.#isClosed) return
    this.#change(() => {
      this.#answers = true
    }, "")
  }
}

/** The error of an operation that NATS does not answer now. */
export function unavailable(cause?: unknown, message = "the store cannot be reached now"): ChatError {
  return new ChatError("UNAVAILABLE", message, {
    retryAfterMs: probeMs,
    ...(cause === undefined ? {} : { cause }),
  })
}

/** What an error says, in bounded length. */
export function toText(error: unknown): string {
  const cause = error instanceof ChatError && error.code === "UNAVAILABLE" ? error.cause : error
  const text = cause instanceof Error ? cause.message : typeof cause === "string" ? cause : "no answer"
  return text.slice(0, 200)
}
