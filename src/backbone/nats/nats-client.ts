import { type JetStreamClient, type JetStreamManager, jetstream, jetstreamManager } from "@nats-io/jetstream"
import type { NatsConnection } from "@nats-io/transport-node"
import type { Clock, Timer } from "../../base/clock.js"
import { ChatError } from "../../protocol/errors.js"
import { Listeners } from "../listeners.js"
import { destroySocket, dial, type NatsAddress, unreachable } from "./dial.js"

/** Time limit of an operation; a single request to NATS gives up earlier. */
const operationMs = 5_000
const requestMs = 4_000
/** Time limit of a request that is retried: when several relays create a stream, NATS leaves some without an answer. */
const quickRequestMs = 1_500
const retryMs = 250
/** Most bytes of headers and subject in a message. */
const overheadBytes = 2_048
/** Interval of the probe, which writes to check that JetStream accepts writes. */
const probeMs = 2_000

interface NatsClientOptions {
  readonly address: NatsAddress
  readonly space: string
  readonly clock: Clock
  readonly log: (line: string) => void
  readonly connectTimeoutMs: number
}

/** A connection to NATS. It reconnects by itself, tracks whether JetStream can be reached, and limits operations in time. */
export class NatsClient {
  readonly nc: NatsConnection
  readonly js: JetStreamClient
  readonly jsm: JetStreamManager
  /** A manager with a short time limit, for requests that are retried. */
  readonly quickJsm: JetStreamManager
  readonly space: string
  readonly clock: Clock
  readonly log: (line: string) => void
  readonly #where: string
  readonly #connectTimeoutMs: number
  readonly #reachability = new Listeners<boolean>()
  readonly #reconnects = new Listeners<true>()
  readonly #pending = new Set<(error: ChatError) => void>()
  readonly #restorers: (() => Promise<unknown>)[] = []
  #isConnected = true
  #isAnswering = true
  #isClosed = false
  #isProbing = false
  #probe: () => Promise<unknown> = () => Promise.resolve()
  #timer: Timer | undefined

  private constructor(nc: NatsConnection, managers: readonly JetStreamManager[], options: NatsClientOptions) {
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
  static async open(options: NatsClientOptions): Promise<NatsClient> {
    const nc = await dial(options)
    try {
      const manager = (timeout: number) => jetstreamManager(nc, { timeout, checkAPI: false })
      return new NatsClient(nc, await Promise.all([manager(requestMs), manager(quickRequestMs)]), options)
    } catch (error) {
      await nc.close()
      throw unreachable(options.address.where, error)
    }
  }

  get isReachable(): boolean {
    return this.#isConnected && this.#isAnswering && !this.#isClosed
  }

  /** True if the server is part of a cluster, which can keep several copies of a stream. */
  get isClustered(): boolean {
    return this.nc.info?.cluster !== undefined
  }

  onReachabilityChange(listener: (isReachable: boolean) => void): void {
    this.#reachability.add(listener)
  }

  /** Calls `listener` whenever a lost connection is open again. */
  onReconnect(listener: () => void): () => void {
    return this.#reconnects.add(listener)
  }

  /** Calls `restore` each time JetStream answers again, before the store counts as reachable. */
  onRestore(restore: () => Promise<unknown>): void {
    this.#restorers.push(restore)
  }

  /** Treats JetStream as reachable until an operation fails; for the time before it is probed. */
  assumeReachable(): void {
    this.#isAnswering = true
  }

  /** Calls `probe`, which must write, every 2 s from now on. */
  startProbing(probe: () => Promise<unknown>): void {
    this.#probe = probe
    this.#scheduleProbe()
  }

  /**
   * Runs `operation` with a time limit of 5 s.
   * @throws {ChatError} as the operation does; UNAVAILABLE for all other errors, and at once while the store cannot be
   * reached
   */
  async run<T>(operation: () => Promise<T>): Promise<T> {
    if (!this.isReachable) throw unavailable()
    try {
      return await this.withTimeout(operation)
    } catch (error) {
      if (error instanceof ChatError && error.code !== "UNAVAILABLE") throw error
      this.#markUnreachable(error)
      throw error instanceof ChatError ? error : unavailable(error)
    }
  }

  /** Runs `operation` with the same time limit even if the store is not reachable, and passes its errors on unchanged. */
  withTimeout<T>(operation: () => Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const giveUp = (error: ChatError): void => {
        this.#pending.delete(giveUp)
        timer.cancel()
        reject(error)
      }
      const timer = this.clock.setTimer(() => giveUp(unavailable("no answer in time")), operationMs)
      this.#pending.add(giveUp)
      operation()
        .finally(() => {
          this.#pending.delete(giveUp)
          timer.cancel()
        })
        .then(resolve, reject)
    })
  }

  /**
   * Retries `operation`, which must be idempotent, for as long as the first connection may take. Failures meanwhile do
   * not make the store unreachable.
   * @param what - names what the operation opens, for the error
   * @throws {ChatError} as the operation does; UNAVAILABLE for all other errors, and at once without a connection
   */
  async retry<T>(what: string, operation: () => Promise<T>): Promise<T> {
    const untilMs = this.clock.monotonic() + this.#connectTimeoutMs
    for (;;) {
      if (!this.#isConnected || this.#isClosed) throw unavailable()
      try {
        return await this.withTimeout(operation)
      } catch (error) {
        if (error instanceof ChatError && error.code !== "UNAVAILABLE") throw error
        if (this.clock.monotonic() + retryMs > untilMs) {
          const reason = errorText(error)
          throw unavailable(error, `NATS at ${this.#where} did not open ${what} (${reason})`)
        }
        await this.pause(retryMs)
      }
    }
  }

  /** @throws {ChatError} INVALID_MSG when `data` is larger than NATS accepts in a message */
  checkSize(data: Buffer): void {
    const max = (this.nc.info?.max_payload ?? Infinity) - overheadBytes
    if (data.length > max) throw new ChatError("INVALID_MSG", `NATS accepts at most ${max} bytes per message`)
  }

  /** Resolves after `ms`. */
  pause(ms: number): Promise<void> {
    return new Promise((resolve) => void this.clock.setTimer(resolve, ms, { unref: true }))
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#timer?.cancel()
    this.#rejectPending("the store is being closed")
    await Promise.race([this.nc.flush().catch(() => {}), this.pause(1_000)])
    await Promise.race([this.nc.close().catch(() => {}), this.pause(1_000)])
  }

  async #followStatus(): Promise<void> {
    try {
      for await (const status of this.nc.status()) {
        if (status.type === "disconnect") this.#disconnected()
        if (status.type === "reconnect") this.#reconnected()
        if (status.type === "staleConnection") destroySocket(this.nc)
      }
    } catch (error) {
      this.log(`nats: ${errorText(error)}`)
    }
  }

  #disconnected(): void {
    if (!this.#isConnected || this.#isClosed) return
    this.#change(() => {
      this.#isConnected = false
      this.#isAnswering = false
    }, "the connection is lost")
    this.#rejectPending("the connection is lost")
  }

  #reconnected(): void {
    if (this.#isClosed) return
    this.#isConnected = true
    this.#reconnects.emit(true)
    void this.#probeNow()
  }

  #markUnreachable(error: unknown): void {
    if (this.#isClosed) return
    this.#change(() => {
      this.#isAnswering = false
    }, errorText(error))
  }

  #rejectPending(reason: string): void {
    for (const giveUp of [...this.#pending]) giveUp(unavailable(reason))
  }

  #change(act: () => void, reason: string): void {
    const was = this.isReachable
    act()
    if (this.isReachable === was) return
    const state = was ? `cannot be reached (${reason})` : "can be reached again"
    this.log(`nats: ${this.#where} ${state}`)
    this.#reachability.emit(!was)
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
      if (this.#isConnected) await this.#checkReachable()
    } catch (error) {
      this.#markUnreachable(error)
    } finally {
      this.#isProbing = false
      this.#scheduleProbe()
    }
  }

  async #checkReachable(): Promise<void> {
    const hadAnswers = this.#isAnswering
    if (!hadAnswers) for (const restore of this.#restorers) await this.withTimeout(restore)
    await this.withTimeout(this.#probe)
    // If the connection was lost meanwhile, the next probe checks again.
    if (hadAnswers || !this.#isConnected || this.#isClosed) return
    this.#change(() => {
      this.#isAnswering = true
    }, "")
  }
}

/** The error of an operation while NATS does not answer. */
export function unavailable(cause?: unknown, message = "the store cannot be reached"): ChatError {
  return new ChatError("UNAVAILABLE", message, {
    retryAfterMs: probeMs,
    ...(cause === undefined ? {} : { cause }),
  })
}

/** Returns the message of an error, in bounded length. */
export function errorText(error: unknown): string {
  const cause = error instanceof ChatError && error.code === "UNAVAILABLE" ? error.cause : error
  const text = cause instanceof Error ? cause.message : typeof cause === "string" ? cause : "no answer"
  return text.slice(0, 200)
}
